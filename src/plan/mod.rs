//! The typed plan that every language lowers into. Whoever runs, explains or translates a query works
//! on this; nothing in here knows a language's syntax.

mod eval;
mod expr;
pub mod join;
mod nested;
pub mod sample;
pub mod sequence;
pub mod table;
pub mod threshold;

pub use crate::func::Arithmetic;
pub use eval::{Row, RunError, Trace, trace};
pub use expr::{Comparison, Expr};
pub use join::Item;
pub use nested::Nested;
pub use sample::Sample;
pub use sequence::{Occurrence, Sequence};
pub use threshold::Threshold;

use crate::es::{Context, Op, Reject, Test, prepare};
use crate::schema::{FieldType, Resolved};
use crate::source::Span;
use crate::value::{Access, Value};

/// A field of a plan, by its place in [`Plan::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(pub u32);

/// A field that a plan reads.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanField {
    /// The name as the query has it, aliases resolved.
    pub name: Box<str>,
    /// Where its values stand in a document.
    pub access: Access,
    /// Its type in each index that maps it differently; never empty.
    pub types: Vec<FieldType>,
    /// Whether it is a key below a flattened field.
    pub key_below: bool,
}

/// The fields of a plan; one entry a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanFields {
    fields: Vec<PlanField>,
}

impl PlanFields {
    /// The id of a resolved field. `name` is what the query calls it.
    pub fn intern(&mut self, name: &str, resolved: &Resolved<'_>) -> FieldId {
        self.add(PlanField {
            name: name.into(),
            access: resolved.access.clone(),
            types: resolved.field.types.clone(),
            key_below: resolved.flattened_key.is_some(),
        })
    }

    /// The id of a field; an equal field that is known keeps its id.
    pub fn add(&mut self, field: PlanField) -> FieldId {
        let i = self.fields.iter().position(|f| *f == field).unwrap_or_else(|| {
            self.fields.push(field);
            self.fields.len() - 1
        });
        FieldId(u32::try_from(i).unwrap_or(u32::MAX))
    }

    /// The same fields, seen from the objects at `path`.
    pub fn below(mut self, path: &str) -> PlanFields {
        for field in &mut self.fields {
            field.access = field.access.below(path);
        }
        self
    }

    /// The field of an id.
    pub fn get(&self, id: FieldId) -> Option<&PlanField> {
        self.fields.get(id.0 as usize)
    }

    /// The fields in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &PlanField> {
        self.fields.iter()
    }

    /// A leaf over one field.
    ///
    /// # Errors
    /// When every type of the field refuses the clause; the first type's reason is given.
    pub fn leaf(&self, field: FieldId, op: Op, span: Span, context: &Context) -> Result<Pred, Reject> {
        let Some(f) = self.get(field) else { return Ok(Pred::Const(false)) };
        let mut tests = Vec::with_capacity(f.types.len());
        let mut refused = None;
        for ty in &f.types {
            match prepare(&op, ty, f.key_below, context) {
                Ok(test) => tests.push(test),
                Err(reject) => {
                    tests.push(Test::Never);
                    refused.get_or_insert(reject);
                }
            }
        }
        match refused {
            Some(reject) if tests.iter().all(|t| *t == Test::Never) => Err(reject),
            _ => Ok(Pred::Leaf(Leaf { field, op, tests, span })),
        }
    }
}

/// A condition over a document: two-valued, a leaf is true if any value satisfies it.
#[derive(Clone, Debug, PartialEq)]
pub enum Pred {
    /// Always the same.
    Const(bool),
    /// All of them.
    And(Vec<Pred>),
    /// One of them.
    Or(Vec<Pred>),
    /// The complement, also for documents without the field.
    Not(Box<Pred>),
    /// A condition on one field.
    Leaf(Leaf),
    /// A condition that is computed: true if some choice of one value per field makes it true.
    Script(Script),
    /// Some object of a nested field satisfies a condition of its own.
    Nested(Nested),
    /// A condition that stands in no query text, by the name that people know: a filter, an exception.
    Named(Box<str>, Box<Pred>),
}

/// A condition on one field, as it was meant and as it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// The field.
    pub field: FieldId,
    /// What is asked.
    pub op: Op,
    /// The same prepared for each of the field's types.
    pub tests: Vec<Test>,
    /// Where the clause stands in the query.
    pub span: Span,
}

