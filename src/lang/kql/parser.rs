//! The parser of KQL: accepts and refuses exactly what Kibana does, in linear time, and goes on after
//! an error at the next `and`, `or` or closing bracket.

use super::ast::{Node, NodeKind, Query, RangeOp, Term, TermValue};
use super::lexer::{Lexer, Operator};
use crate::diag::Diagnostic;
use crate::lang::MAX_DEPTH;
use crate::source::Span;
use std::sync::Arc;

/// How many errors one query may give.
const MAX_ERRORS: usize = 20;

/// What came of parsing a query.
#[derive(Debug)]
pub struct Parsed {
    /// The tree; `None` when an error was found.
    pub query: Option<Query>,
    /// The errors, in order of place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a query; never fails in another way than by a diagnostic.
pub fn parse(text: &str) -> Parsed {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        open: Vec::new(),
        last: Last { kind: LastKind::Closed, span: Span::default() },
        silent: false,
        diagnostics: Vec::new(),
    };
    let root = parser.top();
    let query = (parser.diagnostics.is_empty()).then_some(Query { root });
    Parsed { query, diagnostics: parser.diagnostics }
}

/// What the operands of a group are.
enum Mode {
    Query,
    /// Values for this field.
    List(Arc<Term>),
}

/// What was read last; an error after it is explained by it.
#[derive(Clone, Copy)]
pub(super) struct Last {
    pub(super) kind: LastKind,
    pub(super) span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LastKind {
    /// An unquoted text where a field or a bare value may stand.
    Bare,
    /// An unquoted value.
    Value,
    /// A quoted text.
    Quoted,
    /// A closing bracket.
    Closed,
}

pub(super) struct Parser<'t> {
    pub(super) lexer: Lexer<'t>,
    /// The closing brackets that are waited for.
    open: Vec<u8>,
    pub(super) last: Last,
    /// Set when what follows would only repeat an error.
    silent: bool,
    diagnostics: Vec<Diagnostic>,
}

