//! Evaluation of conditions over projected documents: the boolean skeleton is two-valued, leaves ask
//! for any value, scripts try one value per field.

use super::{FieldId, Leaf, Plan, PlanFields, Pred, Script};
use crate::es::{Test, typed};
use crate::func::CallError;
use crate::value::{Cell, Document, Scalar, Value};

/// A failure while running, as Elasticsearch would fail the search.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RunError(pub String);

impl From<CallError> for RunError {
    fn from(e: CallError) -> Self {
        RunError(e.0)
    }
}

/// A document as one plan sees it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The plan's fields.
    pub fields: &'a PlanFields,
    /// The projected document.
    pub document: &'a Document,
    /// The slot of each of the plan's fields in the projection.
    pub slots: &'a [usize],
}

impl<'a> Row<'a> {
    /// What the document holds for a field.
    pub fn cell(&self, field: FieldId) -> &'a Cell {
        self.document.cell(self.slots.get(field.0 as usize).copied().unwrap_or(usize::MAX))
    }

    /// The typed values of a field; what its type does not index is left out.
    pub fn values(&self, field: FieldId) -> Vec<Value> {
        let Some(f) = self.fields.get(field) else { return Vec::new() };
        let Some(ty) = f.types.first() else { return Vec::new() };
        let cell = self.cell(field);
        let null = ty.null_value.iter().filter(|_| cell.explicit_null);
        cell.values.iter().chain(null).filter_map(|s| typed(ty, s)).collect()
    }
}

impl Plan {
    /// Whether a document passes every filter.
    ///
    /// # Errors
    /// When a computed condition fails.
    pub fn matches(&self, document: &Document, slots: &[usize]) -> Result<bool, RunError> {
        let row = Row { fields: &self.fields, document, slots };
        for pred in self.filter() {
            if !pred.matches(&row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Pred {
    /// Whether a document satisfies the condition.
    ///
    /// # Errors
    /// When a computed condition fails.
    pub fn matches(&self, row: &Row<'_>) -> Result<bool, RunError> {
        match self {
            Pred::Const(b) => Ok(*b),
            Pred::And(ps) => {
                for p in ps {
                    if !p.matches(row)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Pred::Or(ps) => {
                for p in ps {
                    if p.matches(row)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Pred::Not(p) => Ok(!p.matches(row)?),
            Pred::Leaf(leaf) => Ok(leaf.matches(row)),
            Pred::Script(script) => script.matches(row),
            Pred::Nested(nested) => nested.matches(row),
            Pred::Named(_, p) => p.matches(row),
        }
    }
}

impl Leaf {
    /// Whether any value of the field satisfies the condition, in any index's type.
    pub fn matches(&self, row: &Row<'_>) -> bool {
        let Some(field) = row.fields.get(self.field) else { return false };
        let cell = row.cell(self.field);
        self.tests.iter().zip(&field.types).any(|(test, ty)| match test {
            Test::Never => false,
            test => test.matches(ty, cell),
        })
    }
}

/// How many combinations of values one script may try on one document.
const MAX_COMBINATIONS: usize = 1_000_000;

impl Script {
    /// Whether some choice of one value per field makes the condition true; a field without values
    /// gives null.
    ///
    /// # Errors
    /// When a call or a calculation fails.
    pub fn matches(&self, row: &Row<'_>) -> Result<bool, RunError> {
        let mut columns: Vec<Vec<Value>> = Vec::with_capacity(self.fields.len());
        let mut combinations = 1usize;
        for field in &self.fields {
            let mut values = row.values(*field);
            if values.is_empty() {
                values.push(Value::Null);
            }
            combinations = combinations.saturating_mul(values.len());
            columns.push(values);
        }
        if combinations > MAX_COMBINATIONS {
            return Err(RunError(format!(
                "a clause would try more than {MAX_COMBINATIONS} combinations of values"
            )));
        }
        for n in 0..combinations {
            let mut rest = n;
            let mut choice = Vec::with_capacity(columns.len());
            for column in &columns {
                choice.push(column.get(rest % column.len()));
                rest /= column.len();
            }
            let lookup = |id: FieldId| {
                let at = self.fields.iter().position(|f| *f == id);
                at.and_then(|i| choice.get(i)).and_then(|v| v.cloned()).unwrap_or(Value::Null)
            };
            if self.expr.eval(&lookup)? == Value::Bool(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A condition with what each part of it answered for one document.
#[derive(Clone, Debug)]
pub struct Trace<'p> {
    /// The part.
    pub pred: &'p Pred,
    /// What it answered.
    pub result: bool,
    /// The answers of its parts.
    pub parts: Vec<Trace<'p>>,
    /// The values that a leaf or script looked at, as `field = values`.
    pub values: Vec<(Box<str>, Vec<Scalar>)>,
}

/// Answers a condition part by part, without stopping early.
///
/// # Errors
/// When a computed condition fails.
pub fn trace<'p>(pred: &'p Pred, row: &Row<'_>) -> Result<Trace<'p>, RunError> {
    let look = |ids: &[FieldId]| {
        ids.iter()
            .filter_map(|id| Some((row.fields.get(*id)?.name.clone(), row.cell(*id).values.clone())))
            .collect()
    };
    let parts = match pred {
        Pred::And(ps) | Pred::Or(ps) => ps.iter().map(|p| trace(p, row)).collect::<Result<Vec<_>, _>>()?,
        Pred::Not(p) | Pred::Named(_, p) => vec![trace(p, row)?],
        _ => Vec::new(),
    };
    let values = match pred {
        Pred::Leaf(leaf) => look(&[leaf.field]),
        Pred::Script(script) => look(&script.fields),
        Pred::Nested(nested) => look(&[nested.field]),
        _ => Vec::new(),
    };
    Ok(Trace { pred, result: pred.matches(row)?, parts, values })
}
