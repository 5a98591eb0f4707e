//! Rule tests: runs the cases of a rule and says, clause by clause, why one failed.

mod anonymise;
pub mod cut;
mod judge;

pub use anonymise::{Anonymiser, Sort, is_documentation_account};

use crate::diag::Severity;
use crate::lang::cloudtrail::{Converter, Options};
use crate::pack::{Case, CompiledRule, Expect, Pack, Profile, TestEvent, TestFile};
use crate::plan::table::Supplied;
use crate::replay::decision::Line;
use crate::replay::events::Form;
use crate::replay::layout::Layout;
use crate::replay::{Engine, RunRule, Selection, monitor};
use rayon::prelude::*;

/// What came of a case.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed(Box<Failure>),
    /// A known gap (`todo`), still there.
    Todo(String),
    /// A known gap that is none any more: its `todo` must go.
    TodoPasses(String),
    /// It could not be judged: an event could not be read, or the rule failed.
    Broken(String),
}

impl Outcome {
    /// Whether the case counts against the run.
    pub fn is_bad(&self) -> bool {
        !matches!(self, Outcome::Passed | Outcome::Todo(_))
    }
}

/// How a case differs from what it expects.
#[derive(Clone, Debug, Default)]
pub struct Failure {
    /// `expected no alert, got 1 on event 5b0c2a9e (tests/fixtures/…)`.
    pub summary: String,
    /// The summary where it holds values of events: the same without them.
    pub without_values: Option<String>,
    /// The clauses over the event that decided.
    pub decision: Vec<Line>,
    /// The new terms of the event.
    pub terms: Vec<(String, String)>,
    /// What is to be said about them, as a sentence.
    pub remark: Option<String>,
    /// What became of the sequences that the event took part in, a sentence each.
    pub course: Vec<String>,
    /// The event that decided.
    pub event: Option<String>,
}

impl Outcome {
    /// What is wrong, in one sentence; nothing where all is well. Without `values`, it names fields and ids
    /// but holds no value of an event.
    pub fn sentence(&self, values: bool) -> Option<String> {
        Some(match self {
            Outcome::Passed | Outcome::Todo(_) => return None,
            Outcome::Failed(f) => match &f.without_values {
                Some(text) if !values => text.clone(),
                _ => f.summary.clone(),
            },
            Outcome::TodoPasses(todo) => format!("this known gap ({todo}) is closed: the case passes"),
            Outcome::Broken(why) if values => format!("could not be judged: {why}"),
            Outcome::Broken(_) => {
                "could not be judged: an event could not be read, or the rule failed".to_owned()
            }
        })
    }
}

/// A case and what came of it.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// The rule.
    pub rule: String,
    /// The case.
    pub case: String,
    /// The test file.
    pub file: String,
    /// The line of the case.
    pub line: usize,
    /// What came of it.
    pub outcome: Outcome,
    /// How many events it had, history included.
    pub events: u64,
    /// The alerts that came, by time.
    pub came: Vec<Came>,
}

/// An alert of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// The ids of its events.
    pub events: Vec<String>,
    /// New-terms fields and their values.
    pub group: Vec<(String, String)>,
}

/// The tests of some rules.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// In the order of rules and cases.
    pub cases: Vec<CaseResult>,
    /// How many rules had cases.
    pub rules: usize,
    /// Rules with cases that could not be run, and why.
    pub not_run: Vec<(String, String)>,
}

impl Results {
    /// How many outcomes satisfy a test.
    pub fn count(&self, test: impl Fn(&Outcome) -> bool) -> usize {
        self.cases.iter().filter(|c| test(&c.outcome)).count()
    }

    /// How many events were looked at.
    pub fn events(&self) -> u64 {
        self.cases.iter().map(|c| c.events).sum()
    }
}

/// Runs the cases of all rules of a pack that have some. With a profile, what runs is the query of the rule's
/// OpenSearch monitor, over the events in the shape of the profile.
pub fn run(pack: &Pack, rules: &[CompiledRule], tests: &[TestFile], profile: Option<Profile>) -> Results {
    // what people see before fixture paths
    let fixtures = pack.shown(&pack.config.fixtures);
    let with_tests: Vec<(&CompiledRule, &TestFile)> = rules
        .iter()
        .filter_map(|r| Some((r, tests.iter().find(|t| t.name == r.rule.name && !t.cases.is_empty())?)))
        .collect();
    let parts: Vec<Results> =
        with_tests.par_iter().map(|(rule, file)| run_rule(pack, rule, file, &fixtures, profile)).collect();
    let mut out = Results::default();
    for part in parts {
        out.cases.extend(part.cases);
        out.rules += part.rules;
        out.not_run.extend(part.not_run);
    }
    out
}

/// What runs a rule, or why nothing does.
type Ready = Result<Engine, String>;

fn ready(rule: &CompiledRule) -> Ready {
    let run = RunRule::of(rule)
        .ok_or_else(|| rule.not_run.clone().unwrap_or_else(|| "it cannot be run".to_owned()))?;
    Ok(Engine::new(vec![run], Converter::new(Options::default())))
}

/// What runs the monitor of a rule.
fn ready_monitor(pack: &Pack, rule: &CompiledRule, profile: Profile) -> Ready {
    let support = monitor::support(rule, &pack.config, profile);
    let run = monitor::run_rule(&support, rule, &pack.config)?;
    let layout = Layout::of(Form { profile, from_records: true });
    Ok(Engine::laid_out(vec![run], Converter::new(Options::default()), Selection::default(), layout))
}

