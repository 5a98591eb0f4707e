//! `rulepack deploy` to a target that is OpenSearch: monitors of the Alerting plugin.

use super::deploy::DeployArgs;
use super::pack::Opened;
use super::terminal::{Terminal, count};
use super::{Exit, aws, connection, validate};
use crate::diag::{Code, Diagnostic, Severity};
use crate::emit::opensearch::{MonitorKind, Monitors, Notification, monitors_with};
use crate::lang::rule::{Rule, interval};
use crate::pack::target::Auth;
use crate::pack::{self, CompiledRule, Config, Target};
use crate::render::{self, Format};
use crate::report::opensearch as report;
use crate::schema::Version;
use crate::target::Secret;
use crate::target::http::{Credentials, Failure, Http};
use crate::target::kibana::{NamedAction, overlay};
use crate::target::opensearch::{
    self, About, Applied, Change, Kind, MAX_TRIGGERS, OpenSearch, Settings, Wanted, fields_of,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

/// The oldest version whose monitors are known well enough.
const OLDEST: Version = Version(2, 11, 0);

/// `plugins.alerting.monitor.max_monitors`, unless a cluster sets another.
const MAX_MONITORS: usize = 1_000;

/// Whether a monitor has triggers.
fn alerts(live: &opensearch::Live) -> bool {
    live.monitor.get("triggers").and_then(Value::as_array).is_some_and(|t| !t.is_empty())
}

/// The rules that a target selects, with the exceptions of its overlays.
pub fn selected(opened: &Opened, mut rules: Vec<CompiledRule>, target: &Target) -> Vec<CompiledRule> {
    rules.retain(|r| target.select.accepts(&r.rule));
    opened.pack.compile_for(rules, target)
}

/// The monitors of a target's rules: with the index patterns of its overlays, and the actions that they add.
pub fn made(
    rules: &[CompiledRule],
    config: &Config,
    target: &Target,
    whole: bool,
) -> (Monitors, BTreeMap<String, Vec<NamedAction>>) {
    let overlaid = |rule: &Rule| overlay(rule, json!({ "index": config.opensearch.index }), target);
    let monitors = monitors_with(rules, config, whole, &|rule| {
        let index = overlaid(rule).json.get("index").and_then(Value::as_array).cloned().unwrap_or_default();
        let index = index.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        pack::OpenSearch { index, ..config.opensearch.clone() }
    });
    let actions = rules.iter().map(|r| (r.rule.name.clone(), overlaid(&r.rule).actions));
    (monitors, actions.filter(|(_, a)| !a.is_empty()).collect())
}

/// Actions of overlays: their channels are known by name or id.
fn notify(
    wanted: &mut [Wanted],
    mut actions: BTreeMap<String, Vec<NamedAction>>,
    channels: &[(String, String)],
    config: &Config,
) -> Vec<Diagnostic> {
    let mut found: BTreeMap<String, Diagnostic> = BTreeMap::new();
    for want in wanted {
        for (n, action) in actions.remove(&want.name).into_iter().flatten().enumerate() {
            let name = &action.connector;
            let meant: Vec<&(String, String)> =
                channels.iter().filter(|(id, called)| called == name || id == name).collect();
            let channel = match meant.as_slice() {
                [(id, _)] => id.clone(),
                several => {
                    let many = if several.is_empty() { "no" } else { "several" };
                    let message = format!("OpenSearch has {many} notification channel `{name}`");
                    let mut d = Diagnostic::new(Code::RP0906, message);
                    let known = channels.iter().map(|c| c.1.as_str());
                    if let Some(near) = crate::diag::did_you_mean(name, known).filter(|_| several.is_empty())
                    {
                        d = d.help(format!("did you mean `{near}`?"));
                    }
                    if let Some(document) = &config.document {
                        d = d.at(document.nearest(&action.pointer).value, "").in_source(document.source());
                    }
                    found.entry(action.pointer.clone()).or_insert(d);
                    continue;
                }
            };
            let param = |key: &str| {
                let text = action.params.as_ref()?.get(key)?.as_str()?;
                Some(text.to_owned())
            };
            let throttle = action.frequency.as_ref().and_then(|f| interval(f.get("throttle")?.as_str()?));
            let id = format!("{}-action-{}", want.rule_id, n + 1);
            let (subject, message) = (param("subject"), param("message"));
            want.notify(&Notification { id, channel, throttle, subject, message });
        }
    }
    found.into_values().collect()
}

/// What is wanted, what is there, and what follows.
pub struct Looked {
    /// The connection.
    pub to: OpenSearch,
    /// What the cluster says about itself.
    pub about: About,
    /// How many monitors are there, of whomever.
    pub live: usize,
    /// How many monitors are wanted.
    wanted: usize,
    /// How many rules the target selects.
    rules: usize,
    /// The change set.
    pub changes: Vec<Change>,
}

/// How to look.
pub struct Looking {
    /// Without triggers.
    pub canary: bool,
    /// Whether what the pack no longer has is deleted.
    pub prune: bool,
}

/// Makes the monitors of a target, reads those that are there and plans. What is wrong is told.
///
/// # Errors
/// The exit, once it has been told.
pub fn look(
    opened: &Opened,
    target: &Target,
    looking: &Looking,
    terminal: &mut Terminal,
) -> Result<Looked, Exit> {
    let config = &opened.pack.config;
    if target.group && (looking.canary || !opened.is_whole()) {
        let what = if looking.canary {
            "`--canary` is for monitors of one rule"
        } else {
            "its rules are deployed together"
        };
        terminal.note(&format!("error: the target `{}` has `group = true`: {what}", target.name));
        return Err(Exit::Usage);
    }
    let validated = validate::check(opened);
    let errors: Vec<Diagnostic> = if validated.failed() {
        validated.diagnostics.iter().filter(|d| d.severity == Severity::Error).cloned().collect()
    } else {
        Vec::new()
    };
    let rules = selected(opened, validated.rules, target);
    if rules.is_empty() {
        terminal.note(&format!("error: the target `{}` selects none of these rules", target.name));
        return Err(Exit::Usage);
    }
    let (made, actions) = made(&rules, config, target, false);
    let mut refused = errors;
    refused.extend(made.diagnostics.iter().filter(|d| d.severity == Severity::Error).cloned());
    if !refused.is_empty() {
        refused.iter().for_each(|d| terminal.complain(d));
        terminal.note(&format!("failed: {}, so nothing was deployed", count(refused.len(), "error")));
        terminal.note("        rulepack generate --for opensearch");
        return Err(Exit::Findings);
    }
    let says = |name: &str| rules.iter().any(|r| r.rule.name == name && r.rule.enabled().is_some());
    let mut wanted = opensearch::wanted(&made.support, &says, looking.canary);
    let (to, about) = match connect(target, &opened.pack.root, config.opensearch.version) {
        Ok(connected) => connected,
        Err((d, exit)) => return Err(refuse(&d, exit, terminal)),
    };
    let failed = |doing: &str, e: &Failure| told(target, doing, e);
    let mut misfits = fits(&wanted, &to);
    if !actions.is_empty() && misfits.is_empty() {
        match to.channels() {
            Ok(channels) => misfits = notify(&mut wanted, actions, &channels, config),
            Err(e) => {
                return Err(refuse(&failed("reading the notification channels", &e), Exit::Remote, terminal));
            }
        }
    }
    if !misfits.is_empty() {
        misfits.iter().for_each(|d| terminal.complain(d));
        terminal.note(&format!("failed: {}, so nothing was written", count(misfits.len(), "error")));
        return Err(Exit::Remote);
    }
    let live = match to.monitors() {
        Ok(live) => live,
        Err(e) => return Err(refuse(&failed("reading the monitors", &e), Exit::Remote, terminal)),
    };
    if looking.canary {
        // what alerts already goes on alerting
        wanted
            .retain(|w| !live.iter().any(|l| alerts(l) && l.mark().is_some_and(|m| m.rule_id == w.rule_id)));
    }
    let settings = Settings {
        pack: config.name.clone(),
        on_drift: target.on_drift,
        prune: looking.prune,
        manage: target.manage.clone(),
    };
    if target.group {
        wanted = opensearch::grouped(wanted, &config.name);
    }
    let whole = opened.is_whole() && !looking.canary;
    let changes = opensearch::plan(&wanted, &live, &settings, whole);
    Ok(Looked { to, about, live: live.len(), wanted: wanted.len(), rules: rules.len(), changes })
}

/// Runs the command.
pub fn run(args: &DeployArgs, opened: &Opened, target: &Target, terminal: &mut Terminal) -> Exit {
    let config = &opened.pack.config;
    let looking = Looking { canary: args.canary, prune: args.prune };
    let Looked { to, about, live, wanted, rules, changes } = match look(opened, target, &looking, terminal) {
        Ok(looked) => looked,
        Err(exit) => return exit,
    };
    let failed = |doing: &str, e: &Failure| told(target, doing, e);
    let begun = Instant::now();
    let mut answer =
        Answer { args, target, about: &about, changes: &changes, applied: None, verdict: String::new() };
    if args.is_text() && !terminal.quiet {
        terminal.line(&format!(
            "target {} · {} · OpenSearch {} · {}",
            target.name,
            target.address(),
            about.version,
            connection::identity(&target.auth)
        ));
        terminal.line(&format!(
            "pack {} · {} of {} · {}",
            config.name,
            count(wanted, "monitor"),
            count(rules, "rule"),
            report::about(&config.opensearch)
        ));
        terminal.line("");
    }
    if args.is_text() {
        let lines = lines(&changes, target);
        if !lines.is_empty() {
            lines.iter().for_each(|l| terminal.line(l));
            terminal.line("");
        }
    }
    let owned = changes.iter().filter(|c| c.live.is_some()).count();
    let deletes = number(&changes, "delete");
    let limit = target.max_prune.limit(owned);
    if deletes > limit {
        let d = Diagnostic::new(
            Code::RP0909,
            format!("{} to delete, and `max_prune` allows {limit}", count(deletes, "monitor")),
        )
        .help("look whether the right pack and target were named; then raise `max_prune`");
        return refuse(&d, Exit::Usage, terminal);
    }
    let more = number(&changes, "create");
    if live + more > MAX_MONITORS {
        let message =
            format!("{more} more monitors would be more than the {MAX_MONITORS} that a cluster takes");
        let d = Diagnostic::new(Code::RP0921, message)
            .note(format!("there are {live}"))
            .help(format!(
            "`group = true` in [target.{}] puts up to {MAX_TRIGGERS} rules into one monitor; `select` chooses among them",
            target.name
        ));
        return refuse(&d, Exit::Usage, terminal);
    }
    let writes = changes.iter().any(|c| c.kind.writes());
    let differs = writes || number(&changes, "conflict") > 0;
    if args.dry_run || !writes {
        for found in trial(&changes, &to) {
            match found {
                Ok(d) => terminal.findings(&[d], Format::Text),
                Err(e) => return refuse(&failed("trying the monitors", &e), Exit::Remote, terminal),
            }
        }
        answer.verdict = planned(&changes, target);
        answer.tell(terminal);
        if args.is_text() && writes {
            terminal.line(&format!(
                "      nothing was written. To apply: rulepack deploy --target {}",
                target.name
            ));
        }
        return if args.exit_code && differs { Exit::Findings } else { Exit::Fine };
    }
    if let Some(exit) = args.declined(&target.name, terminal) {
        return exit;
    }
    let applied = opensearch::apply(&changes, &to);
    let done = format!("{} written and read back equal", count(applied.written, "monitor"));
    let took = format!("in {:.1} s", begun.elapsed().as_secs_f64());
    let late = applied.conflicts.len();
    let late =
        if late > 0 { format!("; {} left alone", count(late, "late conflict")) } else { String::new() };
    answer.verdict = match applied.failed.len() {
        0 => format!("ok: {done}{late}, {took}"),
        n => format!("failed: {} not as wanted; {done}{late}, {took}", count(n, "monitor")),
    };
    if args.is_text() {
        for name in &applied.conflicts {
            terminal
                .line(&format!("!   conflict  {name}   changed in OpenSearch after the plan; left alone"));
        }
        let finding = |f: &opensearch::Failed| {
            Diagnostic::new(f.code, format!("{} `{}`: {}", f.verb, f.name, f.message))
        };
        let found: Vec<Diagnostic> = applied.failed.iter().map(finding).collect();
        terminal.findings(&found, Format::Text);
    }
    let exit = if applied.failed.is_empty() { Exit::Fine } else { Exit::Remote };
    answer.applied = Some(applied);
    answer.tell(terminal);
    exit
}

fn refuse(d: &Diagnostic, exit: Exit, terminal: &mut Terminal) -> Exit {
    terminal.complain(d);
    terminal.note("failed: nothing was written");
    exit
}

/// What a failed request means for the user.
fn told(target: &Target, doing: &str, e: &Failure) -> Diagnostic {
    let d = match e {
        Failure::Unreachable(why) | Failure::Lost(why) => {
            Diagnostic::new(Code::RP0921, format!("{} was not reached: {why}", target.address()))
        }
        Failure::Refused { status: 401, message, .. } => {
            Diagnostic::new(Code::RP0902, format!("OpenSearch refuses the credentials: {message}"))
        }
        Failure::Refused { status: 403, message, .. } => {
            Diagnostic::new(Code::RP0902, format!("the credentials do not suffice: {message}"))
                .help("`alerting_full_access` is the role that has what a deploy needs")
        }
        Failure::Refused { .. } => Diagnostic::new(Code::RP0921, format!("OpenSearch refuses: {e}")),
    };
    d.note(format!("while {doing}"))
}

type Refused = (Box<Diagnostic>, Exit);

fn connect(target: &Target, root: &Path, version: Version) -> Result<(OpenSearch, About), Refused> {
    let usage = |d: Diagnostic| (Box::new(d), Exit::Usage);
    let host = connection::host(target.address());
    if host.ends_with(".aoss.amazonaws.com") {
        let d = Diagnostic::new(
            Code::RP0921,
            "Amazon OpenSearch Serverless has no Alerting, so it runs no monitors",
        )
        .note("a collection has the analysis, mapper and script plugins only")
        .help("monitors run on a domain of Amazon OpenSearch Service, or on a cluster of one's own");
        return Err(usage(d));
    }
    if target.auth == Auth::None && !target.is_loopback() {
        let d = Diagnostic::new(Code::RP0902, format!("the target `{}` has no credentials", target.name))
            .help("`auth = { basic_env = \"OPENSEARCH_AUTH\" }` in its table says where they are");
        return Err(usage(d));
    }
    let env = |name: &str| std::env::var(name).ok();
    let mut signer = None;
    let mut identity = None;
    let credentials = match &target.auth {
        Auth::SigV4 { region, profile } => {
            signer = Some(aws::signer(region, profile.as_deref(), &env).map_err(|d| (d, Exit::Usage))?);
            Credentials::None
        }
        Auth::ClientCertEnv(name) => {
            let why = |why: String| usage(Diagnostic::new(Code::RP0902, why));
            let path =
                env(name).ok_or_else(|| why(format!("the environment variable `{name}` is not set")))?;
            let pem = std::fs::read_to_string(&path)
                .map_err(|e| why(format!("`{path}` cannot be read: {}", crate::replay::input::reason(&e))))?;
            identity = Some(Secret::new(&pem));
            Credentials::None
        }
        other => connection::credentials(other).map_err(|d| (d, Exit::Usage))?,
    };
    let mut options = opensearch::options(target.address(), credentials);
    options.signer = signer;
    options.identity = identity;
    connection::reach(target, root, &mut options).map_err(|d| (d, Exit::Usage))?;
    let http = Http::new(options).map_err(|why| usage(Diagnostic::new(Code::RP0901, why)))?;
    let to = OpenSearch::new(http);
    let about =
        to.about().map_err(|e| (Box::new(told(target, "asking for its version", &e)), Exit::Remote))?;
    let no = |d: Diagnostic| Err((Box::new(d), Exit::Remote));
    if about.distribution != "opensearch" {
        let what =
            if about.distribution.is_empty() { "another product" } else { about.distribution.as_str() };
        return no(Diagnostic::new(Code::RP0921, format!("{} is {what}, not OpenSearch", target.address())));
    }
    if !about.plugins.iter().any(|p| p == "opensearch-alerting") {
        return no(Diagnostic::new(Code::RP0921, "the Alerting plugin is not installed there").note(
            format!(
                "plugins: {}",
                if about.plugins.is_empty() { "none".to_owned() } else { about.plugins.join(", ") }
            ),
        ));
    }
    let there = Version::parse(&about.version).unwrap_or_default();
    let least = version.max(OLDEST);
    if (there.0, there.1) < (least.0, least.1) {
        return no(Diagnostic::new(
            Code::RP0921,
            format!("OpenSearch is {}, and the monitors are made for {least}", about.version),
        )
        .help("`version` in [opensearch] says which version they are made for; 2.11 is the oldest"));
    }
    Ok((to, about))
}

/// Whether the indices have the fields that the monitors read, and have them whole.
fn fits(wanted: &[Wanted], to: &OpenSearch) -> Vec<Diagnostic> {
    let mut by_index: BTreeMap<(Vec<String>, bool), BTreeSet<String>> = BTreeMap::new();
    for w in wanted {
        let indices = ["/inputs/0/doc_level_input/indices", "/inputs/0/search/indices"]
            .iter()
            .find_map(|p| w.monitor.pointer(p)?.as_array());
        let indices = indices.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let stored = w.kind == MonitorKind::DocLevel;
        by_index.entry((indices.collect(), stored)).or_default().extend(w.fields.iter().cloned());
    }
    let mut found = Vec::new();
    for ((indices, stored), fields) in by_index.into_iter().filter(|((i, _), _)| !i.is_empty()) {
        let fields: Vec<String> = fields.into_iter().collect();
        let shown = indices.join(", ");
        match to.field_types(&indices, &fields) {
            Err(e) => {
                found.push(Diagnostic::new(Code::RP0922, format!("{shown}: fields cannot be read: {e}")))
            }
            Ok(None) => found.push(
                Diagnostic::new(Code::RP0922, format!("no index is there of {shown}"))
                    .help("`index` in [opensearch] names the indices that the events are in"),
            ),
            Ok(Some(types)) => {
                found.extend(fields.iter().filter_map(|f| misfit(f, types.get(f), &shown, stored)))
            }
        }
    }
    found
}

/// What is wrong with a field. Of searches the report has told that a text is analysed.
fn misfit(field: &str, types: Option<&Value>, indices: &str, stored: bool) -> Option<Diagnostic> {
    const WHOLE: [&str; 3] = ["keyword", "constant_keyword", "wildcard"];
    let types: Vec<&str> =
        types.and_then(Value::as_object).into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    let why = match types.as_slice() {
        [] => format!("no index of {indices} has the field `{field}`"),
        all if all.iter().all(|t| WHOLE.contains(t)) => return None,
        [one] if *one != "text" || !stored => return None,
        [_] => format!("`{field}` is text in {indices}, so it is matched word by word"),
        several => format!("`{field}` is {} in {indices}, each in some index", several.join(" and ")),
    };
    Some(
        Diagnostic::new(Code::RP0922, why)
            .help("an index template that maps it as `keyword`, or another `profile` in [opensearch]"),
    )
}

/// Runs what can be tried: searches. Of stored queries a dry run says nothing.
fn trial(changes: &[Change], to: &OpenSearch) -> Vec<Result<Diagnostic, Failure>> {
    let mut out = Vec::new();
    for change in changes.iter().filter(|c| matches!(c.kind, Kind::Create | Kind::Update)) {
        let kind = change.body.get("monitor_type").and_then(Value::as_str).unwrap_or_default();
        if ![MonitorKind::QueryLevel.name(), MonitorKind::BucketLevel.name()].contains(&kind) {
            continue;
        }
        match to.dry_run(&change.body) {
            Ok(None) => {}
            Ok(Some(why)) => {
                let message = format!("the dry run of `{}` fails: {why}", change.name);
                out.push(Ok(Diagnostic::new(Code::RP0921, message).severity(Severity::Warning)));
            }
            Err(e) => out.push(Err(e)),
        }
    }
    out
}

pub fn number(changes: &[Change], word: &str) -> usize {
    changes.iter().filter(|c| c.kind.words().1 == word).count()
}

pub fn lines(changes: &[Change], target: &Target) -> Vec<String> {
    let mut out = Vec::new();
    let shown: Vec<&Change> = changes.iter().filter(|c| c.kind != Kind::Same).collect();
    let width = shown.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).min(50);
    for change in shown {
        let (mark, word) = change.kind.words();
        let detail = match &change.kind {
            Kind::Create => "new".to_owned(),
            Kind::Update => {
                let fields = match &change.live {
                    Some(live) if change.fields.is_empty() => fields_of(&live.monitor, &change.body),
                    _ => change.fields.clone(),
                };
                fields.join(", ")
            }
            Kind::Conflict(reason) => reason.clone(),
            Kind::Kept => "edited in OpenSearch, and left so".to_owned(),
            Kind::Orphan => "not in the pack; left alone without --prune".to_owned(),
            Kind::Delete => "not in the pack".to_owned(),
            Kind::Moved => "its rules stand in another monitor now".to_owned(),
            Kind::Same => String::new(),
        };
        out.push(format!("{mark:4}{word:10}{:width$}   {detail}", change.name).trim_end().to_owned());
        if matches!(change.kind, Kind::Conflict(_)) {
            out.push(format!(
                "              left alone; help: rulepack deploy --target {} --on-drift overwrite {}",
                target.name, change.name
            ));
        }
    }
    let same = number(changes, "same");
    if same > 0 && !out.is_empty() {
        out.push(format!("{:4}{:10}{}", "=", "same", count(same, "monitor")));
    }
    out
}

