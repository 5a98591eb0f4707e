//! Typed expressions: what the checker makes of a tree, and folding and lowering read.

use crate::es::Case;
use crate::func::{Arithmetic, Function, Type};
use crate::plan::Comparison;
use crate::schema::{Field, FieldType, Kind};
use crate::source::Span;
use crate::value::{Access, Value};

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ty {
    /// `null`, which fits everywhere.
    Null,
    /// A truth value.
    Boolean,
    /// An integer.
    Integer,
    /// Any number.
    Number,
    /// Text.
    String,
    /// A value of a field of this kind.
    Of(Kind),
    /// A value of a field that the schema does not list; fits everywhere.
    Unknown,
}

impl Ty {
    pub(super) fn of_kind(kind: Kind) -> Ty {
        match kind {
            k if k.is_keyword() || k.is_text() => Ty::String,
            k if k.is_integer() => Ty::Integer,
            k if k.is_number() => Ty::Number,
            Kind::Boolean => Ty::Boolean,
            Kind::DateNanos => Ty::Of(Kind::Date),
            other => Ty::Of(other),
        }
    }

    pub(super) fn of_value(value: &Value) -> Ty {
        match value {
            Value::Null => Ty::Null,
            Value::Bool(_) => Ty::Boolean,
            Value::Int(_) | Value::Unsigned(_) => Ty::Integer,
            Value::Double(_) => Ty::Number,
            // only ES|QL has these
            Value::Period { .. } | Value::Duration(_) | Value::Point { .. } => Ty::Null,
            Value::Str(_) => Ty::String,
            Value::Date(_) => Ty::Of(Kind::Date),
            Value::Ip(_) => Ty::Of(Kind::Ip),
            Value::Version(_) => Ty::Of(Kind::Version),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Ty::Null => "null",
            Ty::Boolean => "boolean",
            Ty::Integer => "integer",
            Ty::Number => "number",
            Ty::String => "string",
            Ty::Of(kind) => kind.name(),
            Ty::Unknown => "unknown type",
        }
    }

    /// Whether it may stand where `wanted` is asked for.
    pub(super) fn fits(self, wanted: Type) -> bool {
        match wanted {
            _ if matches!(self, Ty::Null | Ty::Unknown) => true,
            Type::Any => true,
            Type::String => self == Ty::String,
            Type::Integer => self == Ty::Integer,
            Type::Number => matches!(self, Ty::Integer | Ty::Number),
            Type::Boolean => self == Ty::Boolean,
            Type::Ip => self == Ty::Of(Kind::Ip),
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Ty::Integer | Ty::Number)
    }

    /// Whether two join keys, or a field and a list's element, may be compared.
    pub(super) fn compatible(self, other: Ty) -> bool {
        self == other
            || matches!(self, Ty::Null | Ty::Unknown)
            || matches!(other, Ty::Null | Ty::Unknown)
            || (self.is_number() && other.is_number())
    }
}

/// A field as an expression uses it.
#[derive(Clone, Debug)]
pub(super) struct Column<'s> {
    /// The name that the plan knows it by: aliases resolved, exact sub-fields by their parent.
    pub name: Box<str>,
    /// The schema's field; `None` where the schema does not list it.
    pub field: Option<&'s Field>,
    /// Where its values stand.
    pub access: Access,
    /// Its types; empty where the schema does not list it.
    pub types: Vec<FieldType>,
    /// Whether it is a key below a flattened field.
    pub key_below: bool,
}

/// A typed expression.
#[derive(Clone, Debug)]
pub(super) struct Node<'s> {
    /// What it is.
    pub kind: NodeKind<'s>,
    /// What it gives.
    pub ty: Ty,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of typed expression. Where one side of a comparison is constant, it is the right one.
#[derive(Clone, Debug)]
pub(super) enum NodeKind<'s> {
    Const(Value),
    Column(Box<Column<'s>>),
    Call(&'static Function, Vec<Node<'s>>, Case),
    Arithmetic(Arithmetic, Box<Node<'s>>, Box<Node<'s>>),
    Compare(Comparison, Box<Node<'s>>, Box<Node<'s>>),
    IsNull(Box<Node<'s>>),
    In(Box<Node<'s>>, Vec<Value>, Case),
    Like(Box<Node<'s>>, Vec<(Box<str>, Span)>, Case),
    Regexp(Box<Node<'s>>, Box<str>, Case),
    Not(Box<Node<'s>>),
    And(Vec<Node<'s>>),
    Or(Vec<Node<'s>>),
}

impl<'s> Node<'s> {
    pub(super) fn constant(value: Value, span: Span) -> Node<'s> {
        Node { ty: Ty::of_value(&value), kind: NodeKind::Const(value), span }
    }

    pub(super) fn value(&self) -> Option<&Value> {
        match &self.kind {
            NodeKind::Const(v) => Some(v),
            _ => None,
        }
    }

    /// What it is, as messages say it: `a long`, `an integer`.
    pub(super) fn article(&self) -> String {
        let kind = self.column().and_then(|c| c.types.first()).map(|t| t.kind.name());
        article(kind.unwrap_or(self.ty.name()))
    }

    pub(super) fn is_null(&self) -> bool {
        self.value().is_some_and(Value::is_null)
    }

    pub(super) fn column(&self) -> Option<&Column<'s>> {
        match &self.kind {
            NodeKind::Column(c) => Some(c),
            _ => None,
        }
    }
}

/// `a long`, `an integer`.
pub(super) fn article(word: &str) -> String {
    match word {
        "null" | "any value" => word.to_owned(),
        "unknown type" => format!("of {word}"),
        _ if word.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {word}"),
        _ => format!("a {word}"),
    }
}
