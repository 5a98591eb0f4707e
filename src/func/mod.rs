//! The function table: a function is its documentation, signature, examples and evaluator in one row.

pub mod column;
mod number;
mod string;

pub use number::Arithmetic;
pub use string::{cidr_block, text};

use crate::es::Case;
use crate::schema::Version;
use crate::value::Value;

/// What an argument or a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// A 64-bit integer.
    Integer,
    /// Any number.
    Number,
    /// A truth value.
    Boolean,
    /// An address.
    Ip,
    /// Anything.
    Any,
}

impl Type {
    /// The word that messages use.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "boolean",
            Type::Ip => "ip",
            Type::Any => "any value",
        }
    }
}

/// One parameter.
#[derive(Debug)]
pub struct Param {
    /// Its name in the documentation.
    pub name: &'static str,
    /// What it takes.
    pub ty: Type,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it must be a constant.
    pub constant: bool,
}

/// A call that fails at run time, as Elasticsearch's does: the search as a whole fails then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CallError(pub String);

/// A language that has a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// EQL.
    Eql,
    /// ES|QL.
    Esql,
}

/// A row of the table.
#[derive(Debug)]
pub struct Function {
    /// The name as documented; compared without case.
    pub name: &'static str,
    /// The languages that have it.
    pub languages: &'static [Language],
    /// The stack that brought it.
    pub since: Version,
    /// The parameters, required ones first.
    pub params: &'static [Param],
    /// Whether the last parameter may be repeated.
    pub variadic: bool,
    /// The result.
    pub returns: Type,
    /// Whether a `~` makes it ignore case.
    pub case_form: bool,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Calls and the value that each gives, both as EQL writes them; run as tests.
    pub examples: &'static [(&'static str, &'static str)],
    /// The evaluator. It is called with as many arguments as the signature allows; an argument that
    /// was left out is not there.
    pub eval: fn(&[Value], Case) -> Result<Value, CallError>,
}

impl Function {
    /// How many arguments it takes: least, and most unless it is variadic.
    pub fn arity(&self) -> (usize, Option<usize>) {
        let least = self.params.iter().filter(|p| !p.optional).count();
        (least, (!self.variadic).then_some(self.params.len()))
    }

    /// The parameter at a position.
    pub fn param(&self, i: usize) -> Option<&Param> {
        self.params.get(i).or_else(|| if self.variadic { self.params.last() } else { None })
    }
}

/// Every function.
pub fn all() -> impl Iterator<Item = &'static Function> {
    string::FUNCTIONS.iter().chain(number::FUNCTIONS)
}

/// The function of a name in a language, whatever the case of its letters.
pub fn find(name: &str, language: Language) -> Option<&'static Function> {
    all().find(|f| f.name.eq_ignore_ascii_case(name) && f.languages.contains(&language))
}
