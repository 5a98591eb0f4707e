//! What an EQL query is once it is parsed. Places do not count when two trees are compared.

use crate::es::Case;
use crate::func::Arithmetic;
use crate::lang::Cut;
use crate::source::Span;

/// A place in the query text; all places are equal, so that trees compare by what they mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct At(pub Span);

impl PartialEq for At {
    fn eq(&self, _: &At) -> bool {
        true
    }
}

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What it looks for.
    pub body: Body,
    /// How it cuts the list of results.
    pub pipes: Vec<Pipe>,
}

/// A pipe with its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pipe {
    /// What it does.
    pub cut: Cut,
    /// From its name to its argument.
    pub at: At,
}

/// What a query looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Single events.
    Event(Filter),
    /// Events in order.
    Sequence(Sequence),
    /// Events in any order.
    Sample(Group),
    /// The old `join`, which nothing runs.
    Join(Group),
}

/// `category where condition`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The event category; `None` for `any`.
    pub category: Option<Name>,
    /// What the event must satisfy.
    pub condition: Expr,
    /// All of it.
    pub at: At,
}

/// A name or text with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// Quotes and escapes removed.
    pub text: Box<str>,
    /// Where.
    pub at: At,
}

/// A field, quotes removed.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldRef {
    /// The dotted name.
    pub name: Box<str>,
    /// Whether a `?` stands before it: it need not exist.
    pub optional: bool,
    /// Where.
    pub at: At,
}

/// `sequence by … with maxspan=… […] […] until […]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// The keys that all items share.
    pub keys: Vec<FieldRef>,
    /// The most time from the first event to the last.
    pub maxspan: Option<Maxspan>,
    /// The items in order, not yet repeated.
    pub items: Vec<Item>,
    /// What ends an open sequence.
    pub until: Option<Item>,
    /// The leading keyword.
    pub at: At,
}

/// `sample` or `join`.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The keys that all items share.
    pub keys: Vec<FieldRef>,
    /// The items.
    pub items: Vec<Item>,
    /// `join` only.
    pub until: Option<Item>,
    /// The leading keyword.
    pub at: At,
}

/// One bracketed filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What the event must satisfy.
    pub filter: Filter,
    /// The item's own keys.
    pub keys: Vec<FieldRef>,
    /// Whether the event must be missing (`![`).
    pub missing: bool,
    /// How often the item stands in the sequence, 1 to 100.
    pub runs: u32,
    /// From bracket to bracket.
    pub at: At,
}

/// A span of time as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maxspan {
    /// How many units, at least 1.
    pub amount: u32,
    /// The unit.
    pub unit: Unit,
    /// The time span.
    pub at: At,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Unit {
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Days,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Unit; 5] = [Unit::Milliseconds, Unit::Seconds, Unit::Minutes, Unit::Hours, Unit::Days];

    /// As the query writes it.
    pub fn text(self) -> &'static str {
        match self {
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Minutes => "m",
            Unit::Hours => "h",
            Unit::Days => "d",
        }
    }

    /// Nanoseconds of one.
    pub fn nanos(self) -> i128 {
        match self {
            Unit::Milliseconds => 1_000_000,
            Unit::Seconds => 1_000_000_000,
            Unit::Minutes => 60_000_000_000,
            Unit::Hours => 3_600_000_000_000,
            Unit::Days => 86_400_000_000_000,
        }
    }
}

impl Maxspan {
    /// The span in nanoseconds.
    pub fn nanos(self) -> i128 {
        i128::from(self.amount) * self.unit.nanos()
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A string, and whether it was written raw (`"""…"""`).
    Str(Box<str>, bool),
    /// An integer.
    Int(i64),
    /// Any other number; finite.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where.
    pub at: At,
    /// How many levels stand below it, itself included; never more than the parser allows.
    pub height: usize,
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// A field.
    Field(FieldRef),
    /// A call; the flag says that the name ended in `~`.
    Call(Name, bool, Vec<Expr>),
    /// Unary minus on what is no number literal.
    Negate(Box<Expr>),
    /// A calculation.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// A comparison.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// `in (…)`.
    In(Box<Expr>, Membership, Vec<Expr>),
    /// `:`, `like`, `regex` with their patterns; at least one.
    Match(Box<Expr>, MatchOp, Vec<(Literal, At)>),
    /// The complement.
    Not(Box<Expr>),
    /// All of them; at least two.
    And(Vec<Expr>),
    /// One of them; at least two.
    Or(Vec<Expr>),
}

/// `==` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CompareOp {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl CompareOp {
    /// As the query writes it.
    pub fn text(self) -> &'static str {
        match self {
            CompareOp::Equal => "==",
            CompareOp::NotEqual => "!=",
            CompareOp::Less => "<",
            CompareOp::LessEqual => "<=",
            CompareOp::Greater => ">",
            CompareOp::GreaterEqual => ">=",
        }
    }
}