/// A computed condition; nulls propagate inside, a null result is no match.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// What is computed.
    pub expr: Expr,
    /// The distinct fields that it reads.
    pub fields: Vec<FieldId>,
    /// Where the clause stands in the query.
    pub span: Span,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// Keeps the documents that satisfy a condition.
    Filter(Pred),
    /// Keeps the first document of each new combination of values within a history, in nanoseconds.
    NewTerms {
        /// The fields whose combination counts; arrays expand, a document without one drops out.
        fields: Vec<FieldId>,
        /// How far back a combination counts as seen.
        history: i128,
    },
    /// Finds events in order; stands alone.
    Sequence(Sequence),
    /// Finds events with a common key in any order; stands alone.
    Sample(Sample),
    /// Finds groups of at least so many documents in the time that a run looks at.
    Threshold(Threshold),
    /// A pipeline over tables; it stands alone.
    Table(Box<table::Pipeline>),
}

/// A query or rule, ready to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The fields that it reads.
    pub fields: PlanFields,
    /// The steps, in order.
    pub stages: Vec<Stage>,
}

impl Plan {
    /// The condition of all filter stages.
    pub fn filter(&self) -> impl Iterator<Item = &Pred> {
        self.stages.iter().filter_map(|s| match s {
            Stage::Filter(p) => Some(p),
            _ => None,
        })
    }

    /// The pipeline, where the plan is one.
    pub fn table(&self) -> Option<&table::Pipeline> {
        self.stages.iter().find_map(|s| match s {
            Stage::Table(pipeline) => Some(pipeline.as_ref()),
            _ => None,
        })
    }

    /// The sequence that it finds.
    pub fn sequence(&self) -> Option<&Sequence> {
        self.stages.iter().find_map(|s| match s {
            Stage::Sequence(sequence) => Some(sequence),
            _ => None,
        })
    }

    /// The sample that it finds.
    pub fn sample(&self) -> Option<&Sample> {
        self.stages.iter().find_map(|s| match s {
            Stage::Sample(sample) => Some(sample),
            _ => None,
        })
    }

    /// The threshold that groups of its documents must reach.
    pub fn threshold(&self) -> Option<&Threshold> {
        self.stages.iter().find_map(|s| match s {
            Stage::Threshold(threshold) => Some(threshold),
            _ => None,
        })
    }

    /// The items of its sequence or sample, in order, what ends a sequence last.
    pub fn items(&self) -> Vec<&Item> {
        match (self.sequence(), self.sample()) {
            (Some(s), _) => s.steps.iter().map(|s| &s.item).chain(&s.until).collect(),
            (None, Some(s)) => s.items.iter().collect(),
            (None, None) => Vec::new(),
        }
    }

    /// Whether its answers are made of several documents each.
    pub fn is_grouped(&self) -> bool {
        self.stages.iter().any(|s| matches!(s, Stage::Sequence(_) | Stage::Sample(_) | Stage::Threshold(_)))
    }

    /// What a document is to its sequence, sample or threshold; `None` where it plays no part.
    ///
    /// # Errors
    /// As [`Sequence::look`] and [`Threshold::look`].
    pub fn look(&self, row: &Row<'_>) -> Result<Option<Occurrence>, RunError> {
        // filters and exceptions hold for every item, `until` and missing ones included
        for pred in self.filter() {
            if !pred.matches(row)? {
                return Ok(None);
            }
        }
        match (self.sequence(), self.sample()) {
            (Some(sequence), _) => sequence.look(row),
            (None, Some(sample)) => {
                let matches = sample.look(row)?;
                let occurrence = Occurrence { time: 0, tiebreaker: Value::Null, matches };
                Ok((!occurrence.matches.is_empty()).then_some(occurrence))
            }
            (None, None) => self.threshold().map_or(Ok(None), |t| t.look(row)),
        }
    }

    /// A set of texts of which the field `name` must hold one for a document to play any part, or `None`
    /// where no such set is certain. This is what a prefilter may rely on.
    pub fn required_values(&self, name: &str) -> Option<Vec<Box<str>>> {
        let items = self.items();
        if items.is_empty() {
            return self.filter().find_map(|p| p.required_values(&self.fields, name));
        }
        let mut all = Vec::new();
        for item in items {
            all.extend(item.pred.required_values(&self.fields, name)?);
        }
        all.sort();
        all.dedup();
        Some(all)
    }
}

