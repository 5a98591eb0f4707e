//! Functions over JSON texts and places on the earth, and the searches in a document.

use super::{Accepts, Call, ColumnFunction, Failure, Form, ROW, Returns, constant, optional, param};
use crate::schema::Version;
use crate::value::{ColumnType as T, Value};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

enum Step {
    Key(String),
    Index(usize),
}

/// The steps of a path: `$.a.b`, `a.b[0]`, `['x.y']`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let rooted = rest.len() < path.len();
    let mut out = Vec::new();
    let mut first = !rooted;
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
            match quote {
                Some(q) => {
                    let end = inside.get(1..)?.find(q)? + 1;
                    out.push(Step::Key(inside.get(1..end)?.to_owned()));
                    rest = inside.get(end + 1..)?.strip_prefix(']')?;
                }
                None => {
                    let end = inside.find(']')?;
                    out.push(Step::Index(inside.get(..end)?.trim().parse().ok()?));
                    rest = inside.get(end + 1..)?;
                }
            }
        } else {
            let name = match rest.strip_prefix('.') {
                Some(name) if !first => name,
                None if first => rest,
                _ => return None,
            };
            let end = name.find(['.', '[']).unwrap_or(name.len());
            if end == 0 {
                return None;
            }
            out.push(Step::Key(name.get(..end)?.to_owned()));
            rest = name.get(end..)?;
        }
        first = false;
    }
    Some(out)
}

/// The first value of a key in an object, its text untouched.
struct FirstOf<'k>(&'k str);

impl<'de> Visitor<'de> for FirstOf<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if found.is_none() && key == self.0 {
                found = Some(map.next_value::<&'de RawValue>()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

fn key_of<'a>(json: &'a str, key: &str) -> Option<&'a RawValue> {
    serde_json::Deserializer::from_str(json).deserialize_map(FirstOf(key)).ok()?
}

fn extract(args: &[Value], _: &Call<'_>) -> Result<Value, Failure> {
    let (json, path) = match args {
        [json, path] => (json.as_str().unwrap_or_default(), path.as_str().unwrap_or_default()),
        _ => return Ok(Value::Null),
    };
    let bad = || Failure::argument("invalid JSON input");
    let mut at: &RawValue = serde_json::from_str(json).map_err(|_| bad())?;
    let missing = || Failure::argument(format!("path [{path}] does not exist"));
    let steps = steps(path).ok_or_else(|| Failure::argument(format!("Invalid JSON path [{path}]")))?;
    for step in steps {
        at = match step {
            Step::Key(key) => key_of(at.get(), &key).ok_or_else(missing)?,
            Step::Index(i) => {
                let items: Vec<&RawValue> = serde_json::from_str(at.get()).map_err(|_| missing())?;
                items
                    .into_iter()
                    .nth(i)
                    .ok_or_else(|| Failure::argument(format!("path [{path}] array index out of bounds")))?
            }
        };
    }
    let text = at.get();
    Ok(match text.bytes().next() {
        Some(b'n') => Value::Null,
        Some(b'"') => {
            Value::str(String::deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(|_| bad())?)
        }
        Some(b'{' | b'[') => {
            let tree: serde_json::Value = serde_json::from_str(text).map_err(|_| bad())?;
            Value::str(tree.to_string())
        }
        _ => Value::str(text),
    })
}

/// `POINT (x y)`.
pub(super) fn point(text: &str) -> Option<Value> {
    let word = text.trim();
    let body = word.get(..5).filter(|w| w.eq_ignore_ascii_case("point")).and(word.get(5..))?;
    let body = body.trim().strip_prefix('(')?.strip_suffix(')')?;
    let mut parts = body.split_whitespace().map(str::parse::<f64>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(x)), Some(Ok(y)), None) if x.is_finite() && y.is_finite() => Some(Value::Point { x, y }),
        _ => None,
    }
}

/// Metres between two places on a sphere of Lucene's radius.
fn distance(a: &Value, b: &Value) -> Value {
    let (Value::Point { x: x1, y: y1 }, Value::Point { x: x2, y: y2 }) = (a, b) else { return Value::Null };
    let (dy, dx) = ((y2 - y1).to_radians() / 2.0, (x2 - x1).to_radians() / 2.0);
    let h = dy.sin().powi(2) + y1.to_radians().cos() * y2.to_radians().cos() * dx.sin().powi(2);
    Value::Double(2.0 * 6_371_008.771_4 * h.sqrt().min(1.0).asin())
}

/// The rows.
pub(super) static FUNCTIONS: &[ColumnFunction] = &[
    ColumnFunction {
        name: "json_extract",
        since: Version(9, 4, 0),
        params: &[param("json", Accepts::Json), param("path", Accepts::Text)],
        summary: "the value at a path such as `$.a[0].b`, as text; null where there is none",
        examples: &[
            (r#"JSON_EXTRACT("{\"a\":{\"b\":[1,2]}}", "a.b[1]")"#, "\"2\""),
            (r#"JSON_EXTRACT("{\"a.b\":null}", "['a.b']")"#, "null"),
            (r#"JSON_EXTRACT("[{ }]", "$[0]")"#, "\"{}\""),
        ],
        form: Form::Single(extract),
        ..ROW
    },
    ColumnFunction {
        name: "st_x",
        params: &[param("point", Accepts::Point)],
        returns: Returns::Is(T::Double),
        summary: "the longitude",
        examples: &[("ST_X(TO_GEOPOINT(\"POINT(2 48)\"))", "2.0")],
        form: Form::Single(|args, _| match args {
            [Value::Point { x, .. }] => Ok(Value::Double(*x)),
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "st_y",
        params: &[param("point", Accepts::Point)],
        returns: Returns::Is(T::Double),
        summary: "the latitude",
        examples: &[("ST_Y(TO_GEOPOINT(\"POINT(2 48)\"))", "48.0")],
        form: Form::Single(|args, _| match args {
            [Value::Point { y, .. }] => Ok(Value::Double(*y)),
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "st_distance",
        params: &[param("a", Accepts::Point), param("b", Accepts::Point)],
        returns: Returns::Is(T::Double),
        summary: "the metres between two places",
        examples: &[("ST_DISTANCE(TO_GEOPOINT(\"POINT(1 1)\"), TO_GEOPOINT(\"POINT(1 1)\"))", "0.0")],
        form: Form::Single(|args, _| match args {
            [a, b] => Ok(distance(a, b)),
            _ => Ok(Value::Null),
        }),
        ..ROW
    },
    ColumnFunction {
        name: "kql",
        params: &[constant("query", Accepts::Text), optional("options", Accepts::Any)],
        returns: Returns::Is(T::Boolean),
        summary: "whether the document matches a KQL query; any value of a field may match",
        form: Form::FullText,
        ..ROW
    },
    ColumnFunction {
        name: "match",
        params: &[
            param("field", Accepts::Any),
            constant("query", Accepts::Any),
            optional("options", Accepts::Any),
        ],
        returns: Returns::Is(T::Boolean),
        summary: "whether a field of the document matches, as the `match` query does",
        form: Form::FullText,
        ..ROW
    },
];
