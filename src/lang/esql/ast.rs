//! The tree of an ES|QL query, as written.

use crate::source::Span;

/// A place in the query's text. It is no part of what a tree means: all places are equal.
#[derive(Clone, Copy, Debug, Default)]
pub struct At(pub Span);

impl PartialEq for At {
    fn eq(&self, _: &At) -> bool {
        true
    }
}

/// A query: commands, the first of which is a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The commands in order.
    pub commands: Vec<Command>,
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// What it does.
    pub kind: CommandKind,
    /// The whole of it, its name first.
    pub at: At,
}

/// A column's name, backquotes removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The dotted name.
    pub text: String,
    /// Where.
    pub at: At,
}

/// A name that may hold wildcards.
#[derive(Clone, Debug, PartialEq)]
pub struct NamePattern {
    /// Literal parts; between two of them stands a `*`. One part is a plain name.
    pub parts: Vec<String>,
    /// Where.
    pub at: At,
}

impl NamePattern {
    /// The name, where it has no wildcard.
    pub fn exact(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether it is `*` alone.
    pub fn is_star(&self) -> bool {
        self.parts.len() > 1 && self.parts.iter().all(String::is_empty)
    }

    /// The pattern with its wildcards.
    pub fn text(&self) -> String {
        self.parts.join("*")
    }

    /// Whether a name fits.
    pub fn matches(&self, name: &str) -> bool {
        let (Some(first), Some(last)) = (self.parts.first(), self.parts.last()) else { return false };
        if self.parts.len() == 1 {
            return first == name;
        }
        let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
        for part in self.parts.iter().skip(1).take(self.parts.len().saturating_sub(2)) {
            match rest.find(part.as_str()) {
                Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

/// An expression with the name of the column that it makes, if one is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Assign {
    /// The name.
    pub name: Option<Name>,
    /// The expression.
    pub value: Expr,
}

/// An item of `STATS`.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// What is computed.
    pub item: Assign,
    /// The condition of the rows that count.
    pub filter: Option<Expr>,
}

/// A key of `SORT`.
#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    /// What is sorted by.
    pub expr: Expr,
    /// `ASC` (false) or `DESC` (true), as written.
    pub descending: Option<bool>,
    /// `NULLS FIRST` (true) or `NULLS LAST`, as written.
    pub nulls_first: Option<bool>,
}

/// An entry of `{"key": value}`.
#[derive(Clone, Debug, PartialEq)]
pub struct MapEntry {
    /// The key.
    pub key: String,
    /// The constant, or another map.
    pub value: MapValue,
}

/// A value of a map.
#[derive(Clone, Debug, PartialEq)]
pub enum MapValue {
    /// A constant.
    Constant(Literal),
    /// A map.
    Map(Vec<MapEntry>),
}

/// A string that a command takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// The string.
    pub text: String,
    /// Where it stands, quotes included.
    pub at: At,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandKind {
    /// `FROM`; `TS` for time series.
    From {
        /// Whether it is `TS`.
        series: bool,
        /// Index names and patterns.
        indices: Vec<Text>,
        /// Metadata fields.
        metadata: Vec<Name>,
    },
    /// `ROW`.
    Row(Vec<Assign>),
    /// `SHOW INFO`.
    Show,
    /// `WHERE`.
    Where(Expr),
    /// `EVAL`.
    Eval(Vec<Assign>),
    /// `KEEP`.
    Keep(Vec<NamePattern>),
    /// `DROP`.
    Drop(Vec<NamePattern>),
    /// `RENAME`: old and new names.
    Rename(Vec<(Name, Name)>),
    /// `STATS` and `INLINE STATS`.
    Stats {
        /// Whether it is `INLINE STATS`.
        inline: bool,
        /// The aggregates.
        aggregates: Vec<Aggregate>,
        /// The keys.
        by: Vec<Assign>,
    },
    /// `SORT`.
    Sort(Vec<SortKey>),
    /// `LIMIT`.
    Limit(Expr),
    /// `MV_EXPAND`.
    Expand(Name),
    /// `DISSECT`.
    Dissect {
        /// The text.
        input: Expr,
        /// The pattern.
        pattern: Text,
        /// `APPEND_SEPARATOR`.
        separator: Option<Text>,
    },
    /// `GROK`.
    Grok {
        /// The text.
        input: Expr,
        /// The patterns.
        patterns: Vec<Text>,
    },
    /// `COMPLETION`.
    Completion {
        /// The column that it makes.
        target: Option<Name>,
        /// The prompt.
        prompt: Expr,
        /// `WITH`: a map, or the id of an endpoint.
        options: Vec<MapEntry>,
    },
    /// `ENRICH`.
    Enrich {
        /// The policy.
        policy: Text,
        /// The column to match.
        on: Option<Name>,
        /// New names and enrich fields.
        with: Vec<(Option<Name>, Name)>,
    },
    /// `LOOKUP JOIN`.
    Lookup {
        /// The index.
        index: Text,
        /// What rows are joined on.
        on: Vec<Expr>,
    },
    /// A command that is only looked at as far as its tokens go: `FORK`, `SAMPLE`, `CHANGE_POINT`, `RERANK`, `FUSE`.
    Opaque {
        /// Its name in upper case.
        name: &'static str,
        /// Its text.
        text: String,
    },
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Digits, with a sign inside arrays.
    Integer(String),
    /// A decimal number.
    Decimal(f64),
    /// A string.
    Str(String),
    /// `5 minutes`.
    Span(i64, String),
    /// `[1, 2]`.
    Array(Vec<Literal>),
}

/// `== < …`.
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
    /// The operator.
    pub fn symbol(self) -> &'static str {
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

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, parentheses around it left out.
    pub at: At,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// A column.
    Column(String),
    /// A parameter, `?` or `?name`.
    Param(String),
    /// A call.
    Call {
        /// The function as written.
        name: Name,
        /// Whether it is called with `*`.
        star: bool,
        /// The arguments.
        args: Vec<Expr>,
        /// Options, `{"key": value}`.
        options: Vec<MapEntry>,
    },
    /// `-` (true) or `+`.
    Sign(bool, Box<Expr>),
    /// `+ - * / %`.
    Arithmetic(crate::plan::Arithmetic, Box<Expr>, Box<Expr>),
    /// A comparison.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// All of them.
    And(Vec<Expr>),
    /// One of them.
    Or(Vec<Expr>),
    /// `NOT`.
    Not(Box<Expr>),
    /// `IN`; true for `NOT IN`.
    In(bool, Box<Expr>, Vec<Expr>),
    /// `IS NULL`; true for `IS NOT NULL`.
    IsNull(bool, Box<Expr>),
    /// `LIKE` and `RLIKE`.
    Like {
        /// Whether it is `NOT LIKE`.
        negated: bool,
        /// Whether it is `RLIKE`.
        regex: bool,
        /// What is matched.
        value: Box<Expr>,
        /// The patterns.
        patterns: Vec<Text>,
        /// Whether they stand in parentheses.
        list: bool,
    },
    /// `::type`.
    Cast(Box<Expr>, Name),
    /// `field : value`.
    Match(Box<Expr>, Literal),
}

impl Expr {
    /// The place.
    pub fn span(&self) -> Span {
        self.at.0
    }

    /// The expressions directly inside.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Param(_) => Vec::new(),
            ExprKind::Call { args, .. } => args.iter().collect(),
            ExprKind::Sign(_, e)
            | ExprKind::Not(e)
            | ExprKind::IsNull(_, e)
            | ExprKind::Cast(e, _)
            | ExprKind::Match(e, _) => {
                vec![e]
            }
            ExprKind::Arithmetic(_, a, b) | ExprKind::Compare(_, a, b) => vec![a, b],
            ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().collect(),
            ExprKind::In(_, e, list) => std::iter::once(e.as_ref()).chain(list).collect(),
            ExprKind::Like { value, .. } => vec![value],
        }
    }

    /// Calls `f` on this and everything inside.
    pub fn visit<'e>(&'e self, f: &mut dyn FnMut(&'e Expr)) {
        f(self);
        for child in self.children() {
            child.visit(f);
        }
    }
}
