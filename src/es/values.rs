//! The values that a field of a document stands for once it is indexed: what aggregations, join keys and computed
//! conditions see of it.

use super::ip;
use super::test::{date_value, fits, indexed_text, stored_float};
use crate::schema::{FieldType, Kind};
use crate::value::{Cell, Scalar, Value};

/// The typed value of a scalar in a field of this type.
pub fn typed(ty: &FieldType, scalar: &Scalar) -> Option<Value> {
    if !fits(ty, scalar) && ty.kind != Kind::Flattened {
        return None;
    }
    Some(match ty.kind {
        k if k.is_integer() => match scalar {
            Scalar::Int(i) => Value::Int(*i),
            Scalar::Float(f) => Value::Int(f.trunc() as i64),
            other => Value::Int(other.text().trim().parse::<f64>().ok()?.trunc() as i64),
        },
        k if k.is_number() => match scalar {
            Scalar::Int(i) => Value::Double(*i as f64),
            Scalar::Float(f) => Value::Double(*f),
            other => Value::Double(other.text().trim().parse().ok()?),
        },
        Kind::Boolean => Value::Bool(scalar.text().as_ref() == "true"),
        Kind::Date | Kind::DateNanos => Value::Date(date_value(ty, scalar)?),
        Kind::Ip => Value::Ip(ip::parse(&scalar.text())?),
        Kind::Version => Value::Version(scalar.text().as_ref().into()),
        _ => Value::Str(indexed_text(ty, scalar)?.as_ref().into()),
    })
}

/// The values that an index keeps of a cell, in the order of the document, repeated ones included: none of what
/// `ignore_above` leaves out, the constant of a `constant_keyword` whatever the document says, `null_value` for a null.
pub fn doc_values(cell: &Cell, ty: &FieldType) -> Vec<Value> {
    if let (Some(constant), true) = (&ty.constant, ty.kind == Kind::ConstantKeyword) {
        return vec![Value::str(constant)];
    }
    let null = ty.null_value.iter().filter(|_| cell.explicit_null);
    cell.values
        .iter()
        .chain(null)
        .filter_map(|s| match ty.kind {
            Kind::UnsignedLong => match s {
                Scalar::Int(i) => u64::try_from(*i).ok().map(Value::Unsigned),
                other => other.text().trim().parse::<u64>().ok().map(Value::Unsigned),
            },
            kind @ (Kind::Float | Kind::HalfFloat) => {
                typed(ty, s).and_then(|v| v.as_f64()).map(|d| Value::Double(stored_float(kind, d)))
            }
            Kind::GeoPoint => None,
            _ => typed(ty, s),
        })
        .collect()
}

/// Whether documents can be grouped by a field of this type, as a composite aggregation does; text has no values to
/// group by, and neither have objects and places.
pub fn groups(ty: &FieldType) -> bool {
    !matches!(
        ty.kind,
        Kind::Text
            | Kind::MatchOnlyText
            | Kind::Object
            | Kind::Nested
            | Kind::GeoPoint
            | Kind::GeoShape
            | Kind::Range
            | Kind::Binary
    )
}
