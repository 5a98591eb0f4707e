//! What a test case supplies to its rule besides events: tables for `LOOKUP JOIN` and `ENRICH`, answers for
//! `COMPLETION`.

use super::cases::Reader;
use crate::diag::{Code, Diagnostic};
use crate::plan::table::lookup::COLUMN_TYPES;
use crate::plan::table::{Answers, Supplied, Table};
use crate::value::ColumnType;
use serde_json::Value;
use std::sync::Arc;

/// The path of the file that holds the rows of a table.
pub(super) fn path(table: &Value) -> Option<&str> {
    table.as_str().or_else(|| table.get("rows")?.as_str())
}

/// The rows of a file: a JSON array, or an object a line.
fn parse(bytes: &[u8]) -> Result<Vec<Value>, String> {
    if let Ok(Value::Array(rows)) = serde_json::from_slice(bytes) {
        return Ok(rows);
    }
    let stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    stream.collect::<Result<_, _>>().map_err(|e| e.to_string())
}

impl Reader<'_> {
    pub(super) fn supplied(&mut self, case: &Value, at: &str) -> Supplied {
        let mut out = Supplied::default();
        for (name, value) in case.get("tables").and_then(Value::as_object).into_iter().flatten() {
            let pointer = format!("{at}/tables/{}", name.replace('~', "~0").replace('/', "~1"));
            let span = self.span(&pointer);
            match self.table(name, value) {
                Ok(table) => out.tables.push(Arc::new(table)),
                Err(d) => self.report(*d, span),
            }
        }
        out.answers = case.get("completion").map(|c| Arc::new(answers(c)));
        out
    }

    fn table(&self, name: &str, value: &Value) -> Result<Table, Box<Diagnostic>> {
        let wrong =
            |why: String| Box::new(Diagnostic::new(Code::RP0007, format!("`{name}` is no table: {why}")));
        let rows = match path(value) {
            Some(path) => match self.fixtures.get(path) {
                Some(Ok(bytes)) => parse(bytes).map_err(|e| wrong(format!("`{path}`: {e}")))?,
                Some(Err(d)) => return Err(d.clone()),
                None => return Err(wrong(format!("`{path}` was not read"))),
            },
            None => value.as_array().or_else(|| value.get("rows")?.as_array()).cloned().unwrap_or_default(),
        };
        let types = value.get("types").and_then(Value::as_object).into_iter().flatten();
        let types: Vec<(String, ColumnType)> = types
            .filter_map(|(column, ty)| {
                let ty = COLUMN_TYPES.into_iter().find(|t| Some(t.name()) == ty.as_str())?;
                Some((column.clone(), ty))
            })
            .collect();
        let on = value.get("on").and_then(Value::as_str);
        Table::of(name, &rows, &types, on).map_err(|e| wrong(e.to_string()))
    }
}

fn answers(value: &Value) -> Answers {
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().into();
    match value.as_str() {
        Some(one) => Answers { list: vec![("".into(), one.into())] },
        None => {
            let entries = value.as_array().into_iter().flatten();
            Answers { list: entries.map(|e| (text(e, "prompt"), text(e, "answer"))).collect() }
        }
    }
}
