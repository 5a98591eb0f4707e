//! Query DSL as a language: the clauses that filters and exceptions consist of, lowered to the plan.
//! What is not known here cannot be evaluated and is an error, because leaving it out would give wrong
//! answers.

use super::clause::{Body, Clause, bad};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::wildcard::{Part, Pattern};
use crate::es::{Case, Literal, Op, analyze, date};
use crate::lang::{FieldUse, Settings, lucene, resolve};
use crate::plan::{FieldId, Nested, PlanField, PlanFields, Pred};
use crate::schema::{Field, FieldType, Kind, Schema};
use crate::source::Span;
use crate::value::Access;
use serde_json::Value;

/// What a query comes to.
#[derive(Debug)]
pub struct Lowered {
    /// The condition.
    pub pred: Pred,
    /// Findings; with an error, the condition is of no use.
    pub diagnostics: Vec<Diagnostic>,
    /// The fields that it names.
    pub fields: Vec<FieldUse>,
}

/// Lowers a query. `place` gives the place of a value by its JSON pointer below the query; fields are
/// added to `fields`.
pub fn lower(
    query: &Value,
    schema: &Schema,
    settings: &Settings,
    fields: &mut PlanFields,
    place: &dyn Fn(&str) -> Span,
) -> Lowered {
    let mut lowering = Lowering {
        schema,
        settings,
        fields: std::mem::take(fields),
        place,
        path: None,
        lenient: false,
        depth: 0,
        diagnostics: Vec::new(),
        used: Vec::new(),
    };
    let pred = lowering.query(query, "");
    *fields = lowering.fields;
    Lowered { pred, diagnostics: lowering.diagnostics, fields: lowering.used }
}

struct Lowering<'a> {
    schema: &'a Schema,
    settings: &'a Settings,
    fields: PlanFields,
    place: &'a dyn Fn(&str) -> Span,
    /// The nested path around.
    path: Option<String>,
    /// Whether what a field refuses matches nothing.
    lenient: bool,
    depth: usize,
    diagnostics: Vec<Diagnostic>,
    used: Vec<FieldUse>,
}

/// How deep clauses may nest: Elasticsearch's own limit (`indices.query.bool.max_nested_depth`).
const MAX_NESTING: usize = 30;

type Answer = Result<Pred, Box<Diagnostic>>;

