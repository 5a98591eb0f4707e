//! `rulepack compile`: a query, or all that a rule asks, as Query DSL.

use super::Exit;
use super::query::{Lang, mapping};
use super::terminal::{Terminal, count};
use crate::diag::{Code, Diagnostic, Severity};
use crate::lang::dsl::{self, Dialect, FieldInfo, Refused, TimeRange, Whole, ZONE};
use crate::lang::exception::{Unusable, item_query};
use crate::lang::rule::Rule;
use crate::lang::{Language, Settings, Shape, analyze, kql};
use crate::pack::{Pack, Sources};
use crate::replay::input;
use crate::schema::Schema;
use crate::source::{QueryText, Source, Span};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Compile a query to Elasticsearch Query DSL
///
/// Writes what Kibana's main branch would send. With --mapping it knows the fields, as Kibana 8.8 and
/// later do for rules; without one it writes Kibana's "no field information" form, which can match
/// differently (spaces in patterns, dates). A rule that is named, rather than given as a file, is compiled
/// with the fields of its pack.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack compile --to query-dsl 'event.action: Delete*'\n  \
rulepack compile --to query-dsl --mapping mapping.json 'process.pid > 4'\n  \
rulepack compile --to query-dsl --rule aws/iam/group_deleted")]
pub struct CompileArgs {
    /// The language of the query; KQL if left out
    #[arg(long, value_name = "LANG", conflicts_with = "rule")]
    lang: Option<Lang>,
    /// What to compile to
    #[arg(long, value_name = "FORM", default_value = "query-dsl")]
    to: Form,
    /// An Elasticsearch mapping
    #[arg(long, value_name = "FILE")]
    mapping: Vec<String>,
    /// A rule instead of a query: its name in the pack, or a file (TOML, or Detection Engine JSON)
    #[arg(long, value_name = "RULE", conflicts_with = "query")]
    rule: Option<String>,
    /// With --rule: the start of the time range
    #[arg(long, alias = "from", value_name = "TIME", requires = "rule")]
    since: Option<String>,
    /// With --rule: the end of the time range
    #[arg(long, value_name = "TIME", requires = "rule")]
    until: Option<String>,
    /// Whose compiler
    #[arg(long, value_name = "NAME", default_value = "elastic")]
    dialect: Whose,
    /// The query
    #[arg(required_unless_present = "rule")]
    query: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    QueryDsl,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Whose {
    Elastic,
    Opensearch,
}

/// Runs the command.
pub fn run(args: CompileArgs, terminal: &mut Terminal) -> Exit {
    let Form::QueryDsl = args.to;
    let mut layers = Vec::new();
    for given in &args.mapping {
        match mapping(given) {
            Ok((_, layer)) => layers.push(layer),
            Err(why) => return usage(&why, terminal),
        }
    }
    let fields = (!layers.is_empty()).then(|| FieldInfo::of(&Schema::new(layers.clone())));
    let dialect = match args.dialect {
        Whose::Elastic => Dialect::Elastic,
        Whose::Opensearch => Dialect::OpenSearch,
    };
    let schema = Schema::new(layers.clone());
    let schema = if layers.is_empty() { Schema::none() } else { schema };
    let mut form =
        if fields.is_some() { "with the fields of the mapping" } else { "without field information" };
    let compiled = match &args.rule {
        Some(given) => match found_rule(given) {
            Err(why) => Err(why),
            Ok((path, known)) => {
                let known = known.filter(|_| fields.is_none());
                if known.is_some() {
                    form = "with the fields of the pack";
                }
                let schema = if fields.is_some() { &schema } else { known.as_ref().unwrap_or(&schema) };
                let fields = fields.or_else(|| known.as_ref().map(FieldInfo::of));
                of_rule(&path, &args, fields.as_ref(), schema, dialect, terminal)
            }
        },
        None => {
            let language = args.lang.map_or(Language::Kql, Lang::language);
            let text = args.query.as_deref().unwrap_or_default();
            if language == Language::Eql && dialect == Dialect::Elastic {
                return of_eql(text, &schema, terminal);
            }
            of_query(language, text, fields.as_ref(), dialect)
        }
    };
    match compiled {
        Ok(query) => {
            terminal.line(&serde_json::to_string_pretty(&query).unwrap_or_default());
            terminal.remark(&format!("ok: compiled {form}"));
            Exit::Fine
        }
        Err(Failure::Usage(why)) => usage(&why, terminal),
        Err(Failure::Findings(found)) => {
            found.iter().for_each(|d| terminal.complain(d));
            let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
            terminal.note(&match errors {
                0 => "failed: nothing is compiled".to_owned(),
                n => format!("failed: nothing is compiled, {}", count(n, "error")),
            });
            Exit::Findings
        }
    }
}

enum Failure {
    Usage(String),
    Findings(Vec<Diagnostic>),
}

fn usage(why: &str, terminal: &mut Terminal) -> Exit {
    terminal.note(&format!("error: {why}"));
    Exit::Usage
}

/// The file of a rule, and the fields of its pack where it was given by name.
fn found_rule(given: &str) -> Result<(PathBuf, Option<Schema>), Failure> {
    let path = PathBuf::from(given);
    let here = std::env::current_dir().unwrap_or_default();
    let root = Pack::find(&here).filter(|_| !path.is_file() && !given.ends_with(".json"));
    let Some(root) = root else { return Ok((path, None)) };
    let pack = Pack::load(&root).map_err(Failure::Findings)?;
    match pack.select(&[given.to_owned()]).map_err(Failure::Findings)?.as_slice() {
        [file] => {
            let schema = file
                .rule
                .as_ref()
                .map(|rule| Sources::of(rule, &pack.config).schema(pack.config.newest_stack()));
            Ok((root.join(&file.file), schema))
        }
        several => {
            Err(Failure::Usage(format!("`{given}` selects {}; name one", count(several.len(), "rule"))))
        }
    }
}

/// An EQL event query, as far as Query DSL can say it; what it cannot say is told, and the result matches
/// more than the query.
fn of_eql(text: &str, schema: &Schema, terminal: &mut Terminal) -> Exit {
    let query = QueryText::plain(text);
    let source = Arc::new(Source::new("query", text));
    match event_query(text, schema, &|d| d.relocate(&query, &source), terminal) {
        Some((compiled, losses)) => {
            terminal.line(&serde_json::to_string_pretty(&compiled).unwrap_or_default());
            terminal.remark(&match losses {
                0 => "ok: compiled".to_owned(),
                n => format!("ok: compiled without {}", count(n, "clause")),
            });
            Exit::Fine
        }
        None => {
            terminal.note("failed: nothing is compiled");
            Exit::Findings
        }
    }
}

/// The clause of an EQL event query, and how many of its conditions it leaves out; each is told.
fn event_query(
    text: &str,
    schema: &Schema,
    relocated: &dyn Fn(Diagnostic) -> Diagnostic,
    terminal: &mut Terminal,
) -> Option<(Value, usize)> {
    let analysis = analyze(Language::Eql, text, schema, &Settings::default());
    let failed = analysis.has_errors();
    analysis.diagnostics.iter().cloned().map(relocated).for_each(|d| terminal.complain(&d));
    let plan = analysis.plan.as_ref().filter(|_| !failed && analysis.shape == Shape::Events);
    let Some(plan) = plan else {
        if !failed {
            let message = "only EQL event queries can be compiled to Query DSL";
            terminal.complain(&Diagnostic::new(Code::RP9001, message));
        }
        return None;
    };
    let (compiled, losses) = dsl::of_plan(plan);
    for loss in &losses {
        let d = Diagnostic::new(Code::RP1031, "Query DSL cannot say this clause")
            .at(loss.span, "left out, so more documents match");
        terminal.complain(&relocated(d));
    }
    if !analysis.pipes.is_empty() {
        terminal.complain(&Diagnostic::new(Code::RP1031, "Query DSL has no pipes, so they are left out"));
    }
    Some((compiled, losses.len()))
}

/// A bare query: what Kibana compiles for it, before it is put beside filters.
fn of_query(
    language: Language,
    text: &str,
    fields: Option<&FieldInfo>,
    dialect: Dialect,
) -> Result<Value, Failure> {
    let query = QueryText::plain(text);
    let source = Arc::new(Source::new("query", text));
    let failed = |found: Vec<Diagnostic>| {
        Failure::Findings(found.into_iter().map(|d| d.relocate(&query, &source)).collect())
    };
    if language == Language::Kql {
        if let Some(d) = kql::dql_difference(text).filter(|_| dialect == Dialect::OpenSearch) {
            return Err(failed(vec![d]));
        }
        let parsed = kql::parse(text);
        let Some(parsed_query) = parsed.query else { return Err(failed(parsed.diagnostics)) };
        let options = kql::DslOptions { fields, time_zone: Some(ZONE), dialect };
        return kql::compile(&parsed_query, &options).map_err(failed);
    }
    let whole = Whole { language, query: text, filters: &[], exceptions: Vec::new(), fields, dialect };
    match whole.compile() {
        Ok(made) => {
            let query = made.pointer("/bool/must/0").or_else(|| made.pointer("/bool/filter/0"));
            Ok(query.cloned().unwrap_or_else(|| json!({ "match_all": {} })))
        }
        Err(Refused::Query(found)) => Err(failed(found)),
        Err(Refused::Filters(_)) => Ok(Value::Null),
    }
}

/// All that a rule asks.
fn of_rule(
    path: &Path,
    args: &CompileArgs,
    fields: Option<&FieldInfo>,
    schema: &Schema,
    dialect: Dialect,
    terminal: &mut Terminal,
) -> Result<Value, Failure> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| Failure::Usage(format!("{shown}: {}", input::reason(&e))))?;
    let asked = Asked::read(&shown, bytes)?;
    let text = asked.query.text().to_owned();
    // of EQL and ES|QL, Elasticsearch takes the query as text and the rest as a filter beside it
    let (language, query) = match asked.language {
        Language::Eql | Language::Esql => (Language::Kql, ""),
        language => (language, text.as_str()),
    };
    let whole = Whole {
        language,
        query,
        filters: &asked.filters,
        exceptions: exceptions(path, &asked)?,
        fields,
        dialect,
    };
    let mut query = whole.compile().map_err(|refused| {
        Failure::Findings(match refused {
            Refused::Query(found) => {
                found.into_iter().map(|d| d.relocate(&asked.query, &asked.source)).collect()
            }
            Refused::Filters(bad) => bad
                .into_iter()
                .map(|b| Diagnostic::new(Code::RP0607, format!("filter {}: {}", b.pointer, b.message)))
                .map(|d| d.in_source(&asked.source))
                .collect(),
        })
    })?;
    match asked.language {
        Language::Eql => {
            let located = |d: Diagnostic| d.relocate(&asked.query, &asked.source);
            let (clause, _) =
                event_query(&text, schema, &located, terminal).ok_or(Failure::Findings(Vec::new()))?;
            if let Some(list) = query.pointer_mut("/bool/filter").and_then(Value::as_array_mut) {
                list.insert(0, clause);
            }
        }
        Language::Esql => terminal.note("note: this is the filter that Kibana sends beside the ES|QL query"),
        Language::Kql | Language::Lucene => {}
    }
    if args.since.is_none() && args.until.is_none() {
        return Ok(query);
    }
    let text = |key: &str| asked.json.get(key).and_then(Value::as_str);
    let range = TimeRange {
        field: text("timestamp_override").unwrap_or("@timestamp"),
        fallback: asked.json.get("timestamp_override_fallback_disabled") != Some(&Value::Bool(true)),
        from: args.since.as_deref().or_else(|| text("from")).unwrap_or("now-6m"),
        to: args.until.as_deref().or_else(|| text("to")).unwrap_or("now"),
    };
    Ok(range.around(query))
}

