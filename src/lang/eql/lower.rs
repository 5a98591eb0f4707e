//! From the typed tree to the plan. `and`, `or` and `not` become two-valued; a comparison of a field
//! with a constant becomes a leaf, as Elasticsearch makes it a query; the rest is computed.

use super::check::{Checked, Key};
use super::typed::{Column, Node, NodeKind, Ty};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::date::{self, Clock, Round};
use crate::es::regexp::Regexp;
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Context, Literal, Op, ip};
use crate::lang::resolve;
use crate::plan::{Comparison, Expr, FieldId, Item, PlanField, PlanFields, Pred, Script, join};
use crate::schema::{FieldType, Kind, Schema};
use crate::source::Span;
use crate::value::{Access, Value};

/// Lowers filters into one set of fields.
pub(super) struct Lower<'c> {
    pub context: &'c Context,
    pub fields: PlanFields,
    pub found: Vec<Diagnostic>,
}

impl Lower<'_> {
    /// The condition of a filter, its category included, and what other items add to it.
    pub(super) fn filter(&mut self, f: &Checked<'_>, added: &[Node<'_>]) -> Pred {
        let mut parts = Vec::new();
        if let Some((column, name)) = &f.category {
            let op = Op::Term(Literal::Str(name.text.clone()), Case::Sensitive);
            parts.push(self.leaf(column, op, name.at.0));
        }
        match self.pred(&f.condition) {
            Pred::And(more) if !parts.is_empty() => parts.extend(more),
            Pred::Const(true) if !parts.is_empty() || !added.is_empty() => {}
            Pred::And(more) if !added.is_empty() => parts.extend(more),
            other => parts.push(other),
        }
        for clause in added {
            let pred = self.pred(clause);
            // the places of two equal clauses differ
            if !parts.iter().any(|p| p.same(&pred)) {
                parts.push(pred);
            }
        }
        Pred::all(parts)
    }

    /// The two-valued meaning of a boolean expression.
    pub(super) fn pred(&mut self, node: &Node<'_>) -> Pred {
        let span = node.span;
        match &node.kind {
            NodeKind::Const(v) => Pred::Const(v.as_bool().unwrap_or(false)),
            NodeKind::Column(c) => {
                let op = Op::Term(Literal::Bool(true), Case::Sensitive);
                self.leaf(c, op, span)
            }
            NodeKind::And(parts) => self.joined(parts, false),
            NodeKind::Or(parts) => self.joined(parts, true),
            NodeKind::Not(inner) => match self.pred(inner) {
                Pred::Const(b) => Pred::Const(!b),
                p => p.negate(),
            },
            NodeKind::IsNull(inner) => match &inner.kind {
                NodeKind::Column(c) => self.leaf(c, Op::Exists, span).negate(),
                _ => self.script(node),
            },
            NodeKind::Compare(op, a, b) => match (&a.kind, b.value()) {
                (NodeKind::Column(c), Some(v)) => self.comparison(c, *op, v, span),
                // `call == true` is the call itself, `== false` its complement
                (_, Some(Value::Bool(wanted))) if *op == Comparison::Equal && a.ty == Ty::Boolean => {
                    let p = self.pred(a);
                    if *wanted { p } else { p.negate() }
                }
                _ => self.script(node),
            },
            NodeKind::In(value, list, case) => match &value.kind {
                NodeKind::Column(c) => {
                    let list: Vec<Literal> = list.iter().filter(|v| !v.is_null()).map(literal).collect();
                    if list.is_empty() {
                        return Pred::Const(false);
                    }
                    self.leaf(c, Op::Terms(list, *case), span)
                }
                _ => self.script(node),
            },
            NodeKind::Like(value, patterns, case) => match &value.kind {
                NodeKind::Column(c) => self.like(c, patterns, *case, span),
                _ => self.script(node),
            },
            NodeKind::Regexp(value, text, case) => match &value.kind {
                NodeKind::Column(c) => self.leaf(c, Op::Regexp(text.clone(), *case), span),
                _ => self.script(node),
            },
            NodeKind::Call(function, args, case) => {
                let pushed = match args.split_first() {
                    Some((Node { kind: NodeKind::Column(c), .. }, rest)) => {
                        pushed_call(function.name, c, rest, *case)
                    }
                    _ => None,
                };
                match (pushed, args.first().map(|a| &a.kind)) {
                    (Some(Some(op)), Some(NodeKind::Column(c))) => self.leaf(c, op, span),
                    (Some(None), _) => Pred::Const(false),
                    _ => self.script(node),
                }
            }
            NodeKind::Arithmetic(..) => self.script(node),
        }
    }

    fn joined(&mut self, parts: &[Node<'_>], or: bool) -> Pred {
        let mut preds = Vec::with_capacity(parts.len());
        for part in parts {
            match self.pred(part) {
                Pred::Const(b) if b == or => return Pred::Const(or),
                Pred::Const(_) => {}
                p => preds.push(p),
            }
        }
        match (preds.is_empty(), or) {
            (true, _) => Pred::Const(!or),
            (false, true) => Pred::any(preds),
            (false, false) => Pred::all(preds),
        }
    }

    fn comparison(&mut self, c: &Column<'_>, op: Comparison, v: &Value, span: Span) -> Pred {
        if v.is_null() {
            return Pred::Const(false);
        }
        let value = literal(v);
        let op = match op {
            Comparison::Equal => Op::Term(value, Case::Sensitive),
            Comparison::Less => Op::Range { lower: None, upper: Some((value, false)) },
            Comparison::LessEqual => Op::Range { lower: None, upper: Some((value, true)) },
            Comparison::Greater => Op::Range { lower: Some((value, false)), upper: None },
            Comparison::GreaterEqual => Op::Range { lower: Some((value, true)), upper: None },
        };
        self.leaf(c, op, span)
    }

    /// One leaf a pattern; those without a wildcard share one.
    fn like(&mut self, c: &Column<'_>, patterns: &[(Box<str>, Span)], case: Case, span: Span) -> Pred {
        let mut whole: Vec<Literal> = Vec::new();
        let mut preds = Vec::new();
        for (text, at) in patterns {
            let pattern = Pattern::plain(text, case == Case::Insensitive);
            if pattern.literal().is_some() {
                whole.push(Literal::Str(text.clone()));
            } else {
                let at = if patterns.len() == 1 { span } else { *at };
                preds.push(self.leaf(c, Op::Wildcard(pattern), at));
            }
        }
        if !whole.is_empty() {
            let op = match (whole.len(), whole.pop()) {
                (1, Some(one)) => Op::Term(one, case),
                (_, last) => {
                    whole.extend(last);
                    Op::Terms(whole, case)
                }
            };
            preds.insert(0, self.leaf(c, op, span));
        }
        Pred::any(preds)
    }

    fn leaf(&mut self, c: &Column<'_>, op: Op, span: Span) -> Pred {
        let id = self.fields.add(plan_field(c, &op));
        match self.fields.leaf(id, op, span, self.context) {
            Ok(pred) => pred,
            Err(reject) => {
                if let Some(field) = c.field {
                    let name = field.parent.as_deref().unwrap_or(&field.name);
                    // Elasticsearch's verifier lets it pass; the search then fails or finds nothing
                    let ours = reject.code == Code::RP0102;
                    let mut d = resolve::refused(field, name, reject, span);
                    if !ours {
                        d = d.severity(Severity::Warning).note("this clause can never match");
                    }
                    self.found.push(d);
                }
                Pred::Const(false)
            }
        }
    }

    /// An item of a sequence or sample.
    pub(super) fn item(&mut self, pred: Pred, keys: &[&Key<'_>], span: Span) -> Item {
        let keys = keys.iter().map(|k| join::Key {
            name: k.name().into(),
            field: k.column.as_ref().map(|c| self.fields.add(plan_field(c, &Op::Exists))),
            optional: k.optional,
        });
        Item { keys: keys.collect(), pred, span }
    }

    /// A field that the query does not name: the one that orders events.
    pub(super) fn implied(&mut self, schema: &Schema, name: &str, kind: Kind) -> FieldId {
        match schema.resolve(name) {
            Some(resolved) => self.fields.intern(name, &resolved),
            None => self.fields.add(PlanField {
                name: name.into(),
                access: Access::Path(name.to_owned()),
                types: vec![FieldType::of(kind)],
                key_below: false,
            }),
        }
    }

    fn script(&mut self, node: &Node<'_>) -> Pred {
        let mut ids: Vec<FieldId> = Vec::new();
        let fields = &mut self.fields;
        let expr = computed(node, self.context, &mut |c| {
            let id = fields.add(plan_field(c, &Op::Exists));
            if !ids.contains(&id) {
                ids.push(id);
            }
            id
        });
        Pred::Script(Script { expr, fields: ids, span: node.span })
    }
}

/// The plan's field of a column. One that the schema does not list gets the type that the clause
/// suggests.
fn plan_field(c: &Column<'_>, op: &Op) -> PlanField {
    let types = if c.types.is_empty() {
        let value = match op {
            Op::Term(v, _)
            | Op::Range { lower: Some((v, _)), .. }
            | Op::Range { upper: Some((v, _)), .. } => Some(v),
            Op::Terms(vs, _) => vs.first(),
            _ => None,
        };
        vec![FieldType::of(match value {
            Some(Literal::Int(_) | Literal::Float(_)) => Kind::Double,
            Some(Literal::Bool(_)) => Kind::Boolean,
            _ => Kind::Keyword,
        })]
    } else {
        c.types.clone()
    };
    PlanField { name: c.name.clone(), access: c.access.clone(), types, key_below: c.key_below }
}

/// The query that a call on a field becomes: `None` where it stays computed, `Some(None)` where it
/// never holds.
fn pushed_call(name: &str, c: &Column<'_>, rest: &[Node<'_>], case: Case) -> Option<Option<Op>> {
    if name == "cidrMatch" {
        let blocks: Option<Vec<Literal>> =
            rest.iter().map(|n| n.value()?.as_str().map(|s| Literal::Str(s.into()))).collect();
        let ip = c.types.iter().all(|t| t.kind == Kind::Ip) && !c.types.is_empty();
        return blocks.filter(|_| ip).map(|b| Some(Op::Terms(b, Case::Sensitive)));
    }
    if !c.types.iter().all(|t| t.kind.is_keyword()) {
        return None;
    }
    let [Node { kind: NodeKind::Const(Value::Str(text)), .. }] = rest else { return None };
    let part = Part::Text(text.to_string());
    let parts = match name {
        "startsWith" => vec![part, Part::Any],
        "endsWith" => vec![Part::Any, part],
        "stringContains" if text.is_empty() => return Some(None),
        "stringContains" => vec![Part::Any, part, Part::Any],
        _ => return None,
    };
    Some(Some(Op::Wildcard(Pattern::new(parts, case == Case::Insensitive))))
}

