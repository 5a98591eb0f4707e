//! What does not come from documents: the rows that `LOOKUP JOIN` and `ENRICH` look up, and the answers
//! that `COMPLETION` gets. Somebody has to supply them, a test for instance.

use super::aggregate::encode;
use super::{Env, Slot};
use crate::func::column::{Failure, convert};
use crate::source::Span;
use crate::value::{ColumnType, Datum, Value};
use rustc_hash::FxHashMap;
use serde_json::Value as Json;
use std::sync::Arc;

/// The types that a column may be said to have, by name.
pub const COLUMN_TYPES: [ColumnType; 7] = [
    ColumnType::Boolean,
    ColumnType::Long,
    ColumnType::Double,
    ColumnType::Keyword,
    ColumnType::Date,
    ColumnType::Ip,
    ColumnType::Version,
];

/// What is supplied to a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Supplied {
    /// Tables: indices of `LOOKUP JOIN`, policies of `ENRICH`.
    pub tables: Vec<Arc<Table>>,
    /// Answers to `COMPLETION`.
    pub answers: Option<Arc<Answers>>,
}

impl Supplied {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.answers.is_none()
    }

    /// The table of a name.
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.iter().find(|t| t.name.as_ref() == name)
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableColumn {
    /// Its name.
    pub name: Box<str>,
    /// Its type.
    pub ty: ColumnType,
    /// Whether somebody said so; otherwise it is what the values look like.
    pub declared: bool,
}

/// Rows to be looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The name that queries use.
    pub name: Box<str>,
    /// The columns, by name.
    pub columns: Vec<TableColumn>,
    /// Cells by row and column.
    pub rows: Vec<Vec<Datum>>,
    /// `ENRICH`: the column that is matched, where it does not have the name of the input.
    pub on: Option<Box<str>>,
}

/// Why rows are no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A row is no object.
    #[error("row {0} is no object")]
    Row(usize),
    /// A column holds values of different types.
    #[error("the column `{0}` holds values of different types")]
    Mixed(String),
    /// A value does not fit the type of its column.
    #[error("`{value}` in the column `{column}` is no {ty}")]
    Unfit {
        /// The column.
        column: String,
        /// The value.
        value: String,
        /// The type.
        ty: &'static str,
    },
    /// A column that is named is in no row.
    #[error("no row has the column `{0}`")]
    NoColumn(String),
}

/// The leaves of an object, objects within as dotted names.
fn leaves<'j>(path: &str, value: &'j Json, out: &mut Vec<(String, Vec<&'j Json>)>) {
    match value {
        Json::Object(map) => {
            for (key, inner) in map {
                let name = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&name, inner, out);
            }
        }
        Json::Array(items) => {
            out.push((path.to_owned(), items.iter().filter(|v| !v.is_null()).collect()));
        }
        Json::Null => out.push((path.to_owned(), Vec::new())),
        one => out.push((path.to_owned(), vec![one])),
    }
}

fn scalar(json: &Json) -> (Value, ColumnType) {
    match json {
        Json::Bool(b) => (Value::Bool(*b), ColumnType::Boolean),
        Json::Number(n) => match n.as_i64() {
            Some(i) => (Value::Int(i), ColumnType::Long),
            None => (Value::Double(n.as_f64().unwrap_or(f64::NAN)), ColumnType::Double),
        },
        Json::String(s) => (Value::str(s), ColumnType::Keyword),
        other => (Value::str(other.to_string()), ColumnType::Keyword),
    }
}

impl Table {
    /// A table of JSON objects. The types of columns are those of their values, whole numbers being `long`
    /// and texts `keyword`, unless `types` says otherwise.
    ///
    /// # Errors
    /// When the rows do not make columns of one type each.
    pub fn of(
        name: &str,
        rows: &[Json],
        types: &[(String, ColumnType)],
        on: Option<&str>,
    ) -> Result<Table, TableError> {
        let mut columns: Vec<TableColumn> = Vec::new();
        let mut read = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            if !row.is_object() {
                return Err(TableError::Row(i + 1));
            }
            let mut cells = Vec::new();
            leaves("", row, &mut cells);
            for (column, values) in &cells {
                let declared = types.iter().find(|(n, _)| n == column).map(|(_, t)| *t);
                let at = match columns.iter().position(|c| c.name.as_ref() == column) {
                    Some(at) => at,
                    None => {
                        columns.push(TableColumn {
                            name: column.as_str().into(),
                            ty: declared.unwrap_or(ColumnType::Null),
                            declared: declared.is_some(),
                        });
                        columns.len() - 1
                    }
                };
                let Some(held) = columns.get_mut(at).filter(|c| !c.declared) else { continue };
                for value in values {
                    let (_, ty) = scalar(value);
                    held.ty = match held.ty {
                        ColumnType::Null => ty,
                        known => known.widen(ty).ok_or_else(|| TableError::Mixed(column.clone()))?,
                    };
                }
            }
            read.push(cells);
        }
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        let named = types.iter().map(|(n, _)| n.as_str()).chain(on);
        if let Some(missing) = named.into_iter().find(|n| !columns.iter().any(|c| c.name.as_ref() == *n)) {
            return Err(TableError::NoColumn(missing.to_owned()));
        }
        let mut out = Vec::with_capacity(read.len());
        for row in &read {
            let mut cells = Vec::with_capacity(columns.len());
            for column in &columns {
                let values = row.iter().find(|(n, _)| *n == *column.name).map_or(&[][..], |(_, v)| v);
                let typed: Result<Vec<Value>, TableError> =
                    values.iter().map(|v| fit(v, &column.name, column.ty)).collect();
                cells.push(Datum::of(typed?));
            }
            out.push(cells);
        }
        Ok(Table { name: name.into(), columns, rows: out, on: on.map(Into::into) })
    }

    /// The place of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name.as_ref() == name)
    }
}

