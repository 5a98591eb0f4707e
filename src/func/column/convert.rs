//! Conversions: `TO_…` and `::type`, over each value of a cell. What cannot be converted is dropped
//! with a warning.

use super::{Accepts, Call, ColumnFunction, Failure, Form, ROW, Returns, param};
use crate::es::{date, ip};
use crate::func;
use crate::value::{ColumnType as T, Value};

/// Whether a type can be converted to another.
pub fn conversion(from: T, to: T) -> bool {
    if from == T::Null || from == to {
        return true;
    }
    match to {
        T::Keyword | T::Text => !matches!(from, T::Unsupported | T::Period | T::Duration),
        T::Integer | T::Long | T::UnsignedLong | T::Double => {
            from.is_numeric() || from.is_string() || from == T::Boolean || from.is_date()
        }
        T::Boolean => from.is_numeric() || from.is_string(),
        T::Date | T::DateNanos => {
            from.is_date() || from.is_string() || from.is_number() || from == T::UnsignedLong
        }
        T::Ip | T::Version | T::GeoPoint | T::Period | T::Duration => from.is_string(),
        _ => false,
    }
}

fn range(what: impl std::fmt::Display, to: T) -> Failure {
    Failure::invalid(format!("[{what}] out of [{}] range", to.name()))
}

fn integer(i: i128, to: T) -> Result<Value, Failure> {
    match to {
        T::Integer => i32::try_from(i).map(|i| Value::Int(i.into())).map_err(|_| range(i, to)),
        T::UnsignedLong => u64::try_from(i).map(Value::Unsigned).map_err(|_| range(i, to)),
        _ => i64::try_from(i).map(Value::Int).map_err(|_| range(i, to)),
    }
}

fn rounded(d: f64, to: T) -> Result<Value, Failure> {
    let r = (d + 0.5).floor();
    if !d.is_finite() || r.abs() >= 1.9e19 {
        return Err(range(crate::value::float_text(d), to));
    }
    integer(r as i128, to).map_err(|_| range(crate::value::float_text(d), to))
}

fn bad_number(text: &str) -> Failure {
    Failure {
        class: "org.elasticsearch.xpack.esql.core.InvalidArgumentException",
        message: format!("Cannot parse number [{text}]"),
    }
}

/// A number as Java's `Double.parseDouble` reads it.
fn parse_double(text: &str) -> Option<f64> {
    let t = text.trim();
    let plain = t
        .strip_suffix(['d', 'D', 'f', 'F'])
        .filter(|s| s.ends_with(|c: char| c.is_ascii_digit() || c == '.'));
    let t = plain.unwrap_or(t);
    let word = t.trim_start_matches(['+', '-']);
    if !word.starts_with(|c: char| c.is_ascii_digit() || c == '.') && word != "NaN" && word != "Infinity" {
        return None;
    }
    t.parse().ok()
}

/// A date as `strict_date_optional_time` reads it; numbers are none.
pub(super) fn parse_date(text: &str) -> Option<i128> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if (digits && text.len() != 4) || text.starts_with('-') || text.contains(' ') {
        return None;
    }
    date::parse_value(text)
}

/// A number as the wider type of an operation: an integer next to a double is a double.
pub(super) fn widened(value: &Value, to: T) -> Value {
    match (value, to) {
        (Value::Int(i), T::Double) => Value::Double(*i as f64),
        _ => value.clone(),
    }
}