impl Lowering<'_> {
    fn span(&self, pointer: &str) -> Span {
        (self.place)(pointer)
    }

    fn query(&mut self, query: &Value, at: &str) -> Pred {
        self.depth += 1;
        let answer = if self.depth > MAX_NESTING {
            Err(bad(format!("clauses nest deeper than {MAX_NESTING} levels")))
        } else {
            Clause::of(query).and_then(|c| self.clause(&c, &format!("{at}/{}", escaped(c.name))))
        };
        self.depth -= 1;
        answer.unwrap_or_else(|d| {
            let d = if d.labels.is_empty() { d.at(self.span(at), "") } else { *d };
            self.diagnostics.push(d);
            Pred::Const(false)
        })
    }

    fn queries(&mut self, list: Option<&Value>, at: &str) -> Vec<Pred> {
        match list {
            None => Vec::new(),
            Some(Value::Array(items)) => {
                items.iter().enumerate().map(|(i, q)| self.query(q, &format!("{at}/{i}"))).collect()
            }
            Some(one) => vec![self.query(one, at)],
        }
    }

    fn clause(&mut self, clause: &Clause<'_>, at: &str) -> Answer {
        match clause.name {
            "match_all" => Ok(Pred::Const(true)),
            "match_none" => Ok(Pred::Const(false)),
            "bool" => self.bool(&clause.body()?, at),
            "constant_score" => {
                let body = clause.body()?;
                body.only(&["filter", "boost"])?;
                let filter = body.get("filter").ok_or_else(|| bad("`constant_score` needs a `filter`"))?;
                Ok(self.query(filter, &format!("{at}/filter")))
            }
            "nested" => self.nested(&clause.body()?, at),
            "exists" => {
                let body = clause.body()?;
                body.only(&["field", "boost"])?;
                let name = body.text("field")?.ok_or_else(|| bad("`exists` needs a `field`"))?;
                self.ask(name, Op::Exists, at)
            }
            "term" => {
                let (name, body) = clause.field("value")?;
                body.only(&["value", "case_insensitive", "boost"])?;
                let value = literal(body.value("value")?)?;
                self.ask(name, Op::Term(value, body.case()?), at)
            }
            "terms" => self.terms(clause, at),
            "match" => self.matches(clause, at),
            "match_phrase" => {
                let (name, body) = clause.field("query")?;
                body.only(&["query", "slop", "boost"])?;
                let value = literal(body.value("query")?)?;
                let slop = body.get("slop").and_then(Value::as_u64).unwrap_or(0);
                self.ask(name, phrase(value, slop), at)
            }
            "multi_match" => self.multi_match(&clause.body()?, at),
            "query_string" => self.query_string(&clause.body()?, at),
            "wildcard" => {
                let (name, body) = clause.field("value")?;
                body.only(&["value", "wildcard", "case_insensitive", "boost", "rewrite"])?;
                let text = literal(body.get("wildcard").map_or_else(|| body.value("value"), Ok)?)?;
                if text.text().is_empty() {
                    // an automaton without a state, not the pattern of the empty value
                    self.used.push(FieldUse { name: name.to_owned(), span: self.span(at) });
                    return Ok(Pred::Const(false));
                }
                let ignore_case = body.case()? == Case::Insensitive;
                self.ask(name, Op::Wildcard(Pattern::escaped(&text.text(), ignore_case)), at)
            }
            "prefix" => {
                let (name, body) = clause.field("value")?;
                body.only(&["value", "case_insensitive", "boost", "rewrite"])?;
                let text = literal(body.value("value")?)?.text().into_owned();
                let parts = [Part::Text(text), Part::Any];
                let pattern = Pattern::new(parts, body.case()? == Case::Insensitive);
                let below = self.schema.resolve(name).is_some_and(|r| r.flattened_key.is_some());
                self.ask(name, if below { Op::QueryWildcard(pattern) } else { Op::Wildcard(pattern) }, at)
            }
            "regexp" => {
                let (name, body) = clause.field("value")?;
                body.only(&["value", "case_insensitive", "boost"])?;
                let text = literal(body.value("value")?)?;
                self.ask(name, Op::Regexp(text.text().as_ref().into(), body.case()?), at)
            }
            "range" => self.range(clause, at),
            "ids" => Err(bad("`ids` cannot be evaluated: events here have no document ids")),
            other => Err(bad(format!("`{other}` clauses cannot be evaluated"))
                .at(self.span(at), "")
                .help("`rulepack explain RP0607` lists the clauses that can")
                .into()),
        }
    }

    fn bool(&mut self, body: &Body<'_>, at: &str) -> Answer {
        body.only(&[
            "must",
            "filter",
            "should",
            "must_not",
            "minimum_should_match",
            "boost",
            "adjust_pure_negative",
        ])?;
        let mut all = self.queries(body.get("must"), &format!("{at}/must"));
        all.extend(self.queries(body.get("filter"), &format!("{at}/filter")));
        let should = self.queries(body.get("should"), &format!("{at}/should"));
        let needed = match body.get("minimum_should_match") {
            // a bool query that asks for nothing else wants one of them whatever it says
            Some(given) => least(given, should.len())?.max(usize::from(all.is_empty() && !should.is_empty())),
            None => usize::from(all.is_empty() && !should.is_empty()),
        };
        let none = self.queries(body.get("must_not"), &format!("{at}/must_not"));
        if all.is_empty() && should.is_empty() && none.is_empty() {
            return Ok(Pred::Const(true));
        }
        all.extend(at_least(needed, should)?);
        all.extend(none.into_iter().map(Pred::negate));
        Ok(Pred::all(all))
    }

    fn nested(&mut self, body: &Body<'_>, at: &str) -> Answer {
        body.only(&["path", "query", "score_mode", "ignore_unmapped", "boost"])?;
        let path = body.text("path")?.ok_or_else(|| bad("`nested` needs a `path`"))?.to_owned();
        let query = body.get("query").ok_or_else(|| bad("`nested` needs a `query`"))?;
        let known = self.schema.get(&path).map(Field::kind);
        if known != Some(Kind::Nested) && !(known.is_none() && self.schema.is_open()) {
            if body.get("ignore_unmapped") == Some(&Value::Bool(true)) {
                return Ok(Pred::Const(false));
            }
            return Err(Diagnostic::new(Code::RP0203, format!("`{path}` is not a nested field"))
                .at(self.span(&format!("{at}/path")), "Elasticsearch refuses it")
                .into());
        }
        let outer = (std::mem::take(&mut self.fields), self.path.replace(path.clone()));
        let pred = self.query(query, &format!("{at}/query"));
        let inner = std::mem::replace(&mut self.fields, outer.0);
        self.path = outer.1;
        let span = self.span(at);
        Ok(Pred::Nested(Nested::new(&mut self.fields, &path, inner, pred, span)))
    }

    fn terms(&mut self, clause: &Clause<'_>, at: &str) -> Answer {
        let (name, values) = clause.only_field()?;
        let Value::Array(values) = values else {
            return Err(bad("`terms` with a lookup cannot be evaluated")
                .help("write the values as a list")
                .into());
        };
        let values = values.iter().map(literal).collect::<Result<Vec<_>, _>>()?;
        self.ask(name, Op::Terms(values, Case::Sensitive), at)
    }

    fn matches(&mut self, clause: &Clause<'_>, at: &str) -> Answer {
        let (name, body) = clause.field("query")?;
        body.only(&["query", "operator", "type", "slop", "lenient", "boost"])?;
        let value = literal(body.value("query")?)?;
        match body.text("type")? {
            None | Some("boolean") => {}
            Some("phrase") => return self.ask(name, phrase(value, 0), at),
            Some(other) => {
                return Err(bad(format!("`match` of the type `{other}` cannot be evaluated")));
            }
        }
        let lenient = std::mem::replace(&mut self.lenient, body.flag("lenient")?);
        let and = body.text("operator")?.is_some_and(|o| o.eq_ignore_ascii_case("and"));
        let is_text = self.schema.resolve(name).is_some_and(|r| r.kind().is_text());
        let answer = if and && is_text {
            let tokens = analyze::standard(&value.text());
            let asked = tokens.into_iter().map(|t| self.ask(name, Op::Match(Literal::Str(t.into())), at));
            asked
                .collect::<Result<Vec<_>, _>>()
                .map(|all| if all.is_empty() { Pred::Const(false) } else { Pred::all(all) })
        } else {
            self.ask(name, Op::Match(value), at)
        };
        self.lenient = lenient;
        answer
    }

    fn multi_match(&mut self, body: &Body<'_>, at: &str) -> Answer {
        body.only(&["query", "fields", "type", "lenient", "boost", "tie_breaker", "slop"])?;
        let value = literal(body.value("query")?)?;
        let op = match body.text("type")? {
            None | Some("best_fields" | "most_fields") => Op::Match(value),
            Some("phrase") => phrase(value, body.get("slop").and_then(Value::as_u64).unwrap_or(0)),
            Some(other) => {
                return Err(bad(format!("`multi_match` of the type `{other}` cannot be evaluated")));
            }
        };
        let names = body.texts("fields")?;
        let every = names.is_none();
        let names = match names {
            Some(names) => names.into_iter().map(str::to_owned).collect(),
            None if self.schema.layers().is_empty() => {
                return Err(bad(
                    "`multi_match` in every field cannot be evaluated without field information",
                ));
            }
            None => vec!["*".to_owned()],
        };
        let lenient = std::mem::replace(&mut self.lenient, every || body.flag("lenient")?);
        let mut any = Vec::new();
        let mut failed = None;
        for name in names {
            let name = name.split('^').next().unwrap_or(&name);
            match self.ask(name, op.clone(), at) {
                Ok(pred) => any.push(pred),
                Err(d) => failed = Some(d),
            }
        }
        self.lenient = lenient;
        match failed {
            Some(d) => Err(d),
            None => Ok(any_of(any)),
        }
    }

    fn query_string(&mut self, body: &Body<'_>, at: &str) -> Answer {
        body.only(&[
            "query",
            "fields",
            "default_field",
            "default_operator",
            "analyze_wildcard",
            "time_zone",
            "lenient",
            "boost",
            "allow_leading_wildcard",
        ])?;
        let text = body.text("query")?.ok_or_else(|| bad("`query_string` needs a `query`"))?;
        let span = self.span(&format!("{at}/query"));
        let query = lucene::parse(text).map_err(|mut d| {
            d.labels.clear();
            d.fix = None;
            d.at(span, "")
        })?;
        let fields = match (body.texts("fields")?, body.text("default_field")?) {
            (Some(names), _) => Some(names.into_iter().map(str::to_owned).collect()),
            (None, Some("*") | None) => None,
            (None, Some(one)) => Some(vec![one.to_owned()]),
        };
        let lenient = match body.get("lenient") {
            Some(_) => body.flag("lenient")?,
            None => fields.is_none(),
        };
        let mut settings = self.settings.clone();
        if let Some(zone) = body.text("time_zone")? {
            settings.context.offset = offset(zone)?;
        }
        let defaults = lucene::Defaults {
            fields,
            and: body.text("default_operator")?.is_some_and(|o| o.eq_ignore_ascii_case("and")),
            analyze_wildcard: body.flag("analyze_wildcard")?,
            lenient,
        };
        let found = lucene::lower(&query, text, self.schema, &settings, &defaults, &mut self.fields);
        let told = found.diagnostics.into_iter().filter(|d| d.code != Code::RP1001).map(|mut d| {
            d.labels.iter_mut().for_each(|l| l.span = span);
            d.fix = None;
            d
        });
        self.diagnostics.extend(told);
        self.used.extend(found.fields.into_iter().map(|f| FieldUse { span, ..f }));
        Ok(found.pred)
    }

    fn range(&mut self, clause: &Clause<'_>, at: &str) -> Answer {
        let (name, body) = clause.only_field()?;
        let Some(map) = body.as_object() else { return Err(bad("`range` needs bounds")) };
        let body = Body::new("range", map);
        body.only(&["gt", "gte", "lt", "lte", "from", "to", "format", "time_zone", "boost"])?;
        match body.text("format")? {
            None | Some("strict_date_optional_time||epoch_millis") => {}
            // without the epoch, a long number is no date
            Some("strict_date_optional_time") => {
                let bounds = ["gt", "gte", "lt", "lte", "from", "to"].iter().filter_map(|k| body.get(k));
                let number = |v: &&Value| match v {
                    Value::String(s) => s.len() > 4 && s.bytes().all(|b| b.is_ascii_digit()),
                    _ => false,
                };
                if let Some(bad_bound) = bounds.into_iter().find(number) {
                    return Err(bad(format!(
                        "`{bad_bound}` is no date of the format that the range asks for"
                    )));
                }
            }
            Some(other) => {
                return Err(bad(format!("dates of the format `{other}` cannot be evaluated")));
            }
        }
        let bound =
            |exclusive: &str, inclusive: &[&str]| -> Result<Option<(Literal, bool)>, Box<Diagnostic>> {
                if let Some(v) = body.get(exclusive).filter(|v| !v.is_null()) {
                    return Ok(Some((literal(v)?, false)));
                }
                let found = inclusive.iter().find_map(|k| body.get(k)).filter(|v| !v.is_null());
                found.map(|v| Ok((literal(v)?, true))).transpose()
            };
        let lower = bound("gt", &["gte", "from"])?;
        let upper = bound("lt", &["lte", "to"])?;
        let zone = body.text("time_zone")?.map(offset).transpose()?;
        let op = if lower.is_none() && upper.is_none() { Op::Exists } else { Op::Range { lower, upper } };
        self.ask_at(name, op, at, zone)
    }

    fn ask(&mut self, name: &str, op: Op, at: &str) -> Answer {
        self.ask_at(name, op, at, None)
    }

    /// A condition on a field, or on any field of a pattern.
    fn ask_at(&mut self, name: &str, op: Op, at: &str, zone: Option<i32>) -> Answer {
        let span = self.span(at);
        self.used.push(FieldUse { name: name.to_owned(), span });
        let schema = self.schema;
        if name.contains('*') && !schema.layers().is_empty() {
            let pattern = Pattern::plain(name, false);
            let mut found: Vec<&Field> = schema
                .iter()
                .filter(|f| !f.kind().is_object() && pattern.matches(&f.name))
                .filter(|f| f.nested.as_deref() == self.path.as_deref())
                .collect();
            found.sort_by(|a, b| a.name.cmp(&b.name));
            let asked: Vec<Pred> = found
                .into_iter()
                .map(|f| self.known(&f.name, op.clone(), span, zone))
                .collect::<Result<_, _>>()?;
            return Ok(any_of(asked));
        }
        if schema.is_object(name) {
            if op == Op::Exists {
                let below = format!("{name}.");
                let found: Vec<&Field> = schema
                    .iter()
                    .filter(|f| f.name.starts_with(&below) && f.parent.is_none() && !f.kind().is_object())
                    .filter(|f| f.nested.as_deref() == self.path.as_deref())
                    .collect();
                let asked: Vec<Pred> = found
                    .into_iter()
                    .map(|f| self.known(&f.name, Op::Exists, span, zone))
                    .collect::<Result<_, _>>()?;
                return Ok(any_of(asked));
            }
            self.diagnostics.push(
                Diagnostic::new(Code::RP0206, format!("`{name}` is an object and has no value"))
                    .at(span, "never matches"),
            );
            return Ok(Pred::Const(false));
        }
        self.known(name, op, span, zone)
    }

    fn known(&mut self, name: &str, op: Op, span: Span, zone: Option<i32>) -> Answer {
        let schema = self.schema;
        let mut context = self.settings.context;
        if let Some(zone) = zone {
            context.offset = zone;
        }
        let Some(resolved) = schema.resolve(name).filter(|r| !r.field.kind().is_object()) else {
            if !schema.is_open() {
                let d = resolve::unknown_field(schema, name, span, self.settings.unknown_field);
                self.diagnostics.extend(d.map(|mut d| {
                    d.fix = None;
                    d
                }));
                return Ok(Pred::Const(false));
            }
            let id = self.untyped(name, &op);
            return Ok(self.fields.leaf(id, op, span, &context).unwrap_or(Pred::Const(false)));
        };
        if resolved.field.nested.as_deref() != self.path.as_deref() {
            self.diagnostics.push(
                Diagnostic::new(
                    Code::RP0203,
                    match &resolved.field.nested {
                        Some(path) => format!(
                            "`{name}` is a nested field and can only be asked inside `nested` of `{path}`"
                        ),
                        None => format!("`{name}` is not a nested field"),
                    },
                )
                .severity(Severity::Warning)
                .at(span, "never matches"),
            );
            return Ok(Pred::Const(false));
        }
        let id = self.fields.intern(name, &resolved);
        match self.fields.leaf(id, op, span, &context) {
            Ok(pred) => Ok(pred),
            Err(_) if self.lenient => Ok(Pred::Const(false)),
            Err(reject) => {
                let d = resolve::refused(resolved.field, name, reject, span);
                if d.severity == Severity::Error {
                    return Err(d.into());
                }
                self.diagnostics.push(d);
                Ok(Pred::Const(false))
            }
        }
    }

    /// A field of which nothing is known: the types that the value can have.
    fn untyped(&mut self, name: &str, op: &Op) -> FieldId {
        let mut kinds = vec![Kind::Keyword];
        match op {
            Op::Term(v, _) | Op::Match(v) | Op::Phrase(v) => kinds.extend(resolve::kind_of(&v.text())),
            Op::Terms(vs, _) => kinds.extend(vs.first().and_then(|v| resolve::kind_of(&v.text()))),
            Op::Range { lower, upper } => {
                if let Some(kind) =
                    lower.as_ref().or(upper.as_ref()).and_then(|(v, _)| resolve::kind_of(&v.text()))
                {
                    kinds = vec![kind];
                }
            }
            _ => {}
        }
        self.fields.add(PlanField {
            name: name.into(),
            access: Access::Path(name.to_owned()),
            types: kinds.into_iter().map(FieldType::of).collect(),
            key_below: false,
        })
    }
}

fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

fn phrase(value: Literal, slop: u64) -> Op {
    match u32::try_from(slop) {
        Ok(0) => Op::Phrase(value),
        slop => Op::SloppyPhrase(value, slop.unwrap_or(u32::MAX)),
    }
}

fn literal(value: &Value) -> Result<Literal, Box<Diagnostic>> {
    Ok(match value {
        Value::Null => Literal::Null,
        Value::Bool(b) => Literal::Bool(*b),
        Value::String(s) => Literal::Str(s.as_str().into()),
        Value::Number(n) => match n.as_i64() {
            Some(i) => Literal::Int(i),
            None => Literal::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(bad("a list or table is no value to search for"));
        }
    })
}

/// A zone as seconds east of UTC.
fn offset(zone: &str) -> Result<i32, Box<Diagnostic>> {
    date::zone(zone).ok_or_else(|| {
        bad(format!("the time zone `{zone}` cannot be evaluated")).help("write it as `+01:00`").into()
    })
}

/// How many of `of` clauses `minimum_should_match` asks for.
fn least(given: &Value, of: usize) -> Result<usize, Box<Diagnostic>> {
    let text = match given {
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.trim().to_owned(),
        _ => String::new(),
    };
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text.as_str(), false),
    };
    let Ok(number) = number.parse::<i64>() else {
        return Err(bad(format!("`minimum_should_match` of `{text}` cannot be evaluated")));
    };
    let of = i64::try_from(of).unwrap_or(i64::MAX);
    let n = if percent { number.saturating_mul(of) / 100 } else { number };
    let n = if number < 0 { of.saturating_add(n) } else { n };
    Ok(usize::try_from(n.max(0)).unwrap_or(usize::MAX))
}