fn literal(v: &Value) -> Literal {
    match v {
        Value::Null => Literal::Null,
        Value::Bool(b) => Literal::Bool(*b),
        Value::Int(i) => Literal::Int(*i),
        Value::Double(d) => Literal::Float(*d),
        Value::Str(s) | Value::Version(s) => Literal::Str(s.as_ref().into()),
        Value::Date(nanos) => Literal::Str(date::format(*nanos).into()),
        Value::Ip(number) => Literal::Str(ip::format(*number).into()),
        // EQL has no other values
        other => Literal::Str(crate::func::text(other).unwrap_or_default().into()),
    }
}

/// The expression that computes a node; `field` gives the ids of its columns.
pub(super) fn computed<'n, 's>(
    node: &'n Node<'s>,
    context: &Context,
    field: &mut dyn FnMut(&'n Column<'s>) -> FieldId,
) -> Expr {
    let mut go = |n: &'n Node<'s>| computed(n, context, &mut *field);
    match &node.kind {
        NodeKind::Const(v) => Expr::Const(v.clone()),
        NodeKind::Column(c) => Expr::Field(field(c)),
        NodeKind::Call(function, args, case) => Expr::Call(function, args.iter().map(go).collect(), *case),
        NodeKind::Arithmetic(op, a, b) => Expr::Arithmetic(*op, Box::new(go(a)), Box::new(go(b))),
        NodeKind::Compare(op, a, b) => {
            let right = match (&a.kind, b.value()) {
                (NodeKind::Column(c), Some(v)) => Expr::Const(in_terms_of(c, v, context)),
                _ => go(b),
            };
            Expr::Compare(*op, Box::new(go(a)), Box::new(right))
        }
        NodeKind::IsNull(e) => Expr::IsNull(Box::new(go(e))),
        NodeKind::In(e, list, case) => {
            let list = match &e.kind {
                NodeKind::Column(c) => list.iter().map(|v| in_terms_of(c, v, context)).collect(),
                _ => list.clone(),
            };
            Expr::In(Box::new(go(e)), list, *case)
        }
        NodeKind::Like(e, patterns, case) => {
            let insensitive = *case == Case::Insensitive;
            let patterns = patterns.iter().map(|(p, _)| Pattern::plain(p, insensitive)).collect();
            Expr::Like(Box::new(go(e)), patterns)
        }
        NodeKind::Regexp(e, text, case) => {
            let insensitive = *case == Case::Insensitive;
            let plain = matches!(e.kind, NodeKind::Column(_));
            // the parts were tried one by one; joined they may only be too large
            let regexp = if plain { Regexp::new(text, insensitive) } else { Regexp::java(text, insensitive) };
            Expr::Regexp(Box::new(go(e)), regexp.into_iter().collect())
        }
        NodeKind::Not(e) => Expr::Not(Box::new(go(e))),
        NodeKind::And(parts) => Expr::And(parts.iter().map(go).collect()),
        NodeKind::Or(parts) => Expr::Or(parts.iter().map(go).collect()),
    }
}

/// A constant as a value of the type that the field's values have.
fn in_terms_of(c: &Column<'_>, v: &Value, context: &Context) -> Value {
    let Some(kind) = c.types.first().map(|t| t.kind) else { return v.clone() };
    let clock = Clock { now: context.now, offset: context.offset, nanos: kind == Kind::DateNanos };
    let read = match (v, kind) {
        (Value::Str(s), k) if k.is_date() => date::parse(s, Round::Down, &clock).map(Value::Date),
        (Value::Int(ms), k) if k.is_date() => Some(Value::Date(date::from_millis(*ms))),
        (Value::Str(s), Kind::Ip) => ip::parse(s).map(Value::Ip),
        (Value::Str(s), k) if k.is_number() => {
            s.parse().map(Value::Int).or_else(|_| s.parse().map(Value::Double)).ok()
        }
        (Value::Str(s), Kind::Boolean) => s.parse().ok().map(Value::Bool),
        (Value::Int(_) | Value::Double(_) | Value::Bool(_), k) if k.is_keyword() => {
            Some(Value::str(literal(v).text()))
        }
        _ => None,
    };
    read.unwrap_or_else(|| v.clone())
}