/// The exceptions of a rule as one query: those that the file holds itself (`exceptions`), and those of
/// the pack that a TOML file stands in, as long as they have not ended.
fn exceptions(path: &Path, asked: &Asked) -> Result<Vec<Value>, Failure> {
    let mut any = Vec::new();
    let unusable = |bad: Unusable, source: &Arc<Source>, span: Option<Span>| {
        let mut d = Diagnostic::new(Code::RP0608, bad.message).in_source(source);
        if let Some(span) = span {
            d = d.at(span, "");
        }
        Failure::Findings(vec![d])
    };
    let no_lists = |id: &str| Err(format!("the value list `{id}` is not here"));
    let own = asked.json.get("exceptions").and_then(Value::as_array);
    for item in own.into_iter().flatten() {
        any.push(item_query(item, &no_lists).map_err(|bad| unusable(bad, &asked.source, None))?);
    }
    if let Some(rule) = &asked.rule {
        let now = super::now(None).unwrap_or_default();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let pack = Pack::find(&absolute).map(|root| Pack::load(&root).map_err(Failure::Findings));
        if let Some(pack) = pack.transpose()? {
            let applied = pack.exceptions.of(rule);
            for one in applied.into_iter().filter(|a| a.item.expires.is_none_or(|e| e > now)) {
                let made = item_query(&one.item.json, &|id| pack.exceptions.values(id));
                let place = |bad: &Unusable| one.file.span(&format!("{}{}", one.item.pointer, bad.pointer));
                any.push(made.map_err(|bad| {
                    let span = place(&bad);
                    unusable(bad, &one.file.source, Some(span))
                })?);
            }
        }
    }
    Ok(if any.is_empty() { Vec::new() } else { vec![json!({ "bool": { "should": any } })] })
}

