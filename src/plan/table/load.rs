//! From a document's cells to a row: what doc values hold, in their order.

use super::{Pipeline, TableRow, What};
use crate::es;
use crate::func::column::{convert, order};
use crate::plan::Row;
use crate::schema::{FieldType, Kind};
use crate::value::{Cell, ColumnType, Datum, Value};

/// What is known of a document besides its fields.
pub struct Meta<'a> {
    /// `_id`.
    pub id: &'a str,
    /// `_index`.
    pub index: &'a str,
    /// `_source`.
    pub source: &'a dyn Fn() -> Option<String>,
}

/// The column type of a field type.
pub fn column_type(kind: Kind) -> ColumnType {
    match kind {
        Kind::Keyword | Kind::ConstantKeyword | Kind::Wildcard => ColumnType::Keyword,
        Kind::Text | Kind::MatchOnlyText => ColumnType::Text,
        Kind::Long => ColumnType::Long,
        Kind::Integer | Kind::Short | Kind::Byte => ColumnType::Integer,
        Kind::UnsignedLong => ColumnType::UnsignedLong,
        Kind::Double | Kind::Float | Kind::HalfFloat | Kind::ScaledFloat => ColumnType::Double,
        Kind::Boolean => ColumnType::Boolean,
        Kind::Date => ColumnType::Date,
        Kind::DateNanos => ColumnType::DateNanos,
        Kind::Ip => ColumnType::Ip,
        Kind::Version => ColumnType::Version,
        Kind::GeoPoint => ColumnType::GeoPoint,
        _ => ColumnType::Unsupported,
    }
}

/// The value of one cell in a field of a type, sorted and without duplicates as doc values are.
pub(super) fn datum(cell: &Cell, ty: &FieldType) -> Datum {
    let mut values = es::doc_values(cell, ty);
    if values.len() > 1 && !ty.kind.is_text() {
        values.sort_by(order);
        if ty.kind.is_keyword() || matches!(ty.kind, Kind::Ip | Kind::Version) {
            values.dedup();
        }
    }
    Datum::of(values)
}

impl Pipeline {
    /// The row of a document, before the first stage.
    pub fn load(&self, row: &Row<'_>, meta: &Meta<'_>) -> TableRow {
        let mut cells = vec![Datum::Null; self.slots];
        for column in &self.source {
            let datum = match &column.what {
                What::Field { id, by_index } => {
                    let Some(field) = row.fields.get(*id) else { continue };
                    let at =
                        by_index.iter().find(|(name, _)| name.as_ref() == meta.index).map_or(0, |(_, i)| *i);
                    let Some(ty) = field.types.get(at) else { continue };
                    let loaded = datum(row.cell(*id), ty);
                    match column.to {
                        Some(to) => {
                            let from = column_type(ty.kind);
                            Datum::of(
                                loaded.values().iter().filter_map(|v| convert(v, from, to).ok()).collect(),
                            )
                        }
                        None if field.key_below => Datum::Null,
                        None => loaded,
                    }
                }
                What::Id => Value::str(meta.id).into(),
                What::Index => Value::str(meta.index).into(),
                What::Version => Value::Int(1).into(),
                What::Source => (meta.source)().map_or(Datum::Null, |s| Value::str(s).into()),
                What::Ignored(ids) => {
                    let mut names: Vec<Value> = Vec::new();
                    for id in ids {
                        let Some(field) = row.fields.get(*id) else { continue };
                        let Some(ty) = field.types.first() else { continue };
                        if row.cell(*id).values.iter().any(|s| es::indexed_text(ty, s).is_none()) {
                            names.push(Value::str(&field.name));
                        }
                    }
                    names.sort_by(order);
                    Datum::of(names)
                }
                What::Matches(pred) => Value::Bool(pred.matches(row).unwrap_or(false)).into(),
                What::Nothing => Datum::Null,
            };
            if let Some(cell) = cells.get_mut(column.slot) {
                *cell = datum;
            }
        }
        TableRow { cells, events: Vec::new() }
    }
}
