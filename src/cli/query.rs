//! `rulepack query`: one query over logs or documents.

use super::Exit;
use super::input::{InputFlags, left_out};
use super::terminal::{Terminal, count, thousands};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::Context;
use crate::lang::esql::cell_json;
use crate::lang::{Language, Settings, Shape, analyze, check_syntax};
use crate::plan::join::KeyValue;
use crate::plan::sequence;
use crate::replay::query::{Answer, Catalogs, Group, Hit, Limits, Request, Source, run as run_query, schema};
use crate::replay::table::{self, TableAnswer, TableRequest};
use crate::replay::{Selection, input};
use crate::schema::{Fields, Layer, Version, parse_catalogue};
use crate::source::{QueryText, Source as Text};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Run one query over logs or documents
///
/// Needs no pack. Raw CloudTrail (files, folders, also .gz) is converted to ECS first; NDJSON documents
/// and search hits are taken as they are. Types come from --mapping, else from the bundled ECS and
/// aws.cloudtrail catalogues for ECS documents, else from the data. Without INPUT it reads stdin.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack query 'event.action: DeleteGroup and event.outcome: success' AWSLogs/\n  \
rulepack query --lang eql 'iam where user.name : \"adm*\"' events.ndjson\n  \
rulepack query --check --mapping mapping.json 'process.pid > abc'"
)]
pub struct QueryArgs {
    /// The language; guessed from the query if left out
    #[arg(long, value_name = "LANG")]
    lang: Option<Lang>,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    /// The most results; all for KQL and Lucene, 10 for EQL
    #[arg(long, value_name = "N")]
    size: Option<usize>,
    /// What `now` means, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// An Elasticsearch mapping for all documents, or for an index
    #[arg(long, value_name = "[INDEX=]FILE")]
    mapping: Vec<String>,
    /// The zone of dates that name none, as +01:00
    #[arg(long, value_name = "ZONE", value_parser = zone, allow_hyphen_values = true)]
    time_zone: Option<i32>,
    /// KQL as this stack compiles it: before 8.8 without field information
    #[arg(long, value_name = "STACK", value_parser = stack)]
    compat: Option<Version>,
    /// Which catalogue types the documents: ecs or none (default: as the documents say)
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Documents of an index that ES|QL reads
    #[arg(long, value_name = "NAME=FILE")]
    index: Vec<String>,
    /// EQL: the field that holds the event category
    #[arg(long, value_name = "FIELD")]
    event_category_field: Option<String>,
    /// EQL: the field that orders events
    #[arg(long, value_name = "FIELD")]
    timestamp_field: Option<String>,
    /// EQL: the field that orders events of one instant
    #[arg(long, value_name = "FIELD")]
    tiebreaker_field: Option<String>,
    /// EQL: which end of the results counts when there are more than --size
    #[arg(long, value_name = "END", default_value = "tail")]
    result_position: Position,
    /// EQL: samples for each join key
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_samples_per_key: usize,
    /// Check the query and run nothing
    #[arg(long)]
    check: bool,
    /// With --check: look at no names and types
    #[arg(long, requires = "check")]
    syntax_only: bool,
    #[command(flatten)]
    part: InputFlags,
    /// The query
    query: String,
    /// Files and folders
    input: Vec<PathBuf>,
}

/// A zone as people write it, in seconds.
fn zone(text: &str) -> Result<i32, String> {
    crate::es::date::zone(text).ok_or_else(|| "write an offset such as +01:00, or Zulu".to_owned())
}

/// A stack version as people write it.
fn stack(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or_else(|| "write a version such as 8.7".to_owned())
}

/// A query language on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub enum Lang {
    #[value(alias = "kuery")]
    Kql,
    Lucene,
    Eql,
    Esql,
}