fn planned(changes: &[Change], target: &Target) -> String {
    let some = |word: &str, text: String| (number(changes, word) > 0).then_some(text);
    let left: Vec<String> = [("conflict", "conflict"), ("orphan", "orphan"), ("kept", "edited monitor")]
        .into_iter()
        .filter_map(|(word, noun)| some(word, count(number(changes, word), noun)))
        .collect();
    let left = if left.is_empty() { String::new() } else { format!("; {} left alone", left.join(", ")) };
    let same = number(changes, "same");
    if !changes.iter().any(|c| c.kind.writes()) {
        let verb = if same == 1 { "is" } else { "are" };
        return format!(
            "no changes: {} in {} {verb} what the pack says{left}",
            count(same, "monitor"),
            target.name
        );
    }
    let parts: Vec<String> = ["create", "update", "delete", "moved"]
        .into_iter()
        .filter_map(|word| {
            some(
                word,
                format!("{} to {}", number(changes, word), if word == "moved" { "replace" } else { word }),
            )
        })
        .collect();
    let same = some("same", format!("; {same} same")).unwrap_or_default();
    format!("plan: {}{left}{same}", parts.join(", "))
}

/// What is told at the end.
struct Answer<'a> {
    args: &'a DeployArgs,
    target: &'a Target,
    about: &'a About,
    changes: &'a [Change],
    applied: Option<Applied>,
    verdict: String,
}

