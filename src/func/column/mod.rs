//! The functions of tables (ES|QL): a row is signature, documentation, examples and evaluator. They
//! stand apart from the functions over single values because they have column types, take cells with
//! several values, and fail softly: a failure is null and a warning.

mod aggregate;
mod convert;
mod dates;
mod json;
mod multi;
mod numbers;
mod text;

pub use aggregate::Aggregate;
pub use convert::{conversion, convert, to_ip_with};
pub use dates::{DateUnit, add_span, span_of, trunc};
pub use text::Pattern;

use crate::es::date::Nanos;
use crate::schema::Version;
use crate::value::{ColumnType, Datum, Value};

/// What a parameter takes. Null is always taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// Any type.
    Any,
    /// Keyword and text.
    Text,
    /// Integer, long, double.
    Number,
    /// An integer or long.
    Whole,
    /// Numbers, also unsigned ones.
    Numeric,
    /// Dates.
    Date,
    /// Addresses.
    Ip,
    /// Truth values.
    Boolean,
    /// Spans of time.
    Span,
    /// What has an order: no geometry.
    Ordered,
    /// Text, or the whole document.
    Json,
    /// Geometry.
    Point,
    /// A date or a number.
    DateOrNumber,
    /// What a conversion to this type takes.
    Convertible(ColumnType),
}

impl Accepts {
    /// Whether a type fits.
    pub fn takes(self, ty: ColumnType) -> bool {
        use ColumnType as T;
        if ty == T::Null {
            return true;
        }
        match self {
            Accepts::Any => !matches!(ty, T::Unsupported | T::Source),
            Accepts::Text => ty.is_string(),
            Accepts::Number => ty.is_number(),
            Accepts::Whole => matches!(ty, T::Integer | T::Long),
            Accepts::Numeric => ty.is_numeric(),
            Accepts::Date => ty.is_date(),
            Accepts::Ip => ty == T::Ip,
            Accepts::Boolean => ty == T::Boolean,
            Accepts::Span => ty.is_span(),
            Accepts::Ordered => !matches!(ty, T::Unsupported | T::Source | T::GeoPoint) && !ty.is_span(),
            Accepts::Json => ty.is_string() || ty == T::Source,
            Accepts::Point => ty == T::GeoPoint,
            Accepts::DateOrNumber => ty.is_date() || ty.is_number(),
            Accepts::Convertible(to) => conversion(ty, to),
        }
    }

    /// The words of messages.
    pub fn name(self) -> &'static str {
        match self {
            Accepts::Any => "any type",
            Accepts::Text => "string",
            Accepts::Number => "numeric",
            Accepts::Whole => "integer or long",
            Accepts::Numeric => "numeric",
            Accepts::Date => "date",
            Accepts::Ip => "ip",
            Accepts::Boolean => "boolean",
            Accepts::Span => "time span",
            Accepts::Ordered => "any type with an order",
            Accepts::Json => "string or _source",
            Accepts::Point => "geo_point",
            Accepts::DateOrNumber => "date or numeric",
            Accepts::Convertible(_) => "a type that can be converted",
        }
    }

    /// The type that a string constant is read as here, if it is.
    pub fn from_constant(self) -> Option<ColumnType> {
        match self {
            Accepts::Date => Some(ColumnType::Date),
            Accepts::Ip => Some(ColumnType::Ip),
            Accepts::Boolean => Some(ColumnType::Boolean),
            _ => None,
        }
    }
}

/// One parameter.
#[derive(Debug)]
pub struct ColumnParam {
    /// Its name in the documentation.
    pub name: &'static str,
    /// What it takes.
    pub accepts: Accepts,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it must be a constant.
    pub constant: bool,
}

/// The type of a result.
#[derive(Clone, Copy, Debug)]
pub enum Returns {
    /// Always this.
    Is(ColumnType),
    /// That of an argument, text as keyword.
    Same(usize),
    /// The type that all arguments have in common, nulls left out.
    Common,
    /// By the types of the arguments.
    By(fn(&[ColumnType]) -> ColumnType),
}

/// Why a call gives null, as Elasticsearch's warning has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The Java class of the exception.
    pub class: &'static str,
    /// Its message.
    pub message: String,
}

impl Failure {
    /// An `IllegalArgumentException`.
    pub fn argument(message: impl Into<String>) -> Failure {
        Failure { class: "java.lang.IllegalArgumentException", message: message.into() }
    }

    /// An `ArithmeticException`.
    pub fn arithmetic(message: impl Into<String>) -> Failure {
        Failure { class: "java.lang.ArithmeticException", message: message.into() }
    }

    /// An `InvalidArgumentException` of the query engine.
    pub fn invalid(message: impl Into<String>) -> Failure {
        Failure {
            class: "org.elasticsearch.xpack.esql.core.InvalidArgumentException",
            message: message.into(),
        }
    }
}

/// What a call knows besides its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The types of the arguments.
    pub types: &'a [ColumnType],
    /// The type of the result.
    pub result: ColumnType,
    /// What `NOW()` is.
    pub now: Nanos,
    /// A constant pattern, compiled once.
    pub pattern: Option<&'a Pattern>,
}

impl Call<'_> {
    /// The type of an argument; null where there is none.
    pub fn ty(&self, i: usize) -> ColumnType {
        self.types.get(i).copied().unwrap_or(ColumnType::Null)
    }
}

