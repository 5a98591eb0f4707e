//! `rulepack deploy`: brings the pack to a Kibana, or tells what it would do there.

use super::Exit;
use super::connection::{self, Connection, Place};
use super::pack::{Opened, Selection, open};
use super::terminal::{Terminal, count};
use super::{changes, validate};
use crate::diag::{Code, Diagnostic, Severity, did_you_mean};
use crate::pack::bundled::{self, BundledFile};
use crate::pack::target::{DEMO, OnDrift};
use crate::pack::{CONFIG, CompiledRule, Config, Pack, Target};
use crate::render::{self, Format};
use crate::target::http::Failure;
use crate::target::kibana::exceptions::{self, ListPlan, Lists, WantedLists};
use crate::target::kibana::{self, Applied, Changeset, Live, Settings};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The pause between two batches of rules that are switched on.
const REST: Duration = Duration::from_millis(500);

/// Bring the pack to Kibana
///
/// Reads what is there, shows what would change, asks, writes, and reads back. Only rules with the pack's
/// tag are touched; what was edited in Kibana, and exceptions that were made there, stay. Without --target the
/// targets are listed. `rulepack dev kibana` starts a Kibana to practise on: the target `demo`.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  rulepack deploy --target demo --yes\n  rulepack deploy --target prod --dry-run\n  \
rulepack deploy --target prod --yes --prune\n  rulepack deploy --target prod --dry-run --exit-code    drift, for a nightly job\n\
Exit codes: 0 done, or nothing to do; 1 rules with errors, or differences with --exit-code; 2 wrong usage or configuration; \
3 Kibana said no or was not reached"
)]
pub struct DeployArgs {
    #[command(flatten)]
    selection: Selection,
    /// Where to: a [target.NAME] of rulepack.toml, or demo
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only tell what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Delete rules and exception lists that the pack owns and no longer has
    #[arg(long)]
    pub prune: bool,
    /// What happens to rules that were edited in Kibana, instead of the target's own setting
    #[arg(long, value_name = "WHAT")]
    on_drift: Option<Drift>,
    /// With --dry-run: exit 1 where Kibana is not what the pack says
    #[arg(long)]
    pub exit_code: bool,
    /// OpenSearch: monitors without triggers, which leave findings and no alerts
    #[arg(long)]
    pub canary: bool,
    /// OpenSearch: what becomes of a rule (sigma-rule: not supported yet)
    #[arg(long = "as", value_name = "FORM")]
    form: Option<Form>,
    /// How to answer
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Answers,
}

/// Formats of answers about a target.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Answers {
    /// For people
    Text,
    /// One document
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A monitor of the Alerting plugin
    Monitor,
    /// A custom rule of Security Analytics
    SigmaRule,
}

impl DeployArgs {
    /// Asks whether to write, unless that was said already; how to end where nobody agrees.
    pub fn declined(&self, target: &str, terminal: &mut Terminal) -> Option<Exit> {
        if self.yes {
            return None;
        }
        match terminal.confirm(&format!("apply this to {target}?")) {
            Some(true) => None,
            Some(false) => {
                terminal.note("nothing was written");
                Some(Exit::Fine)
            }
            None => {
                terminal.note("error: nothing was written: nobody can be asked here");
                terminal.note("help: `--yes` applies without asking, `--dry-run` only shows");
                Some(Exit::Usage)
            }
        }
    }

