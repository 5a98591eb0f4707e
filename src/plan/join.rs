//! Join keys: the values by which the events of a sequence or sample belong together.

use super::{FieldId, Pred, Row, RunError};
use crate::es::{date, ip};
use crate::source::Span;
use crate::value::Value;
use std::cmp::Ordering;
use std::sync::Arc;

/// One condition of a sequence or sample, and the keys of the events that satisfy it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What an event must satisfy.
    pub pred: Pred,
    /// The fields whose values are compared with those of the other items, by position.
    pub keys: Vec<Key>,
    /// Where the item stands in the query.
    pub span: Span,
}

/// A join key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What the query calls it.
    pub name: Box<str>,
    /// The field; `None` for an optional one that nothing maps, whose value is always null.
    pub field: Option<FieldId>,
    /// Whether an event without a value takes part, with null as its value.
    pub optional: bool,
}

/// One value of a join key. Two are equal if Elasticsearch takes them for the same key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyValue {
    /// An optional key without a value; equals itself only.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number, whatever the type of its field.
    Int(i64),
    /// Any other number, as its bits; never NaN.
    Double(u64),
    /// Text, or a version.
    Str(Arc<str>),
    /// Nanoseconds since the epoch.
    Date(i128),
    /// An address as an IPv6 number.
    Ip(u128),
}

/// The key of one event: a value for each of the item's keys.
pub type Tuple = Box<[KeyValue]>;

/// The most keys that one event may have for one item; more fail the search.
pub const MAX_TUPLES: usize = 10_000;

impl KeyValue {
    pub(super) fn of(value: Value) -> Option<KeyValue> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(b) => KeyValue::Bool(b),
            Value::Int(i) => KeyValue::Int(i),
            Value::Double(d) if d.is_nan() => return None,
            Value::Double(d) if d.fract() == 0.0 && d.abs() < 9e15 => KeyValue::Int(d as i64),
            Value::Double(d) => KeyValue::Double(d.to_bits()),
            Value::Str(s) | Value::Version(s) => KeyValue::Str(s),
            Value::Date(nanos) => KeyValue::Date(nanos),
            Value::Ip(number) => KeyValue::Ip(number),
            Value::Unsigned(u) => {
                i64::try_from(u).map_or(KeyValue::Double((u as f64).to_bits()), KeyValue::Int)
            }
            // no field of a document holds these
            Value::Period { .. } | Value::Duration(_) | Value::Point { .. } => return None,
        })
    }

    /// The value as answers show it: dates and addresses as text.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            KeyValue::Null => serde_json::Value::Null,
            KeyValue::Bool(b) => (*b).into(),
            KeyValue::Int(i) => (*i).into(),
            KeyValue::Double(bits) => f64::from_bits(*bits).into(),
            KeyValue::Str(s) => s.as_ref().into(),
            KeyValue::Date(nanos) => date::format(*nanos).into(),
            KeyValue::Ip(number) => ip::format(*number).into(),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            KeyValue::Int(i) => Some(*i as f64),
            KeyValue::Double(bits) => Some(f64::from_bits(*bits)),
            _ => None,
        }
    }

    /// The natural order of values; null is put by the caller.
    fn natural(&self, other: &KeyValue) -> Ordering {
        match (self, other) {
            (KeyValue::Bool(a), KeyValue::Bool(b)) => a.cmp(b),
            (KeyValue::Int(a), KeyValue::Int(b)) => a.cmp(b),
            (KeyValue::Str(a), KeyValue::Str(b)) => a.cmp(b),
            (KeyValue::Date(a), KeyValue::Date(b)) => a.cmp(b),
            (KeyValue::Ip(a), KeyValue::Ip(b)) => a.cmp(b),
            _ => match (self.number(), other.number()) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                // keys of one position have one type; any fixed order will do
                _ => self.rank().cmp(&other.rank()),
            },
        }
    }

    fn rank(&self) -> u8 {
        match self {
            KeyValue::Null => 0,
            KeyValue::Bool(_) => 1,
            KeyValue::Int(_) | KeyValue::Double(_) => 2,
            KeyValue::Str(_) => 3,
            KeyValue::Date(_) => 4,
            KeyValue::Ip(_) => 5,
        }
    }
}

