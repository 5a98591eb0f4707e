//! Names against the schema and types against what each operator takes; the result is a typed tree
//! whose constant parts are folded.

use super::ast::{At, CompareOp, Expr, ExprKind, FieldRef, Filter, Literal, MatchOp, Name};
use super::fold::fold;
use super::parser::shorten;
use super::print;
use super::typed::{Column, Node, NodeKind, Ty, article};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::regexp::Regexp;
use crate::es::{Case, Reject};
use crate::func::{Arithmetic, Type};
use crate::lang::{Settings, resolve};
use crate::plan::Comparison;
use crate::schema::{Field, Kind, Schema};
use crate::source::Span;
use crate::value::{Access, Value};

/// A filter, checked.
#[derive(Clone, Debug)]
pub(super) struct Checked<'s> {
    /// The category field and what it must be; `None` for `any`.
    pub category: Option<(Column<'s>, Name)>,
    /// The rest.
    pub condition: Node<'s>,
}

/// A join key, checked.
pub(super) struct Key<'s> {
    name: Box<str>,
    ty: Ty,
    span: Span,
    /// `None` for an optional field that does not exist.
    pub column: Option<Column<'s>>,
    pub optional: bool,
}

impl Key<'_> {
    /// What the query calls it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// The value of a literal.
pub(super) fn value(l: &Literal) -> Value {
    match l {
        Literal::Str(s, _) => Value::str(s),
        Literal::Int(i) => Value::Int(*i),
        Literal::Float(f) => Value::Double(*f),
        Literal::Bool(b) => Value::Bool(*b),
        Literal::Null => Value::Null,
    }
}

/// Checks the parts of one query and collects what is wrong.
pub(super) struct Checker<'s> {
    pub schema: &'s Schema,
    pub settings: &'s Settings,
    pub text: &'s str,
    pub found: Vec<Diagnostic>,
}

impl<'s> Checker<'s> {
    pub(super) fn source(&self, span: Span) -> String {
        shorten(span.slice(self.text))
    }

    /// Reports a clause that Elasticsearch refuses; whether that is certain.
    fn refuse(&mut self, field: &Field, name: &str, code: Code, message: &str, span: Span) -> bool {
        let reject = Reject { code, message: message.to_owned() };
        let d = resolve::refused(field, name, reject, span);
        let certain = d.severity == Severity::Error;
        self.found.push(d);
        certain
    }

