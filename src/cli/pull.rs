//! `rulepack pull`: what was changed in a Kibana since the last deploy, into the files of the pack.

use super::Exit;
use super::connection::Connection;
use super::deploy::Answers;
use super::git::Repository;
use super::pack::{Opened, Selection, open_any};
use super::pulled::{ListRow, Row, State, Told};
use super::terminal::{Terminal, count};
use super::{deploy, files, import};
use crate::emit::detection_rule;
use crate::import::lists::{LiveList, MergedList, merge, new_file};
use crate::import::{Action, Imported, Importer, Refused, slug};
use crate::lang::rule::Rule;
use crate::pack::target::{Filter, OnDrift};
use crate::pack::{CONFIG, CompiledRule, Config, RuleFile, Target};
use crate::target::http::Failure;
use crate::target::kibana::pull::{self, Changed, Difference};
use crate::target::kibana::{self, Change, Changeset, Kind, Live, Settings, Wanted, exceptions};
use clap::Args;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use std::sync::Arc;

/// How many earlier revisions of a file are looked at to tell which side changed it.
const REVISIONS: usize = 50;

/// Take over what was changed in Kibana
///
/// Compares three sides: the files, the rules in Kibana, and what was deployed last. What was changed in
/// Kibana only goes into the files, value by value. What was changed on both sides is shown and left alone.
/// Rules that were made in Kibana with the pack's tag, exception lists that were linked there, and their
/// exceptions get files. Nothing is ever written to Kibana.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack pull --target prod --dry-run\n  rulepack pull --target prod\n  \
rulepack pull --target prod --overwrite aws/iam/group_created\n  rulepack pull --target prod --all --into okta    an existing space, into files\n\
Exit codes: 0 done, or nothing to do; 1 rules with errors, or differences with --exit-code; 2 wrong usage or configuration; \
3 Kibana said no or was not reached"
)]
pub struct PullArgs {
    #[command(flatten)]
    selection: Selection,
    /// From where: a [target.NAME] of rulepack.toml, or demo
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Take Kibana's side where both sides were changed
    #[arg(long)]
    overwrite: bool,
    /// Also the rules of the space that belong to no pack
    #[arg(long)]
    all: bool,
    /// Folder for new rules, below the rules folder
    #[arg(long, value_name = "FOLDER", default_value = "")]
    into: String,
    /// Exit 1 where something was changed in Kibana
    #[arg(long)]
    exit_code: bool,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
}

/// Runs the command.
pub fn run(args: PullArgs, terminal: &mut Terminal) -> Exit {
    let Some(into) = crate::pack::files::inside(&args.into) else {
        terminal.note(&format!("error: `--into {}` leads out of the rules folder", args.into));
        return Exit::Usage;
    };
    let opened = match open_any(&args.selection.all(), terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let config = &opened.pack.config;
    let Some(target) = deploy::choose(args.target.as_deref(), config, terminal) else { return Exit::Usage };
    if args.all && !opened.is_whole() {
        terminal.note("error: `--all` asks for every rule, and others were selected");
        return Exit::Usage;
    }
    // a rule whose file cannot be read would look like one that the pack has not got
    let broken = |f: &&RuleFile| f.rule.as_ref().is_none_or(|r| r.broken);
    let unread: Vec<&RuleFile> = opened.pack.files.iter().filter(broken).collect();
    if !unread.is_empty() {
        unread.iter().flat_map(|f| &f.diagnostics).for_each(|d| terminal.complain(d));
        terminal.note(&format!("failed: {} with errors, so nothing was pulled", count(unread.len(), "file")));
        terminal.note("        rulepack validate");
        return Exit::Findings;
    }
    let connection = match Connection::open(&target, config, &opened.pack.root) {
        Ok(connection) => connection,
        Err((d, exit)) => {
            terminal.complain(&d);
            terminal.note("failed: nothing was written");
            return exit;
        }
    };
    let compiled = opened.compile();
    let mut puller = Puller {
        args: &args,
        opened: &opened,
        target: &target,
        connection: &connection,
        repository: Repository::around(&opened.pack.root).ok(),
        compiled: &compiled,
        told: Told::default(),
        files: BTreeMap::new(),
        imported: Vec::new(),
    };
    if let Err(e) = puller.pull(&into) {
        terminal.complain(&connection.refused("reading what is there", &e));
        terminal.note("failed: nothing was written");
        return Exit::Remote;
    }
    let Puller { told, files, imported, .. } = puller;
    if !args.dry_run {
        for (path, text) in &files {
            if let Err(why) = files::write(&opened.pack.root.join(path), text.as_bytes()) {
                terminal.note(&format!("error: {path}: {why}"));
                return Exit::Findings;
            }
        }
    }
    let verdict = told.verdict(&target.name, args.dry_run);
    if args.format == Answers::Json {
        terminal.line(&told.json(&target.name, &verdict, args.dry_run).to_string());
    } else {
        if !terminal.quiet {
            terminal.line(&format!(
                "target {} · {} · {}",
                target.name,
                super::connection::address(&target),
                connection.about()
            ));
            terminal.line(&format!("pack {} · {}", config.name, count(compiled.len(), "rule")));
            terminal.line("");
        }
        let lines = told.lines(&target.name);
        if !lines.is_empty() {
            lines.iter().for_each(|l| terminal.line(l));
            terminal.line("");
        }
        import::remarks(&imported, terminal);
        terminal.line(&verdict);
    }
    if args.exit_code && told.is_changed_there() { Exit::Findings } else { Exit::Fine }
}

struct Puller<'a> {
    args: &'a PullArgs,
    opened: &'a Opened,
    target: &'a Target,
    connection: &'a Connection,
    repository: Option<Repository>,
    compiled: &'a [CompiledRule],
    told: Told,
    /// What is written: texts by path.
    files: BTreeMap<String, String>,
    imported: Vec<Imported>,
}