/// The order of two keys: component by component, nulls first or last.
pub fn order(a: &[KeyValue], b: &[KeyValue], nulls_first: bool) -> Ordering {
    for (x, y) in a.iter().zip(b) {
        let null = |v: &KeyValue| *v == KeyValue::Null;
        let ordering = match (null(x), null(y)) {
            (true, true) => Ordering::Equal,
            (true, false) => {
                if nulls_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if nulls_first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, false) => x.natural(y),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    a.len().cmp(&b.len())
}

/// That an event satisfies an item, under these keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The item's place.
    pub item: usize,
    /// The keys, each once; never empty. An item without keys has the empty key.
    pub keys: Vec<Tuple>,
}

impl Item {
    /// The keys under which an event takes part; empty where it does not, because the condition is
    /// false or a key that is not optional has no value. Arrays expand to every combination.
    ///
    /// # Errors
    /// When the condition fails, or there are more than [`MAX_TUPLES`] combinations.
    pub fn look(&self, row: &Row<'_>) -> Result<Vec<Tuple>, RunError> {
        if !self.pred.matches(row)? {
            return Ok(Vec::new());
        }
        let mut tuples: Vec<Vec<KeyValue>> = vec![Vec::with_capacity(self.keys.len())];
        for key in &self.keys {
            let mut values: Vec<KeyValue> = Vec::new();
            for value in key.field.map(|f| row.values(f)).unwrap_or_default() {
                values.extend(KeyValue::of(value).filter(|v| !values.contains(v)));
            }
            if values.is_empty() {
                if !key.optional {
                    return Ok(Vec::new());
                }
                values.push(KeyValue::Null);
            }
            if tuples.len().saturating_mul(values.len()) > MAX_TUPLES {
                return Err(RunError(format!(
                    "an event has more than {MAX_TUPLES} combinations of join keys"
                )));
            }
            if let ([_], Some(last)) = (values.as_slice(), values.last()) {
                tuples.iter_mut().for_each(|t| t.push(last.clone()));
                continue;
            }
            tuples = tuples
                .iter()
                .flat_map(|t| values.iter().map(move |v| t.iter().chain([v]).cloned().collect()))
                .collect();
        }
        Ok(tuples.into_iter().map(Vec::into_boxed_slice).collect())
    }
}

/// The items that an event satisfies, in order.
///
/// # Errors
/// As [`Item::look`].
pub(super) fn look<'p>(items: impl Iterator<Item = &'p Item>, row: &Row<'_>) -> Result<Vec<Match>, RunError> {
    let mut out = Vec::new();
    for (i, item) in items.enumerate() {
        let keys = item.look(row)?;
        if !keys.is_empty() {
            out.push(Match { item: i, keys });
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_stand_at_the_end_that_is_asked_for() {
        let (null, one, two) = ([KeyValue::Null], [KeyValue::Int(1)], [KeyValue::Double(1.5f64.to_bits())]);
        assert_eq!(order(&null, &one, true), Ordering::Less);
        assert_eq!(order(&null, &one, false), Ordering::Greater);
        assert_eq!(order(&one, &two, true), Ordering::Less);
        assert_eq!(order(&null, &null, true), Ordering::Equal);
    }

    #[test]
    fn a_number_is_one_key_in_every_numeric_type() {
        assert_eq!(KeyValue::of(Value::Double(3.0)), KeyValue::of(Value::Int(3)));
        assert_ne!(KeyValue::of(Value::Double(3.5)), KeyValue::of(Value::Int(3)));
        assert_ne!(KeyValue::of(Value::str("3")), KeyValue::of(Value::Int(3)));
    }
}
