//! `rulepack convert`: raw CloudTrail to ECS documents.

use super::Exit;
use super::input::{InputFlags, left_out, usage};
use super::query::sources;
use super::terminal::{Terminal, count};
use crate::lang::cloudtrail::{Converter, Needs, Options, Retain, complete_ecs};
use crate::replay::events::{EventReader, Outcome};
use crate::replay::selection::{Admission, Recent};
use crate::replay::{Selection, input, query::Source, records};
use crate::value::Document;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Convert raw CloudTrail to ECS documents, one a line
///
/// Reads S3 delivery files (also .gz), NDJSON, JSON arrays, `lookup-events` output and EventBridge
/// events; without INPUT it reads stdin. The documents are those of the AWS integration 8.9.0, less
/// GeoIP and ASN look-ups. ECS documents pass through.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack convert AWSLogs/ > ecs.ndjson\n  \
aws cloudtrail lookup-events | rulepack convert")]
pub struct ConvertArgs {
    /// The format of the input
    #[arg(long, value_name = "FORMAT", default_value = "cloudtrail")]
    from: From,
    /// Which forms of the payload objects to keep, as the integration's setting does
    #[arg(long, value_name = "WHAT", default_value = "all")]
    retain: Keep,
    /// Keep the raw record in `event.original`
    #[arg(long)]
    keep_original: bool,
    /// Leave out actor and target entities
    #[arg(long)]
    no_entities: bool,
    #[command(flatten)]
    part: InputFlags,
    /// What relative times count from, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// Files and folders
    input: Vec<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum From {
    Cloudtrail,
}

#[derive(Clone, Copy, ValueEnum)]
enum Keep {
    All,
    Flattened,
    Keyword,
    Minimal,
    None,
}

/// Runs the command.
pub fn run(args: ConvertArgs, terminal: &mut Terminal) -> Exit {
    let From::Cloudtrail = args.from;
    let options = Options {
        retain: match args.retain {
            Keep::All => Retain::All,
            Keep::Flattened => Retain::Flattened,
            Keep::Keyword => Retain::Keyword,
            Keep::Minimal => Retain::Minimal,
            Keep::None => Retain::None,
        },
        keep_original: args.keep_original,
        entities: !args.no_entities,
    };
    let selection = match super::now(args.now.as_deref()).and_then(|now| args.part.selection(now)) {
        Ok(selection) => selection,
        Err(why) => return usage(&why, terminal),
    };
    let (mut outside, mut duplicates) = (0, 0);
    let mut recent = Recent::default();
    let (sources, skipped) = match sources(&args.input, true, &selection) {
        Ok(found) => found,
        Err(why) => {
            terminal.note(&format!("error: {why}"));
            return Exit::Usage;
        }
    };
    let converter = Converter::new(options);
    let needs = Needs::all();
    let reader = EventReader {
        converter: &converter,
        needs: &needs,
        prefilter: None,
        any_document: false,
        projection: None,
        form: None,
    };
    let bytes = Arc::new(AtomicU64::new(0));
    let (mut documents, mut foreign, mut broken, mut with_errors) = (0usize, 0usize, 0usize, 0usize);
    for source in &sources {
        if terminal.is_closed() {
            break;
        }
        let (name, opened): (String, std::io::Result<Box<dyn std::io::Read + '_>>) = match source {
            Source::File(file) => {
                (file.shown(), input::open(file, &bytes).map(|r| -> Box<dyn std::io::Read> { r }))
            }
            Source::Text { name, text } => (name.clone(), Ok(Box::new(text.as_slice()))),
        };
        let mut opened = match opened {
            Ok(r) => r,
            Err(e) => {
                terminal.note(&format!("error: {name}: {}", input::reason(&e)));
                broken += 1;
                continue;
            }
        };
        let terminal_cell = std::cell::RefCell::new(&mut *terminal);
        let broken_cell = std::cell::Cell::new(broken);
        records::split(
            &mut opened,
            &mut |record| {
                if !selection.samples(record.text) {
                    return;
                }
                let at = records::in_file(&name, &records::place(record.number, record.line));
                reader.read(&record, &mut Document::default(), &mut |outcome| {
                    let mut terminal = terminal_cell.borrow_mut();
                    match outcome {
                        Outcome::Event(event) => match event.tree() {
                            Ok(tree) if !admitted(&selection, &tree) => outside += 1,
                            Ok(tree)
                                if event.is_raw()
                                    && !selection.keep_duplicates
                                    && twice(&tree, &mut recent) =>
                            {
                                duplicates += 1;
                            }
                            Ok(mut tree) => {
                                with_errors += usize::from(!event.errors.is_empty());
                                complete_ecs(&mut tree);
                                documents += 1;
                                terminal.line(&tree.to_string());
                            }
                            Err(e) => {
                                broken_cell.set(broken_cell.get() + 1);
                                terminal.note(&format!("error: {at}: {e}"));
                            }
                        },
                        Outcome::Broken(_, why) => {
                            broken_cell.set(broken_cell.get() + 1);
                            terminal.note(&format!("error: {at}: {why}"));
                        }
                        Outcome::Foreign => foreign += 1,
                        Outcome::Dropped(_) => {}
                    }
                });
            },
            &mut |t| {
                let place = records::in_file(&name, &t.place());
                broken_cell.set(broken_cell.get() + 1);
                terminal_cell.borrow_mut().note(&format!("error: {place}: {}", t.message()));
            },
        );
        broken = broken_cell.get();
    }
    let mut parts = vec![count(documents, "document")];
    if with_errors > 0 {
        parts.push(format!("{with_errors} with `event.kind: pipeline_error`"));
    }
    if foreign > 0 {
        parts.push(format!("{} skipped: neither CloudTrail nor ECS", count(foreign, "record")));
    }
    if skipped.by_name > 0 {
        parts.push(format!("{} skipped by name", count(skipped.by_name, "file")));
    }
    parts.extend(left_out(skipped.pruned, outside, duplicates, selection.sample));
    if broken > 0 {
        parts.push(format!("{broken} could not be read"));
        terminal.remark(&format!("failed: {}", parts.join(", ")));
        return Exit::Findings;
    }
    terminal.remark(&format!("ok: {}", parts.join(", ")));
    Exit::Fine
}

/// A value of a document, nested or with a dotted name.
fn text_at<'t>(tree: &'t serde_json::Value, name: &str) -> Option<&'t str> {
    let nested = || tree.pointer(&format!("/{}", name.replace('.', "/")));
    tree.get(name).or_else(nested)?.as_str()
}

/// Whether a document is in the selection.
fn admitted(selection: &Selection, tree: &serde_json::Value) -> bool {
    if !selection.looks_at_events() {
        return true;
    }
    let time = text_at(tree, "@timestamp").and_then(crate::es::date::parse_value);
    let (account, region) = (text_at(tree, "cloud.account.id"), text_at(tree, "cloud.region"));
    selection.admits(time, account, region) == Admission::In
}

/// Whether a record with this id was there before.
fn twice(tree: &serde_json::Value, recent: &mut Recent) -> bool {
    text_at(tree, "event.id").is_some_and(|id| recent.seen(id))
}