/// The lists of the pack with the ids that a space has given to them; none for those yet to be made.
type ListIds = BTreeMap<exceptions::Key, Option<String>>;

impl Puller<'_> {
    fn config(&self) -> &Config {
        &self.opened.pack.config
    }

    fn pull(&mut self, into: &str) -> Result<(), Failure> {
        let name = self.config().name.clone();
        let kibana = &self.connection.kibana;
        let mut wanted = kibana::wanted(self.compiled, self.config(), self.target);
        let named: BTreeSet<String> =
            wanted.iter().filter(|w| !w.actions.is_empty()).map(|w| w.rule_id.clone()).collect();
        let live = deploy::read(self.connection, &name, &wanted)?;
        // what cannot be looked up is for `deploy` to complain about
        let known = self.link(self.compiled, &mut wanted)?;
        kibana::resolve(&mut wanted, &live, kibana, self.config(), &known)?;
        let mut settings = Settings::new(&name, self.target);
        (settings.on_drift, settings.prune) = (OnDrift::Overwrite, true);
        let plan = kibana::plan(&wanted, &live, &settings, self.opened.is_whole());
        let before = self.before(&plan, &live)?;
        let today = jiff::Timestamp::now().to_string().get(..10).unwrap_or("2026-01-01").replace('-', "/");
        let mut importer = Importer::new(&self.opened.pack, into, &today);
        let mut new: Vec<Live> = Vec::new();
        let mut linked: Vec<(String, Live)> = Vec::new();
        for change in &plan.changes {
            let has = self.opened.pack.files.iter().any(|f| is_of(f, &change.rule_id));
            match (&change.kind, &change.live) {
                (Kind::Orphan { .. }, Some(live)) if !has => new.push(live.clone()),
                (Kind::Delete, Some(live)) if !has && self.args.overwrite => new.push(live.clone()),
                (Kind::Delete, Some(_)) if !has => self.told.rule(change, State::GoneHere),
                (Kind::Create, _) => self.told.rule(change, State::GoneThere),
                (Kind::Conflict { reason, .. }, _) => {
                    self.told.rule(change, State::Foreign(reason.clone()));
                }
                (Kind::Update | Kind::Replace { .. }, Some(live)) => {
                    let by_id = |w: &&Wanted| w.rule_id == change.rule_id;
                    if let Some(w) = wanted.iter().find(by_id) {
                        let past = before.get(&change.rule_id).map(Vec::as_slice).unwrap_or_default();
                        let found = pull::pull(w, past, live, &settings);
                        self.changed(change, live, found, named.contains(&change.rule_id), &mut importer);
                    }
                    linked.push((change.rule_id.clone(), live.clone()));
                }
                (Kind::Enable | Kind::Disable | Kind::Same, Some(live)) => {
                    self.told.same += 1;
                    linked.push((change.rule_id.clone(), live.clone()));
                }
                _ => {}
            }
        }
        if self.args.all {
            let known: BTreeSet<String> = plan.changes.iter().map(|c| c.rule_id.clone()).collect();
            for live in kibana.custom_rules()? {
                if known.contains(live.rule_id()) || live.is_prebuilt() {
                    continue;
                }
                match live.owner() {
                    Some(owner) if owner != name => self.told.others += 1,
                    _ => new.push(live),
                }
            }
        }
        for live in new {
            self.added(&live, &mut importer);
            linked.push((live.rule_id().to_owned(), live));
        }
        self.lists(&linked, &today)
    }

    /// Links rules to the exception lists of the pack, as `deploy` does. Gives the ids that this space has given
    /// to the lists.
    fn link(&self, rules: &[CompiledRule], wanted: &mut [Wanted]) -> Result<ListIds, Failure> {
        let (pack, name) = (&self.opened.pack, &self.config().name);
        let (lists, _) = exceptions::wanted(rules, &pack.exceptions, name, self.target, wanted);
        Ok(exceptions::read(&self.connection.kibana, &lists, name, false, false)?.ids(&lists))
    }

    /// Earlier revisions of the rules that differ, as the target would have had them.
    fn before(&self, plan: &Changeset, live: &[Live]) -> Result<BTreeMap<String, Vec<Wanted>>, Failure> {
        let Some(repository) = &self.repository else { return Ok(BTreeMap::new()) };
        let mut target = self.target.clone();
        // an earlier revision may have been of another maturity
        target.select = Filter::default();
        let mut all: Vec<Wanted> = Vec::new();
        let mut of: Vec<String> = Vec::new();
        let mut known = ListIds::new();
        for change in plan.changes.iter().filter(|c| matches!(c.kind, Kind::Update | Kind::Replace { .. })) {
            let Some(rule) = self.compiled.iter().map(|c| &c.rule).find(|r| r.rule_id() == change.rule_id)
            else {
                continue;
            };
            for text in repository.history(rule.file(), REVISIONS) {
                let (read, _) = Rule::read(&rule.name, rule.file(), text.into_bytes());
                let Some(read) = read.filter(|r| !r.broken && r.rule_id() == change.rule_id) else {
                    continue;
                };
                let file = RuleFile {
                    name: rule.name.clone(),
                    file: rule.file().to_owned(),
                    rule: Some(Arc::new(read)),
                    diagnostics: Vec::new(),
                };
                let compiled = self.opened.pack.compile(&[&file]);
                let mut wanted = kibana::wanted(&compiled, self.config(), &target);
                known.extend(self.link(&compiled, &mut wanted)?);
                for w in wanted {
                    all.push(w);
                    of.push(change.rule_id.clone());
                }
            }
        }
        kibana::resolve(&mut all, live, &self.connection.kibana, self.config(), &known)?;
        let mut out: BTreeMap<String, Vec<Wanted>> = BTreeMap::new();
        for (rule_id, wanted) in of.into_iter().zip(all) {
            out.entry(rule_id).or_default().push(wanted);
        }
        Ok(out)
    }

    /// A rule on both sides that differs.
    fn changed(
        &mut self,
        change: &Change,
        live: &Live,
        found: Vec<Difference>,
        named: bool,
        importer: &mut Importer<'_>,
    ) {
        let Some(compiled) = self.compiled.iter().find(|c| c.rule.rule_id() == change.rule_id) else {
            return;
        };
        let rule = &compiled.rule;
        let mut row = Row::new(change);
        let mut json = detection_rule(compiled, self.config()).json.as_object().cloned().unwrap_or_default();
        for found in found {
            let field = found.change.field.clone();
            if let Some(why) = self.not_a_file_s(rule, &field, named) {
                if found.changed != Changed::Here {
                    row.left.push(format!("`{field}`: {why}"));
                }
                continue;
            }
            match found.changed {
                Changed::Here => row.ahead.push(found.change),
                Changed::Both if !self.args.overwrite => row.conflicts.push(found.change),
                Changed::There | Changed::Both => {
                    match pull::value(live, &field) {
                        Some(value) => json.insert(field, value),
                        None => json.remove(&field),
                    };
                    row.taken.push(found.change);
                }
            }
        }
        if !row.taken.is_empty() {
            match importer.rule(json) {
                Ok(imported) => {
                    if imported.action == Action::Same {
                        // only what a file keeps: its author, its licence
                        row.taken.clear();
                    } else {
                        self.files.insert(rule.file().to_owned(), imported.text.clone());
                    }
                    self.imported.push(imported);
                }
                Err(Refused { why, .. }) => {
                    row.taken.clear();
                    row.left.push(why);
                }
            }
        }
        if row.is_empty() { self.told.same += 1 } else { self.told.rows.push(row) }
    }

    /// Why a property is not taken into the file of a rule.
    fn not_a_file_s(&self, rule: &Rule, field: &str, named: bool) -> Option<&'static str> {
        let written = rule.json().get(field).is_some();
        let overlays = || self.target.overlays.iter().filter(|o| o.applies_to(rule));
        match field {
            "related_integrations" | "required_fields" if !written => Some("computed by `generate`"),
            "actions" if named || !written => Some("connectors differ by space: name them in an overlay"),
            "index" if overlays().any(|o| o.index.is_some()) => Some("an overlay of the target sets it"),
            "exceptions_list" if !written => Some("an exception file names the rule"),
            _ => None,
        }
    }

    /// A rule that only Kibana has.
    fn added(&mut self, live: &Live, importer: &mut Importer<'_>) {
        let mut json = live.json().clone();
        for link in json.get_mut("exceptions_list").and_then(Value::as_array_mut).into_iter().flatten() {
            // the id of this space
            if let Some(link) = link.as_object_mut() {
                link.remove("id");
            }
        }
        match pull::value(live, "tags") {
            Some(tags) => json.insert("tags".to_owned(), tags),
            None => json.remove("tags"),
        };
        // what people see in Kibana is up to the target
        json.remove("enabled");
        match importer.rule(json) {
            Ok(imported) => {
                let path = format!("{}/{}.toml", self.config().rules, imported.name);
                let path = path.trim_start_matches('/').to_owned();
                self.told.rows.push(Row::added(live, &imported.name));
                self.files.insert(path, imported.text.clone());
                self.imported.push(imported);
            }
            Err(Refused { rule, why }) => self.told.rows.push(Row::refused(live, &rule, why)),
        }
    }

    /// The exception lists that rules are linked to in Kibana, with their exceptions.
    fn lists(&mut self, linked: &[(String, Live)], today: &str) -> Result<(), Failure> {
        let mut lists: BTreeMap<(String, String), (String, Vec<&str>)> = BTreeMap::new();
        for (rule_id, live) in linked {
            for link in live.list("exceptions_list") {
                let text = |key: &str| link.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                let entry = lists.entry((text("list_id"), text("namespace_type"))).or_default();
                entry.0 = text("type");
                entry.1.push(rule_id);
            }
        }
        for ((list_id, namespace), (kind, rules)) in lists {
            if kind == "endpoint" {
                // Elastic Defend's own, which every rule of it has
                self.told.endpoint += 1;
                continue;
            }
            let key = (list_id.clone(), namespace);
            let Some(read) = exceptions::one(&self.connection.kibana, &key)? else { continue };
            let live = LiveList { list: read.list, items: read.items };
            match self.list(&list_id, &live, &rules, today) {
                Ok(Some(row)) => self.told.lists.push(row),
                Ok(None) => {}
                Err(why) => self.told.lists.push(ListRow::refused(&list_id, why)),
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        list_id: &str,
        live: &LiveList,
        rules: &[&str],
        today: &str,
    ) -> Result<Option<ListRow>, String> {
        let pack = &self.opened.pack;
        let unlinked: Vec<String> = rules
            .iter()
            .filter(|id| !self.applies(list_id, id))
            .filter_map(|id| pack.files.iter().find(|f| is_of(f, id)).map(|f| f.name.clone()))
            .collect();
        if let Some(broken) = pack.exceptions.files.iter().find(|f| f.broken) {
            return Err(format!("{} has errors, so its lists are not known", broken.source.name()));
        }
        let (path, merged, is_new) = match pack.exceptions.list(list_id) {
            Some((file, _)) => {
                let path = file.source.name().to_owned();
                let before = self.repository.as_ref().map(|r| r.history(&path, REVISIONS));
                let before = before.unwrap_or_default();
                let text = self.files.get(&path).map_or(file.source.text(), String::as_str);
                (path.clone(), merge(text, live, &before, self.args.overwrite)?, false)
            }
            None => {
                let path = self.free_path(list_id);
                (path, new_file(live, &[], today)?, true)
            }
        };
        let mut row =
            ListRow { path: path.clone(), is_new, items: merged.items.clone(), ..ListRow::default() };
        let mut text = merged.text;
        if !unlinked.is_empty() {
            row.rules.clone_from(&unlinked);
            match self.with_overlay(&unlinked, &path) {
                Some(config) => drop(self.files.insert(CONFIG.to_owned(), config)),
                None if is_new => {
                    // no table of the target to say so: the file itself does
                    let ids: Vec<String> = rules
                        .iter()
                        .filter(|id| !self.applies(list_id, id))
                        .map(|id| (*id).to_owned())
                        .collect();
                    text = new_file(live, &ids, today).map(|MergedList { text, .. }| text)?;
                }
                None => row.left.push(format!(
                    "in Kibana it is linked to {}, here not: add `rule_ids` to the file, or an overlay",
                    unlinked.join(", ")
                )),
            }
        }
        let before = std::fs::read_to_string(pack.root.join(&path)).unwrap_or_default();
        if text != before {
            self.files.insert(path, text);
        } else if row.items.is_empty() && row.rules.is_empty() {
            return Ok(None);
        }
        Ok(Some(row))
    }

    /// Whether a list applies to a rule already, at this target.
    fn applies(&self, list_id: &str, rule_id: &str) -> bool {
        let Some(rule) = self.compiled.iter().map(|c| &c.rule).find(|r| r.rule_id() == rule_id) else {
            // a rule that is pulled just now names its lists itself
            return !self.opened.pack.files.iter().any(|f| is_of(f, rule_id));
        };
        let exceptions = &self.opened.pack.exceptions;
        let by_overlay = self.target.overlays.iter().filter(|o| o.applies_to(rule)).any(|o| {
            exceptions
                .files
                .iter()
                .filter(|f| o.has_exceptions(f))
                .any(|f| f.lists.iter().any(|l| l.id == list_id))
        });
        by_overlay
            || exceptions.lists_of(rule).iter().any(|(_, l)| l.id == list_id)
            // the rule names a list that has no file yet
            || rule.json().get("exceptions_list").and_then(Value::as_array).is_some_and(|links| {
                links.iter().any(|l| l.get("list_id").and_then(Value::as_str) == Some(list_id))
            })
    }

    /// A path for the file of a list, below a folder of the target.
    fn free_path(&self, list_id: &str) -> String {
        let folder = format!("{}/{}", self.config().exceptions, slug(&self.target.name));
        let taken = |path: &str| self.files.contains_key(path) || self.opened.pack.root.join(path).exists();
        let mut path = format!("{folder}/{}.toml", slug(list_id));
        for n in 2.. {
            if !taken(&path) {
                break;
            }
            path = format!("{folder}/{}_{n}.toml", slug(list_id));
        }
        path
    }

    /// The configuration with an overlay that brings a file of exceptions to rules; `None` where there is no
    /// table of the target to put it below.
    fn with_overlay(&self, rules: &[String], path: &str) -> Option<String> {
        self.config().targets.iter().find(|t| t.name == self.target.name)?;
        let root = &self.opened.pack.root;
        let text = match self.files.get(CONFIG) {
            Some(text) => text.clone(),
            None => std::fs::read_to_string(root.join(CONFIG)).ok()?,
        };
        overlay_added(&text, &self.target.name, rules, path)
    }
}

/// A configuration with one more overlay at its end; `None` where that gives no valid configuration.
fn overlay_added(text: &str, target: &str, rules: &[String], path: &str) -> Option<String> {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let list = |items: &[String]| {
        let list: toml_edit::Array = items.iter().map(String::as_str).collect();
        toml_edit::Value::from(list).to_string()
    };
    let lines = [
        text.trim_end().to_owned(),
        String::new(),
        format!("[[target.{}.overlay]]", toml_edit::Key::new(target)),
        format!("rules = {}", list(rules)),
        format!("exceptions = {}", list(&[path.to_owned()])),
        String::new(),
    ];
    let out = lines.join(end);
    let (config, found) = Config::read(CONFIG, out.clone().into_bytes());
    (config.is_some() && found.iter().all(|d| d.severity != crate::diag::Severity::Error)).then_some(out)
}

fn is_of(file: &RuleFile, rule_id: &str) -> bool {
    file.rule.as_ref().is_some_and(|r| r.rule_id() == rule_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_is_added_where_the_target_has_a_table() {
        let config = "[pack]\nname = \"acme\"\n[target.prod]\nkibana = \"https://k.example.com\"\nauth = { api_key_env = \"K\" }\n";
        let rules = ["aws/iam/a".to_owned()];
        let out = overlay_added(config, "prod", &rules, "exceptions/prod/l.toml").unwrap();
        assert!(
            out.ends_with("\n\n[[target.prod.overlay]]\nrules = [\"aws/iam/a\"]\nexceptions = [\"exceptions/prod/l.toml\"]\n"),
            "{out}"
        );
        let (read, _) = Config::read(CONFIG, out.clone().into_bytes());
        assert_eq!(read.unwrap().targets[0].overlays[0].exceptions, ["exceptions/prod/l.toml"]);
        let crlf = overlay_added(&config.replace('\n', "\r\n"), "prod", &rules, "x.toml").unwrap();
        assert_eq!(crlf.matches('\n').count(), crlf.matches("\r\n").count());
        let inline = "target.prod = { kibana = \"https://k.example.com\", auth = { api_key_env = \"K\" } }\n[pack]\nname = \"acme\"\n";
        assert_eq!(overlay_added(inline, "prod", &rules, "x.toml"), None);
    }
}