    /// A filter; `None` where a mistake makes its meaning unknown.
    pub(super) fn filter(&mut self, f: &Filter) -> Option<Checked<'s>> {
        let category = match &f.category {
            None => Some(None),
            Some(name) => self.category(name).map(|c| Some((c, name.clone()))),
        };
        let condition = self.expr(&f.condition).and_then(|node| {
            let boolean = self.boolean(&node);
            boolean.then_some(node)
        });
        Some(Checked { category: category?, condition: condition? })
    }

    fn category(&mut self, name: &Name) -> Option<Column<'s>> {
        let field_name = self.settings.event_category_field.clone();
        let field = FieldRef { name: field_name.as_str().into(), optional: false, at: name.at };
        if self.schema.resolve(&field_name).is_none() && !self.schema.is_open() {
            let d = resolve::unknown_field(self.schema, &field_name, name.at.0, Severity::Error)?;
            let d = Diagnostic { fix: None, ..d };
            self.found.push(
                d.note(format!("`{} where` tests the field `{field_name}`", self.source(name.at.0)))
                    .help("write `any where …`, or name another event category field"),
            );
            return None;
        }
        let node = self.field(&field)?;
        if let Some(c) = node.column().and_then(|c| c.field) {
            let known = resolve::never_in_enumeration(&c.name, &name.text, name.at.0, self.settings, |v| {
                if super::lexer::is_plain_ident(v) { v.to_owned() } else { print::string(v, false) }
            });
            self.found.extend(known);
        }
        match node.kind {
            NodeKind::Column(c) => Some(*c),
            _ => None,
        }
    }

    fn boolean(&mut self, node: &Node<'s>) -> bool {
        if node.ty.fits(Type::Boolean) {
            return true;
        }
        let mut d = Diagnostic::new(Code::RP0303, "a condition must be boolean")
            .at(node.span, format!("this is {}", node.article()));
        if node.column().is_some() {
            let text = self.source(node.span);
            d = d.help(format!("to ask whether the field has a value, write `{text} != null`"));
        }
        self.found.push(d);
        false
    }

    /// A join key.
    pub(super) fn key(&mut self, f: &FieldRef) -> Option<Key<'s>> {
        let node = self.field(f)?;
        let column = node.column().cloned();
        Some(Key { name: f.name.clone(), ty: node.ty, span: f.at.0, column, optional: f.optional })
    }

    /// The keys of one position must be comparable.
    pub(super) fn compatible_keys(&mut self, keys: &[Vec<Option<Key<'s>>>]) {
        let Some((first, others)) = keys.split_first() else { return };
        for other in others {
            for (a, b) in first.iter().zip(other) {
                let (Some(a), Some(b)) = (a, b) else { continue };
                if !a.ty.compatible(b.ty) {
                    self.found.push(
                        Diagnostic::new(Code::RP0308, "join keys of different types can never be equal")
                            .at(b.span, format!("`{}` is {}", b.name, article(b.ty.name())))
                            .at(a.span, format!("`{}` is {}", a.name, article(a.ty.name()))),
                    );
                }
            }
        }
    }

    fn field(&mut self, f: &FieldRef) -> Option<Node<'s>> {
        let (name, span) = (&*f.name, f.at.0);
        let Some(resolved) = self.schema.resolve(name) else {
            if self.schema.is_object(name) {
                self.object(name, span);
                return None;
            }
            if self.schema.is_open() {
                let column = Column {
                    name: name.into(),
                    field: None,
                    access: Access::Path(name.to_owned()),
                    types: Vec::new(),
                    key_below: false,
                };
                return Some(Node { kind: NodeKind::Column(Box::new(column)), ty: Ty::Unknown, span });
            }
            if f.optional {
                return Some(Node::constant(Value::Null, span));
            }
            let d = resolve::unknown_field(self.schema, name, span, Severity::Error);
            self.found.extend(d.map(|mut d| {
                if let Some(fix) = &mut d.fix {
                    fix.replacement = print::name(&fix.replacement);
                }
                d
            }));
            return None;
        };
        let mut field = resolved.field;
        let key_below = resolved.flattened_key.is_some();
        let mut types = field.types.clone();
        let families: Vec<Kind> = types.iter().map(|t| t.kind.family()).collect();
        let refused = if let Some(parent) =
            field.nested.as_ref().or((field.kind() == Kind::Nested).then_some(&field.name))
        {
            Some((Code::RP0203, format!("EQL cannot look into the nested field `{parent}`")))
        } else if field.kind() == Kind::Object {
            self.object(name, span);
            return None;
        } else if families.windows(2).any(|w| w.first() != w.last()) {
            Some((Code::RP0204, "EQL cannot use a field that indices map to different types".to_owned()))
        } else if matches!(
            field.kind(),
            Kind::Range | Kind::GeoPoint | Kind::GeoShape | Kind::Other | Kind::Flattened
        ) {
            Some((Code::RP0204, format!("EQL cannot use fields of type `{}`", field.kind())))
        } else if field.ty().normalized && field.kind().is_keyword() {
            let message = "a keyword field with a normalizer has no exact form".to_owned();
            Some((Code::RP0305, message))
        } else {
            None
        };
        if let Some((code, message)) = refused
            && self.refuse(field, name, code, &message, span)
        {
            return None;
        }
        let mut access = resolved.access;
        // the plan knows an alias by its target, a text field by its exact sub-field
        let mut plan_name: Box<str> = if key_below { name.into() } else { field.name.clone() };
        if field.kind().is_text() {
            match self.exact(field) {
                Ok(exact) => {
                    field = exact;
                    types = exact.types.clone();
                    let parent = exact.parent.as_deref().unwrap_or(&exact.name);
                    access = Access::Path(parent.to_owned());
                    plan_name = exact.name.clone();
                }
                Err(message) => {
                    if self.refuse(field, name, Code::RP0305, &message, span) {
                        return None;
                    }
                }
            }
        }
        let ty = Ty::of_kind(field.kind());
        let column = Column { name: plan_name, field: Some(field), access, types, key_below };
        Some(Node { kind: NodeKind::Column(Box::new(column)), ty, span })
    }

    fn object(&mut self, name: &str, span: Span) {
        self.found.push(
            Diagnostic::new(Code::RP0206, format!("`{name}` is an object, not a value"))
                .severity(Severity::Error)
                .at(span, "")
                .help("name one of the fields below it"),
        );
    }

    /// The one keyword sub-field by which a text field is compared.
    fn exact(&self, text: &Field) -> Result<&'s Field, String> {
        let schema = self.schema;
        let mut subs: Vec<&'s Field> = schema
            .iter()
            .filter(|f| {
                f.parent.as_deref() == Some(&*text.name) && f.kind().is_keyword() && !f.ty().normalized
            })
            .collect();
        match subs.len() {
            1 => Ok(subs.remove(0)),
            0 if schema.iter().any(|f| f.parent.as_deref() == Some(&*text.name) && f.ty().normalized) => {
                Err("the keyword sub-field of this text field has a normalizer, so it has no exact form"
                    .to_owned())
            }
            0 => Err("a text field without a keyword sub-field cannot be compared".to_owned()),
            _ => {
                subs.sort_by(|a, b| a.name.cmp(&b.name));
                let names: Vec<String> = subs.iter().map(|f| format!("`{}`", f.name)).collect();
                Err(format!(
                    "a text field with several keyword sub-fields is ambiguous; use {}",
                    names.join(" or ")
                ))
            }
        }
    }

    pub(super) fn node(&mut self, kind: NodeKind<'s>, ty: Ty, span: Span) -> Option<Node<'s>> {
        fold(Node { kind, ty, span }, &self.settings.context, &mut self.found)
    }

    pub(super) fn expr(&mut self, e: &Expr) -> Option<Node<'s>> {
        let span = e.span();
        match &e.kind {
            ExprKind::Literal(l) => Some(Node::constant(value(l), span)),
            ExprKind::Field(f) => self.field(f),
            ExprKind::Call(name, insensitive, args) => self.call(name, *insensitive, args, span),
            ExprKind::Negate(inner) => {
                let inner = self.number(inner, "-")?;
                let (ty, zero) = (inner.ty, Node::constant(Value::Int(0), span));
                self.node(
                    NodeKind::Arithmetic(Arithmetic::Subtract, Box::new(zero), Box::new(inner)),
                    ty,
                    span,
                )
            }
            ExprKind::Arithmetic(op, a, b) => {
                let (a, b) = (self.number(a, op.symbol()), self.number(b, op.symbol()));
                self.arithmetic(*op, a?, b?, span)
            }
            ExprKind::Compare(op, a, b) => self.compare(*op, a, b, span),
            ExprKind::In(value, op, list) => {
                let node = self.membership(value, op.case, list, span)?;
                if op.negated { self.negate(node, span) } else { Some(node) }
            }
            ExprKind::Match(value, op, patterns) => self.matching(value, *op, patterns, span),
            ExprKind::Not(inner) => {
                let inner = self.condition(inner)?;
                self.negate(inner, span)
            }
            ExprKind::And(parts) => {
                let parts = self.conditions(parts)?;
                self.node(NodeKind::And(parts), Ty::Boolean, span)
            }
            ExprKind::Or(parts) => {
                let parts = self.conditions(parts)?;
                self.node(NodeKind::Or(parts), Ty::Boolean, span)
            }
        }
    }

    fn negate(&mut self, node: Node<'s>, span: Span) -> Option<Node<'s>> {
        self.node(NodeKind::Not(Box::new(node)), Ty::Boolean, span)
    }

    fn condition(&mut self, e: &Expr) -> Option<Node<'s>> {
        let node = self.expr(e)?;
        let boolean = self.boolean(&node);
        boolean.then_some(node)
    }

    /// Every part is checked, also behind one with a mistake.
    fn conditions(&mut self, parts: &[Expr]) -> Option<Vec<Node<'s>>> {
        let nodes: Vec<Option<Node<'s>>> = parts.iter().map(|p| self.condition(p)).collect();
        nodes.into_iter().collect()
    }

    fn number(&mut self, e: &Expr, op: &str) -> Option<Node<'s>> {
        let node = self.expr(e)?;
        if node.ty.fits(Type::Number) {
            return Some(node);
        }
        self.found.push(
            Diagnostic::new(Code::RP0304, format!("`{op}` calculates with numbers"))
                .at(node.span, format!("this is {}", node.article())),
        );
        None
    }

    pub(super) fn arithmetic(
        &mut self,
        op: Arithmetic,
        a: Node<'s>,
        b: Node<'s>,
        span: Span,
    ) -> Option<Node<'s>> {
        let ty = if a.ty == Ty::Integer && b.ty == Ty::Integer { Ty::Integer } else { Ty::Number };
        self.node(NodeKind::Arithmetic(op, Box::new(a), Box::new(b)), ty, span)
    }

    fn compare(&mut self, op: CompareOp, a: &Expr, b: &Expr, span: Span) -> Option<Node<'s>> {
        let (a, b) = (self.expr(a), self.expr(b));
        let (a, b) = (a?, b?);
        let swap = a.value().is_some() && b.value().is_none();
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let (op, negated) = match (op, swap) {
            (CompareOp::Equal, _) => (Comparison::Equal, false),
            (CompareOp::NotEqual, _) => (Comparison::Equal, true),
            (CompareOp::Less, false) | (CompareOp::Greater, true) => (Comparison::Less, false),
            (CompareOp::LessEqual, false) | (CompareOp::GreaterEqual, true) => (Comparison::LessEqual, false),
            (CompareOp::Greater, false) | (CompareOp::Less, true) => (Comparison::Greater, false),
            (CompareOp::GreaterEqual, false) | (CompareOp::LessEqual, true) => {
                (Comparison::GreaterEqual, false)
            }
        };
        if b.value().is_none() {
            self.field_against_field(&b);
            return None;
        }
        let node = if op == Comparison::Equal && (a.is_null() || b.is_null()) {
            let other = if b.is_null() { a } else { b };
            self.node(NodeKind::IsNull(Box::new(other)), Ty::Boolean, span)?
        } else {
            if op == Comparison::Equal {
                self.known_value(&a, b.value(), b.span, false);
            }
            self.node(NodeKind::Compare(op, Box::new(a), Box::new(b)), Ty::Boolean, span)?
        };
        if negated { self.negate(node, span) } else { Some(node) }
    }

    pub(super) fn field_against_field(&mut self, offender: &Node<'s>) {
        self.found.push(
            Diagnostic::new(Code::RP0306, "EQL compares a field only with a constant")
                .at(offender.span, "this depends on a field")
                .help("a field can be compared with a field in ES|QL"),
        );
    }

    /// Findings on a string that a field is compared with; `one_of_many` says that others stand beside it.
    fn known_value(&mut self, left: &Node<'s>, right: Option<&Value>, span: Span, one_of_many: bool) {
        let (Some(field), Some(Value::Str(text))) = (left.column().and_then(|c| c.field), right) else {
            return;
        };
        let quoted = |v: &str| print::string(v, false);
        let name = field.parent.as_deref().unwrap_or(&field.name);
        let never = resolve::never_in_enumeration(name, text, span, self.settings, quoted);
        self.found.extend(never.map(|mut d| {
            if one_of_many {
                "this value can never match".clone_into(&mut d.message);
                d.severity = Severity::Warning;
            }
            d
        }));
        self.found.extend(resolve::longer_than_kept(field, name, text, span));
    }

    fn not_a_string(&mut self, node: &Node<'s>, op: &str) {
        let text = self.source(node.span);
        let mut d = Diagnostic::new(Code::RP0302, format!("`{op}` works on strings only"))
            .at(node.span, format!("`{text}` is {}", node.article()));
        d = match op {
            ":" => d.help("compare with `==`"),
            "in~" => d.help("use `in`"),
            _ if node.column().is_some_and(|c| c.types.iter().any(|t| t.kind == Kind::Ip)) => {
                d.help("use `cidrMatch`")
            }
            _ => d.help(format!("write `string({text}) {op} …`")),
        };
        self.found.push(d);
    }

    fn membership(&mut self, left: &Expr, case: Case, list: &[Expr], span: Span) -> Option<Node<'s>> {
        let left = self.expr(left);
        let mut values = Vec::with_capacity(list.len());
        let mut whole = true;
        for item in list {
            let Some(node) = self.expr(item) else {
                whole = false;
                continue;
            };
            let Some(value) = node.value().cloned() else {
                self.field_against_field(&node);
                whole = false;
                continue;
            };
            if let Some(left) = &left {
                // dates, addresses and versions are written as strings
                let written = matches!(left.ty, Ty::Of(_)) && node.ty == Ty::String;
                if !left.ty.compatible(node.ty) && !written {
                    let message = format!("this value is {}", node.article());
                    self.found.push(
                        Diagnostic::new(Code::RP0304, "the values of a list must be of the field's type")
                            .at(node.span, message)
                            .at(left.span, format!("this is {}", left.article())),
                    );
                    whole = false;
                    continue;
                }
                if case == Case::Sensitive {
                    self.known_value(left, Some(&value), node.span, list.len() > 1);
                }
            }
            values.push(value);
        }
        let left = left?;
        if case == Case::Insensitive && !left.ty.fits(Type::String) {
            self.not_a_string(&left, "in~");
            return None;
        }
        if !whole {
            return None;
        }
        self.node(NodeKind::In(Box::new(left), values, case), Ty::Boolean, span)
    }

    fn matching(
        &mut self,
        left: &Expr,
        op: MatchOp,
        patterns: &[(Literal, At)],
        span: Span,
    ) -> Option<Node<'s>> {
        let left = self.expr(left)?;
        if !left.ty.fits(Type::String) {
            self.not_a_string(&left, op.text());
            return None;
        }
        let mut texts: Vec<(Box<str>, Span)> = Vec::new();
        let mut whole = true;
        for (pattern, at) in patterns {
            match pattern {
                Literal::Str(text, _) => texts.push((text.clone(), at.0)),
                // null matches nothing
                Literal::Null => {}
                other => {
                    let text = print::literal(other);
                    self.found.push(
                        Diagnostic::new(Code::RP0302, format!("`{}` takes strings", op.text()))
                            .at(at.0, format!("`{text}` is {}", article(Ty::of_value(&value(other)).name())))
                            .help(format!("write `\"{text}\"`, or compare with `==`")),
                    );
                    whole = false;
                }
            }
        }
        if !whole {
            return None;
        }
        if texts.is_empty() {
            return Some(Node { kind: NodeKind::Const(Value::Null), ty: Ty::Boolean, span });
        }
        if !op.is_regex() {
            return self.node(NodeKind::Like(Box::new(left), texts, op.case()), Ty::Boolean, span);
        }
        let plain = left.column().is_some();
        let insensitive = op.case() == Case::Insensitive;
        for (text, at) in &texts {
            let prepared =
                if plain { Regexp::new(text, insensitive) } else { Regexp::java(text, insensitive) };
            if let Err(e) = prepared {
                let message = format!("in the regular expression, {e}");
                self.found.push(Diagnostic::new(Code::RP0102, message).at(*at, ""));
                whole = false;
            }
        }
        let all: Vec<&str> = texts.iter().map(|(t, _)| &**t).collect();
        let kind = NodeKind::Regexp(Box::new(left), all.join("|").into(), op.case());
        if whole { self.node(kind, Ty::Boolean, span) } else { None }
    }
}
