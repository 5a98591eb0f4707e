//! The string functions. Positions and lengths count UTF-16 units, as Java's do.

use super::{CallError, Function, Language, Param, Type};
use crate::es::{Case, date, ip};
use crate::schema::Version;
use crate::value::{Value, float_text};

/// The text of a value, as Java's `toString` gives it; `None` for null.
pub fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Double(d) => float_text(*d),
        Value::Str(s) | Value::Version(s) => s.to_string(),
        Value::Date(nanos) => date::format(*nanos),
        Value::Ip(number) => ip::format(*number),
        Value::Unsigned(u) => u.to_string(),
        Value::Period { months, days } => format!("P{months}M{days}D"),
        Value::Duration(millis) => format!("PT{}S", float_text(*millis as f64 / 1e3)),
        Value::Point { x, y } => format!("POINT ({} {})", float_text(*x), float_text(*y)),
    })
}

const fn param(name: &'static str, ty: Type) -> Param {
    Param { name, ty, optional: false, constant: false }
}

const fn optional(name: &'static str, ty: Type) -> Param {
    Param { name, ty, optional: true, constant: false }
}

const ROW: Function = Function {
    name: "",
    languages: &[Language::Eql],
    since: Version(7, 10, 0),
    params: &[],
    variadic: false,
    returns: Type::String,
    case_form: false,
    summary: "",
    examples: &[],
    eval: |_, _| Ok(Value::Null),
};

const TWO_TEXTS: &[Param] = &[param("source", Type::String), param("part", Type::String)];

