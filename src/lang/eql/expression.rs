//! Expressions: operator precedence over calls, fields and constants.

use super::ast::{At, CompareOp, Expr, ExprKind, FieldRef, Literal, MatchOp, Membership, Name};
use super::lexer::Kind;
use super::parser::Parser;
use crate::diag::{Code, Diagnostic, Safety};
use crate::es::Case;
use crate::func::Arithmetic;
use crate::lang::MAX_DEPTH;
use crate::source::Span;

/// Binding powers, from loose to tight; `print` uses the same numbers.
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const COMPARE: u8 = 4;
const ADD: u8 = 5;
const MULTIPLY: u8 = 6;
const UNARY: u8 = 7;

impl Parser<'_> {
    /// An expression of operators that bind at least as tightly as `least`.
    pub(super) fn expression(&mut self, least: u8) -> Option<Expr> {
        if self.depth >= MAX_DEPTH {
            return self.too_deep(self.span());
        }
        self.depth += 1;
        let result = self.operators(least);
        self.depth -= 1;
        result
    }

    fn too_deep<T>(&mut self, span: Span) -> Option<T> {
        self.report(
            Diagnostic::new(Code::RP0104, "the query is nested too deep")
                .at(span, format!("at most {MAX_DEPTH} levels are read")),
        );
        None
    }

    fn node(&mut self, kind: ExprKind, span: Span) -> Option<Expr> {
        let e = Expr::new(kind, span);
        if e.height > MAX_DEPTH { self.too_deep(span) } else { Some(e) }
    }

    fn operators(&mut self, least: u8) -> Option<Expr> {
        let start = self.span();
        let mut left = self.prefix(least)?;
        loop {
            if self.is_word("or") && least <= OR {
                left = self.chain(left, "or", AND, ExprKind::Or)?;
                continue;
            }
            if self.is_word("and") && least <= AND {
                left = self.chain(left, "and", NOT, ExprKind::And)?;
                continue;
            }
            if let Some(op) = self.compare_op().filter(|_| least <= COMPARE) {
                self.skip();
                let right = self.expression(ADD)?;
                left =
                    self.node(ExprKind::Compare(op, Box::new(left), Box::new(right)), self.since(start))?;
                if self.compare_op().is_some() {
                    let d = Diagnostic::new(Code::RP0101, "comparisons cannot be chained")
                        .at(self.span(), "")
                        .help("join two comparisons with `and`");
                    self.report(d);
                    return None;
                }
                continue;
            }
            let Some((op, own)) = self.arithmetic_op().filter(|(_, own)| least <= *own) else {
                return Some(left);
            };
            self.skip();
            let right = self.expression(own + 1)?;
            left = self.node(ExprKind::Arithmetic(op, Box::new(left), Box::new(right)), self.since(start))?;
        }
    }

    fn chain(
        &mut self,
        first: Expr,
        word: &'static str,
        least: u8,
        kind: fn(Vec<Expr>) -> ExprKind,
    ) -> Option<Expr> {
        let start = first.span();
        let mut parts = vec![first];
        while self.eat_word(word) {
            parts.push(self.expression(least)?);
        }
        self.node(kind(parts), self.since(start))
    }

    /// The comparison at the next token; `=` is reported and taken for `==`.
    fn compare_op(&mut self) -> Option<CompareOp> {
        Some(match self.kind() {
            Kind::Sym("==") => CompareOp::Equal,
            Kind::Sym("!=") => CompareOp::NotEqual,
            Kind::Sym("<") => CompareOp::Less,
            Kind::Sym("<=") => CompareOp::LessEqual,
            Kind::Sym(">") => CompareOp::Greater,
            Kind::Sym(">=") => CompareOp::GreaterEqual,
            _ => return None,
        })
    }

    fn arithmetic_op(&self) -> Option<(Arithmetic, u8)> {
        Some(match self.kind() {
            Kind::Sym("+") => (Arithmetic::Add, ADD),
            Kind::Sym("-") => (Arithmetic::Subtract, ADD),
            Kind::Sym("*") => (Arithmetic::Multiply, MULTIPLY),
            Kind::Sym("/") => (Arithmetic::Divide, MULTIPLY),
            Kind::Sym("%") => (Arithmetic::Modulo, MULTIPLY),
            _ => return None,
        })
    }

    fn prefix(&mut self, least: u8) -> Option<Expr> {
        let start = self.span();
        match self.kind() {
            Kind::Word("not") if least <= NOT => {
                self.skip();
                let inner = self.expression(NOT)?;
                self.node(ExprKind::Not(Box::new(inner)), self.since(start))
            }
            Kind::Sym("-") => {
                self.skip();
                let inner = self.expression(UNARY)?;
                let span = self.since(start);
                let kind = match inner.kind {
                    ExprKind::Literal(Literal::Int(i)) if i != i64::MIN => {
                        ExprKind::Literal(Literal::Int(-i))
                    }
                    ExprKind::Literal(Literal::Float(f)) => ExprKind::Literal(Literal::Float(-f)),
                    _ => ExprKind::Negate(Box::new(inner)),
                };
                self.node(kind, span)
            }
            Kind::Sym("+") => {
                self.skip();
                self.expression(UNARY)
            }
            Kind::Ident if matches!(self.token(1).kind, Kind::Word("of")) => self.relation(),
            _ => {
                let primary = self.primary()?;
                self.predicate(primary, start)
            }
        }
    }

    /// `child of […]` and its like.
    fn relation<T>(&mut self) -> Option<T> {
        let start = self.span();
        self.skip();
        self.skip();
        self.report(
            Diagnostic::new(Code::RP0105, "Elasticsearch does not support process relationships")
                .at(self.since(start), "")
                .help("use a sequence with join keys"),
        );
        None
    }

    fn predicate(&mut self, value: Expr, start: Span) -> Option<Expr> {
        let negated = self.is_word("not") && matches!(self.token(1).kind, Kind::Word("in" | "in~"));
        if negated {
            self.skip();
        }
        let case = match self.kind() {
            Kind::Word("in") => Some(Case::Sensitive),
            Kind::Word("in~") => Some(Case::Insensitive),
            _ => None,
        };
        if let Some(case) = case {
            self.skip();
            self.expect("(")?;
            let list = self.list()?;
            let op = Membership { negated, case };
            return self.node(ExprKind::In(Box::new(value), op, list), self.since(start));
        }
        let op = match self.kind() {
            Kind::Sym(":") => MatchOp::Colon,
            Kind::Word("like") => MatchOp::Like,
            Kind::Word("like~") => MatchOp::LikeInsensitive,
            Kind::Word("regex") => MatchOp::Regex,
            Kind::Word("regex~") => MatchOp::RegexInsensitive,
            Kind::Sym("=") => {
                let equals = self.span();
                self.report(
                    Diagnostic::new(Code::RP0101, "`=` is no comparison")
                        .at(equals, "")
                        .help("did you mean `==`?")
                        .fix(equals, "==", Safety::Safe),
                );
                self.skip();
                let right = self.expression(ADD)?;
                let kind = ExprKind::Compare(CompareOp::Equal, Box::new(value), Box::new(right));
                return self.node(kind, self.since(start));
            }
            _ => return Some(value),
        };
        self.skip();
        let mut patterns = Vec::new();
        if self.eat("(") {
            loop {
                patterns.push(self.pattern(op)?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        } else {
            patterns.push(self.pattern(op)?);
        }
        self.node(ExprKind::Match(Box::new(value), op, patterns), self.since(start))
    }

    fn pattern(&mut self, op: MatchOp) -> Option<(Literal, At)> {
        let at = At(self.span());
        match self.constant() {
            Some(l) => Some((l, at)),
            None => self.expected(&format!("a constant behind `{}`", op.text())),
        }
    }

    fn constant(&mut self) -> Option<Literal> {
        let l = match self.kind() {
            Kind::Literal(l) => l.clone(),
            Kind::Word("true") => Literal::Bool(true),
            Kind::Word("false") => Literal::Bool(false),
            Kind::Word("null") => Literal::Null,
            _ => return None,
        };
        self.skip();
        Some(l)
    }

    /// Expressions up to the closing parenthesis; at least one.
    fn list(&mut self) -> Option<Vec<Expr>> {
        let mut list = Vec::new();
        loop {
            list.push(self.expression(0)?);
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        Some(list)
    }

    fn primary(&mut self) -> Option<Expr> {
        let start = self.span();
        if let Some(l) = self.constant() {
            return Some(Expr::new(ExprKind::Literal(l), start));
        }
        match self.kind() {
            Kind::Sym("(") => {
                self.skip();
                let inner = self.expression(0)?;
                self.expect(")")?;
                Some(Expr { at: At(self.since(start)), ..inner })
            }
            Kind::Ident if matches!(self.token(1).kind, Kind::Sym("(")) => self.call(false),
            Kind::TildeIdent => self.call(true),
            Kind::Ident | Kind::Quoted(_) | Kind::Sym("?") => {
                let field = self.field()?;
                Some(Expr::new(ExprKind::Field(field), self.since(start)))
            }
            Kind::Word(
                "sequence" | "sample" | "join" | "until" | "with" | "maxspan" | "by" | "any" | "of",
            ) => {
                let field = self.field()?;
                Some(Expr::new(ExprKind::Field(field), self.since(start)))
            }
            _ => self.expected("an expression"),
        }
    }

    fn call(&mut self, insensitive: bool) -> Option<Expr> {
        let start = self.span();
        let text = self.slice(start);
        self.skip();
        self.expect("(")?;
        let args = if self.eat(")") { Vec::new() } else { self.list()? };
        let name = Name { text: text.strip_suffix('~').unwrap_or(text).into(), at: At(start) };
        self.node(ExprKind::Call(name, insensitive, args), self.since(start))
    }

    pub(super) fn field(&mut self) -> Option<FieldRef> {
        let start = self.span();
        let optional = self.eat("?");
        let mut name = String::new();
        loop {
            let span = self.span();
            match self.kind().clone() {
                Kind::Ident => name.push_str(self.slice(span)),
                Kind::Quoted(part) => name.push_str(&part),
                Kind::Word(word) => {
                    self.report(
                        Diagnostic::new(Code::RP0101, format!("`{word}` is a keyword"))
                            .at(span, "")
                            .help(format!("a field of this name stands in backticks: `` `{word}` ``"))
                            .fix(span, format!("`{word}`"), Safety::Suggested),
                    );
                    name.push_str(word);
                }
                _ => return self.expected("the name of a field"),
            }
            self.skip();
            if self.is("[") && matches!(self.token(1).kind, Kind::Literal(Literal::Int(_))) {
                let index = self.span();
                self.skip();
                self.skip();
                self.eat("]");
                self.report(
                    Diagnostic::new(Code::RP0105, "Elasticsearch does not support array indexes")
                        .at(self.since(index), "")
                        .help("a comparison already holds if any value of the array satisfies it"),
                );
            }
            if !self.eat(".") {
                break;
            }
            name.push('.');
        }
        Some(FieldRef { name: name.into(), optional, at: At(self.since(start)) })
    }
}