impl Answer<'_> {
    fn tell(&self, terminal: &mut Terminal) {
        if self.args.is_text() {
            terminal.line(&self.verdict);
            return;
        }
        let change = |c: &Change| {
            let reason = if let Kind::Conflict(reason) = &c.kind { Some(reason) } else { None };
            json!({
                "rule": { "id": c.rule_id, "name": c.name },
                "change": c.kind.words().1,
                "fields": c.fields,
                "reason": reason,
                "object": c.live.as_ref().map(|l| l.id.clone()),
            })
        };
        let failed = |f: &opensearch::Failed| {
            let d = Diagnostic::new(f.code, format!("{} `{}`: {}", f.verb, f.name, f.message));
            render::diagnostic_json(&d)
        };
        let out = json!({
            "ok": self.applied.as_ref().is_none_or(|a| a.failed.is_empty()),
            "target": {
                "name": self.target.name,
                "opensearch": self.target.address(),
                "version": self.about.version,
            },
            "changes": self.changes.iter().filter(|c| c.kind != Kind::Same).map(change).collect::<Vec<_>>(),
            "same": number(self.changes, "same"),
            "applied": self.applied.as_ref().map(|a| json!({
                "written": a.written,
                "failed": a.failed.iter().map(failed).collect::<Vec<_>>(),
                "conflicts": a.conflicts,
            })),
            "verdict": self.verdict,
        });
        terminal.line(&out.to_string());
    }
}
