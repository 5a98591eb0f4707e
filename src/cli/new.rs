//! `rulepack new`: starts a rule and its test.

use super::Exit;
use super::files;
use super::pack::open;
use super::terminal::Terminal;
use clap::{Args, ValueEnum};

/// Start a rule and its test
///
/// NAME is the path below the rules folder, without `.toml`. The new rule is valid, its test has a case to
/// fill in.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack new aws/iam/role_deleted\n  rulepack new aws/iam/odd_caller --type eql"
)]
pub struct NewArgs {
    /// The rule's name, as aws/iam/role_deleted
    name: String,
    /// The kind of rule
    #[arg(long = "type", value_name = "TYPE", default_value = "query")]
    kind: KindArg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KindArg {
    /// KQL, an alert per event
    Query,
    /// EQL, an alert per event
    Eql,
    /// KQL, an alert for values not seen before
    NewTerms,
}

/// Runs the command.
pub fn run(args: NewArgs, terminal: &mut Terminal) -> Exit {
    let name = args.name.trim_end_matches(".toml").to_owned();
    let good = !name.is_empty()
        && name.split('/').all(|part| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
        });
    if !good {
        terminal.note(&format!(
            "error: `{name}` is no rule name: use lower-case letters, digits, `_`, `-` and `/`"
        ));
        terminal.note("help: rulepack new aws/iam/role_deleted");
        return Exit::Usage;
    }
    let here = std::env::current_dir().unwrap_or_default();
    let Some(root) = crate::pack::Pack::find(&here) else {
        terminal.note("error: no pack here: no `rulepack.toml`");
        terminal.note("help: `rulepack init` makes one");
        return Exit::Usage;
    };
    // an empty pack cannot be opened by selection, so only its configuration is asked for
    let (rules, tests) = match crate::pack::Pack::load(&root) {
        Ok(pack) => (pack.config.rules.clone(), pack.config.tests.clone()),
        Err(_) => match open(&[], terminal) {
            Ok(o) => (o.pack.config.rules.clone(), o.pack.config.tests.clone()),
            Err(exit) => return exit,
        },
    };
    let rule_file = root.join(&rules).join(format!("{name}.toml"));
    let test_file = root.join(&tests).join(format!("{name}.toml"));
    for file in [&rule_file, &test_file] {
        if file.exists() {
            terminal.note(&format!("error: {} exists already", file.display()));
            return Exit::Usage;
        }
    }
    let today = jiff::Timestamp::now().to_string();
    let today = today.get(..10).unwrap_or("2026-01-01").to_owned();
    let id = uuid::Uuid::new_v4().to_string();
    for (file, text) in
        [(&rule_file, rule(&name, args.kind, &today, &id)), (&test_file, test(args.kind, &today))]
    {
        if let Err(why) = files::write(file, text.as_bytes()) {
            terminal.note(&format!("error: {}: {why}", file.display()));
            return Exit::Findings;
        }
    }
    terminal.line(&format!("+ {rules}/{name}.toml"));
    terminal.line(&format!("+ {tests}/{name}.toml"));
    terminal.line(&format!("ok: {name} is started; edit both files, then: rulepack test {name}"));
    Exit::Fine
}

fn title(name: &str) -> String {
    let stem = name.rsplit('/').next().unwrap_or(name).replace(['_', '-'], " ");
    let mut chars = stem.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().collect::<String>() + chars.as_str())
}

fn rule(name: &str, kind: KindArg, today: &str, id: &str) -> String {
    let slashed = today.replace('-', "/");
    let (ty, language, query, extra) = match kind {
        KindArg::Query => (
            "query",
            "kuery",
            "data_stream.dataset: \"aws.cloudtrail\" and event.provider: \"iam.amazonaws.com\"\n  and event.action: \"DeleteRole\" and event.outcome: \"success\"",
            "",
        ),
        KindArg::Eql => (
            "eql",
            "eql",
            "any where data_stream.dataset == \"aws.cloudtrail\" and event.provider == \"iam.amazonaws.com\"\n  and event.action == \"DeleteRole\" and event.outcome == \"success\"",
            "",
        ),
        KindArg::NewTerms => (
            "new_terms",
            "kuery",
            "data_stream.dataset: \"aws.cloudtrail\" and event.provider: \"iam.amazonaws.com\"\n  and event.action: \"DeleteRole\" and event.outcome: \"success\"",
            "\n[rule.new_terms]\nfield = \"new_terms_fields\"\nvalue = [\"aws.cloudtrail.user_identity.arn\"]\n\n[[rule.new_terms.history_window_start]]\nfield = \"history_window_start\"\nvalue = \"now-14d\"\n",
        ),
    };
    format!(
        r###"[metadata]
creation_date = "{slashed}"
integration = ["aws"]
maturity = "production"
updated_date = "{slashed}"

[rule]
author = ["you"]
description = "Say what this rule detects, and why it matters."
false_positives = ["Say who does this legitimately."]
from = "now-6m"
index = ["logs-aws.cloudtrail-*"]
language = "{language}"
license = "Apache-2.0"
name = "{title}"
note = """## Triage and analysis

Say what to look at first.
"""
risk_score = 21
rule_id = "{id}"
severity = "low"
tags = ["Domain: Cloud", "Data Source: AWS"]
timestamp_override = "event.ingested"
type = "{ty}"

query = '''
{query}
'''
{extra}"###,
        title = title(name),
    )
}

fn test(kind: KindArg, today: &str) -> String {
    let group = if kind == KindArg::NewTerms {
        "\n\"aws.cloudtrail\".user_identity.arn = \"arn:aws:iam::111122223333:user/dora.kern\""
    } else {
        ""
    };
    format!(
        r#"# Cases of the rule: events in, expected alerts out. Events are files below the fixtures folder, or tables.

[[case]]
name = "the event that must alert"
expect = [{{ events = ["0a000001"] }}]

[[case.events]]
"@timestamp" = "{today}T10:00:00Z"
ecs.version = "8.11.0"
data_stream.dataset = "aws.cloudtrail"
event.id = "0a000001"
event.provider = "iam.amazonaws.com"
event.action = "DeleteRole"
event.outcome = "success"{group}

[[case]]
name = "the same call, denied"
expect = 0

[[case.events]]
"@timestamp" = "{today}T10:00:00Z"
ecs.version = "8.11.0"
data_stream.dataset = "aws.cloudtrail"
event.id = "0a000002"
event.provider = "iam.amazonaws.com"
event.action = "DeleteRole"
event.outcome = "failure"{group}
"#
    )
}
