//! From a checked KQL query to the plan: which of Elasticsearch's queries Kibana would send for a
//! clause, decided by the field's type.

use super::ast::{RangeOp, TermValue};
use super::check::{Ask, Clause, Target, Typed};
use super::query_string::{self, Atom};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal, Op, Reject, date, ip};
use crate::lang::{Settings, resolve};
use crate::plan::{FieldId, Plan, PlanField, PlanFields, Pred, Stage};
use crate::schema::{Field, FieldType, Kind, Schema};
use crate::source::Span;
use crate::value::Access;
use rustc_hash::FxHashMap;

/// How many conditions on single fields one query may come to: patterns and bare values multiply.
const MAX_LEAVES: usize = 400_000;

/// Lowers a checked query. `None` with an error among the diagnostics where it cannot be run.
pub(super) fn lower(
    root: &Typed<'_>,
    schema: &Schema,
    settings: &Settings,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Plan> {
    let mut lowering = Lowering {
        schema,
        settings,
        diagnostics,
        fields: PlanFields::default(),
        ids: FxHashMap::default(),
        all: None,
        leaves: 0,
    };
    let pred = lowering.node(root);
    let fields = lowering.fields;
    if lowering.leaves > MAX_LEAVES {
        diagnostics.push(Diagnostic::new(
            Code::RP0008,
            format!(
                "patterns and values without a field make more than {MAX_LEAVES} conditions of this query"
            ),
        ));
    }
    if diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return None;
    }
    Some(Plan { fields, stages: vec![Stage::Filter(pred)] })
}

struct Lowering<'a> {
    schema: &'a Schema,
    settings: &'a Settings,
    diagnostics: &'a mut Vec<Diagnostic>,
    fields: PlanFields,
    /// Ids by the name that the query uses.
    ids: FxHashMap<Box<str>, FieldId>,
    /// The fields that a bare value is searched in.
    all: Option<Vec<FieldId>>,
    leaves: usize,
}

/// The type of a field as far as it decides which query is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    PureKeyword,
    Date,
    Other,
}

fn sort_of(field: &Field) -> Sort {
    if field.is_pure_keyword() {
        Sort::PureKeyword
    } else if field.types.iter().all(|t| t.kind.is_date()) {
        Sort::Date
    } else {
        Sort::Other
    }
}

