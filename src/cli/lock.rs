//! `rulepack lock`: writes or compares `rulepack.lock`, the versions of published rules.

use super::Exit;
use super::files;
use super::pack::open;
use super::terminal::{Terminal, count};
use crate::lint::locked::{Move, gone, next};
use crate::pack::lock::LOCK;
use clap::Args;

/// Count the versions of published rules
///
/// Writes rulepack.lock for packs with `version = "lock"` in [pack]: each rule with a digest of what is
/// generated, and a version that counts up when that has changed. `generate` and `deploy` take the versions from
/// it. A rule that changed its type, or left the pack, stays as it was locked until `--accept`.
#[derive(Args)]
#[command(after_help = "Examples:\n  rulepack lock\n  rulepack lock --check\n  rulepack lock --accept")]
pub struct LockArgs {
    /// Write nothing; exit 1 when the lock is out of date
    #[arg(long)]
    check: bool,
    /// Also take over changes of type and rules that are gone
    #[arg(long, conflicts_with = "check")]
    accept: bool,
}

/// Runs the command.
pub fn run(args: LockArgs, terminal: &mut Terminal) -> Exit {
    let opened = match open(&[], terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let pack = &opened.pack;
    let Some(old) = &pack.config.lock else {
        terminal.note("error: this pack has no lock");
        terminal.note("help: `version = \"lock\"` in [pack] of rulepack.toml keeps versions in one");
        return Exit::Usage;
    };
    let rules = opened.compile();
    let mut lock = old.clone();
    let (mut changes, mut refused, mut unchanged) = (0, 0, 0);
    for next in next(old, &rules, pack) {
        let before = old.rules.get(&next.rule_id);
        let line = match next.how {
            Move::Same => {
                unchanged += 1;
                // the title for people may have been written otherwise
                lock.rules.insert(next.rule_id, next.locked);
                continue;
            }
            Move::OtherType if !args.accept => {
                refused += 1;
                let was = before.map_or("", |b| b.kind.as_str());
                terminal
                    .line(&format!("!   {}   type {was} -> {}: left as it was", next.name, next.locked.kind));
                continue;
            }
            Move::New => format!("+   {}   version {}", next.name, next.locked.version),
            Move::Changed | Move::OtherType => {
                let was = before.map_or(0, |b| b.version);
                format!("~   {}   version {was} -> {}", next.name, next.locked.version)
            }
        };
        changes += 1;
        terminal.line(&line);
        lock.rules.insert(next.rule_id, next.locked);
    }
    for (id, locked) in gone(old, pack) {
        if args.accept {
            changes += 1;
            lock.rules.remove(id);
            terminal.line(&format!("-   {}   version {}", locked.name, locked.version));
        } else {
            refused += 1;
            terminal.line(&format!("!   {}   is gone from the pack: left as it was", locked.name));
        }
    }
    for rule in rules.iter().filter(|r| r.rule.broken) {
        refused += 1;
        terminal.line(&format!("!   {}   left as it was, because of its errors", rule.rule.name));
    }
    let path = pack.root.join(LOCK);
    let text = lock.to_text();
    let stale = std::fs::read_to_string(&path).map_or(true, |kept| kept.replace("\r\n", "\n") != text);
    if stale
        && !args.check
        && let Err(why) = files::write(&path, text.as_bytes())
    {
        terminal.note(&format!("error: {LOCK}: {why}"));
        return Exit::Findings;
    }
    let left = if refused > 0 { format!("; {refused} left as it was") } else { String::new() };
    if args.check && stale {
        terminal.line(&format!("failed: {LOCK} is out of date: {changes} changed, {unchanged} same{left}"));
        terminal.line("        rulepack lock");
        return Exit::Findings;
    }
    if refused > 0 {
        terminal.line(&format!("failed: {changes} changed, {unchanged} same{left}"));
        terminal.line("        rulepack validate");
        terminal.line("        rulepack lock --accept");
        return Exit::Findings;
    }
    terminal.line(&format!(
        "ok: {} in {LOCK}: {changes} changed, {unchanged} same",
        count(lock.rules.len(), "rule")
    ));
    Exit::Fine
}
