//! Rule tests: runs the cases of a rule and says, clause by clause, why one failed.

mod anonymise;
pub mod cut;
mod judge;

pub use anonymise::{Anonymiser, Sort, is_documentation_account};

use crate::lang::cloudtrail::{Converter, Options};
use crate::pack::{Case, CompiledRule, TestEvent, TestFile};
use crate::replay::decision::Line;
use crate::replay::{Engine, RunRule};
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

/// Runs the cases of all rules that have some. `fixtures` is what people see before fixture paths.
pub fn run(rules: &[CompiledRule], tests: &[TestFile], fixtures: &str) -> Results {
    let with_tests: Vec<(&CompiledRule, &TestFile)> = rules
        .iter()
        .filter_map(|r| Some((r, tests.iter().find(|t| t.name == r.rule.name && !t.cases.is_empty())?)))
        .collect();
    let parts: Vec<Results> =
        with_tests.par_iter().map(|(rule, file)| run_rule(rule, file, fixtures)).collect();
    let mut out = Results::default();
    for part in parts {
        out.cases.extend(part.cases);
        out.rules += part.rules;
        out.not_run.extend(part.not_run);
    }
    out
}

fn run_rule(rule: &CompiledRule, file: &TestFile, fixtures: &str) -> Results {
    let Some(run) = RunRule::of(rule) else {
        let reason = rule.not_run.clone().unwrap_or_else(|| "it cannot be run".to_owned());
        return Results { not_run: vec![(rule.rule.name.clone(), reason)], ..Results::default() };
    };
    let engine = Engine::new(vec![run], Converter::new(Options::default()));
    let cases = file
        .cases
        .iter()
        .map(|case| {
            let texts = Texts::new(case, file, fixtures);
            let report = engine.run_texts(&texts.events(), &texts.history(), case.at);
            CaseResult {
                rule: rule.rule.name.clone(),
                case: case.name.clone(),
                file: file.source.name().to_owned(),
                line: file.source.position(case.span.start).line,
                outcome: judge::judge(&engine, case, &texts, &report),
                events: report.records,
                came: report
                    .alerts
                    .iter()
                    .map(|a| Came { events: a.events.clone(), group: a.group.clone() })
                    .collect(),
            }
        })
        .collect();
    Results { cases, rules: 1, not_run: Vec::new() }
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
