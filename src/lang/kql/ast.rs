//! The tree of a KQL query. Value lists are expanded, parentheses are gone; wildcard markers are kept
//! apart from literal stars.

use crate::source::Span;
use std::fmt;
use std::sync::Arc;

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The condition; `None` for an empty text, which matches everything.
    pub root: Option<Node>,
}

/// A condition and where it stands. Nodes are equal when they mean the same; spans do not count.
#[derive(Clone, Debug)]
pub struct Node {
    /// The condition.
    pub kind: NodeKind,
    /// The whole clause; for an element of a value list, the element.
    pub span: Span,
}

/// The kinds of condition.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// All of them; at least two.
    And(Vec<Node>),
    /// One of them; at least two.
    Or(Vec<Node>),
    /// The complement.
    Not(Box<Node>),
    /// `field: value`, or a bare value.
    Is {
        /// The field; `None` for a bare value (also written `null: value`).
        field: Option<Arc<Term>>,
        /// The value.
        value: Term,
    },
    /// `field > value` and its like.
    Range {
        /// The field.
        field: Arc<Term>,
        /// The comparison.
        op: RangeOp,
        /// The bound.
        value: Term,
    },
    /// `path: { … }`: some object below the path satisfies the condition.
    Nested {
        /// The path, relative to the enclosing group.
        path: Arc<Term>,
        /// The condition.
        child: Box<Node>,
    },
}

/// A comparison with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RangeOp {
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

impl RangeOp {
    /// The operator as it is written.
    pub fn text(self) -> &'static str {
        match self {
            RangeOp::Greater => ">",
            RangeOp::GreaterEqual => ">=",
            RangeOp::Less => "<",
            RangeOp::LessEqual => "<=",
        }
    }
}

/// A field name or a value, and where it stands.
#[derive(Clone, Debug)]
pub struct Term {
    /// What it is.
    pub value: TermValue,
    /// Its text, quotes included, surrounding spaces not.
    pub span: Span,
}

/// What a literal of KQL can be. Numbers are texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TermValue {
    /// Unquoted `null`.
    Null,
    /// Unquoted `true` or `false`.
    Bool(bool),
    /// A text, escapes resolved.
    Text {
        /// The text.
        text: Box<str>,
        /// Whether it stood in double quotes.
        quoted: bool,
    },
    /// A pattern: the literal texts before, between and after the markers, so one more than there are
    /// markers (at least two).
    Wildcard(Vec<Box<str>>),
}

impl TermValue {
    /// Whether it is exactly one `*`.
    pub fn is_lone_star(&self) -> bool {
        matches!(self, TermValue::Wildcard(parts) if parts.len() == 2 && parts.iter().all(|p| p.is_empty()))
    }
}

impl fmt::Display for TermValue {
    /// The text with its escapes resolved; markers appear as `*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TermValue::Null => f.write_str("null"),
            TermValue::Bool(b) => write!(f, "{b}"),
            TermValue::Text { text, .. } => f.write_str(text),
            TermValue::Wildcard(parts) => f.write_str(&parts.join("*")),
        }
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