impl Pred {
    /// All of `preds`, joined as simply as possible.
    pub fn all(mut preds: Vec<Pred>) -> Pred {
        if preds.len() == 1 { preds.remove(0) } else { Pred::And(preds) }
    }

    /// Any of `preds`, joined as simply as possible.
    pub fn any(mut preds: Vec<Pred>) -> Pred {
        if preds.len() == 1 { preds.remove(0) } else { Pred::Or(preds) }
    }

    /// The same condition over fields that have other ids.
    pub fn with_fields(self, id: &dyn Fn(FieldId) -> FieldId) -> Pred {
        let all = |ps: Vec<Pred>| ps.into_iter().map(|p| p.with_fields(id)).collect();
        match self {
            Pred::And(ps) => Pred::And(all(ps)),
            Pred::Or(ps) => Pred::Or(all(ps)),
            Pred::Not(p) => Pred::Not(Box::new(p.with_fields(id))),
            Pred::Leaf(mut leaf) => {
                leaf.field = id(leaf.field);
                Pred::Leaf(leaf)
            }
            // KQL, the only language inside another, has no scripts
            other => other,
        }
    }

    /// The complement.
    pub fn negate(self) -> Pred {
        Pred::Not(Box::new(self))
    }

    /// Whether both ask the same, wherever they stand in the query.
    pub fn same(&self, other: &Pred) -> bool {
        let all = |a: &[Pred], b: &[Pred]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b));
        match (self, other) {
            (Pred::Const(a), Pred::Const(b)) => a == b,
            (Pred::And(a), Pred::And(b)) | (Pred::Or(a), Pred::Or(b)) => all(a, b),
            (Pred::Not(a), Pred::Not(b)) => a.same(b),
            (Pred::Leaf(a), Pred::Leaf(b)) => (a.field, &a.op, &a.tests) == (b.field, &b.op, &b.tests),
            (Pred::Script(a), Pred::Script(b)) => (&a.expr, &a.fields) == (&b.expr, &b.fields),
            (Pred::Named(_, a), Pred::Named(_, b)) => a.same(b),
            _ => false,
        }
    }

    /// Calls `f` on every leaf, script and nested condition, with whether an odd number of negations stands above it.
    pub fn visit<'p>(&'p self, f: &mut dyn FnMut(&'p Pred, bool)) {
        fn go<'p>(p: &'p Pred, negated: bool, f: &mut dyn FnMut(&'p Pred, bool)) {
            match p {
                Pred::And(ps) | Pred::Or(ps) => ps.iter().for_each(|p| go(p, negated, f)),
                Pred::Not(p) => go(p, !negated, f),
                Pred::Named(_, p) => go(p, negated, f),
                other => f(other, negated),
            }
        }
        go(self, false, f);
    }

    /// A set of texts of which the field `name` must hold one for the condition to be true, or `None`
    /// where no such set is certain. This is what a prefilter may rely on.
    pub fn required_values(&self, fields: &PlanFields, name: &str) -> Option<Vec<Box<str>>> {
        match self {
            Pred::Const(false) => Some(Vec::new()),
            Pred::And(ps) => ps.iter().filter_map(|p| p.required_values(fields, name)).min_by_key(Vec::len),
            Pred::Or(ps) => {
                let mut all = Vec::new();
                for p in ps {
                    all.extend(p.required_values(fields, name)?);
                }
                all.sort();
                all.dedup();
                Some(all)
            }
            Pred::Named(_, p) => p.required_values(fields, name),
            Pred::Leaf(leaf) => {
                let field = fields.get(leaf.field)?;
                if field.name.as_ref() != name || field.types.len() != 1 || field.types.first()?.lowercase {
                    return None;
                }
                match leaf.tests.as_slice() {
                    [Test::Never] => Some(Vec::new()),
                    [Test::Equals(v, crate::es::Case::Sensitive)] => Some(vec![v.clone()]),
                    [Test::OneOf(vs)] => Some(vs.clone()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