fn fit(json: &Json, column: &str, ty: ColumnType) -> Result<Value, TableError> {
    let (value, from) = scalar(json);
    if from == ty {
        return Ok(value);
    }
    match convert(&value, from, ty) {
        Ok(v) if !v.is_null() => Ok(v),
        _ => Err(TableError::Unfit { column: column.to_owned(), value: json.to_string(), ty: ty.name() }),
    }
}

/// How rows that are found come to the row that looks for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// `LOOKUP JOIN`: a row for each; with none, one row of nulls.
    Rows,
    /// `ENRICH`: the values of all in one row.
    Values,
}

/// A table made ready for a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    table: Arc<Table>,
    index: FxHashMap<Box<[u8]>, Vec<usize>>,
    keys: Vec<Slot>,
    out: Vec<(usize, Slot)>,
    found: Found,
    at: Span,
}

impl Lookup {
    /// Joins on pairs of a slot and the column that must equal it, given with the type that both have.
    /// `out` are columns and the slots that they go to. `Err` is a value that does not have the type.
    ///
    /// # Errors
    /// When a value of a key cannot be converted.
    pub fn new(
        table: &Arc<Table>,
        keys: &[(Slot, usize, ColumnType)],
        out: Vec<(usize, Slot)>,
        found: Found,
        at: Span,
    ) -> Result<Lookup, TableError> {
        let mut index: FxHashMap<Box<[u8]>, Vec<usize>> = FxHashMap::default();
        for (i, row) in table.rows.iter().enumerate() {
            let mut codes: Vec<Vec<u8>> = vec![Vec::new()];
            for (_, column, ty) in keys {
                let cell = row.get(*column).cloned().unwrap_or_default();
                let Some(from) = table.columns.get(*column) else { continue };
                // a join compares single values only
                let values = match found {
                    Found::Rows if cell.values().len() != 1 => &[],
                    _ => cell.values(),
                };
                let mut next = Vec::new();
                for value in values {
                    let same = match convert(value, from.ty, *ty) {
                        Ok(v) if from.ty != *ty => v,
                        _ if from.ty == *ty => value.clone(),
                        _ => {
                            return Err(TableError::Unfit {
                                column: from.name.to_string(),
                                value: crate::func::text(value).unwrap_or_default(),
                                ty: ty.name(),
                            });
                        }
                    };
                    for code in &codes {
                        let mut code = code.clone();
                        encode(&same, &mut code);
                        next.push(code);
                    }
                }
                codes = next;
            }
            for code in codes {
                index.entry(code.into()).or_default().push(i);
            }
        }
        let keys = keys.iter().map(|(slot, ..)| *slot).collect();
        Ok(Lookup { table: Arc::clone(table), index, keys, out, found, at })
    }

    /// The name of the table.
    pub fn table(&self) -> &str {
        &self.table.name
    }

    #[cfg(test)]
    pub(super) fn rows(&self) -> &[Vec<Datum>] {
        &self.table.rows
    }

    #[cfg(test)]
    pub(super) fn found(&self) -> Found {
        self.found
    }

    /// The rows of the table that belong to a row, in their order.
    fn matches(&self, row: &[Datum], env: &mut Env) -> Vec<usize> {
        let mut codes: Vec<Vec<u8>> = vec![Vec::new()];
        for slot in &self.keys {
            let cell = row.get(*slot).cloned().unwrap_or_default();
            if self.found == Found::Rows && cell.values().len() > 1 {
                let failure = Failure::argument("single-value function encountered multi-value");
                env.warnings.add(self.at, false, &failure);
                return Vec::new();
            }
            codes = cell
                .values()
                .iter()
                .flat_map(|v| codes.iter().map(move |code| (code.clone(), v)))
                .map(|(mut code, v)| {
                    encode(v, &mut code);
                    code
                })
                .collect();
        }
        let mut found: Vec<usize> =
            codes.iter().filter_map(|c| self.index.get(c.as_slice())).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What a row becomes: for each row of the answer the cells to put into it.
    pub(super) fn cells(&self, row: &[Datum], env: &mut Env) -> Vec<Vec<(Slot, Datum)>> {
        let found = self.matches(row, env);
        let cell = |i: usize, column: usize| -> Datum {
            self.table.rows.get(i).and_then(|r| r.get(column)).cloned().unwrap_or_default()
        };
        let of = |rows: &[usize]| -> Vec<(Slot, Datum)> {
            let all = |column: usize| match rows {
                [one] => cell(*one, column),
                many => Datum::of(many.iter().flat_map(|i| cell(*i, column).values().to_vec()).collect()),
            };
            self.out.iter().map(|(column, slot)| (*slot, all(*column))).collect()
        };
        match self.found {
            Found::Rows if found.len() > 1 => found.iter().map(|i| of(&[*i])).collect(),
            _ => vec![of(&found)],
        }
    }
}

/// What a language model is taken to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// A part of the prompt, empty for any, and the answer; the first that fits counts.
    pub list: Vec<(Box<str>, Box<str>)>,
}