/// The rows.
pub(super) static FUNCTIONS: &[Function] = &[
    Function {
        name: "between",
        params: &[
            param("source", Type::String),
            param("left", Type::String),
            param("right", Type::String),
            optional("greedy", Type::Boolean),
        ],
        case_form: true,
        summary: "the text between the first `left` and the next `right`, or the last `right` if greedy; \
                  empty if there is none, `source` itself if a text is empty",
        examples: &[
            (r#"between("<a><b>", "<", ">")"#, r#""a""#),
            (r#"between("<a><b>", "<", ">", true)"#, r#""a><b""#),
            (r#"between("<a>", "[", "]")"#, r#""""#),
            (r#"between("<a>", "", ">")"#, r#""<a>""#),
            (r#"between~("beginXend", "BEGIN", "END")"#, r#""X""#),
            (r#"between(null, "<", ">")"#, "null"),
        ],
        eval: |args, case| {
            Ok(match texts(args) {
                Some([source, left, right]) => {
                    let greedy = args.get(3).and_then(Value::as_bool).unwrap_or(false);
                    Value::str(between(source, left, right, greedy, case))
                }
                None => Value::Null,
            })
        },
        ..ROW
    },
    Function {
        name: "cidrMatch",
        params: &[
            param("address", Type::Ip),
            Param { name: "block", ty: Type::String, optional: false, constant: true },
        ],
        variadic: true,
        returns: Type::Boolean,
        summary: "whether an address lies in one of the CIDR blocks",
        examples: &[
            (r#"cidrMatch("10.1.2.3", "10.0.0.0/8")"#, "true"),
            (r#"cidrMatch("10.1.2.3", "172.16.0.0/12", "10.1.0.0/16")"#, "true"),
            (r#"cidrMatch("11.1.2.3", "10.0.0.0/8")"#, "false"),
            (r#"cidrMatch("::1", "0.0.0.0/0")"#, "false"),
        ],
        eval: |args, _| cidr_match(args),
        ..ROW
    },
    Function {
        name: "concat",
        params: &[param("value", Type::Any)],
        variadic: true,
        summary: "the texts of all values, one after the other",
        examples: &[
            (r#"concat("port ", 443)"#, r#""port 443""#),
            (r#"concat(1.0, true)"#, r#""1.0true""#),
            (r#"concat("a", null)"#, "null"),
        ],
        eval: |args, _| {
            let mut out = String::new();
            for arg in args {
                let Some(t) = text(arg) else { return Ok(Value::Null) };
                out.push_str(&t);
            }
            Ok(Value::str(out))
        },
        ..ROW
    },
    Function {
        name: "endsWith",
        params: TWO_TEXTS,
        returns: Type::Boolean,
        case_form: true,
        summary: "whether a text ends with another",
        examples: &[
            (r#"endsWith("note.txt", ".txt")"#, "true"),
            (r#"endsWith("note.txt", ".TXT")"#, "false"),
            (r#"endsWith~("note.txt", ".TXT")"#, "true"),
            (r#"endsWith("note.txt", null)"#, "null"),
        ],
        eval: |args, case| test(args, case, |a, b| a.ends_with(b)),
        ..ROW
    },
    Function {
        name: "indexOf",
        params: &[
            param("source", Type::String),
            param("part", Type::String),
            optional("start", Type::Number),
        ],
        returns: Type::Integer,
        case_form: true,
        summary: "the position of the first `part` at or behind `start`, counted from 0; null if there is none",
        examples: &[
            (r#"indexOf("banana", "an")"#, "1"),
            (r#"indexOf("banana", "an", 2)"#, "3"),
            (r#"indexOf("banana", "AN")"#, "null"),
            (r#"indexOf~("banana", "AN", null)"#, "1"),
            (r#"indexOf("banana", "", 4)"#, "4"),
        ],
        eval: |args, case| {
            let Some([source, part]) = texts(args) else { return Ok(Value::Null) };
            let start = args.get(2).and_then(Value::as_f64).map_or(0, |f| f as i64);
            Ok(index_of(source, part, start, case).map_or(Value::Null, Value::Int))
        },
        ..ROW
    },
    Function {
        name: "length",
        params: &[param("text", Type::String)],
        returns: Type::Integer,
        summary: "how many UTF-16 units a text has",
        examples: &[(r#"length("naïve")"#, "5"), (r#"length("\u{1f600}")"#, "2"), (r#"length("")"#, "0")],
        eval: |args, _| {
            let text = args.first().and_then(Value::as_str);
            Ok(text.map_or(Value::Null, |t| Value::Int(units(t))))
        },
        ..ROW
    },
    Function {
        name: "startsWith",
        params: TWO_TEXTS,
        returns: Type::Boolean,
        case_form: true,
        summary: "whether a text starts with another",
        examples: &[
            (r#"startsWith("note.txt", "note")"#, "true"),
            (r#"startsWith("note.txt", "Note")"#, "false"),
            (r#"startsWith~("note.txt", "Note")"#, "true"),
        ],
        eval: |args, case| test(args, case, |a, b| a.starts_with(b)),
        ..ROW
    },
    Function {
        name: "string",
        params: &[param("value", Type::Any)],
        summary: "the text of a value",
        examples: &[
            ("string(443)", r#""443""#),
            ("string(2.50)", r#""2.5""#),
            ("string(true)", r#""true""#),
            (r#"string("x")"#, r#""x""#),
            ("string(null)", "null"),
        ],
        eval: |args, _| Ok(args.first().and_then(text).map_or(Value::Null, Value::str)),
        ..ROW
    },
    Function {
        name: "stringContains",
        params: TWO_TEXTS,
        returns: Type::Boolean,
        case_form: true,
        summary: "whether a text contains another; an empty text neither contains nor is contained",
        examples: &[
            (r#"stringContains("banana", "nan")"#, "true"),
            (r#"stringContains("banana", "NAN")"#, "false"),
            (r#"stringContains~("banana", "NAN")"#, "true"),
            (r#"stringContains("banana", "")"#, "false"),
        ],
        eval: |args, case| test(args, case, |a, b| !a.is_empty() && !b.is_empty() && a.contains(b)),
        ..ROW
    },
    Function {
        name: "substring",
        params: &[
            param("source", Type::String),
            param("start", Type::Integer),
            optional("end", Type::Integer),
        ],
        summary: "the text from `start` up to but without `end`; negative positions count from the end",
        examples: &[
            (r#"substring("banana", 2)"#, r#""nana""#),
            (r#"substring("banana", 1, 3)"#, r#""an""#),
            (r#"substring("banana", -3, -1)"#, r#""an""#),
            (r#"substring("banana", 4, 99)"#, r#""na""#),
            (r#"substring("banana", 4, 2)"#, r#""""#),
        ],
        eval: |args, _| {
            let Some(source) = args.first().and_then(Value::as_str) else { return Ok(Value::Null) };
            Ok(match args.get(1) {
                Some(Value::Int(start)) => {
                    let end = match args.get(2) {
                        Some(Value::Int(end)) => Some(*end),
                        _ => None,
                    };
                    Value::str(substring(source, *start, end))
                }
                _ => Value::str(source),
            })
        },
        ..ROW
    },
];

/// The first `N` arguments, if all are texts.
fn texts<const N: usize>(args: &[Value]) -> Option<[&str; N]> {
    let mut out = [""; N];
    for (slot, arg) in out.iter_mut().zip(0..N) {
        *slot = args.get(arg)?.as_str()?;
    }
    Some(out)
}

fn test(args: &[Value], case: Case, f: impl Fn(&str, &str) -> bool) -> Result<Value, CallError> {
    let Some([a, b]) = texts(args) else { return Ok(Value::Null) };
    Ok(Value::Bool(match case {
        Case::Sensitive => f(a, b),
        Case::Insensitive => f(&folded(a), &folded(b)),
    }))
}

/// A text whose letters do not differ by case. Every character stands for one character, as in
/// Java's `equalsIgnoreCase`, so positions stay comparable.
fn folded(text: &str) -> String {
    fn one(mut chars: impl Iterator<Item = char>, c: char) -> char {
        let first = chars.next().unwrap_or(c);
        if chars.next().is_none() { first } else { c }
    }
    text.chars()
        .map(|c| {
            let upper = one(c.to_uppercase(), c);
            one(upper.to_lowercase(), upper)
        })
        .collect()
}

fn units(text: &str) -> i64 {
    i64::try_from(text.encode_utf16().count()).unwrap_or(i64::MAX)
}

/// The byte offset in `original` of the character that stands at byte `at` of its folded form.
fn unfold(original: &str, folded: &str, at: usize) -> usize {
    let n = folded.get(..at).unwrap_or("").chars().count();
    original.char_indices().nth(n).map_or(original.len(), |(i, _)| i)
}

fn between(source: &str, left: &str, right: &str, greedy: bool, case: Case) -> String {
    if source.is_empty() || left.is_empty() || right.is_empty() {
        return source.to_owned();
    }
    let fold = |t: &str| if case == Case::Insensitive { folded(t) } else { t.to_owned() };
    let (text, left, right) = (fold(source), fold(left), fold(right));
    let Some((_, behind)) = text.split_once(left.as_str()) else { return String::new() };
    let start = text.len() - behind.len();
    let end = if greedy { behind.rfind(right.as_str()) } else { behind.find(right.as_str()) };
    let Some(end) = end else { return String::new() };
    let (start, end) = (unfold(source, &text, start), unfold(source, &text, start + end));
    source.get(start..end).unwrap_or("").to_owned()
}

fn index_of(source: &str, part: &str, start: i64, case: Case) -> Option<i64> {
    let start = start.max(0);
    if part.is_empty() {
        return Some(start);
    }
    let (text, part) = match case {
        Case::Sensitive => (source.to_owned(), part.to_owned()),
        Case::Insensitive => (folded(source), folded(part)),
    };
    let mut position = 0i64;
    let mut from = text.len();
    for ((at, _), c) in text.char_indices().zip(source.chars()) {
        if position >= start {
            from = at;
            break;
        }
        position += if c.len_utf16() == 2 { 2 } else { 1 };
    }
    let found = from + text.get(from..)?.find(part.as_str())?;
    Some(units(source.get(..unfold(source, &text, found))?))
}

fn substring(source: &str, start: i64, end: Option<i64>) -> String {
    let units: Vec<u16> = source.encode_utf16().collect();
    let length = i64::try_from(units.len()).unwrap_or(i64::MAX);
    let place =
        |p: i64| usize::try_from(if p < 0 { (p.saturating_add(length)).max(0) } else { p.min(length) });
    let (Ok(start), Ok(end)) = (place(start), place(end.unwrap_or(length))) else { return String::new() };
    units.get(start..end).map(String::from_utf16_lossy).unwrap_or_default()
}

/// First and last address of a CIDR block, or of a single address; `None` for a text that is neither.
pub fn cidr_block(text: &str) -> Option<(u128, u128)> {
    ip::parse_cidr(text).or_else(|| ip::parse(text).map(|a| (a, a)))
}

fn cidr_match(args: &[Value]) -> Result<Value, CallError> {
    let Some((address, blocks)) = args.split_first() else { return Ok(Value::Null) };
    let address = match address {
        Value::Ip(a) => *a,
        Value::Str(s) => match ip::parse(s) {
            Some(a) => a,
            None => return Err(CallError(format!("`{s}` is no IP address"))),
        },
        _ => return Ok(Value::Null),
    };
    let mut unknown = false;
    for b in blocks {
        match b.as_str().map(cidr_block) {
            None => unknown = true,
            Some(None) => return Err(CallError(format!("`{}` is no CIDR block", b.as_str().unwrap_or("")))),
            Some(Some((lo, hi))) if lo <= address && address <= hi => return Ok(Value::Bool(true)),
            Some(Some(_)) => {}
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_utf16_units_also_without_case() {
        assert_eq!(index_of("😀aB", "b", 0, Case::Insensitive), Some(3));
        assert_eq!(index_of("İstanbul", "TAN", 0, Case::Insensitive), Some(2));
        assert_eq!(index_of("abcabc", "abc", 1, Case::Sensitive), Some(3));
        assert_eq!(index_of("abc", "abc", -7, Case::Sensitive), Some(0));
        assert_eq!(substring("😀ab", 2, None), "ab");
        assert_eq!(substring("ab", i64::MIN, Some(i64::MAX)), "ab");
        assert_eq!(substring("ab", 9, Some(1)), "");
    }

    #[test]
    fn between_keeps_the_case_of_its_source() {
        assert_eq!(between("İ[Xy]", "[", "]", false, Case::Insensitive), "Xy");
        assert_eq!(between("aaa", "aa", "aa", false, Case::Sensitive), "");
    }
}