/// How many combinations of clauses one `minimum_should_match` may come to.
const MAX_COMBINATIONS: usize = 1_000;

/// At least `n` of the conditions.
fn at_least(n: usize, preds: Vec<Pred>) -> Result<Option<Pred>, Box<Diagnostic>> {
    if n == 0 {
        return Ok(None);
    }
    if n > preds.len() {
        return Ok(Some(Pred::Const(false)));
    }
    if n == 1 {
        return Ok(Some(any_of(preds)));
    }
    if n == preds.len() {
        return Ok(Some(Pred::all(preds)));
    }
    let mut combinations: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..n {
        let mut longer = Vec::new();
        for held in &combinations {
            let from = held.last().map_or(0, |l| l + 1);
            longer.extend((from..preds.len()).map(|next| {
                let mut more = held.clone();
                more.push(next);
                more
            }));
            if longer.len() > MAX_COMBINATIONS {
                return Err(bad(format!(
                    "`minimum_should_match` makes more than {MAX_COMBINATIONS} combinations"
                )));
            }
        }
        combinations = longer;
    }
    let all = |chosen: Vec<usize>| Pred::all(chosen.iter().filter_map(|i| preds.get(*i).cloned()).collect());
    Ok(Some(any_of(combinations.into_iter().map(all).collect())))
}