impl Lang {
    /// The language.
    pub fn language(self) -> Language {
        match self {
            Lang::Kql => Language::Kql,
            Lang::Lucene => Language::Lucene,
            Lang::Eql => Language::Eql,
            Lang::Esql => Language::Esql,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Text,
    Ndjson,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Position {
    Head,
    Tail,
}

/// Runs the command.
pub fn run(args: QueryArgs, terminal: &mut Terminal) -> Exit {
    let language = match args.lang {
        Some(lang) => lang.language(),
        None => {
            let guess = guess(&args.query);
            terminal.remark(&format!("read as {}; --lang says otherwise", guess.name()));
            guess
        }
    };
    let text = QueryText::plain(args.query.as_str());
    let source = Arc::new(Text::new("query", args.query.as_str()));
    if args.check && args.syntax_only {
        let found = check_syntax(language, text.text());
        return verdict(&relocated(found, &text, &source), terminal);
    }
    let now = match super::now(args.now.as_deref()) {
        Ok(now) => now,
        Err(why) => return usage(&why, terminal),
    };
    if !args.index.is_empty() && language != Language::Esql {
        return usage("--index gives ES|QL its sources; other languages read INPUT", terminal);
    }
    let selection = match args.part.selection(now) {
        Ok(selection) => selection,
        Err(why) => return usage(&why, terminal),
    };
    if args.max_samples_per_key == 0 {
        return usage("--max-samples-per-key must be greater than 0", terminal);
    }
    let mut named = Vec::new();
    for given in &args.mapping {
        match mapping(given) {
            Ok(found) => named.push(found),
            Err(why) => return usage(&why, terminal),
        }
    }
    let mappings: Vec<Layer> = named.iter().map(|(_, layer)| layer.clone()).collect();
    let defaults = Settings::default();
    let mut settings = Settings {
        context: Context { now, offset: args.time_zone.unwrap_or(0) },
        unknown_field: Severity::Warning,
        ecs: None,
        field_information: args.compat.is_none_or(|v| v >= Version(8, 8, 0)),
        event_category_field: args
            .event_category_field
            .unwrap_or_else(|| defaults.event_category_field.clone()),
        timestamp_field: args.timestamp_field.unwrap_or_else(|| defaults.timestamp_field.clone()),
        tiebreaker_field: args.tiebreaker_field,
        ..defaults
    };
    let catalogs = match args.schema.as_deref() {
        None => Catalogs::Auto,
        Some("none") => Catalogs::Never,
        Some("ecs" | "aws.cloudtrail") => Catalogs::Always,
        Some(other) => {
            return usage(
                &format!("there is no schema `{other}`; known are `ecs`, `aws.cloudtrail` and `none`"),
                terminal,
            );
        }
    };
    if args.check && args.input.is_empty() && args.index.is_empty() {
        if language == Language::Esql {
            settings.indices = table::mapped_indices(&named);
        }
        let with_catalogs = match catalogs {
            Catalogs::Always => true,
            Catalogs::Never => false,
            Catalogs::Auto => mappings.is_empty(),
        };
        let schema = schema(&mappings, None, with_catalogs);
        let analysis = analyze(language, text.text(), &schema, &settings);
        return verdict(&relocated(analysis.diagnostics, &text, &source), terminal);
    }
    if language == Language::Esql {
        let request = TableRequest {
            text: text.text(),
            mappings: named,
            catalogs,
            settings,
            indices: Vec::new(),
            plain: Vec::new(),
            selection,
        };
        return tables(
            request,
            &args.index,
            &args.input,
            (args.check, args.size, args.format),
            &text,
            &source,
            terminal,
        );
    }
    let (sources, skipped) = match sources(&args.input, true, &selection) {
        Ok(found) => found,
        Err(why) => return usage(&why, terminal),
    };
    let limits = Limits {
        size: args.size,
        tail: args.result_position == Position::Tail,
        samples_per_key: args.max_samples_per_key,
    };
    let sample = selection.sample;
    let request = Request {
        language,
        text: text.text(),
        mappings,
        catalogs,
        settings,
        sources: &sources,
        limits,
        selection,
    };
    let bytes = Arc::new(AtomicU64::new(0));
    let mut answer = run_query(&request, &bytes);
    let found = relocated(std::mem::take(&mut answer.analysis.diagnostics), &text, &source);
    if args.check || found.iter().any(|d| d.severity == Severity::Error) {
        return verdict(&found, terminal);
    }
    if !terminal.quiet {
        found.iter().for_each(|d| terminal.complain(d));
    }
    if let Some(why) = &answer.failed {
        terminal.note(&format!("error: the query failed: {why}"));
        return Exit::Findings;
    }
    if answer.analysis.plan.is_none() {
        terminal.complain(&Diagnostic::new(Code::RP9001, "running this query is not supported yet"));
        return Exit::Findings;
    }
    print(&answer, language, args.format, terminal);
    let left_out = left_out(skipped.pruned, answer.outside, answer.duplicates, sample);
    if args.format != Answers::Text {
        left_out.iter().for_each(|l| terminal.remark(&format!("note: {l}")));
    }
    finish(&answer, skipped.by_name, &left_out, args.format, terminal)
}

/// Runs an ES|QL query.
fn tables(
    mut request: TableRequest<'_>,
    indices: &[String],
    input: &[PathBuf],
    (check, size, format): (bool, Option<usize>, Answers),
    text: &QueryText,
    source: &Arc<Text>,
    terminal: &mut Terminal,
) -> Exit {
    let mut skipped = Skipped::default();
    let selection = request.selection.clone();
    for given in indices {
        let Some((name, path)) = given.split_once('=') else {
            return usage(&format!("--index {given}: give NAME=FILE"), terminal);
        };
        match sources(&[PathBuf::from(path)], false, &selection) {
            Ok((found, n)) => {
                skipped.add(n);
                match request.indices.iter_mut().find(|(held, _)| held == name) {
                    Some((_, held)) => held.extend(found),
                    None => request.indices.push((name.to_owned(), found)),
                }
            }
            Err(why) => return usage(&format!("--index {why}"), terminal),
        }
    }
    let row = crate::lang::esql::reads_nothing(text.text());
    if !input.is_empty() || (indices.is_empty() && !row) {
        match sources(input, true, &selection) {
            Ok((found, n)) => {
                skipped.add(n);
                request.plain = found;
            }
            Err(why) => return usage(&why, terminal),
        }
    }
    let bytes = Arc::new(AtomicU64::new(0));
    let mut answer = table::run(&request, &bytes);
    let found = relocated(std::mem::take(&mut answer.analysis.diagnostics), text, source);
    if check || found.iter().any(|d| d.severity == Severity::Error) {
        return verdict(&found, terminal);
    }
    if !terminal.quiet {
        found.iter().for_each(|d| terminal.complain(d));
    }
    if answer.analysis.plan.is_none() && answer.unread.is_empty() {
        terminal.complain(&Diagnostic::new(Code::RP9001, "running this query is not supported yet"));
        return Exit::Findings;
    }
    let total = answer.rows.len();
    answer.rows.truncate(size.unwrap_or(usize::MAX));
    print_table(&answer, format, terminal);
    if format != Answers::Json && !terminal.quiet {
        answer.warnings.iter().for_each(|w| terminal.note(&format!("warning: {w}")));
    }
    let counted = Answer { documents: answer.documents, unread: answer.unread, ..Answer::default() };
    let shown = total.min(size.unwrap_or(usize::MAX));
    let left_out = left_out(skipped.pruned, answer.outside, answer.duplicates, selection.sample);
    if format != Answers::Text {
        left_out.iter().for_each(|l| terminal.remark(&format!("note: {l}")));
    }
    finish_rows(&counted, (total, shown), skipped.by_name, &left_out, format, terminal)
}

fn print_table(answer: &TableAnswer, format: Answers, terminal: &mut Terminal) {
    let row_json = |row: &Vec<crate::value::Datum>| -> Vec<Value> { row.iter().map(cell_json).collect() };
    match format {
        Answers::Json => {
            let columns: Vec<Value> =
                answer.columns.iter().map(|c| json!({ "name": c.name, "type": c.ty.name() })).collect();
            let values: Vec<Vec<Value>> = answer.rows.iter().map(row_json).collect();
            terminal.line(
                &json!({ "columns": columns, "values": values, "warnings": answer.warnings }).to_string(),
            );
        }
        Answers::Ndjson => {
            for row in &answer.rows {
                let names = answer.columns.iter().map(|c| c.name.to_string());
                let object: serde_json::Map<String, Value> =
                    names.zip(row_json(row)).filter(|(_, v)| !v.is_null()).collect();
                terminal.line(&Value::Object(object).to_string());
            }
        }
        Answers::Text => {
            // columns without a value are left out, as the detection engine does
            let used: Vec<usize> = (0..answer.columns.len())
                .filter(|i| answer.rows.iter().any(|r| r.get(*i).is_some_and(|d| !d.is_null())))
                .collect();
            let names: Vec<&str> =
                used.iter().filter_map(|i| answer.columns.get(*i)).map(|c| c.name.as_ref()).collect();
            if names.is_empty() {
                return;
            }
            terminal.line(&names.join("  "));
            for row in &answer.rows {
                let cells = used.iter().filter_map(|i| row.get(*i)).map(|d| match cell_json(d) {
                    Value::Null => "-".to_owned(),
                    Value::String(s) => s,
                    other => other.to_string(),
                });
                terminal.line(&cells.collect::<Vec<_>>().join("  "));
            }
        }
    }
}

fn usage(why: &str, terminal: &mut Terminal) -> Exit {
    terminal.note(&format!("error: {why}"));
    Exit::Usage
}

fn relocated(found: Vec<Diagnostic>, text: &QueryText, source: &Arc<Text>) -> Vec<Diagnostic> {
    found.into_iter().map(|d| d.relocate(text, source)).collect()
}

fn verdict(found: &[Diagnostic], terminal: &mut Terminal) -> Exit {
    for d in found {
        if d.severity == Severity::Error || !terminal.quiet {
            terminal.complain(d);
        }
    }
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    if errors > 0 {
        terminal.note(&format!("failed: the query is rejected, {}", count(errors, "error")));
        return Exit::Findings;
    }
    terminal.remark("ok: the query is accepted");
    Exit::Fine
}

/// The language that a text is most likely in.
fn guess(query: &str) -> Language {
    let trimmed = query.trim_start();
    let first = trimmed.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
    let second = trimmed.get(first.len()..).unwrap_or("").split_whitespace().next().unwrap_or("");
    if matches!(first.to_ascii_lowercase().as_str(), "from" | "row" | "show") && !second.starts_with(':') {
        return Language::Esql;
    }
    if (matches!(first, "sequence" | "sample") && (trimmed.contains('[') && trimmed.contains("where")))
        || second == "where"
    {
        return Language::Eql;
    }
    if trimmed.starts_with('"') && trimmed.contains("\" where ") {
        return Language::Eql;
    }
    Language::Kql
}

/// The index that a mapping file is for, if any, and its fields, as `--mapping` names it.
pub fn mapping(given: &str) -> Result<(Option<String>, Layer), String> {
    let (index, path) = match given.split_once('=') {
        Some((index, path)) if !Path::new(given).exists() => (Some(index), path),
        _ => (None, given),
    };
    let bytes = std::fs::read(path).map_err(|e| format!("--mapping {path}: {}", input::reason(&e)))?;
    let fields: Fields = parse_catalogue(path, &bytes).map_err(|e| format!("--mapping {path}: {e}"))?;
    let layer = Layer { fields: Arc::new(fields), version: None::<Version>, label: path.to_owned() };
    Ok((index.map(str::to_owned), layer))
}

/// What of the given paths was left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Skipped {
    /// Files whose names say that they are no events.
    pub by_name: usize,
    /// Files and folders that hold nothing of what was asked for.
    pub pruned: usize,
}

impl Skipped {
    fn add(&mut self, other: Skipped) {
        self.by_name += other.by_name;
        self.pruned += other.pruned;
    }
}

/// The documents of the given paths, or of stdin.
pub fn sources(
    paths: &[PathBuf],
    stdin: bool,
    selection: &Selection,
) -> Result<(Vec<Source>, Skipped), String> {
    if paths.is_empty() {
        let mut input = std::io::stdin();
        if !stdin || input.is_terminal() {
            return Err("no input: give files or folders, or pipe documents in".to_owned());
        }
        return Ok((vec![text_of(&mut input)?], Skipped::default()));
    }
    let listing = input::list_selected(paths, selection, 0);
    if let Some((path, why)) = listing.failed.first() {
        return Err(format!("{}: {why}", path.display()));
    }
    let mut out = Vec::new();
    for file in listing.files {
        if file.path.as_os_str() == "-" {
            out.push(text_of(&mut std::io::stdin())?);
        } else {
            out.push(Source::File(file));
        }
    }
    Ok((out, Skipped { by_name: listing.skipped, pruned: listing.pruned }))
}

/// Standard input can be read only once, so it is held in memory, unpacked if need be.
fn text_of(input: &mut dyn Read) -> Result<Source, String> {
    let mut text = Vec::new();
    input.read_to_end(&mut text).map_err(|e| format!("stdin: {}", input::reason(&e)))?;
    if text.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(text.as_slice())
            .read_to_end(&mut plain)
            .map_err(|e| format!("stdin: {}", input::reason(&e)))?;
        text = plain;
    }
    Ok(Source::Text { name: "stdin".to_owned(), text })
}

fn print(answer: &Answer, language: Language, format: Answers, terminal: &mut Terminal) {
    let grouped = answer.analysis.shape != Shape::Events;
    match format {
        Answers::Json => {
            let (key, results): (&str, Vec<Value>) = match language {
                _ if grouped => ("sequences", answer.groups.iter().map(group_json).collect()),
                Language::Eql => ("events", answer.hits.iter().map(hit_json).collect()),
                _ => ("hits", answer.hits.iter().map(hit_json).collect()),
            };
            let mut hits = serde_json::Map::new();
            hits.insert("total".to_owned(), json!({ "value": answer.total, "relation": "eq" }));
            hits.insert(key.to_owned(), results.into());
            terminal.line(&json!({ "hits": hits }).to_string());
        }
        Answers::Ndjson => {
            answer.hits.iter().for_each(|h| terminal.line(&hit_json(h).to_string()));
            answer.groups.iter().for_each(|g| terminal.line(&group_json(g).to_string()));
        }
        Answers::Text => {
            answer.hits.iter().for_each(|h| terminal.line(&hit_text(h)));
            for (i, group) in answer.groups.iter().enumerate() {
                if i > 0 {
                    terminal.line("");
                }
                group_text(group, answer.analysis.shape, terminal);
            }
        }
    }
}

fn group_json(group: &Group) -> Value {
    let events: Vec<Value> = group
        .events
        .iter()
        .map(|e| match e {
            Some(hit) => hit_json(hit),
            None => json!({ "_index": "", "_id": "", "_source": {}, "missing": true }),
        })
        .collect();
    let keys: Vec<Value> = group.keys.iter().map(KeyValue::to_json).collect();
    json!({ "join_keys": keys, "events": events })
}

/// The keys, and below them the events.
fn group_text(group: &Group, shape: Shape, terminal: &mut Terminal) {
    let what = if shape == Shape::Sample { "sample" } else { "sequence" };
    let keys: Vec<String> = group.keys.iter().map(|k| k.to_json().to_string()).collect();
    let by = if keys.is_empty() { String::new() } else { format!(" by {}", keys.join(", ")) };
    terminal.line(&format!("{what}{by}"));
    for event in &group.events {
        let text = event.as_ref().map_or_else(|| "(no such event)".to_owned(), hit_text);
        terminal.line(&format!("  {text}"));
    }
}

fn hit_json(hit: &Hit) -> Value {
    let mut out = serde_json::Map::new();
    if let Some(index) = &hit.index {
        out.insert("_index".into(), index.clone().into());
    }
    out.insert("_id".into(), hit.id.clone().into());
    out.insert("_source".into(), hit.source.clone());
    out.into()
}

/// Time, id, action and user of a hit.
fn hit_text(hit: &Hit) -> String {
    let get = |path: &str| {
        let found =
            hit.source.get(path).or_else(|| hit.source.pointer(&format!("/{}", path.replace('.', "/"))));
        found.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
    };
    let mut parts = vec![get("@timestamp").unwrap_or_else(|| "-".to_owned()), hit.id.clone()];
    parts.extend(
        ["event.action", "event.outcome", "user.name", "source.address"].iter().filter_map(|p| get(p)),
    );
    parts.join("  ")
}

fn finish(
    answer: &Answer,
    skipped: usize,
    left_out: &[String],
    format: Answers,
    terminal: &mut Terminal,
) -> Exit {
    if answer.forgotten > 0 {
        terminal.note(&format!(
            "warning: {} join keys waited at once for their sequences to go on; {} of them were given up",
            thousands(sequence::MAX_OPEN as u64),
            thousands(answer.forgotten)
        ));
    }
    let documents = count(usize::try_from(answer.documents).unwrap_or(usize::MAX), "document");
    let text = match answer.analysis.shape {
        Shape::Sequence => format!("{} in {documents}", count(answer.total, "sequence")),
        Shape::Sample => format!("{} in {documents}", count(answer.total, "sample")),
        Shape::Events | Shape::Table => format!("{} of {documents} match", thousands(answer.total as u64)),
    };
    let shown = answer.hits.len() + answer.groups.len();
    close(answer, text, (answer.total, shown), skipped, left_out, format, terminal)
}

/// The verdict on a table.
fn finish_rows(
    answer: &Answer,
    (total, shown): (usize, usize),
    skipped: usize,
    left_out: &[String],
    format: Answers,
    terminal: &mut Terminal,
) -> Exit {
    let text = format!(
        "{} of {}",
        count(total, "row"),
        count(usize::try_from(answer.documents).unwrap_or(usize::MAX), "document")
    );
    close(answer, text, (total, shown), skipped, left_out, format, terminal)
}

fn close(
    answer: &Answer,
    mut text: String,
    (total, shown): (usize, usize),
    skipped: usize,
    left_out: &[String],
    format: Answers,
    terminal: &mut Terminal,
) -> Exit {
    for unread in answer.unread.iter().take(20) {
        terminal.note(&format!("error: {}: {}", unread.place, unread.message));
    }
    if shown < total {
        text.push_str(&format!(", {} shown", thousands(shown as u64)));
    }
    if skipped > 0 {
        text.push_str(&format!("; {} skipped by name", count(skipped, "file")));
    }
    left_out.iter().for_each(|l| text.push_str(&format!("; {l}")));
    if !answer.unread.is_empty() {
        terminal
            .note(&format!("failed: {text}, but {} could not be read", count(answer.unread.len(), "record")));
        return Exit::Findings;
    }
    if format == Answers::Text {
        terminal.remark(&format!("ok: {text}"));
    }
    Exit::Fine
}
