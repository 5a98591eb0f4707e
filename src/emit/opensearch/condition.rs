//! What a rule asks of one document, apart from the language that it was written in and from the one that
//! it is written to. What cannot be carried over is an error in words, never left out.

use crate::es::date;
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal, Op, ip};
use crate::plan::table::{self, Invocation, SourceColumn, What};
use crate::plan::{Comparison, Expr, FieldId, PlanFields, Pred};
use crate::schema::{FieldType, Kind, Schema};
use crate::value::{Datum, Value};

/// A condition on one document: two-valued, `Not` is the complement, also for documents without the field.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Always true.
    Always,
    /// Never true.
    Never,
    /// All of them.
    All(Vec<Condition>),
    /// One of them.
    Any(Vec<Condition>),
    /// The complement.
    Not(Box<Condition>),
    /// A condition on one field: true if any of its values satisfies it.
    Ask(Ask),
    /// Some object of a nested field satisfies a condition of its own.
    Nested(String, Box<Condition>),
    /// A calculation, as Painless.
    Script(Script),
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The field.
    pub field: String,
    /// Its types; never empty.
    pub types: Vec<FieldType>,
    /// Whether it is a multi-field, such as `process.name.text`.
    pub multi: bool,
    /// Whether it is a flattened field, or a key below one.
    pub flattened: bool,
    /// What is asked.
    pub op: Op,
}

/// A calculated condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Painless that returns a boolean.
    pub source: String,
    /// What it stands for, in words.
    pub what: String,
    /// The fields that it reads.
    pub fields: Vec<String>,
}

/// Why something cannot be carried over, as a sentence without a full stop.
pub type Reason = String;

impl Condition {
    /// All of `parts`, joined as simply as possible.
    pub fn all(parts: Vec<Condition>) -> Condition {
        joined(parts, true)
    }

    /// One of `parts`, joined as simply as possible.
    pub fn any(parts: Vec<Condition>) -> Condition {
        joined(parts, false)
    }

    /// The complement.
    pub fn negate(self) -> Condition {
        match self {
            Condition::Always => Condition::Never,
            Condition::Never => Condition::Always,
            Condition::Not(inner) => *inner,
            other => Condition::Not(Box::new(other)),
        }
    }

    /// Calls `f` on every condition on a field.
    pub fn visit(&self, f: &mut dyn FnMut(&Ask)) {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|p| p.visit(f)),
            Condition::Not(inner) | Condition::Nested(_, inner) => inner.visit(f),
            Condition::Ask(ask) => f(ask),
            Condition::Always | Condition::Never | Condition::Script(_) => {}
        }
    }

    /// The names of the fields that it reads, sorted, each once.
    pub fn fields(&self) -> Vec<String> {
        fn scripts(c: &Condition, out: &mut Vec<String>) {
            match c {
                Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|p| scripts(p, out)),
                Condition::Not(inner) | Condition::Nested(_, inner) => scripts(inner, out),
                Condition::Script(s) => out.extend(s.fields.iter().cloned()),
                Condition::Always | Condition::Never | Condition::Ask(_) => {}
            }
        }
        let mut out = Vec::new();
        self.visit(&mut |ask| out.push(ask.field.clone()));
        scripts(self, &mut out);
        out.sort();
        out.dedup();
        out
    }
}

fn joined(parts: Vec<Condition>, all: bool) -> Condition {
    let (neutral, decides) =
        if all { (Condition::Always, Condition::Never) } else { (Condition::Never, Condition::Always) };
    let mut out = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            p if p == neutral => {}
            p if p == decides => return decides,
            Condition::All(inner) if all => out.extend(inner),
            Condition::Any(inner) if !all => out.extend(inner),
            p => out.push(p),
        }
    }
    match (out.len(), out.pop()) {
        (_, None) => neutral,
        (1, Some(only)) => only,
        (_, Some(last)) => {
            out.push(last);
            if all { Condition::All(out) } else { Condition::Any(out) }
        }
    }
}

/// Reads conditions of a plan.
pub struct Reading<'a> {
    /// The fields of the plan.
    pub fields: &'a PlanFields,
    /// What the names mean.
    pub schema: &'a Schema,
    /// What differs there though it can be said, each once.
    pub differences: Vec<String>,
}