    /// Whether people read the answer.
    pub fn is_text(&self) -> bool {
        self.format == Answers::Text
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Drift {
    /// Leave them alone
    Stop,
    /// Write the pack's version
    Overwrite,
    /// Leave them alone without a word
    Keep,
}

/// Runs the command.
pub fn run(args: DeployArgs, terminal: &mut Terminal) -> Exit {
    // holds the bundled pack for as long as it is deployed
    let _folder = match practice(args.target.as_deref(), terminal) {
        Ok(folder) => folder,
        Err(exit) => return exit,
    };
    let opened = match open(&args.selection.all(), terminal) {
        Ok(o) => o,
        Err(exit) => return exit,
    };
    let config = &opened.pack.config;
    let Some(mut target) = choose(args.target.as_deref(), config, terminal) else { return Exit::Usage };
    if args.prune && !opened.is_whole() {
        terminal.note("error: `--prune` needs the whole pack, not a selection of its rules");
        return Exit::Usage;
    }
    if let Some(drift) = args.on_drift {
        target.on_drift = match drift {
            Drift::Stop => OnDrift::Stop,
            Drift::Overwrite => OnDrift::Overwrite,
            Drift::Keep => OnDrift::Keep,
        };
    }
    if args.form == Some(Form::SigmaRule) {
        let d = Diagnostic::new(Code::RP9001, "rules of Security Analytics are not supported yet")
            .help("without `--as` they become monitors of the Alerting plugin");
        return refuse(&d, Exit::Findings, terminal);
    }
    if target.opensearch.is_some() {
        return super::deploy_monitors::run(&args, &opened, &target, terminal);
    }
    if args.canary || args.form.is_some() {
        terminal.note("error: `--canary` and `--as` are for targets that are OpenSearch");
        return Exit::Usage;
    }
    let validated = validate::check(&opened);
    if validated.failed() {
        let errors: Vec<Diagnostic> =
            validated.diagnostics.iter().filter(|d| d.severity == Severity::Error).cloned().collect();
        errors.iter().for_each(|d| terminal.complain(d));
        terminal.note(&format!("failed: {}, so nothing was deployed", count(errors.len(), "error")));
        terminal.note("        rulepack validate");
        return Exit::Findings;
    }
    let begun = Instant::now();
    let Looked { connection, wanted, lists, plan, list_plan, settings, rescue } =
        match look(&opened, &validated.rules, &target, args.prune, terminal) {
            Ok(looked) => looked,
            Err(exit) => return exit,
        };
    let mut answer = Answer {
        args: &args,
        target: &target,
        connection: &connection,
        config,
        commit: settings.commit.clone(),
        rules: wanted.len(),
        plan: &plan,
        lists: &list_plan,
        warnings: connection.warnings.clone(),
    };
    let (limit, deletes) = (target.max_prune.limit(plan.owned), plan.count("delete"));
    if deletes > limit {
        let d = Diagnostic::new(
            Code::RP0909,
            format!("{} to delete, and `max_prune` allows {limit}", count(deletes, "rule")),
        )
        .note(format!(
            "`max_prune` is {}, the pack owns {} in {}",
            target.max_prune,
            count(plan.owned, "rule"),
            target.name
        ))
        .help("look whether the right pack and target were named; then raise `max_prune`");
        answer.plan(terminal);
        return refuse(&d, Exit::Usage, terminal);
    }
    let runs = plan.changes.iter().any(|c| {
        c.kind.writes() && (c.toggle == Some(true) || c.live.as_ref().is_some_and(Live::is_enabled))
    });
    if connection.by_api_key && runs {
        answer.warnings.push(
            Diagnostic::new(Code::RP0904, "enabled rules run with the API key that writes them")
                .note("when that key is revoked, the rules that this deploy writes stop")
                .help("docs/deploy.md#which-identity"),
        );
    }
    answer.plan(terminal);
    let writes = plan.writes() || list_plan.writes();
    let differs = writes || plan.count("conflict") > 0 || list_plan.conflicts() > 0;
    if args.dry_run || !writes {
        answer.planned(terminal);
        return if args.exit_code && differs { Exit::Findings } else { Exit::Fine };
    }
    if let Some(exit) = args.declined(&target.name, terminal) {
        return exit;
    }
    let lists = Lists { wanted: &lists, plan: &list_plan };
    let applied = kibana::deploy(&plan, lists, &wanted, &connection.kibana, &settings, &rescue, REST);
    answer.applied(&applied, begun.elapsed(), terminal);
    if applied.failed.is_empty() && applied.lists.failed.is_empty() { Exit::Fine } else { Exit::Remote }
}

/// A target that was looked at: what is wanted there, what is there, and the way from one to the other.
pub struct Looked {
    /// The connection.
    pub connection: Connection,
    /// The rules as they are wanted.
    pub wanted: Vec<kibana::Wanted>,
    lists: WantedLists,
    /// What is to happen to the rules.
    pub plan: Changeset,
    /// What is to happen to exception lists.
    pub list_plan: ListPlan,
    /// How it was planned.
    pub settings: Settings,
    rescue: Place,
}

/// Reads a target and plans. Complains and tells the exit where that fails; nothing is written.
pub fn look(
    opened: &Opened,
    rules: &[CompiledRule],
    target: &Target,
    prune: bool,
    terminal: &mut Terminal,
) -> Result<Looked, Exit> {
    let config = &opened.pack.config;
    let mut wanted = kibana::wanted(rules, config, target);
    if wanted.is_empty() {
        terminal.note(&format!("error: the target `{}` selects none of these rules", target.name));
        return Err(Exit::Usage);
    }
    let (lists, mut found) =
        exceptions::wanted(rules, &opened.pack.exceptions, &config.name, target, &mut wanted);
    let complain = |found: &[Diagnostic], terminal: &mut Terminal| {
        found.iter().for_each(|d| terminal.complain(d));
        terminal.note(&format!("failed: {}, so nothing was written", count(found.len(), "error")));
    };
    if !found.is_empty() {
        complain(&found, terminal);
        return Err(Exit::Findings);
    }
    let connection = match Connection::open(target, config, &opened.pack.root) {
        Ok(connection) => connection,
        Err((d, exit)) => return Err(refuse(&d, exit, terminal)),
    };
    let rescue = Place::new(&opened.pack.root, target);
    let mut settings = Settings::new(&config.name, target);
    settings.prune = prune;
    settings.commit = super::git::commit(&opened.pack.root);
    settings.rescued = rescue.kept();
    let mut read = |terminal: &mut Terminal| {
        let mut refused =
            |doing: &str, e: Failure| refuse(&connection.refused(doing, &e), Exit::Remote, terminal);
        let (kibana, whole) = (&connection.kibana, opened.is_whole());
        let live = read(&connection, &config.name, &wanted).map_err(|e| refused("reading the rules", e))?;
        let live_lists = exceptions::read(kibana, &lists, &config.name, whole, prune)
            .map_err(|e| refused("reading the exception lists", e))?;
        let ids = live_lists.ids(&lists);
        found.extend(
            exceptions::obstacles(kibana, &lists, &live_lists)
                .map_err(|e| refused("reading the value lists", e))?,
        );
        found.extend(
            kibana::resolve(&mut wanted, &live, kibana, config, &ids)
                .map_err(|e| refused("reading connectors", e))?,
        );
        Ok((live, live_lists))
    };
    let (live, live_lists) = read(terminal)?;
    if !found.is_empty() {
        complain(&found, terminal);
        return Err(Exit::Remote);
    }
    let plan = kibana::plan(&wanted, &live, &settings, opened.is_whole());
    let list_plan = exceptions::plan(&lists, &live_lists, &settings, opened.is_whole(), &plan);
    Ok(Looked { connection, wanted, lists, plan, list_plan, settings, rescue })
}

/// Goes to the bundled pack, in a folder of its own, where somebody wants to practise and has no pack.
fn practice(target: Option<&str>, terminal: &mut Terminal) -> Result<Option<tempfile::TempDir>, Exit> {
    let here = std::env::current_dir().unwrap_or_default();
    if target != Some(DEMO) || Pack::find(&here).is_some() {
        return Ok(None);
    }
    let made = tempfile::tempdir().map_err(|e| e.to_string()).and_then(|folder| {
        let config: BundledFile = (CONFIG, bundled::CONFIG.as_bytes());
        for (path, bytes) in std::iter::once(&config).chain(bundled::FILES) {
            super::files::write(&folder.path().join(path), bytes)?;
        }
        std::env::set_current_dir(folder.path()).map_err(|e| e.to_string())?;
        Ok(folder)
    });
    match made {
        Ok(folder) => {
            terminal.note(&format!(
                "note: no `rulepack.toml` here, so this is the bundled pack `{}`; `rulepack init --with {}` writes it",
                bundled::NAME,
                bundled::NAME
            ));
            Ok(Some(folder))
        }
        Err(why) => {
            terminal.note(&format!("error: the bundled pack cannot be written: {why}"));
            Err(Exit::Usage)
        }
    }
}

fn refuse(d: &Diagnostic, exit: Exit, terminal: &mut Terminal) -> Exit {
    terminal.complain(d);
    terminal.note("failed: nothing was written");
    exit
}

/// Everything there that may concern the pack: what has its tag, and whatever has its rule ids.
pub fn read(
    connection: &Connection,
    pack: &str,
    wanted: &[kibana::Wanted],
) -> Result<Vec<Live>, crate::target::http::Failure> {
    let ids: Vec<&str> = wanted.iter().map(|w| w.rule_id.as_str()).collect();
    let mut by_id: BTreeMap<String, Live> = BTreeMap::new();
    let tagged = connection.kibana.with_tag(&kibana::tag(pack))?;
    for live in tagged.into_iter().chain(connection.kibana.with_rule_ids(&ids)?) {
        by_id.insert(live.id().to_owned(), live);
    }
    Ok(by_id.into_values().collect())
}

/// The target that was named; complains where there is none.
pub fn choose(name: Option<&str>, config: &Config, terminal: &mut Terminal) -> Option<Target> {
    let known: Vec<Target> = config
        .targets
        .iter()
        .cloned()
        .chain(config.target(DEMO).filter(|_| !config.targets.iter().any(|t| t.name == DEMO)))
        .collect();
    let Some(name) = name else {
        terminal.note("error: where to? name one of the targets with `--target`");
        let width = known.iter().map(|t| t.name.len()).max().unwrap_or(0);
        for target in &known {
            let about = connection::address(target);
            terminal.note(&format!(
                "  {:width$}   {about} · {}",
                target.name,
                connection::identity(&target.auth)
            ));
        }
        let first = known.first().map_or(DEMO, |t| t.name.as_str());
        terminal.note(&format!("help: rulepack deploy --target {first} --dry-run"));
        return None;
    };
    if let Some(target) = config.target(name) {
        return Some(target);
    }
    let mut d = Diagnostic::new(Code::RP0901, format!("there is no target `{name}`"));
    d = match did_you_mean(name, known.iter().map(|t| t.name.as_str())) {
        Some(near) => d.help(format!("did you mean `{near}`?")),
        None => d.help(format!("`[target.{name}]` in rulepack.toml makes one")),
    };
    terminal.complain(&d);
    None
}

/// What is told about a deploy.
struct Answer<'a> {
    args: &'a DeployArgs,
    target: &'a Target,
    connection: &'a Connection,
    config: &'a Config,
    commit: Option<String>,
    rules: usize,
    plan: &'a Changeset,
    lists: &'a ListPlan,
    warnings: Vec<Diagnostic>,
}

impl Answer<'_> {
    fn is_text(&self) -> bool {
        self.args.format == Answers::Text
    }