/// What a rule file asks, TOML or JSON.
struct Asked {
    source: Arc<Source>,
    /// The rule, where it is a TOML file.
    rule: Option<Rule>,
    json: Value,
    language: Language,
    query: QueryText,
    filters: Vec<Value>,
}

impl Asked {
    fn read(shown: &str, bytes: Vec<u8>) -> Result<Asked, Failure> {
        let is_json = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
        if !is_json {
            let (rule, found) = Rule::read(shown, shown, bytes);
            let Some(rule) = rule.filter(|r| !r.broken) else { return Err(Failure::Findings(found)) };
            let source = Arc::clone(&rule.source);
            let query = rule.query.clone();
            let asked = Asked::of(source, rule.json().clone(), query)?;
            return Ok(Asked { rule: Some(rule), ..asked });
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let source = Arc::new(Source::new(shown, text.as_str()));
        let json: Value = serde_json::from_str(&text).map_err(|e| {
            Failure::Findings(vec![Diagnostic::new(Code::RP0009, format!("{e}")).in_source(&source)])
        })?;
        // a query inside JSON is shown as a text by itself
        let query = json.get("query").and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = Arc::new(Source::new(format!("{shown}: query"), query.as_str()));
        Asked::of(own, json, Some(QueryText::plain(query)))
    }

    fn of(source: Arc<Source>, json: Value, query: Option<QueryText>) -> Result<Asked, Failure> {
        let text = |key: &str| json.get(key).and_then(Value::as_str);
        let named = text("language").unwrap_or(match text("type") {
            Some("eql") => "eql",
            Some("esql") => "esql",
            _ => "kuery",
        });
        let Some(language) = Language::from_name(named) else {
            return Err(Failure::Usage(format!("there is no query language `{named}`")));
        };
        if query.is_none() && text("type") == Some("machine_learning") {
            return Err(Failure::Usage("a machine learning rule has no query".to_owned()));
        }
        let filters = json.get("filters").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(Asked {
            source,
            rule: None,
            language,
            query: query.unwrap_or_else(|| QueryText::plain("")),
            filters,
            json,
        })
    }
}