impl Answers {
    /// The answer to a prompt.
    pub fn to(&self, prompt: &str) -> Option<&str> {
        self.list.iter().find(|(part, _)| prompt.contains(part.as_ref())).map(|(_, answer)| answer.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table(rows: Json) -> Result<Table, TableError> {
        Table::of("t", rows.as_array().unwrap(), &[], None)
    }

    #[test]
    fn columns_take_the_types_of_their_values() {
        let t = table(json!([
            {"n": 1, "host": {"name": "a"}, "ok": null, "list": ["x", "y"]},
            {"n": 1.5, "ok": true},
        ]))
        .unwrap();
        let names: Vec<(&str, ColumnType)> = t.columns.iter().map(|c| (c.name.as_ref(), c.ty)).collect();
        assert_eq!(
            names,
            [
                ("host.name", ColumnType::Keyword),
                ("list", ColumnType::Keyword),
                ("n", ColumnType::Double),
                ("ok", ColumnType::Boolean)
            ]
        );
        assert_eq!(t.rows[0][2], Value::Double(1.0).into());
        assert_eq!(t.rows[1][0], Datum::Null);
        assert_eq!(t.rows[0][1].values().len(), 2);
    }

    #[test]
    fn rows_that_make_no_table_are_refused() {
        let types = [("d".to_owned(), ColumnType::Date)];
        let of = |rows: Json, types: &[(String, ColumnType)], on| {
            Table::of("t", rows.as_array().unwrap(), types, on).unwrap_err()
        };
        assert_eq!(of(json!([{}, 1]), &[], None), TableError::Row(2));
        assert_eq!(of(json!([{"a": 1}, {"a": "x"}]), &[], None), TableError::Mixed("a".into()));
        assert_eq!(of(json!([{"a": 1}]), &[], Some("b")), TableError::NoColumn("b".into()));
        assert_eq!(
            of(json!([{"d": "soon"}]), &types, None).to_string(),
            "`\"soon\"` in the column `d` is no date"
        );
    }

    #[test]
    fn a_join_gives_a_row_for_each_match_and_enriching_gives_their_values() {
        let t = Arc::new(table(json!([
            {"k": "a", "v": 1}, {"k": "b", "v": 2}, {"k": "a", "v": 3}, {"k": ["a", "c"], "v": 4}, {"v": 5},
        ]))
        .unwrap());
        let look = |found, key: Datum| {
            let lookup =
                Lookup::new(&t, &[(0, 0, ColumnType::Keyword)], vec![(1, 1)], found, Span::default())
                    .unwrap();
            let mut env = Env::default();
            let cells = lookup.cells(&[key, Datum::Null], &mut env);
            let values: Vec<Vec<i64>> = cells
                .iter()
                .map(|row| row[0].1.values().iter().map(|v| v.as_f64().unwrap() as i64).collect())
                .collect();
            (values, env.warnings.is_empty())
        };
        let (a, several) = (Value::str("a"), Datum::of(vec![Value::str("b"), Value::str("c")]));
        assert_eq!(look(Found::Rows, a.clone().into()), (vec![vec![1], vec![3]], true));
        assert_eq!(look(Found::Values, a.into()), (vec![vec![1, 3, 4]], true));
        assert_eq!(look(Found::Rows, Datum::Null), (vec![vec![]], true));
        assert_eq!(look(Found::Rows, several.clone()), (vec![vec![]], false));
        assert_eq!(look(Found::Values, several), (vec![vec![2, 4]], true));
    }

    #[test]
    fn keys_are_compared_in_the_type_of_the_column() {
        let t = Arc::new(table(json!([{"ip": "::ffff:192.0.2.1", "v": "x"}])).unwrap());
        let key = convert(&Value::str("192.0.2.1"), ColumnType::Keyword, ColumnType::Ip).unwrap();
        let keys = [(0, 0, ColumnType::Ip)];
        let lookup = Lookup::new(&t, &keys, vec![(1, 1)], Found::Rows, Span::default()).unwrap();
        let cells = lookup.cells(&[key.into(), Datum::Null], &mut Env::default());
        assert_eq!(cells[0][0].1, Value::str("x").into());
        let t = Arc::new(table(json!([{"ip": "nobody"}])).unwrap());
        assert!(Lookup::new(&t, &keys, Vec::new(), Found::Rows, Span::default()).is_err());
    }
}