impl<'a> Reading<'a> {
    /// A reading of a plan's fields.
    pub fn new(fields: &'a PlanFields, schema: &'a Schema) -> Reading<'a> {
        Reading { fields, schema, differences: Vec::new() }
    }

    /// Notes a difference once.
    pub fn differs(&mut self, what: String) {
        if !self.differences.contains(&what) {
            self.differences.push(what);
        }
    }

    /// The condition of a predicate.
    ///
    /// # Errors
    /// What of it has no counterpart.
    pub fn pred(&mut self, pred: &Pred) -> Result<Condition, Reason> {
        Ok(match pred {
            Pred::Const(true) => Condition::Always,
            Pred::Const(false) => Condition::Never,
            Pred::And(parts) => Condition::all(self.preds(parts)?),
            Pred::Or(parts) => Condition::any(self.preds(parts)?),
            Pred::Not(inner) => self.pred(inner)?.negate(),
            Pred::Named(_, inner) => self.pred(inner)?,
            Pred::Leaf(leaf) => self.ask(leaf.field, leaf.op.clone())?,
            Pred::Nested(nested) => {
                let path = self.fields.get(nested.field).map_or("", |f| f.name.as_ref()).to_owned();
                let mut inner = Reading::new(&nested.fields, self.schema);
                let condition = inner.pred(&nested.pred)?;
                inner.differences.into_iter().for_each(|d| self.differs(d));
                Condition::Nested(path, Box::new(condition))
            }
            Pred::Script(script) => self.script(&script.expr, false)?,
        })
    }

    fn preds(&mut self, parts: &[Pred]) -> Result<Vec<Condition>, Reason> {
        parts.iter().map(|p| self.pred(p)).collect()
    }

    /// A condition on a field of the plan.
    fn ask(&mut self, id: FieldId, op: Op) -> Result<Condition, Reason> {
        let Some(field) = self.fields.get(id) else { return Ok(Condition::Never) };
        let name = field.name.to_string();
        if self.schema.resolve(&name).is_none() {
            self.differs(format!("no catalogue has `{name}`, so it is taken for a keyword"));
            let types = vec![FieldType::of(Kind::Keyword)];
            return Ok(Condition::Ask(Ask { field: name, types, multi: false, flattened: false, op }));
        }
        let families: Vec<_> = field.types.iter().map(|t| t.kind.family()).collect();
        if families.windows(2).any(|w| w.first() != w.last()) {
            return Err(format!("`{name}` has another type in each index, so a monitor answers by chance"));
        }
        if let Op::Term(Literal::Null, _) = op {
            return Err(format!("`{name}` is compared with null"));
        }
        let multi = self.schema.get(&name).is_some_and(|f| f.parent.is_some());
        let flattened = field.key_below || field.types.iter().any(|t| t.kind == Kind::Flattened);
        Ok(Condition::Ask(Ask { field: name, types: field.types.clone(), multi, flattened, op }))
    }

    /// Two fields compared; nothing else that EQL computes has a counterpart.
    fn script(&mut self, expr: &Expr, negated: bool) -> Result<Condition, Reason> {
        match expr {
            Expr::Not(inner) => self.script(inner, !negated),
            Expr::Compare(op, a, b) => match (a.as_ref(), b.as_ref()) {
                (Expr::Field(a), Expr::Field(b)) => {
                    let (a, b) = (self.plain(*a)?, self.plain(*b)?);
                    self.differs(
                        "fields are compared by a script, which `indices.query.*` settings may forbid".into(),
                    );
                    Ok(Condition::Script(compared(*op, negated, &a, &b, false)))
                }
                _ => Err("a comparison of something calculated has no counterpart in a query".to_owned()),
            },
            Expr::Call(function, ..) => {
                Err(format!("`{}` is calculated, which no query of OpenSearch does", function.name))
            }
            Expr::Arithmetic(..) => Err("arithmetic has no counterpart in a query".to_owned()),
            _ => Err("a calculated condition has no counterpart in a query".to_owned()),
        }
    }

    /// The name of a field whose values a script may compare.
    fn plain(&mut self, id: FieldId) -> Result<String, Reason> {
        let Some(field) = self.fields.get(id) else { return Err("a field is not known".to_owned()) };
        let keyword = field.types.iter().all(|t| t.kind.is_keyword());
        if field.key_below || !(keyword || field.types.iter().all(|t| t.kind.is_integer())) {
            return Err(format!("`{}` has no values that a script can compare", field.name));
        }
        Ok(field.name.to_string())
    }

    /// The condition under which an expression over a row is true (`wanted`), or false. Where it is null
    /// it is neither.
    ///
    /// # Errors
    /// What of it has no counterpart.
    pub fn row(
        &mut self,
        e: &table::Expr,
        columns: &[SourceColumn],
        wanted: bool,
    ) -> Result<Condition, Reason> {
        use table::Expr as E;
        let each = |this: &mut Self, parts: &[E]| {
            parts.iter().map(|p| this.row(p, columns, wanted)).collect::<Result<Vec<_>, _>>()
        };
        match e {
            E::Const(Datum::One(Value::Bool(b))) => {
                Ok(if *b == wanted { Condition::Always } else { Condition::Never })
            }
            E::And(parts) if wanted => Ok(Condition::all(each(self, parts)?)),
            E::And(parts) => Ok(Condition::any(each(self, parts)?)),
            E::Or(parts) if wanted => Ok(Condition::any(each(self, parts)?)),
            E::Or(parts) => Ok(Condition::all(each(self, parts)?)),
            E::Not(inner) => self.row(inner, columns, !wanted),
            E::IsNull(inner, _) => {
                let id = self.column(inner, columns)?;
                let exists = self.ask(id, Op::Exists)?;
                Ok(if wanted { exists.negate() } else { exists })
            }
            E::Compare(op, sides, _) => {
                let (a, b) = sides.as_ref();
                if let (E::Column(_), E::Column(_)) = (a, b) {
                    let (a, b) = (self.column(a, columns)?, self.column(b, columns)?);
                    let (a, b) = (self.plain(a)?, self.plain(b)?);
                    return Ok(Condition::Script(compared(*op, !wanted, &a, &b, true)));
                }
                let (id, op, value) = match (a, b) {
                    (E::Column(_), E::Const(Datum::One(v))) => (self.column(a, columns)?, *op, v),
                    (E::Const(Datum::One(v)), E::Column(_)) => (self.column(b, columns)?, flipped(*op), v),
                    _ => {
                        return Err(
                            "a comparison of something calculated has no counterpart in a query".into()
                        );
                    }
                };
                let value = literal(value)?;
                let op = match op {
                    Comparison::Equal => Op::Term(value, Case::Sensitive),
                    Comparison::Less => Op::Range { lower: None, upper: Some((value, false)) },
                    Comparison::LessEqual => Op::Range { lower: None, upper: Some((value, true)) },
                    Comparison::Greater => Op::Range { lower: Some((value, false)), upper: None },
                    Comparison::GreaterEqual => Op::Range { lower: Some((value, true)), upper: None },
                };
                self.tested(id, op, wanted)
            }
            E::In(value, list, _) => {
                let id = self.column(value, columns)?;
                let constants: Option<Vec<&Value>> = list
                    .iter()
                    .map(|e| if let E::Const(Datum::One(v)) = e { Some(v) } else { None })
                    .collect();
                let Some(constants) = constants else {
                    return Err("`IN` with something that is no constant has no counterpart".to_owned());
                };
                let values = constants.into_iter().map(literal).collect::<Result<Vec<_>, _>>()?;
                self.tested(id, Op::Terms(values, Case::Sensitive), wanted)
            }
            E::Like(value, patterns, _) => {
                let id = self.column(value, columns)?;
                let any = patterns
                    .iter()
                    .map(|p| self.ask(id, Op::Wildcard(p.clone())))
                    .collect::<Result<Vec<_>, _>>()?;
                self.known(id, Condition::any(any), wanted)
            }
            E::Call(call) => self.call(call, columns, wanted),
            _ => Err("a calculated condition has no counterpart in a query".to_owned()),
        }
    }

    fn call(
        &mut self,
        call: &Invocation,
        columns: &[SourceColumn],
        wanted: bool,
    ) -> Result<Condition, Reason> {
        let name = call.function.name;
        let constant = match call.args.get(1) {
            Some(table::Expr::Const(Datum::One(Value::Str(text)))) => Some(text),
            _ => None,
        };
        let (Some(first), Some(text), 2) = (call.args.first(), constant, call.args.len()) else {
            return Err(format!("`{}` has no counterpart in a query", name.to_uppercase()));
        };
        let part = Part::Text(text.to_string());
        let parts = match name {
            "starts_with" => vec![part, Part::Any],
            "ends_with" => vec![Part::Any, part],
            "contains" => vec![Part::Any, part, Part::Any],
            _ => return Err(format!("`{}` has no counterpart in a query", name.to_uppercase())),
        };
        let id = self.column(first, columns)?;
        self.tested(id, Op::Wildcard(Pattern::new(parts, false)), wanted)
    }

    /// A test of a column that must have a value for its opposite to hold.
    fn tested(&mut self, id: FieldId, op: Op, wanted: bool) -> Result<Condition, Reason> {
        let asked = self.ask(id, op)?;
        self.known(id, asked, wanted)
    }

    fn known(&mut self, id: FieldId, asked: Condition, wanted: bool) -> Result<Condition, Reason> {
        self.differs("of a field with several values ES|QL matches none, a monitor any of them".to_owned());
        if wanted {
            return Ok(asked);
        }
        Ok(Condition::all(vec![self.ask(id, Op::Exists)?, asked.negate()]))
    }

    /// The field of a column that comes from the source as it is.
    ///
    /// # Errors
    /// Where it is calculated, converted, or no field.
    pub fn column(&self, e: &table::Expr, columns: &[SourceColumn]) -> Result<FieldId, Reason> {
        let table::Expr::Column(slot) = e else {
            return Err("something calculated has no counterpart in a query".to_owned());
        };
        match columns.iter().find(|c| c.slot == *slot).map(|c| (&c.what, &c.to)) {
            Some((What::Field { id, .. }, None)) => Ok(*id),
            Some((What::Field { .. }, Some(_))) => {
                Err("a field that is converted has no counterpart in a query".to_owned())
            }
            _ => Err("a column that is no field has no counterpart in a query".to_owned()),
        }
    }
}