fn any_of(preds: Vec<Pred>) -> Pred {
    if preds.is_empty() { Pred::Const(false) } else { Pred::any(preds) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Layer, parse_mapping};
    use crate::value::ProjectionBuilder;
    use serde_json::json;
    use std::sync::Arc;

    fn schema() -> Schema {
        let mapping = json!({"properties": {
            "name": {"type": "keyword"}, "note": {"type": "text"}, "size": {"type": "long"},
            "seen": {"type": "date"}, "ip": {"type": "ip"}, "open": {"type": "boolean"},
            "host": {"properties": {"id": {"type": "keyword"}}}, "labels": {"type": "flattened"},
            "items": {"type": "nested", "properties": {"sku": {"type": "keyword"}, "n": {"type": "long"}}}}});
        let fields = Arc::new(parse_mapping(&mapping.to_string()).unwrap());
        Schema::new(vec![Layer { fields, version: None, label: "m".into() }])
    }

    fn lowered(query: &Value) -> (Lowered, PlanFields) {
        let mut fields = PlanFields::default();
        let found = lower(query, &schema(), &Settings::default(), &mut fields, &|_| Span::default());
        (found, fields)
    }

    #[track_caller]
    fn matches(query: Value, document: Value) -> bool {
        let (found, fields) = lowered(&query);
        assert!(found.diagnostics.iter().all(|d| d.severity != Severity::Error), "{:?}", found.diagnostics);
        let mut builder = ProjectionBuilder::default();
        let slots: Vec<usize> = fields.iter().map(|f| builder.slot(&f.access)).collect();
        let document = builder.build().project_value(&document);
        found.pred.matches(&crate::plan::Row { fields: &fields, document: &document, slots: &slots }).unwrap()
    }

    #[test]
    fn leaves_ask_what_elasticsearch_asks() {
        assert!(matches(json!({"term": {"name": "a"}}), json!({"name": ["b", "a"]})));
        assert!(matches(
            json!({"term": {"name": {"value": "A", "case_insensitive": true}}}),
            json!({"name": "a"})
        ));
        assert!(matches(json!({"terms": {"size": [1, "2"]}}), json!({"size": 2})));
        assert!(matches(json!({"match": {"note": "red sky"}}), json!({"note": "a RED one"})));
        assert!(!matches(
            json!({"match": {"note": {"query": "red sky", "operator": "and"}}}),
            json!({"note": "red"})
        ));
        assert!(matches(json!({"match_phrase": {"note": {"query": "red sky"}}}), json!({"note": "Red sky"})));
        assert!(matches(json!({"wildcard": {"name": r"C:\\*"}}), json!({"name": r"C:\x"})));
        assert!(matches(json!({"prefix": {"name": "ab"}}), json!({"name": "abc"})));
        assert!(matches(json!({"prefix": {"labels.env": "pr"}}), json!({"labels": {"env": "prod"}})));
        assert!(matches(json!({"regexp": {"name": "a.c"}}), json!({"name": "abc"})));
        assert!(matches(json!({"range": {"size": {"gte": 2, "lt": 4}}}), json!({"size": 3})));
        assert!(matches(
            json!({"range": {"seen": {"gte": "2024-01-01", "time_zone": "+01:00"}}}),
            json!({"seen": "2023-12-31T23:30:00Z"})
        ));
        assert!(matches(json!({"exists": {"field": "host"}}), json!({"host": {"id": "1"}})));
        assert!(matches(
            json!({"multi_match": {"query": "10.1.1.1", "lenient": true}}),
            json!({"ip": "10.1.1.1"})
        ));
        assert!(matches(
            json!({"query_string": {"query": "name:a AND size:>2"}}),
            json!({"name": "a", "size": 3})
        ));
        assert!(matches(
            json!({"query_string": {"query": "a b", "fields": ["name", "note"], "default_operator": "AND"}}),
            json!({"note": "b a"})
        ));
    }

    #[test]
    fn bool_counts_and_negates() {
        let should = json!([{"term": {"name": "a"}}, {"term": {"name": "b"}}, {"term": {"name": "c"}}]);
        let of = |least: Value| json!({"bool": {"should": should, "minimum_should_match": least}});
        assert!(matches(of(json!(2)), json!({"name": ["a", "c"]})));
        assert!(!matches(of(json!(2)), json!({"name": ["a"]})));
        assert!(matches(of(json!("-1")), json!({"name": ["b", "c"]})));
        assert!(!matches(of(json!("100%")), json!({"name": ["b", "c"]})));
        assert!(!matches(of(json!(4)), json!({"name": ["a", "b", "c"]})));
        assert!(matches(json!({"bool": {}}), json!({})));
        assert!(!matches(json!({"bool": {"should": {"term": {"name": "a"}}}}), json!({})));
        assert!(matches(
            json!({"bool": {"filter": {"match_all": {}}, "should": {"term": {"name": "a"}}}}),
            json!({})
        ));
        assert!(!matches(json!({"bool": {"must_not": [{"term": {"open": "true"}}]}}), json!({"open": true})));
    }

    #[test]
    fn nested_objects_are_asked_one_by_one() {
        let both = json!({"nested": {"path": "items", "query": {"bool": {"filter": [
            {"term": {"items.sku": "a"}}, {"range": {"items.n": {"gt": 1}}}]}}}});
        assert!(matches(both.clone(), json!({"items": [{"sku": "b", "n": 0}, {"sku": "a", "n": 2}]})));
        assert!(!matches(both, json!({"items": [{"sku": "b", "n": 2}, {"sku": "a", "n": 0}]})));
        let unmapped = json!({"nested": {"path": "x", "query": {"match_all": {}}, "ignore_unmapped": true}});
        assert!(!matches(unmapped, json!({"x": [{}]})));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for query in [
            json!({"script": {"script": "x"}}),
            json!({"ids": {"values": ["1"]}}),
            json!({"bool": {"must_not": [{"geo_distance": {}}]}}),
            json!({"terms": {"name": {"index": "x", "id": "1", "path": "y"}}}),
            json!({"match": {"note": {"query": "x", "fuzziness": 1}}}),
            json!({"range": {"seen": {"gte": "01/2024", "format": "MM/yyyy"}}}),
            json!({"term": {"a": 1, "b": 2}}),
            json!({"term": {"name": 1}, "exists": {"field": "x"}}),
            json!({"bool": {"should": [], "minimum_should_match": "2<75%"}}),
            json!("text"),
            json!({}),
        ] {
            let (found, _) = lowered(&query);
            assert!(found.diagnostics.iter().any(|d| d.code == Code::RP0607), "{query}");
        }
        let mut deep = json!({"match_all": {}});
        for _ in 0..MAX_NESTING * 4 {
            deep = json!({"bool": {"filter": deep}});
        }
        assert!(lowered(&deep).0.diagnostics.iter().any(|d| d.code == Code::RP0607));
    }

    #[test]
    fn types_and_names_are_checked() {
        let code = |q: Value| lowered(&q).0.diagnostics.first().map(|d| (d.code, d.severity));
        assert_eq!(code(json!({"term": {"size": "x"}})), Some((Code::RP0301, Severity::Error)));
        assert_eq!(code(json!({"term": {"nam": "x"}})), Some((Code::RP0201, Severity::Warning)));
        assert_eq!(code(json!({"term": {"items.sku": "x"}})), Some((Code::RP0203, Severity::Warning)));
        assert_eq!(
            code(json!({"nested": {"path": "host", "query": {"match_all": {}}}})),
            Some((Code::RP0203, Severity::Error))
        );
        assert_eq!(code(json!({"term": {"name": null}})), Some((Code::RP0309, Severity::Error)));
        let (found, _) = lowered(&json!({"bool": {"filter": [{"exists": {"field": "name"}}]}}));
        assert_eq!(found.fields.first().unwrap().name, "name");
    }
}