/// One value as another type.
///
/// # Errors
/// When it has no such form.
pub fn convert(value: &Value, from: T, to: T) -> Result<Value, Failure> {
    let millis = |nanos: i128| if from == T::DateNanos { nanos } else { nanos.div_euclid(1_000_000) };
    Ok(match to {
        T::Keyword | T::Text => match value {
            Value::Str(_) => value.clone(),
            other => Value::str(func::text(other).unwrap_or_default()),
        },
        T::Integer | T::Long | T::UnsignedLong => match value {
            Value::Int(i) => integer((*i).into(), to)?,
            Value::Unsigned(u) => integer((*u).into(), to)?,
            Value::Double(d) => rounded(*d, to)?,
            Value::Bool(b) => integer((*b).into(), to)?,
            Value::Date(nanos) => integer(millis(*nanos), to)?,
            Value::Str(s) => match s.trim().parse::<i128>() {
                Ok(i) => integer(i, to)?,
                Err(_) => rounded(parse_double(s).ok_or_else(|| bad_number(s))?, to)
                    .map_err(|_| range(s.as_ref(), to))?,
            },
            _ => Value::Null,
        },
        T::Double => match value {
            Value::Double(_) => value.clone(),
            Value::Bool(b) => Value::Double(f64::from(u8::from(*b))),
            Value::Date(nanos) => Value::Double(millis(*nanos) as f64),
            Value::Str(s) => Value::Double(parse_double(s).ok_or_else(|| bad_number(s))?),
            other => other.as_f64().map_or(Value::Null, Value::Double),
        },
        T::Boolean => match value {
            Value::Bool(_) => value.clone(),
            Value::Str(s) => Value::Bool(s.eq_ignore_ascii_case("true")),
            other => other.as_f64().map_or(Value::Null, |d| Value::Bool(d != 0.0)),
        },
        T::Date | T::DateNanos => {
            let nanos = match value {
                Value::Date(nanos) => *nanos,
                Value::Str(s) => parse_date(s).ok_or_else(|| {
                    Failure::argument(format!(
                        "failed to parse date field [{s}] with format [strict_date_optional_time]"
                    ))
                })?,
                Value::Int(i) if to == T::DateNanos => i128::from(*i),
                Value::Int(i) => date::from_millis(*i),
                Value::Unsigned(u) => i128::from(*u) * if to == T::DateNanos { 1 } else { 1_000_000 },
                Value::Double(d) if d.is_finite() && d.abs() < 9.3e18 => date::from_millis(*d as i64),
                Value::Double(d) => return Err(range(crate::value::float_text(*d), T::Long)),
                _ => return Ok(Value::Null),
            };
            Value::Date(date::truncate(nanos, to == T::DateNanos))
        }
        T::Ip => match value {
            Value::Ip(_) => value.clone(),
            Value::Str(s) => Value::Ip(
                ip::parse(s)
                    .ok_or_else(|| Failure::argument(format!("'{s}' is not an IP string literal.")))?,
            ),
            _ => Value::Null,
        },
        T::Version => match value {
            Value::Str(s) => Value::Version(s.clone()),
            other => other.clone(),
        },
        T::Period | T::Duration => match value {
            Value::Str(s) => span_text(s, to).ok_or_else(|| {
                Failure::argument(format!("Cannot convert string [{s}] to [{}]", to.name()))
            })?,
            other => other.clone(),
        },
        T::GeoPoint => match value {
            Value::Str(s) => super::json::point(s)
                .ok_or_else(|| Failure::argument(format!("Failed to parse WKT: [{s}]")))?,
            other => other.clone(),
        },
        _ => value.clone(),
    })
}

fn span_text(text: &str, to: T) -> Option<Value> {
    let (n, unit) = text.trim().split_once(char::is_whitespace)?;
    let value = super::span_of(n.parse().ok()?, unit.trim())?;
    let fits = matches!((&value, to), (Value::Period { .. }, T::Period) | (Value::Duration(_), T::Duration));
    fits.then_some(value)
}

fn each(args: &[Value], call: &Call<'_>) -> Result<Value, Failure> {
    convert(args.first().unwrap_or(&Value::Null), call.ty(0), call.result)
}

/// An address of version 4 whose parts may have leading zeros, read in base 8 or 10.
fn zeros(args: &[Value], octal: bool) -> Result<Value, Failure> {
    let text = args.first().and_then(Value::as_str).unwrap_or_default();
    let part = |p: &str| {
        let radix = if octal && p.len() > 1 && p.starts_with('0') { 8 } else { 10 };
        u8::from_str_radix(p, radix).ok().map(|n| n.to_string())
    };
    let parts: Option<Vec<String>> = text.split('.').map(part).collect();
    let plain = parts.filter(|p| p.len() == 4).map(|p| p.join("."));
    ip::parse(plain.as_deref().unwrap_or(text))
        .map(Value::Ip)
        .ok_or_else(|| Failure::argument(format!("'{text}' is not an IP string literal.")))
}

