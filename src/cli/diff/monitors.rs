//! `rulepack diff --target` where the target is OpenSearch: what of each monitor a deploy would change, value
//! by value.

use super::super::deploy_monitors::{Looking, look, number};
use super::super::pack::Opened;
use super::{Answers, DiffArgs};
use crate::cli::Exit;
use crate::cli::terminal::{Terminal, count};
use crate::pack::Target;
use crate::replay::decision::shorten;
use crate::target::opensearch::{Change, Difference, Kind, differences};
use serde_json::{Value, json};

/// How many characters of a value are shown to people.
const SHOWN: usize = 300;

/// Compares the monitors of a target with what the working tree makes.
pub fn run(args: &DiffArgs, opened: &Opened, target: &Target, terminal: &mut Terminal) -> Exit {
    if matches!(args.format, Answers::Markdown | Answers::Github) {
        terminal.note("error: of monitors a difference is told as `--format text` or `json`");
        return Exit::Usage;
    }
    if !args.on.is_empty() {
        terminal
            .note("error: `--on` is for targets that are Kibana; `rulepack replay --profile` runs monitors");
        return Exit::Usage;
    }
    let looked = match look(opened, target, &Looking { canary: false, prune: false }, terminal) {
        Ok(looked) => looked,
        Err(exit) => return exit,
    };
    let changed: Vec<(&Change, Vec<Difference>)> = looked
        .changes
        .iter()
        .filter(|c| c.kind != Kind::Same)
        .map(|c| {
            let of_live = c.live.as_ref().filter(|_| !matches!(c.kind, Kind::Orphan | Kind::Moved));
            (c, of_live.map_or_else(Vec::new, |live| differences(&live.monitor, &c.body)))
        })
        .collect();
    let same = number(&looked.changes, "same");
    let verdict = if changed.is_empty() {
        format!("no changes: {} are the same", count(same, "monitor"))
    } else {
        let verb = if changed.len() == 1 { "differs" } else { "differ" };
        format!("{} {verb}, {same} the same", count(changed.len(), "monitor"))
    };
    if args.format == Answers::Json {
        let one = |(change, parts): &(&Change, Vec<Difference>)| {
            let parts =
                parts.iter().map(|(path, live, pack)| json!({ "path": path, "live": live, "pack": pack }));
            json!({
                "rule": { "id": change.rule_id, "name": change.name },
                "change": change.kind.words().1,
                "object": change.live.as_ref().map(|l| l.id.clone()),
                "differences": parts.collect::<Vec<_>>(),
            })
        };
        let out = json!({
            "target": { "name": target.name, "opensearch": target.address(), "version": looked.about.version },
            "changes": changed.iter().map(one).collect::<Vec<_>>(),
            "same": same,
            "verdict": verdict,
        });
        terminal.line(&out.to_string());
    } else {
        terminal.line(&format!("{} (OpenSearch {}) -> working tree", target.name, looked.about.version));
        terminal.line("");
        for (change, parts) in &changed {
            tell(change, parts, terminal);
        }
        terminal.line(&verdict);
    }
    if args.exit_code && !changed.is_empty() { Exit::Findings } else { Exit::Fine }
}

fn tell(change: &Change, parts: &[Difference], terminal: &mut Terminal) {
    let (mark, word) = change.kind.words();
    let why = match &change.kind {
        Kind::Conflict(why) => format!("   {why}"),
        _ => String::new(),
    };
    terminal.line(&format!("{mark}   {word:8}  {}{why}", change.name));
    let shown = |value: &Option<Value>| match value {
        Some(value) => shorten(&value.to_string(), SHOWN),
        None => "nothing".to_owned(),
    };
    for (path, live, pack) in parts {
        terminal.line(&format!("      {}", path.trim_start_matches('/')));
        terminal.line(&format!("        -  {}", shown(live)));
        terminal.line(&format!("        +  {}", shown(pack)));
    }
    terminal.line("");
}