    /// What was read, and the changes.
    fn plan(&self, terminal: &mut Terminal) {
        if !self.is_text() {
            return;
        }
        if !terminal.quiet {
            terminal.line(&format!(
                "target {} · {} · {} · {}",
                self.target.name,
                connection::address(self.target),
                self.connection.about(),
                connection::identity(&self.target.auth)
            ));
            let at = self.commit.as_ref().map(|c| format!(" at {c}")).unwrap_or_default();
            terminal.line(&format!(
                "pack {}{at} · {} · owns what is tagged `{}`",
                self.config.name,
                count(self.rules, "rule"),
                kibana::tag(&self.config.name)
            ));
            terminal.line("");
        }
        let mut lines = changes::lines(self.plan);
        lines.extend(changes::lists::lines(self.lists));
        if !lines.is_empty() {
            lines.iter().for_each(|l| terminal.line(l));
            terminal.line("");
        }
        terminal.findings(&self.warnings, Format::Text);
        terminal.flush();
    }

    /// The verdict of a plan that is not applied.
    fn planned(&self, terminal: &mut Terminal) {
        let verdict = changes::verdict(self.plan, self.lists, &self.target.name);
        if !self.is_text() {
            return self.json(None, &verdict, terminal);
        }
        terminal.line(&verdict);
        if self.plan.writes() || self.lists.writes() {
            let mut again = format!("rulepack deploy --target {}", self.target.name);
            if self.args.prune {
                again.push_str(" --prune");
            }
            self.args.selection.all().iter().for_each(|s| again.push_str(&format!(" {s}")));
            terminal.line(&format!("      nothing was written. To apply: {again}"));
        }
    }