/// An evaluator of single values; null arguments never reach it.
pub type Single = fn(&[Value], &Call<'_>) -> Result<Value, Failure>;

/// How a function is evaluated.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Over one value an argument: null gives null, several values give null and a warning.
    Single(Single),
    /// Over each value of the first argument.
    Each(Single),
    /// Over whole cells.
    Whole(fn(&[Datum], &Call<'_>) -> Result<Datum, Failure>),
    /// `CASE`, evaluated by whoever evaluates expressions.
    Case,
    /// `COALESCE`, likewise.
    Coalesce,
    /// Over the rows of a group.
    Aggregate(Aggregate),
    /// Only as a key of `STATS … BY`.
    Bucket,
    /// A search in the document: the name says which.
    FullText,
}

/// A row of the table.
#[derive(Debug)]
pub struct ColumnFunction {
    /// The name; compared without case.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// The stack that brought it; 8.19 stands for long ago.
    pub since: Version,
    /// The parameters, required ones first.
    pub params: &'static [ColumnParam],
    /// Whether the last parameter may be repeated.
    pub variadic: bool,
    /// The result.
    pub returns: Returns,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Calls and the value that each gives, both as ES|QL writes them; run as tests.
    pub examples: &'static [(&'static str, &'static str)],
    /// The evaluator.
    pub form: Form,
}

impl ColumnFunction {
    /// How many arguments it takes: least, and most unless it is variadic.
    pub fn arity(&self) -> (usize, Option<usize>) {
        let least = self.params.iter().filter(|p| !p.optional).count();
        (least, (!self.variadic).then_some(self.params.len()))
    }

    /// The parameter at a position.
    pub fn param(&self, i: usize) -> Option<&ColumnParam> {
        self.params.get(i).or_else(|| if self.variadic { self.params.last() } else { None })
    }

    /// `name(a, [b], …)`.
    pub fn signature(&self) -> String {
        let mut params: Vec<String> = self
            .params
            .iter()
            .map(|p| if p.optional { format!("[{}]", p.name) } else { p.name.to_owned() })
            .collect();
        if self.variadic {
            params.push("…".to_owned());
        }
        format!("{}({})", self.name, params.join(", "))
    }

    /// Whether it gathers rows.
    pub fn is_aggregate(&self) -> bool {
        matches!(self.form, Form::Aggregate(_))
    }
}

const fn param(name: &'static str, accepts: Accepts) -> ColumnParam {
    ColumnParam { name, accepts, optional: false, constant: false }
}

const fn optional(name: &'static str, accepts: Accepts) -> ColumnParam {
    ColumnParam { name, accepts, optional: true, constant: false }
}

const fn constant(name: &'static str, accepts: Accepts) -> ColumnParam {
    ColumnParam { name, accepts, optional: false, constant: true }
}

const ROW: ColumnFunction = ColumnFunction {
    name: "",
    aliases: &[],
    since: Version(8, 19, 0),
    params: &[],
    variadic: false,
    returns: Returns::Is(ColumnType::Keyword),
    summary: "",
    examples: &[],
    form: Form::Whole(|_, _| Ok(Datum::Null)),
};

/// Functions that Elasticsearch has and that cannot be run here yet.
pub static NOT_YET: &[&str] = &[
    "categorize",
    "count_approximate",
    "decay",
    "hash",
    "knn",
    "md5",
    "multi_match",
    "mv_pseries_weighted_sum",
    "qstr",
    "match_phrase",
    "network_direction",
    "rate",
    "sample",
    "score",
    "sha1",
    "st_centroid_agg",
    "st_contains",
    "st_disjoint",
    "st_envelope",
    "st_extent_agg",
    "st_geohash",
    "st_geohex",
    "st_geotile",
    "st_intersects",
    "st_within",
    "st_xmax",
    "st_xmin",
    "st_ymax",
    "st_ymin",
    "tbucket",
    "term",
    "text_embedding",
    "to_aggregate_metric_double",
    "to_cartesianpoint",
    "to_cartesianshape",
    "to_dense_vector",
    "to_geoshape",
    "avg_over_time",
    "sum_over_time",
    "max_over_time",
    "min_over_time",
    "count_over_time",
    "first_over_time",
    "last_over_time",
    "top_snippets",
    "chunk",
    "field_extract",
];

/// Every function.
pub fn all() -> impl Iterator<Item = &'static ColumnFunction> {
    aggregate::FUNCTIONS
        .iter()
        .chain(text::FUNCTIONS)
        .chain(numbers::FUNCTIONS)
        .chain(dates::FUNCTIONS)
        .chain(multi::FUNCTIONS)
        .chain(convert::FUNCTIONS)
        .chain(json::FUNCTIONS)
}

/// The function of a name, whatever the case of its letters.
pub fn find(name: &str) -> Option<&'static ColumnFunction> {
    all()
        .find(|f| f.name.eq_ignore_ascii_case(name) || f.aliases.iter().any(|a| a.eq_ignore_ascii_case(name)))
}

/// The order of two values of one type, as `SORT` and `MAX` see it.
pub fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    match (a, b) {
        (Value::Int(x), Value::Int(y)) => x.cmp(y),
        (Value::Unsigned(x), Value::Unsigned(y)) => x.cmp(y),
        (Value::Str(x), Value::Str(y)) => x.as_bytes().cmp(y.as_bytes()),
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (Value::Date(x), Value::Date(y)) => x.cmp(y),
        (Value::Ip(x), Value::Ip(y)) => x.cmp(y),
        (Value::Version(x), Value::Version(y)) => crate::es::version::compare(x, y),
        (Value::Duration(x), Value::Duration(y)) => x.cmp(y),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(x), Some(y)) => x.total_cmp(&y),
            _ => Ordering::Equal,
        },
    }
}
