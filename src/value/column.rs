//! Columns of tables: their types, and the cells, which hold none, one or several values.

use super::Value;
use std::sync::Arc;

/// The type of a column or expression of a table, as ES|QL names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Elasticsearch's own")]
pub enum ColumnType {
    Boolean,
    Integer,
    Long,
    UnsignedLong,
    Double,
    Keyword,
    Text,
    Date,
    DateNanos,
    Ip,
    Version,
    GeoPoint,
    Null,
    /// Years, months, days: `1 month`. Never a column.
    Period,
    /// Hours to milliseconds: `5 minutes`. Never a column.
    Duration,
    /// The whole document, `_source`.
    Source,
    /// A field that can only be named, not used.
    Unsupported,
}

impl ColumnType {
    /// The name in answers.
    pub fn name(self) -> &'static str {
        match self {
            ColumnType::Boolean => "boolean",
            ColumnType::Integer => "integer",
            ColumnType::Long => "long",
            ColumnType::UnsignedLong => "unsigned_long",
            ColumnType::Double => "double",
            ColumnType::Keyword => "keyword",
            ColumnType::Text => "text",
            ColumnType::Date => "date",
            ColumnType::DateNanos => "date_nanos",
            ColumnType::Ip => "ip",
            ColumnType::Version => "version",
            ColumnType::GeoPoint => "geo_point",
            ColumnType::Null => "null",
            ColumnType::Period => "date_period",
            ColumnType::Duration => "time_duration",
            ColumnType::Source => "_source",
            ColumnType::Unsupported => "unsupported",
        }
    }

    /// Whether it is an integer, long or double: what mixes in arithmetic.
    pub fn is_number(self) -> bool {
        matches!(self, ColumnType::Integer | ColumnType::Long | ColumnType::Double)
    }

    /// Whether it is any number.
    pub fn is_numeric(self) -> bool {
        self.is_number() || self == ColumnType::UnsignedLong
    }

    /// Whether it is keyword or text.
    pub fn is_string(self) -> bool {
        matches!(self, ColumnType::Keyword | ColumnType::Text)
    }

    /// Whether it is a date.
    pub fn is_date(self) -> bool {
        matches!(self, ColumnType::Date | ColumnType::DateNanos)
    }

    /// Whether it is a span of time.
    pub fn is_span(self) -> bool {
        matches!(self, ColumnType::Period | ColumnType::Duration)
    }

    /// The same, text as keyword: what a function returns of it.
    pub fn computed(self) -> ColumnType {
        if self == ColumnType::Text { ColumnType::Keyword } else { self }
    }

    /// The wider of two numbers; `None` where they do not mix.
    pub fn widen(self, other: ColumnType) -> Option<ColumnType> {
        use ColumnType::{Double, Integer, Long};
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Double, Integer | Long) | (Integer | Long, Double) => Some(Double),
            (Long, Integer) | (Integer, Long) => Some(Long),
            _ => None,
        }
    }
}

/// The cell of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Datum {
    /// Nothing.
    #[default]
    Null,
    /// One value.
    One(Value),
    /// Two values or more.
    Many(Arc<[Value]>),
}

impl Datum {
    /// A cell of these values.
    pub fn of(mut values: Vec<Value>) -> Datum {
        match values.len() {
            0 => Datum::Null,
            1 => values.pop().map_or(Datum::Null, Datum::from),
            _ => Datum::Many(values.into()),
        }
    }

    /// The values, none for null.
    pub fn values(&self) -> &[Value] {
        match self {
            Datum::Null => &[],
            Datum::One(v) => std::slice::from_ref(v),
            Datum::Many(vs) => vs,
        }
    }

    /// Whether it holds nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }
}

impl From<Value> for Datum {
    fn from(value: Value) -> Datum {
        if value.is_null() { Datum::Null } else { Datum::One(value) }
    }
}