    /// What came of it.
    fn applied(&self, applied: &Applied, took: Duration, terminal: &mut Terminal) {
        let verdict = changes::applied(self.plan, self.lists, applied, took);
        if !self.is_text() {
            return self.json(Some(applied), &verdict, terminal);
        }
        let late = Changeset { changes: applied.conflicts.clone(), owned: 0 };
        let mut lines = changes::lines(&late);
        lines.extend(changes::lists::late(&applied.lists));
        if !lines.is_empty() {
            terminal.line("changed in Kibana after the plan:");
            lines.iter().for_each(|l| terminal.line(l));
            terminal.line("");
        }
        terminal.findings(&changes::failures(applied), Format::Text);
        terminal.line(&verdict);
        if !applied.failed.is_empty() || !applied.lists.failed.is_empty() {
            terminal.line(&format!(
                "        rulepack deploy --target {}      picks up where this one ended",
                self.target.name
            ));
        }
    }

    fn json(&self, applied: Option<&Applied>, verdict: &str, terminal: &mut Terminal) {
        let mut found = self.warnings.clone();
        found.extend(applied.map(changes::failures).unwrap_or_default());
        let mut out = changes::json(self.plan, self.lists, applied);
        if let Some(map) = out.as_object_mut() {
            map.insert(
                "target".into(),
                serde_json::json!({
                    "name": self.target.name,
                    "kibana": self.target.kibana,
                    "space": self.target.space,
                    "version": self.connection.version(),
                }),
            );
            map.insert("pack".into(), serde_json::json!({ "name": self.config.name, "commit": self.commit }));
            map.insert("diagnostics".into(), found.iter().map(render::diagnostic_json).collect());
            map.insert("verdict".into(), verdict.into());
        }
        terminal.line(&out.to_string());
    }
}