impl Parser<'_> {
    pub(super) fn report(&mut self, d: Diagnostic) {
        if !self.silent && self.diagnostics.len() < MAX_ERRORS {
            self.diagnostics.push(d);
        }
    }

    /// Ends the reading: nothing sensible can follow.
    pub(super) fn stop(&mut self) {
        self.lexer.pos = self.lexer.text.len();
        self.silent = true;
    }

    fn top(&mut self) -> Option<Node> {
        self.lexer.skip_spaces();
        self.lexer.next()?;
        loop {
            let root = self.group(&Mode::Query, Operator::Or);
            self.lexer.skip_spaces();
            if self.lexer.next().is_none() {
                return root;
            }
            // only a closing bracket stops a group before the end
            self.stray_closer();
            while matches!(self.lexer.next(), Some(b')' | b'}')) {
                self.lexer.pos += 1;
                self.recover();
            }
            match self.lexer.operator(self.lexer.pos) {
                Some((_, next)) => self.lexer.pos = next,
                None => return None,
            }
        }
    }

    /// One or more operands joined by `op`; an operand of `or` is a group of `and`.
    fn group(&mut self, mode: &Mode, op: Operator) -> Option<Node> {
        let mut first = None;
        let mut rest: Vec<Node> = Vec::new();
        let mut failed = false;
        loop {
            let part = match op {
                Operator::Or => self.group(mode, Operator::And),
                Operator::And => self.operand_to_boundary(mode),
            };
            match part {
                None => failed = true,
                Some(node) if first.is_none() => first = Some(node),
                Some(node) => rest.push(node),
            }
            match self.lexer.operator(self.lexer.pos) {
                Some((found, next)) if found == op => self.lexer.pos = next,
                _ => break,
            }
        }
        if failed {
            return None;
        }
        let first = first?;
        let Some(last) = rest.last() else { return Some(first) };
        let span = first.span.to(last.span);
        rest.insert(0, first);
        let kind = match op {
            Operator::Or => NodeKind::Or(rest),
            Operator::And => NodeKind::And(rest),
        };
        Some(Node { kind, span })
    }

    fn operand_to_boundary(&mut self, mode: &Mode) -> Option<Node> {
        let node = self.operand(mode);
        if node.is_some() {
            if self.at_boundary() {
                return node;
            }
            self.unexpected(matches!(mode, Mode::List(_)));
        }
        self.recover();
        None
    }

    /// Whether an operator, a closing bracket or the end comes next.
    fn at_boundary(&self) -> bool {
        let at = self.lexer.spaces_end(self.lexer.pos);
        matches!(self.lexer.byte(at), None | Some(b')' | b'}'))
            || self.lexer.operator(self.lexer.pos).is_some()
    }

    /// Goes to the next place where a condition may end: an operator, a closing bracket, the end.
    fn recover(&mut self) {
        let mut open = 0usize;
        while let Some(byte) = self.lexer.next() {
            let at = self.lexer.pos;
            match byte {
                b'"' => self.lexer.pos = self.lexer.quoted_end(at).unwrap_or(at + 1),
                b'(' | b'{' => {
                    open += 1;
                    self.lexer.pos += 1;
                }
                b')' | b'}' if open == 0 => return,
                b')' | b'}' => {
                    open -= 1;
                    self.lexer.pos += 1;
                }
                _ if self.lexer.space(at) > 0 => {
                    if open == 0 && self.lexer.operator(at).is_some() {
                        return;
                    }
                    self.lexer.skip_spaces();
                }
                b'\\' => {
                    let next = self.lexer.char_at(at + 1).map_or(0, char::len_utf8);
                    self.lexer.pos += 1 + next;
                }
                _ => self.lexer.pos += self.lexer.char_at(at).map_or(1, char::len_utf8),
            }
        }
    }

    fn operand(&mut self, mode: &Mode) -> Option<Node> {
        let start = self.lexer.pos;
        let Some(next) = self.lexer.not(start) else { return self.primary(mode) };
        self.lexer.pos = next;
        let child = self.primary(mode)?;
        let span = Span::new(start, self.last.span.end as usize);
        Some(Node { kind: NodeKind::Not(Box::new(child)), span })
    }

    fn primary(&mut self, mode: &Mode) -> Option<Node> {
        if self.lexer.next() == Some(b'(') {
            return self.bracketed(mode, b')');
        }
        match mode {
            Mode::Query => self.clause(),
            Mode::List(field) => {
                let value = self.value(Place::List)?;
                Some(is(field, value))
            }
        }
    }

    /// A group in brackets; the opening one comes next.
    fn bracketed(&mut self, mode: &Mode, closer: u8) -> Option<Node> {
        let open = self.lexer.pos;
        if self.open.len() >= MAX_DEPTH {
            self.too_deep();
            return None;
        }
        self.open.push(closer);
        self.lexer.pos += 1;
        self.lexer.skip_spaces();
        let inner = self.group(mode, Operator::Or);
        self.lexer.skip_spaces();
        self.open.pop();
        if self.lexer.next() != Some(closer) {
            self.unclosed(open, closer);
            // a wrong bracket that nobody else waits for is taken for the right one
            if self.lexer.next().is_some_and(|found| !self.open.contains(&found)) {
                self.lexer.pos += 1;
            }
            return None;
        }
        self.lexer.pos += 1;
        self.last = Last { kind: LastKind::Closed, span: Span::new(open, self.lexer.pos) };
        inner
    }

    fn clause(&mut self) -> Option<Node> {
        let term = self.value(Place::Condition)?;
        let lexer = self.lexer;
        let after = lexer.spaces_end(lexer.pos);
        let (op, width) = match (lexer.byte(after), lexer.byte(after + 1)) {
            (Some(b':'), _) => {
                self.lexer.pos = after + 1;
                self.lexer.skip_spaces();
                return self.field_clause(term);
            }
            (Some(b'<'), Some(b'=')) => (RangeOp::LessEqual, 2),
            (Some(b'>'), Some(b'=')) => (RangeOp::GreaterEqual, 2),
            (Some(b'<'), _) => (RangeOp::Less, 1),
            (Some(b'>'), _) => (RangeOp::Greater, 1),
            _ => {
                let span = term.span;
                return Some(Node { kind: NodeKind::Is { field: None, value: term }, span });
            }
        };
        self.lexer.pos = after + width;
        self.lexer.skip_spaces();
        let value = self.value(Place::Bound(op))?;
        let span = term.span.to(value.span);
        Some(Node { kind: NodeKind::Range { field: Arc::new(term), op, value }, span })
    }

    /// What follows `field:`.
    fn field_clause(&mut self, field: Term) -> Option<Node> {
        let start = field.span;
        let field = Arc::new(field);
        match self.lexer.next() {
            Some(b'{') => {
                let child = self.bracketed(&Mode::Query, b'}')?;
                let span = start.to(self.last.span);
                Some(Node { kind: NodeKind::Nested { path: field, child: Box::new(child) }, span })
            }
            Some(b'(') => self.bracketed(&Mode::List(field), b')'),
            _ => {
                let value = self.value(Place::Field(start))?;
                let span = start.to(value.span);
                Some(Node { span, ..is(&field, value) })
            }
        }
    }

    /// A literal, or an error that says what is missing here.
    fn value(&mut self, place: Place) -> Option<Term> {
        let Some(term) = self.lexer.literal() else {
            self.missing(place);
            return None;
        };
        let kind = match (&term.value, place) {
            (TermValue::Text { quoted: true, .. }, _) => LastKind::Quoted,
            (_, Place::Condition) => LastKind::Bare,
            _ => LastKind::Value,
        };
        self.last = Last { kind, span: term.span };
        Some(term)
    }
}