/// Two fields compared: in ES|QL (`single`) only where each has one value, in EQL by any pair of values.
fn compared(op: Comparison, negated: bool, a: &str, b: &str, single: bool) -> Script {
    let sign = match (op, negated && single) {
        (Comparison::Equal, false) => "==",
        (Comparison::Equal, true) => "!=",
        (Comparison::Less, false) | (Comparison::GreaterEqual, true) => "<",
        (Comparison::LessEqual, false) | (Comparison::Greater, true) => "<=",
        (Comparison::Greater, false) | (Comparison::LessEqual, true) => ">",
        (Comparison::GreaterEqual, false) | (Comparison::Less, true) => ">=",
    };
    let what = format!("`{a}` {sign} `{b}`");
    let fields = vec![a.to_owned(), b.to_owned()];
    let (a, b) = (painless(a), painless(b));
    let there = format!("doc.containsKey({a}) && doc.containsKey({b})");
    let source = if single {
        format!(
            "{there} && doc[{a}].size() == 1 && doc[{b}].size() == 1 && doc[{a}].value.compareTo(doc[{b}].value) {sign} 0"
        )
    } else {
        let hit =
            if negated { format!("!(x.compareTo(y) {sign} 0)") } else { format!("x.compareTo(y) {sign} 0") };
        format!(
            "if ({there}) {{ for (def x : doc[{a}]) {{ for (def y : doc[{b}]) {{ if ({hit}) {{ return true; }} }} }} }} return false;"
        )
    };
    Script { source, what, fields }
}

/// The comparison with its sides swapped.
fn flipped(op: Comparison) -> Comparison {
    match op {
        Comparison::Equal => Comparison::Equal,
        Comparison::Less => Comparison::Greater,
        Comparison::LessEqual => Comparison::GreaterEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterEqual => Comparison::LessEqual,
    }
}

/// A text as a string of Painless.
fn painless(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A constant of a query.
fn literal(value: &Value) -> Result<Literal, Reason> {
    Ok(match value {
        Value::Bool(b) => Literal::Bool(*b),
        Value::Int(i) => Literal::Int(*i),
        Value::Double(d) => Literal::Float(*d),
        Value::Str(s) | Value::Version(s) => Literal::Str(s.as_ref().into()),
        Value::Date(nanos) => Literal::Str(date::format(*nanos).into()),
        Value::Ip(number) => Literal::Str(ip::format(*number).into()),
        Value::Null
        | Value::Unsigned(_)
        | Value::Period { .. }
        | Value::Duration(_)
        | Value::Point { .. } => {
            return Err("a constant of this type has no counterpart in a query".to_owned());
        }
    })
}
