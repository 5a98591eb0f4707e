//! The tree of a Lucene query string: one level is a flat list of clauses, as Lucene itself has it.

use crate::es::wildcard::Part;
use crate::source::Span;

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The clauses; `None` for a blank text, which matches everything.
    pub root: Option<Group>,
}

/// The clauses of one level; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The clauses in their order.
    pub clauses: Vec<Clause>,
}

/// `AND` or `OR` before a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conjunction {
    /// `AND`, `&&`.
    And,
    /// `OR`, `||`.
    Or,
}

/// `+`, `-` or `NOT` before a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modifier {
    /// `+`.
    Must,
    /// `-`, `!`, `NOT`.
    Not,
}

/// One clause. Clauses are equal when they mean the same; spans do not count.
#[derive(Clone, Debug)]
pub struct Clause {
    /// The conjunction before it.
    pub conjunction: Option<Conjunction>,
    /// The modifier before it.
    pub modifier: Option<Modifier>,
    /// The field, where one is named.
    pub field: Option<Name>,
    /// What is asked.
    pub term: Term,
    /// `^n`, as it is written; it changes the order of results only.
    pub boost: Option<Box<str>>,
    /// The clause without its operators.
    pub span: Span,
}

impl PartialEq for Clause {
    fn eq(&self, other: &Self) -> bool {
        self.conjunction == other.conjunction
            && self.modifier == other.modifier
            && self.field == other.field
            && self.term == other.term
            && self.boost == other.boost
    }
}

/// A field name and where it stands.
#[derive(Clone, Debug)]
pub struct Name {
    /// The name, escapes resolved; a `*` in it is a pattern.
    pub text: Box<str>,
    /// Where.
    pub span: Span,
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// What a clause asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// A word, or several that are one text with single spaces.
    Words(Vec<Box<str>>),
    /// A `+`, `-` or `!` that stands alone: the text of that character.
    Operator(char),
    /// A text in double quotes, and how far its words may be apart.
    Quoted {
        /// The text.
        text: Box<str>,
        /// The digits after `~`.
        slop: Option<Box<str>>,
    },
    /// `*`.
    Star,
    /// `text*`.
    Prefix(Box<str>),
    /// A pattern.
    Wildcard(Vec<Part>),
    /// A regular expression, as it stands between the slashes.
    Regexp(Box<str>),
    /// `text~` and `text~n`: the text and what follows the tilde.
    Fuzzy(Box<str>, Box<str>),
    /// `[a TO b]`.
    Range {
        /// The lower bound; `None` for `*`.
        lower: Option<Box<str>>,
        /// Whether the bound itself counts.
        lower_inclusive: bool,
        /// The upper bound; `None` for `*`.
        upper: Option<Box<str>>,
        /// Whether the bound itself counts.
        upper_inclusive: bool,
    },
    /// A group in parentheses.
    Group(Group),
}
