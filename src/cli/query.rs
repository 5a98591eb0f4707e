//! `rulepack query`: one query over logs or documents.

use super::Exit;
use super::input::{InputFlags, left_out};
use super::terminal::{Terminal, count, thousands};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::Context;
use crate::lang::{Language, Settings, Shape, analyze, check_syntax};
use crate::replay::query::{Answer, Catalogs, Hit, Request, Source, run as run_query, schema};
use crate::replay::{Selection, input};
use crate::schema::{Fields, Layer, Version, parse_mapping};
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

#[derive(Clone, Copy, ValueEnum)]
enum Lang {
    #[value(alias = "kuery")]
    Kql,
    Lucene,
    Eql,
    Esql,
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
        Some(Lang::Kql) => Language::Kql,
        Some(Lang::Lucene) => Language::Lucene,
        Some(Lang::Eql) => Language::Eql,
        Some(Lang::Esql) => Language::Esql,
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
    let mut mappings = Vec::new();
    for given in &args.mapping {
        match mapping(given) {
            Ok(layer) => mappings.push(layer),
            Err(why) => return usage(&why, terminal),
        }
    }
    let defaults = Settings::default();
    let settings = Settings {
        context: Context { now, offset: 0 },
        unknown_field: Severity::Warning,
        ecs: None,
        event_category_field: args.event_category_field.unwrap_or(defaults.event_category_field),
        timestamp_field: args.timestamp_field.unwrap_or(defaults.timestamp_field),
        tiebreaker_field: args.tiebreaker_field,
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
    if args.check && args.input.is_empty() {
        let with_catalogs = match catalogs {
            Catalogs::Always => true,
            Catalogs::Never => false,
            Catalogs::Auto => mappings.is_empty(),
        };
        let schema = schema(&mappings, None, with_catalogs);
        let analysis = analyze(language, text.text(), &schema, &settings);
        return verdict(&relocated(analysis.diagnostics, &text, &source), terminal);
    }
    let (sources, skipped) = match sources(&args.input, true, &selection) {
        Ok(found) => found,
        Err(why) => return usage(&why, terminal),
    };
    let sample = selection.sample;
    let request =
        Request { language, text: text.text(), mappings, catalogs, settings, sources: &sources, selection };
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
        let what = match answer.analysis.shape {
            Shape::Sequence => "EQL sequences are not supported yet",
            Shape::Sample => "EQL samples are not supported yet",
            Shape::Table | Shape::Events => "running this query is not supported yet",
        };
        terminal.complain(&Diagnostic::new(Code::RP9001, what));
        return Exit::Findings;
    }
    let total = answer.hits.len();
    cut(&mut answer, language, args.size, args.result_position == Position::Tail);
    print(&answer, language, args.format, total, terminal);
    let left_out = left_out(skipped.pruned, answer.outside, answer.duplicates, sample);
    if args.format != Answers::Text {
        left_out.iter().for_each(|l| terminal.remark(&format!("note: {l}")));
    }
    finish(&answer, total, skipped.by_name, &left_out, args.format, terminal)
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

fn mapping(given: &str) -> Result<Layer, String> {
    let (_, path) = match given.split_once('=') {
        Some((index, path)) if !Path::new(given).exists() => (Some(index), path),
        _ => (None, given),
    };
    let text =
        std::fs::read_to_string(path).map_err(|e| format!("--mapping {path}: {}", input::reason(&e)))?;
    let fields: Fields = parse_mapping(&text).map_err(|e| format!("--mapping {path}: {e}"))?;
    Ok(Layer { fields: Arc::new(fields), version: None::<Version>, label: path.to_owned() })
}

/// What of the given paths was left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Skipped {
    /// Files whose names say that they are no events.
    pub by_name: usize,
    /// Files and folders that hold nothing of what was asked for.
    pub pruned: usize,
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

/// Cuts the hits to what the language returns.
fn cut(answer: &mut Answer, language: Language, size: Option<usize>, tail: bool) {
    if language != Language::Eql {
        if let Some(size) = size {
            answer.hits.truncate(size);
        }
        return;
    }
    let window = crate::lang::eql::combine(size.unwrap_or(10), tail, &answer.analysis.pipes);
    let range = window.of_events(answer.hits.len());
    answer.hits = std::mem::take(&mut answer.hits).drain(range).collect();
}

fn print(answer: &Answer, language: Language, format: Answers, total: usize, terminal: &mut Terminal) {
    match format {
        Answers::Json => {
            let hits: Vec<Value> = answer.hits.iter().map(hit_json).collect();
            let body = if language == Language::Eql {
                json!({ "hits": { "total": { "value": total, "relation": "eq" }, "events": hits } })
            } else {
                json!({ "hits": { "total": { "value": total, "relation": "eq" }, "hits": hits } })
            };
            terminal.line(&body.to_string());
        }
        Answers::Ndjson => answer.hits.iter().for_each(|h| terminal.line(&hit_json(h).to_string())),
        Answers::Text => answer.hits.iter().for_each(|h| terminal.line(&hit_text(h))),
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
    total: usize,
    skipped: usize,
    left_out: &[String],
    format: Answers,
    terminal: &mut Terminal,
) -> Exit {
    for unread in answer.unread.iter().take(20) {
        terminal.note(&format!("error: {}: {}", unread.place, unread.message));
    }
    let mut text = format!(
        "{} of {} match",
        thousands(total as u64),
        count(usize::try_from(answer.documents).unwrap_or(usize::MAX), "document")
    );
    if answer.hits.len() < total {
        text.push_str(&format!(", {} shown", thousands(answer.hits.len() as u64)));
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
