//! Event documents: the scalar values of JSON, typed values for expressions, and documents
//! projected to the paths that somebody reads.

mod column;
mod project;

pub use column::{ColumnType, Datum};
pub use project::{Access, Document, DocumentError, Projection, ProjectionBuilder};

use std::fmt;

/// A JSON scalar as it stands in `_source`. `null` is not a value; see [`Cell::explicit_null`].
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// An integer within 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Str(Box<str>),
}

impl Scalar {
    /// The scalar of a JSON value; `None` for null, arrays and objects.
    pub fn from_json(value: &serde_json::Value) -> Option<Scalar> {
        Some(match value {
            serde_json::Value::Bool(b) => Scalar::Bool(*b),
            serde_json::Value::Number(n) => match n.as_i64() {
                Some(i) => Scalar::Int(i),
                None => Scalar::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(s) => Scalar::Str(s.as_str().into()),
            _ => return None,
        })
    }

    /// The text that a keyword field indexes: a string as it is, numbers and booleans as JSON.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Scalar::Str(s) => s.as_ref().into(),
            Scalar::Bool(b) => if *b { "true" } else { "false" }.into(),
            Scalar::Int(i) => i.to_string().into(),
            Scalar::Float(f) => float_text(*f).into(),
        }
    }

    /// The scalar as a JSON value.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Scalar::Str(s) => s.as_ref().into(),
            Scalar::Bool(b) => (*b).into(),
            Scalar::Int(i) => (*i).into(),
            Scalar::Float(f) => (*f).into(),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// A double as Java's `Double.toString` writes it: `1.0`, `0.001`, `1.0E10`.
pub fn float_text(f: f64) -> String {
    if f.is_nan() {
        return "NaN".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "Infinity" } else { "-Infinity" }.into();
    }
    let magnitude = f.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        let s = f.to_string();
        return if s.contains('.') { s } else { s + ".0" };
    }
    let s = format!("{f:e}");
    let (mantissa, exponent) = s.split_once('e').unwrap_or((&s, "0"));
    let dot = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{dot}E{exponent}")
}

/// What one document holds at one path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// The scalars in document order; arrays and arrays of objects are flattened.
    pub values: Vec<Scalar>,
    /// Whether a JSON `null` was written there (an absent key is not).
    pub explicit_null: bool,
    /// Whether an object stood there.
    pub object: bool,
}

/// A typed value inside an expression. Dates are nanoseconds since the epoch; addresses are IPv6
/// numbers, IPv4 ones mapped.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// A truth value.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Text.
    Str(std::sync::Arc<str>),
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Date(i128),
    /// An address.
    Ip(u128),
    /// A version, ordered by precedence.
    Version(std::sync::Arc<str>),
    /// An integer of 64 bits without a sign.
    Unsigned(u64),
    /// Years and months, and weeks and days, as a calendar counts them.
    Period {
        /// Months, twelve a year.
        months: i32,
        /// Days, seven a week.
        days: i32,
    },
    /// A span of time in milliseconds.
    Duration(i64),
    /// A place on the earth, in degrees.
    Point {
        /// Longitude.
        x: f64,
        /// Latitude.
        y: f64,
    },
}

impl Value {
    /// A string value.
    pub fn str(text: impl AsRef<str>) -> Value {
        Value::Str(text.as_ref().into())
    }

    /// A JSON scalar as the type that it has in JSON.
    pub fn of_scalar(scalar: &Scalar) -> Value {
        match scalar {
            Scalar::Bool(b) => Value::Bool(*b),
            Scalar::Int(i) => Value::Int(*i),
            Scalar::Float(f) => Value::Double(*f),
            Scalar::Str(s) => Value::str(s),
        }
    }

    /// Whether it is absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) | Value::Version(s) => Some(s),
            _ => None,
        }
    }

    /// The number as a double, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(i) => Some(*i as f64),
            Value::Double(d) => Some(*d),
            Value::Unsigned(u) => Some(*u as f64),
            _ => None,
        }
    }
}