/// `TO_IP` with its option `leading_zeros`.
pub fn to_ip_with(leading_zeros: &str) -> Option<&'static ColumnFunction> {
    match leading_zeros {
        "decimal" => Some(&DECIMAL),
        "octal" => Some(&OCTAL),
        "reject" => FUNCTIONS.iter().find(|f| f.name == "to_ip"),
        _ => None,
    }
}

static DECIMAL: ColumnFunction = ColumnFunction {
    name: "to_ip",
    params: &[param("field", Accepts::Text)],
    returns: Returns::Is(T::Ip),
    form: Form::Each(|args, _| zeros(args, false)),
    ..ROW
};

static OCTAL: ColumnFunction = ColumnFunction { form: Form::Each(|args, _| zeros(args, true)), ..DECIMAL };

macro_rules! to {
    ($name:literal, $aliases:expr, $ty:ident, $summary:literal, $examples:expr) => {
        ColumnFunction {
            name: $name,
            aliases: $aliases,
            params: &[param("field", Accepts::Convertible(T::$ty))],
            returns: Returns::Is(T::$ty),
            summary: $summary,
            examples: $examples,
            form: Form::Each(each),
            ..ROW
        }
    };
}

/// The rows.
pub(super) static FUNCTIONS: &[ColumnFunction] = &[
    to!(
        "to_string",
        &["to_str"],
        Keyword,
        "the values as text",
        &[("TO_STRING(10)", "\"10\""), ("TO_STRING(1e10)", "\"1.0E10\""), ("TO_STRING(true)", "\"true\"")]
    ),
    to!("to_text", &[], Text, "the values as text that is analysed", &[]),
    to!(
        "to_integer",
        &["to_int"],
        Integer,
        "the values as integers, decimals rounded",
        &[
            ("TO_INTEGER(\"2147483647.2\")", "2147483647"),
            ("TO_INTEGER(2147483648)", "null"),
            ("TO_INTEGER(true)", "1")
        ]
    ),
    to!(
        "to_long",
        &[],
        Long,
        "the values as longs, dates as milliseconds since the epoch",
        &[("TO_LONG(\"x\")", "null"), ("TO_LONG(\"1970-01-01T00:00:01Z\"::datetime)", "1000")]
    ),
    to!("to_unsigned_long", &["to_ulong", "to_ul"], UnsignedLong, "the values as unsigned longs", &[]),
    to!(
        "to_double",
        &["to_dbl"],
        Double,
        "the values as doubles",
        &[("TO_DOUBLE(\"5.2E3\")", "5200.0"), ("TO_DOUBLE(\"foo\")", "null")]
    ),
    to!(
        "to_boolean",
        &["to_bool"],
        Boolean,
        "the values as booleans: the text true in any case, any number but 0",
        &[("TO_BOOLEAN(\"TRUE\")", "true"), ("TO_BOOLEAN(\"yes\")", "false"), ("TO_BOOLEAN(0)", "false")]
    ),
    to!(
        "to_datetime",
        &["to_dt"],
        Date,
        "the values as dates; numbers are milliseconds since the epoch",
        &[
            ("TO_STRING(TO_DATETIME(0))", "\"1970-01-01T00:00:00.000Z\""),
            ("TO_DATETIME(\"2024-01-01 10:00:00\")", "null")
        ]
    ),
    to!("to_date_nanos", &["to_datenanos"], DateNanos, "the values as dates with nanoseconds", &[]),
    to!(
        "to_ip",
        &[],
        Ip,
        "the values as addresses",
        &[("TO_STRING(TO_IP(\"::ffff:10.0.0.1\"))", "\"10.0.0.1\""), ("TO_IP(\"foo\")", "null")]
    ),
    to!(
        "to_version",
        &["to_ver"],
        Version,
        "the values as versions",
        &[("TO_VERSION(\"1.10.0\") > TO_VERSION(\"1.9.0\")", "true")]
    ),
    to!("to_geopoint", &[], GeoPoint, "the values as places, from `POINT (lon lat)`", &[]),
    to!("to_dateperiod", &[], Period, "a text such as `3 days` as a period", &[]),
    to!("to_timeduration", &[], Duration, "a text such as `3 hours` as a duration", &[]),
];