impl Lowering<'_> {
    fn node(&mut self, node: &Typed<'_>) -> Pred {
        match node {
            Typed::And(parts) => Pred::all(parts.iter().map(|p| self.node(p)).collect()),
            Typed::Or(parts) => Pred::any(parts.iter().map(|p| self.node(p)).collect()),
            Typed::Not(child) => self.node(child).negate(),
            Typed::Everything => Pred::Const(true),
            Typed::Nothing => Pred::Const(false),
            Typed::Clause(clause) => self.clause(clause),
        }
    }

    fn clause(&mut self, clause: &Clause<'_>) -> Pred {
        let span = clause.span;
        match &clause.target {
            Target::Field(name, resolved) => {
                let id = match self.ids.get(name.as_str()) {
                    Some(id) => *id,
                    None => {
                        let id = self.fields.intern(name, resolved);
                        self.ids.insert(name.as_str().into(), id);
                        id
                    }
                };
                match self.ask(id, sort_of(resolved.field), clause.ask, span) {
                    Ok(pred) => pred,
                    Err(reject) => {
                        self.diagnostics.push(resolve::refused(resolved.field, name, reject, span));
                        Pred::Const(false)
                    }
                }
            }
            Target::Untyped(name) => self.untyped(name, clause.ask, span),
            Target::Fields(fields) => self.several(fields, clause.ask, span),
            Target::Any => self.any_field(clause.ask, span),
        }
    }

    /// One of several fields; of the refusals only the gravest is told.
    fn several(&mut self, fields: &[&Field], ask: Ask<'_>, span: Span) -> Pred {
        let mut alternatives = Vec::with_capacity(fields.len());
        let mut told: Option<Diagnostic> = None;
        let mut refused = 0usize;
        for field in fields {
            let Some(id) = self.field(field) else { continue };
            match self.ask(id, sort_of(field), ask, span) {
                Ok(pred) => alternatives.push(pred),
                Err(reject) => {
                    refused += 1;
                    let d = resolve::refused(field, &field.name, reject, span);
                    if told.as_ref().is_none_or(|t| t.severity < d.severity) {
                        told = Some(d);
                    }
                }
            }
        }
        if let Some(d) = told {
            let of = fields.len();
            self.diagnostics
                .push(d.note(format!("the pattern stands for {of} fields, {refused} of them refuse this")));
        }
        any(alternatives)
    }

    fn field(&mut self, field: &Field) -> Option<FieldId> {
        if let Some(id) = self.ids.get(&field.name) {
            return Some(*id);
        }
        let resolved = self.schema.resolve(&field.name)?;
        let id = self.fields.intern(&field.name, &resolved);
        self.ids.insert(field.name.clone(), id);
        Some(id)
    }

    /// A bare value: lenient, in every field that is listed and not nested.
    fn any_field(&mut self, ask: Ask<'_>, span: Span) -> Pred {
        let Ask::Is(value) = ask else { return Pred::Const(false) };
        if self.schema.layers().is_empty() {
            self.diagnostics.push(
                Diagnostic::new(
                    Code::RP9001,
                    "a value without a field is not supported yet without field information",
                )
                .at(span, "in which fields?")
                .help("give a mapping, or name the field: `field: value`"),
            );
            return Pred::Const(false);
        }
        if self.all.is_none() {
            let mut fields: Vec<&Field> =
                self.schema.iter().filter(|f| !f.kind().is_object() && f.nested.is_none()).collect();
            fields.sort_by(|a, b| a.name.cmp(&b.name));
            let ids = fields.into_iter().filter_map(|f| self.field(f)).collect();
            self.all = Some(ids);
        }
        let ids = self.all.take().unwrap_or_default();
        let pred = match value {
            TermValue::Wildcard(parts) => {
                let made = query_string::conditions(parts, |atom| {
                    Ok(match atom {
                        Atom::Star => Pred::Const(true),
                        atom => self.lenient(&ids, &atom_op(atom), span),
                    })
                });
                made.unwrap_or_else(|reject| {
                    self.diagnostics
                        .push(Diagnostic::new(reject.code, reject.message).at(span, "cannot be sent"));
                    Pred::Const(false)
                })
            }
            TermValue::Text { quoted: true, .. } => self.lenient(&ids, &Op::Phrase(literal(value)), span),
            _ => self.lenient(&ids, &Op::Match(literal(value)), span),
        };
        self.all = Some(ids);
        pred
    }

    fn lenient(&mut self, ids: &[FieldId], op: &Op, span: Span) -> Pred {
        let mut alternatives = Vec::new();
        for id in ids {
            if let Ok(pred) = self.leaf(*id, op.clone(), span)
                && pred != Pred::Const(false)
            {
                alternatives.push(pred);
            }
        }
        any(alternatives)
    }

    fn leaf(&mut self, id: FieldId, op: Op, span: Span) -> Result<Pred, Reject> {
        self.leaves += 1;
        if self.leaves > MAX_LEAVES {
            return Ok(Pred::Const(false));
        }
        self.fields.leaf(id, op, span, &self.settings.context)
    }

    /// The decision table of Kibana: which query a clause becomes.
    fn ask(&mut self, id: FieldId, sort: Sort, ask: Ask<'_>, span: Span) -> Result<Pred, Reject> {
        let op = match (ask, sort) {
            (Ask::Exists, _) => Op::Exists,
            (Ask::Range(op, value), _) => range(op, value),
            (Ask::Is(TermValue::Wildcard(parts)), Sort::PureKeyword) => Op::Wildcard(pattern(parts)),
            (Ask::Is(TermValue::Wildcard(parts)), _) => {
                return query_string::conditions(parts, |atom| self.leaf(id, atom_op(atom), span));
            }
            (Ask::Is(value), Sort::PureKeyword | Sort::Date) => Op::Term(literal(value), Case::Sensitive),
            (Ask::Is(value @ TermValue::Text { quoted: true, .. }), Sort::Other) => {
                Op::Phrase(literal(value))
            }
            (Ask::Is(value), Sort::Other) => Op::Match(literal(value)),
        };
        self.leaf(id, op, span)
    }

    /// A field that nothing is known of. The data would decide its type, so the clause is read by the
    /// types that its value can have: text always, and numbers, dates and addresses where the value is
    /// one. Which query is sent is decided as Kibana does without field information.
    fn untyped(&mut self, name: &str, ask: Ask<'_>, span: Span) -> Pred {
        let types = match ask {
            Ask::Exists => vec![Kind::Keyword],
            Ask::Is(TermValue::Wildcard(_)) => vec![Kind::Keyword],
            Ask::Is(value) => {
                let mut types = vec![Kind::Keyword];
                types.extend(kind_of(&value.to_string()));
                types
            }
            Ask::Range(_, value) => vec![kind_of(&value.to_string()).unwrap_or(Kind::Keyword)],
        };
        let id = self.fields.add(PlanField {
            name: name.into(),
            access: Access::Path(name.to_owned()),
            types: types.into_iter().map(FieldType::of).collect(),
            key_below: false,
        });
        // a type that refuses the clause is another type than the data's
        self.ask(id, Sort::Other, ask, span).unwrap_or_else(|reject| {
            self.diagnostics
                .push(Diagnostic::new(reject.code, reject.message).at(span, format!("asked of `{name}`")));
            Pred::Const(false)
        })
    }
}

/// The type, other than text, that a value is plainly one of.
fn kind_of(text: &str) -> Option<Kind> {
    if text.parse::<f64>().is_ok_and(f64::is_finite) {
        Some(Kind::Double)
    } else if ip::parse(text).is_some() || ip::parse_cidr(text).is_some() {
        Some(Kind::Ip)
    } else if date::parse_value(text).is_some() || text.starts_with("now") {
        Some(Kind::Date)
    } else {
        None
    }
}

fn any(alternatives: Vec<Pred>) -> Pred {
    if alternatives.is_empty() { Pred::Const(false) } else { Pred::any(alternatives) }
}

fn literal(value: &TermValue) -> Literal {
    match value {
        TermValue::Null => Literal::Null,
        TermValue::Bool(b) => Literal::Bool(*b),
        other => Literal::Str(other.to_string().into()),
    }
}

fn range(op: RangeOp, value: &TermValue) -> Op {
    let bound = |inclusive| Some((literal(value), inclusive));
    let (lower, upper) = match op {
        RangeOp::Greater => (bound(false), None),
        RangeOp::GreaterEqual => (bound(true), None),
        RangeOp::Less => (None, bound(false)),
        RangeOp::LessEqual => (None, bound(true)),
    };
    Op::Range { lower, upper }
}

/// The pattern of a `wildcard` query.
fn pattern(parts: &[Box<str>]) -> Pattern {
    let mut out = Vec::with_capacity(parts.len() * 2);
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push(Part::Any);
        }
        out.push(Part::Text(part.to_string()));
    }
    Pattern::new(out, false)
}

fn atom_op(atom: Atom) -> Op {
    match atom {
        Atom::Text(text) => Op::Match(Literal::Str(text.into())),
        Atom::Star => Op::Exists,
        Atom::Pattern(parts) => Op::QueryWildcard(pattern(&parts)),
    }
}
