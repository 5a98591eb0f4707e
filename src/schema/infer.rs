//! Types from the data, as Elasticsearch's dynamic mapping gives them: string to text with a
//! `.keyword`, or date if it looks like one; integer to long; decimal to float; boolean.

use super::{Field, FieldType, Fields, Kind, Origin};
use serde_json::Value;

/// Collects what documents hold and says how the fields would be mapped. The first value of a path
/// decides, as in an index.
#[derive(Debug, Default)]
pub struct Inference {
    fields: Fields,
}

impl Inference {
    /// Looks at one document. `known` tells the paths that already have a type, and whether this
    /// value fits it; those are left alone.
    pub fn look(&mut self, document: &Value, known: &dyn Fn(&str, &Value) -> bool) {
        if let Value::Object(map) = document {
            for (key, value) in map {
                self.walk(key, value, known);
            }
        }
    }

    fn walk(&mut self, path: &str, value: &Value, known: &dyn Fn(&str, &Value) -> bool) {
        if known(path, value) {
            return;
        }
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    self.walk(&format!("{path}.{key}"), value, known);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(path, item, known)),
            Value::Null => {}
            _ if self.fields.get(path, None).is_some() => {}
            Value::Bool(_) => self.add(path, Kind::Boolean),
            Value::Number(n) => self.add(path, if n.is_f64() { Kind::Float } else { Kind::Long }),
            Value::String(s) if looks_like_date(s) => self.add(path, Kind::Date),
            Value::String(_) => {
                self.add(path, Kind::Text);
                let mut ty = FieldType::of(Kind::Keyword);
                ty.ignore_above = Some(256);
                let mut sub = Field::new(&format!("{path}.keyword"), ty, Origin::Data);
                sub.parent = Some(path.into());
                self.fields.add(sub);
            }
        }
    }

    fn add(&mut self, path: &str, kind: Kind) {
        self.fields.add(Field::new(path, FieldType::of(kind), Origin::Data));
    }

    /// The fields that were found.
    pub fn finish(self) -> Fields {
        self.fields
    }
}

/// Whether dynamic mapping takes a string for a date: `strict_date_optional_time` with a full date,
/// or `yyyy/MM/dd[ HH:mm:ss]`.
fn looks_like_date(s: &str) -> bool {
    let b = s.as_bytes();
    let digits = |from: usize, to: usize| b.get(from..to).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
    if !digits(0, 4) || !digits(5, 7) || !digits(8, 10) {
        return false;
    }
    let (first, second) = (b.get(4).copied(), b.get(7).copied());
    let rest = b.get(10..).unwrap_or(&[]);
    match (first, second) {
        (Some(b'-'), Some(b'-')) => match rest.split_first() {
            None => true,
            Some((b'T', time)) => time.len() >= 2 && time.iter().take(2).all(u8::is_ascii_digit),
            _ => false,
        },
        (Some(b'/'), Some(b'/')) => match rest.split_first() {
            None => true,
            Some((b' ', time)) => time.len() >= 8,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_follow_the_first_value() {
        let mut i = Inference::default();
        let doc = serde_json::json!({"s": "x", "n": 1, "f": 1.5, "b": [true], "d": "2024-01-02T03:04:05Z", "o": {"p": "2024"}, "z": null});
        i.look(&doc, &|_, _| false);
        let f = i.finish();
        let kind = |n: &str| f.get(n, None).map(Field::kind);
        assert_eq!(kind("s"), Some(Kind::Text));
        assert_eq!(kind("s.keyword"), Some(Kind::Keyword));
        assert_eq!(kind("n"), Some(Kind::Long));
        assert_eq!(kind("f"), Some(Kind::Float));
        assert_eq!(kind("b"), Some(Kind::Boolean));
        assert_eq!(kind("d"), Some(Kind::Date));
        assert_eq!(kind("o.p"), Some(Kind::Text));
        assert_eq!(kind("z"), None);
    }
}