/// The rule with the tables and answers of a case.
fn supplied(pack: &Pack, rule: &CompiledRule, supplied: &Supplied) -> Ready {
    let compiled = pack.compile_with(&rule.rule, supplied);
    let engine = ready(&compiled).map_err(|reason| {
        let error = compiled.diagnostics.iter().find(|d| d.severity == Severity::Error);
        error.map_or(reason, |d| d.message.clone())
    })?;
    let pipeline = compiled.plan.as_ref().and_then(|p| p.table());
    let unread =
        supplied.tables.iter().find(|t| !pipeline.is_some_and(|p| p.tables().any(|n| *n == *t.name)));
    match unread {
        Some(table) => Err(format!("the rule looks into no table `{}`", table.name)),
        None if supplied.answers.is_some() && !pipeline.is_some_and(|p| p.asks()) => {
            Err("the rule has no `COMPLETION` to answer".to_owned())
        }
        None => Ok(engine),
    }
}

fn run_rule(
    pack: &Pack,
    rule: &CompiledRule,
    file: &TestFile,
    fixtures: &str,
    profile: Option<Profile>,
) -> Results {
    let plain = match profile {
        None => ready(rule),
        Some(profile) => ready_monitor(pack, rule, profile),
    };
    if let Err(reason) = &plain
        && (profile.is_some() || !rule.lacking && file.cases.iter().all(|c| c.supplied.is_empty()))
    {
        return Results { not_run: vec![(rule.rule.name.clone(), reason.clone())], ..Results::default() };
    }
    // cases that supply the same share what is compiled
    let mut held: Vec<(&Supplied, Ready)> = Vec::new();
    let mut cases = Vec::with_capacity(file.cases.len());
    let mut unfit = 0_usize;
    for case in &file.cases {
        if !case.supplied.is_empty() && !held.iter().any(|(s, _)| **s == case.supplied) {
            held.push((&case.supplied, supplied(pack, rule, &case.supplied)));
        }
        let own = held.iter().find(|(s, _)| **s == case.supplied).map(|(_, ready)| ready);
        let mut result = CaseResult {
            rule: rule.rule.name.clone(),
            case: case.name.clone(),
            file: file.source.name().to_owned(),
            line: file.source.position(case.span.start).line,
            outcome: Outcome::Passed,
            events: 0,
            came: Vec::new(),
        };
        match own.unwrap_or(&plain) {
            Err(reason) => result.outcome = Outcome::Broken(reason.clone()),
            Ok(engine) => {
                let texts = Texts::new(case, file, fixtures);
                let report = engine.run_texts(&texts.events(), &texts.history(), case.at);
                if profile.is_some() && report.foreign > 0 {
                    unfit += 1;
                    continue;
                }
                // groups of a monitor are called by its fields, not by the columns of the rule
                let nameless = profile.map(|_| without_groups(case));
                let case = nameless.as_ref().unwrap_or(case);
                result.outcome = judge::judge(engine, case, &texts, &report);
                result.events = report.records;
                let came =
                    |a: &crate::replay::Alert| Came { events: a.events.clone(), group: a.group.clone() };
                result.came = report.alerts.iter().map(came).collect();
            }
        }
        cases.push(result);
    }
    let not_run = profile.filter(|_| unfit > 0).map(|profile| {
        let name = format!("{} · {unfit} of {} cases", rule.rule.name, file.cases.len());
        (name, format!("events of theirs cannot be brought into the shape `{}`", profile.name()))
    });
    Results { rules: usize::from(!cases.is_empty()), cases, not_run: not_run.into_iter().collect() }
}

/// The case without what it expects of groups.
fn without_groups(case: &Case) -> Case {
    let mut out = case.clone();
    if let Some(Expect::Alerts(alerts)) = &mut out.expect {
        alerts.iter_mut().for_each(|a| a.group.clear());
    }
    out
}

/// The texts of a case's events, with the names that people see.
struct Texts {
    events: Vec<(String, Vec<u8>)>,
    history: Vec<(String, Vec<u8>)>,
}

impl Texts {
    fn new(case: &Case, file: &TestFile, fixtures: &str) -> Texts {
        let text = |e: &TestEvent| match e {
            TestEvent::File { path, bytes, .. } => (format!("{fixtures}/{path}"), bytes.to_vec()),
            TestEvent::Inline { json, span } => {
                let line = file.source.position(span.start).line;
                (format!("{}:{line}", file.source.name()), json.to_string().into_bytes())
            }
        };
        Texts {
            events: case.events.iter().map(text).collect(),
            history: case.history.iter().map(text).collect(),
        }
    }

    fn events(&self) -> Vec<(&str, &[u8])> {
        self.events.iter().map(|(n, t)| (n.as_str(), t.as_slice())).collect()
    }

    fn history(&self) -> Vec<(&str, &[u8])> {
        self.history.iter().map(|(n, t)| (n.as_str(), t.as_slice())).collect()
    }
}

/// The first eight characters of an id that is a UUID; other ids whole.
pub fn short(id: &str) -> &str {
    if id.len() == 36 { id.get(..8).unwrap_or(id) } else { id }
}