/// The forms of `in`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// `not in`.
    pub negated: bool,
    /// `in~` ignores case.
    pub case: Case,
}

impl Membership {
    /// As the query writes it.
    pub fn text(self) -> &'static str {
        match (self.negated, self.case) {
            (false, Case::Sensitive) => "in",
            (false, Case::Insensitive) => "in~",
            (true, Case::Sensitive) => "not in",
            (true, Case::Insensitive) => "not in~",
        }
    }
}

/// The operators that take patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MatchOp {
    Colon,
    Like,
    LikeInsensitive,
    Regex,
    RegexInsensitive,
}

impl MatchOp {
    /// As the query writes it.
    pub fn text(self) -> &'static str {
        match self {
            MatchOp::Colon => ":",
            MatchOp::Like => "like",
            MatchOp::LikeInsensitive => "like~",
            MatchOp::Regex => "regex",
            MatchOp::RegexInsensitive => "regex~",
        }
    }

    /// Whether it ignores case.
    pub fn case(self) -> Case {
        match self {
            MatchOp::Like | MatchOp::Regex => Case::Sensitive,
            _ => Case::Insensitive,
        }
    }

    /// Whether its patterns are regular expressions.
    pub fn is_regex(self) -> bool {
        matches!(self, MatchOp::Regex | MatchOp::RegexInsensitive)
    }
}

impl Expr {
    /// An expression; its height is one more than that of its highest part.
    pub fn new(kind: ExprKind, span: Span) -> Expr {
        let below = match &kind {
            ExprKind::Literal(_) | ExprKind::Field(_) => 0,
            ExprKind::Call(_, _, parts) | ExprKind::And(parts) | ExprKind::Or(parts) => highest(parts),
            ExprKind::Negate(e) | ExprKind::Not(e) | ExprKind::Match(e, ..) => e.height,
            ExprKind::In(e, _, list) => e.height.max(highest(list)),
            ExprKind::Arithmetic(_, a, b) | ExprKind::Compare(_, a, b) => a.height.max(b.height),
        };
        Expr { kind, at: At(span), height: below + 1 }
    }

    /// Where it stands.
    pub fn span(&self) -> Span {
        self.at.0
    }

    /// Calls `f` on every field, in order.
    pub fn visit_fields<'e>(&'e self, f: &mut dyn FnMut(&'e FieldRef)) {
        match &self.kind {
            ExprKind::Literal(_) => {}
            ExprKind::Field(field) => f(field),
            ExprKind::Call(_, _, parts) | ExprKind::And(parts) | ExprKind::Or(parts) => {
                parts.iter().for_each(|e| e.visit_fields(f));
            }
            ExprKind::Negate(e) | ExprKind::Not(e) | ExprKind::Match(e, ..) => e.visit_fields(f),
            ExprKind::In(e, _, list) => {
                e.visit_fields(f);
                list.iter().for_each(|e| e.visit_fields(f));
            }
            ExprKind::Arithmetic(_, a, b) | ExprKind::Compare(_, a, b) => {
                a.visit_fields(f);
                b.visit_fields(f);
            }
        }
    }
}

fn highest(parts: &[Expr]) -> usize {
    parts.iter().map(|e| e.height).max().unwrap_or(0)
}

impl Query {
    /// The filters in order, `until` last, each with the keys of its item.
    pub fn filters(&self) -> Vec<(&Filter, &[FieldRef])> {
        match &self.body {
            Body::Event(f) => vec![(f, &[])],
            Body::Sequence(s) => s.items.iter().chain(&s.until).map(|i| (&i.filter, &*i.keys)).collect(),
            Body::Sample(g) | Body::Join(g) => {
                g.items.iter().chain(&g.until).map(|i| (&i.filter, &*i.keys)).collect()
            }
        }
    }

    /// The items of a sequence or sample in order, without `until`.
    pub fn items(&self) -> &[Item] {
        match &self.body {
            Body::Event(_) => &[],
            Body::Sequence(s) => &s.items,
            Body::Sample(g) | Body::Join(g) => &g.items,
        }
    }

    /// The keys that all items share.
    pub fn shared_keys(&self) -> &[FieldRef] {
        match &self.body {
            Body::Event(_) => &[],
            Body::Sequence(s) => &s.keys,
            Body::Sample(g) | Body::Join(g) => &g.keys,
        }
    }
}