/// Where a literal is expected.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A field or a bare value.
    Condition,
    /// An element of a value list.
    List,
    /// After `field:`; the field's span.
    Field(Span),
    /// After a comparison.
    Bound(RangeOp),
}

fn is(field: &Arc<Term>, value: Term) -> Node {
    let span = value.span;
    // Kibana's tree cannot tell the field `null` from no field
    let field = (field.value != TermValue::Null).then(|| Arc::clone(field));
    Node { kind: NodeKind::Is { field, value }, span }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(node: &Node, text: &str, out: &mut Vec<String>) {
        out.push(node.span.slice(text).to_owned());
        match &node.kind {
            NodeKind::And(parts) | NodeKind::Or(parts) => parts.iter().for_each(|p| spans(p, text, out)),
            NodeKind::Not(child) | NodeKind::Nested { child, .. } => spans(child, text, out),
            NodeKind::Is { .. } | NodeKind::Range { .. } => {}
        }
    }

    #[test]
    fn every_node_knows_its_text() {
        let text = "not (a : x or b) and n:{ \"c\" >= \"1\" } or d:(e or not f )";
        let mut out = Vec::new();
        spans(parse(text).query.unwrap().root.as_ref().unwrap(), text, &mut out);
        let and = "not (a : x or b) and n:{ \"c\" >= \"1\" }";
        let all = format!("{and} or d:(e or not f");
        let expected = [
            all.as_str(),
            and,
            "not (a : x or b)",
            "a : x or b",
            "a : x",
            "b",
            "n:{ \"c\" >= \"1\" }",
            "\"c\" >= \"1\"",
            "e or not f",
            "e",
            "not f",
            "f",
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn groups_are_flat_and_parentheses_keep_their_own() {
        let count = |text: &str| match parse(text).query.unwrap().root.unwrap().kind {
            NodeKind::And(parts) | NodeKind::Or(parts) => parts.len(),
            _ => 1,
        };
        assert_eq!(count("a or b or c"), 3);
        assert_eq!(count("(a or b) or c"), 2);
        assert_eq!(count("a:(b and c and d)"), 3);
    }

    #[test]
    fn long_and_hostile_texts_take_linear_time() {
        for piece in [" ", "not", "a ", "\\", "\"", ")", "a:b:c and ", "n  ", "* ", "a\u{a0}", "(}", "or "] {
            let text = piece.repeat(100_000);
            let parsed = parse(&format!("a{text}b"));
            assert!(parsed.diagnostics.len() <= MAX_ERRORS);
        }
    }
}
