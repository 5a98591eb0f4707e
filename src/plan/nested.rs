//! Conditions on the objects of a nested field: each object is a document of its own, and one that
//! satisfies the condition is enough.

use super::{FieldId, PlanField, PlanFields, Pred, Row, RunError};
use crate::schema::{FieldType, Kind};
use crate::source::Span;
use crate::value::{Access, Projection, ProjectionBuilder};
use std::sync::Arc;

/// A condition that some object of a nested field satisfies.
#[derive(Clone, Debug)]
pub struct Nested {
    /// The field that holds the objects.
    pub field: FieldId,
    /// The fields of the condition, with their places inside an object.
    pub fields: PlanFields,
    /// What an object must satisfy.
    pub pred: Box<Pred>,
    /// Where the clause stands in the query.
    pub span: Span,
    projection: Arc<Projection>,
    slots: Vec<usize>,
}

impl PartialEq for Nested {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field
            && self.fields == other.fields
            && self.pred == other.pred
            && self.span == other.span
    }
}

impl Nested {
    /// A condition on the objects at `path`. `inner` are the fields of `pred`, with their places in the
    /// document that `outer` describes.
    pub fn new(outer: &mut PlanFields, path: &str, inner: PlanFields, pred: Pred, span: Span) -> Nested {
        let field = outer.add(PlanField {
            name: path.into(),
            access: Access::Objects(path.to_owned()),
            types: vec![FieldType::of(Kind::Nested)],
            key_below: false,
        });
        let fields = inner.below(path);
        let mut builder = ProjectionBuilder::default();
        let slots = fields.iter().map(|f| builder.slot(&f.access)).collect();
        Nested { field, fields, pred: Box::new(pred), span, projection: Arc::new(builder.build()), slots }
    }

    /// Whether some object satisfies the condition.
    ///
    /// # Errors
    /// When a computed condition fails.
    pub fn matches(&self, row: &Row<'_>) -> Result<bool, RunError> {
        let Some(slot) = row.slots.get(self.field.0 as usize) else { return Ok(false) };
        for object in row.document.objects(*slot) {
            let document = self.projection.project_value(object);
            let inner = Row { fields: &self.fields, document: &document, slots: &self.slots };
            if self.pred.matches(&inner)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
