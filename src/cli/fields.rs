//! `rulepack fields`: fields and their types in the bundled catalogues.

use super::Exit;
use super::terminal::{Terminal, count};
use crate::diag::{Code, Diagnostic, did_you_mean};
use crate::schema::{
    Field, Origin, Schema, Version, aws_cloudtrail, aws_cloudtrail_filled, ecs, ecs_of_stack, ecs_values,
};
use clap::{Args, ValueEnum};
use rustc_hash::FxHashSet;
use serde_json::{Value, json};

/// Look up fields and their types
///
/// PATTERN is a name, a part of one, or a glob. Without it, the fields that CloudTrail documents have.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack fields user.target\n  rulepack fields 'aws.cloudtrail.user_identity.*'\n  \
rulepack fields event.category --stack 8.19"
)]
pub struct FieldsArgs {
    /// A name, a part of one, or a glob
    pattern: Option<String>,
    /// The stack whose ECS version counts
    #[arg(long, value_name = "VERSION", default_value = "9.5")]
    stack: String,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
    /// Add a catalogue from a mapping (not supported yet)
    #[arg(long, value_name = "NAME")]
    add: Option<String>,
    /// The mapping for --add (not supported yet)
    #[arg(long, value_name = "FILE")]
    mapping: Option<String>,
    /// Datasets without a catalogue (not supported yet)
    #[arg(long)]
    missing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Answers {
    Text,
    Json,
}

/// Runs the command.
pub fn run(args: FieldsArgs, terminal: &mut Terminal) -> Exit {
    if args.add.is_some() || args.mapping.is_some() || args.missing {
        let d = Diagnostic::new(Code::RP9001, "catalogues of your own are not supported yet")
            .note("bundled are ECS 8.11 to 9.5 and aws.cloudtrail up to 8.9");
        terminal.complain(&d);
        return Exit::Findings;
    }
    let Some(stack) = Version::parse(&args.stack) else {
        terminal.note(&format!("error: `--stack {}` is no version; write it as 9.5", args.stack));
        return Exit::Usage;
    };
    let version = ecs_of_stack(stack);
    let schema = Schema::new(vec![aws_cloudtrail().layer(Version(8, 9, 0)), ecs().layer(version)]);
    let mut found: Vec<&Field> = match &args.pattern {
        None => {
            let filled: FxHashSet<&str> = aws_cloudtrail_filled().collect();
            schema
                .iter()
                .filter(|f| f.origin == Origin::Dataset || filled.contains(f.name.as_ref()))
                .collect()
        }
        Some(p) if p.contains('*') => {
            let pattern = crate::es::wildcard::Pattern::plain(p, true);
            schema.iter().filter(|f| pattern.matches(&f.name)).collect()
        }
        Some(p) => {
            let lower = p.to_lowercase();
            match schema.resolve(p) {
                Some(r) if r.flattened_key.is_some() => vec![r.field],
                _ => schema.iter().filter(|f| f.name.contains(&lower)).collect(),
            }
        }
    };
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if found.is_empty() {
        let pattern = args.pattern.unwrap_or_default();
        terminal.note(&format!("error: no field matches `{pattern}` ({})", schema.not_in()));
        if let Some(near) = did_you_mean(&pattern, schema.iter().map(|f| f.name.as_ref())) {
            terminal.note(&format!("help: did you mean `{near}`?"));
        }
        return Exit::Usage;
    }
    if args.format == Answers::Json {
        let all: Vec<Value> = found.iter().map(|f| as_json(f, version)).collect();
        terminal.line(&json!({ "fields": all }).to_string());
        return Exit::Fine;
    }
    let width = found.iter().map(|f| f.name.len()).max().unwrap_or(0).min(60);
    for field in &found {
        terminal.line(&describe(field, width, version));
    }
    terminal.remark(&format!("{} in ECS {version} and aws.cloudtrail 8.9", count(found.len(), "field")));
    Exit::Fine
}

fn describe(f: &Field, width: usize, version: Version) -> String {
    let mut facts = vec![f.kind().to_string()];
    if f.array {
        facts.push("array".to_owned());
    }
    if let Some(n) = f.ty().ignore_above {
        facts.push(format!("up to {n} characters"));
    }
    if let Some(c) = &f.ty().constant {
        facts.push(format!("always `{c}`"));
    }
    if let Some(parent) = &f.parent {
        facts.push(format!("of {parent}"));
    }
    if !f.ty().indexed {
        facts.push("not searchable".to_owned());
    }
    if let Some(since) = f.since {
        let source = if f.origin == Origin::Ecs { "ECS" } else { "aws" };
        facts.push(format!("since {source} {since}"));
    }
    if let Some(values) = ecs_values().allowed(&f.name, version) {
        facts.push(format!("one of {}", values.join(", ")));
    }
    format!("{:width$}  {}", f.name, facts.join(" · "))
}

fn as_json(f: &Field, version: Version) -> Value {
    json!({
        "name": f.name,
        "type": f.kind().name(),
        "array": f.array,
        "ignore_above": f.ty().ignore_above,
        "constant": f.ty().constant,
        "multi_field_of": f.parent,
        "indexed": f.ty().indexed,
        "since": f.since.map(|v| v.to_string()),
        "catalogue": if f.origin == Origin::Ecs { "ECS" } else { "aws.cloudtrail" },
        "allowed": ecs_values().allowed(&f.name, version),
    })
}
