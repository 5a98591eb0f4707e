//! Rule tests: `tests/rules/<name>.toml` as cases with events and expected alerts.

use super::{Pack, RuleFile, files, select, supplied};
use crate::diag::{Code, Diagnostic, Severity};
use crate::es::date;
use crate::lang::rule::{Document, Structure};
use crate::plan::table::Supplied;
use crate::source::{Source, Span};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static STRUCTURE: LazyLock<Structure> =
    LazyLock::new(|| Structure::new(include_str!("../../schemas/test.schema.json")));

/// The tests of one rule.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// The name of the rule.
    pub name: String,
    /// The text of the file; its name is the path that people see.
    pub source: Arc<Source>,
    /// The cases, in order; none where the file has errors.
    pub cases: Vec<Case>,
    /// What was found while reading.
    pub diagnostics: Vec<Diagnostic>,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What happens in it.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// When the rule runs, in nanoseconds since the epoch; `None` for just after the last event.
    pub at: Option<date::Nanos>,
    /// Earlier events for new terms.
    pub history: Vec<TestEvent>,
    /// The events.
    pub events: Vec<TestEvent>,
    /// What must come out; a `todo` case may leave it open.
    pub expect: Option<Expect>,
    /// Where the expectation stands, or else the case.
    pub expect_span: Span,
    /// The tables and answers of its ES|QL commands that need some.
    pub supplied: Supplied,
    /// The known gap, because of which the case must fail.
    pub todo: Option<String>,
}

/// Events of a case.
#[derive(Clone, Debug)]
pub enum TestEvent {
    /// A file below the fixtures folder.
    File {
        /// The path as the test has it.
        path: String,
        /// Its content.
        bytes: Arc<[u8]>,
        /// Where the path stands.
        span: Span,
    },
    /// A table in the test itself.
    Inline {
        /// The event.
        json: Value,
        /// Where it stands.
        span: Span,
    },
}

/// The alerts that a case expects.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// So many.
    Count(u64),
    /// These.
    Alerts(Vec<ExpectedAlert>),
}

impl Expect {
    /// How many alerts are expected.
    pub fn count(&self) -> usize {
        match self {
            Expect::Count(n) => usize::try_from(*n).unwrap_or(usize::MAX),
            Expect::Alerts(alerts) => alerts.len(),
        }
    }
}

/// An alert that a case expects.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedAlert {
    /// Ids of its events, or their beginnings; none where only the group matters.
    pub events: Vec<String>,
    /// Values that it is grouped by, in the order of the file.
    pub group: Vec<(String, Value)>,
    /// Where it stands.
    pub span: Span,
}

pub(super) type Fixtures = FxHashMap<String, Result<Arc<[u8]>, Box<Diagnostic>>>;

impl Pack {
    /// Reads the tests of the selected rules, sorted by name. The second list are findings about no
    /// test in particular: with the whole pack selected, tests whose rule does not exist.
    pub fn tests(&self, selection: &[&RuleFile]) -> (Vec<TestFile>, Vec<Diagnostic>) {
        let folder = self.root.join(&self.config.tests);
        if !folder.is_dir() {
            return (Vec::new(), Vec::new());
        }
        let shown = self.shown(&self.config.tests);
        let (entries, mut found) = files::walk(&self.root, &folder, &shown, &|n| n.ends_with(".toml"));
        let whole = selection.len() == self.files.len();
        let known: FxHashMap<&str, ()> = self.files.iter().map(|f| (f.name.as_str(), ())).collect();
        let wanted: FxHashMap<&str, ()> = selection.iter().map(|f| (f.name.as_str(), ())).collect();
        let mut read = Vec::new();
        for entry in entries {
            let name = entry.name.strip_suffix(".toml").unwrap_or(&entry.name).to_owned();
            let file = format!("{shown}/{}", entry.name);
            if wanted.contains_key(name.as_str()) {
                read.push((name, file, entry.path));
            } else if whole && !known.contains_key(name.as_str()) {
                let mut d = files::about(&file, Code::RP0704, format!("no rule `{name}` for this test"));
                if let Some(near) = select::nearest(&name, self.files.iter().map(|f| f.name.as_str())) {
                    d = d.help(format!("did you mean `{near}`?"));
                }
                found.push(d);
            }
        }
        let documents: Vec<(String, String, Option<Document>, Vec<Diagnostic>)> = read
            .into_par_iter()
            .map(|(name, file, path)| match super::read_file(&path) {
                Ok(bytes) => {
                    let (document, mut found) = Document::read(&file, bytes);
                    found.extend(document.iter().flat_map(|d| STRUCTURE.check(d)));
                    (name, file, document, found)
                }
                Err(message) => {
                    let found = vec![files::about(&file, Code::RP0001, message)];
                    (name, file, None, found)
                }
            })
            .collect();
        let fixtures = self.fixtures(documents.iter().filter_map(|(_, _, d, _)| d.as_ref()));
        let files = documents
            .into_iter()
            .map(|(name, file, document, diagnostics)| {
                let Some(document) = document else {
                    let source = Arc::new(Source::new(file, ""));
                    return TestFile { name, source, cases: Vec::new(), diagnostics };
                };
                let mut reader = Reader { document: &document, fixtures: &fixtures, found: diagnostics };
                let cases = reader.cases();
                let mut diagnostics = reader.found;
                crate::diag::sort(&mut diagnostics);
                TestFile { name, source: Arc::clone(document.source()), cases, diagnostics }
            })
            .collect();
        (files, found)
    }

    /// Every fixture that the tests name, each read once.
    fn fixtures<'d>(&self, documents: impl Iterator<Item = &'d Document>) -> Fixtures {
        let mut paths: Vec<&str> = Vec::new();
        for document in documents {
            let cases = document.json().get("case").and_then(Value::as_array);
            for case in cases.into_iter().flatten() {
                let lists = ["history", "events"].iter().filter_map(|key| case.get(key)?.as_array());
                paths.extend(lists.flatten().filter_map(Value::as_str));
                let tables = case.get("tables").and_then(Value::as_object);
                paths.extend(tables.into_iter().flat_map(|t| t.values()).filter_map(supplied::path));
            }
        }
        paths.sort_unstable();
        paths.dedup();
        paths.into_par_iter().map(|path| (path.to_owned(), self.fixture(path).map(Arc::from))).collect()
    }
}

pub(super) struct Reader<'a> {
    document: &'a Document,
    pub(super) fixtures: &'a Fixtures,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    pub(super) fn span(&self, pointer: &str) -> Span {
        self.document.nearest(pointer).value
    }

    pub(super) fn report(&mut self, d: Diagnostic, span: Span) {
        self.found.push(d.at(span, "").in_source(self.document.source()));
    }

    fn cases(&mut self) -> Vec<Case> {
        if self.found.iter().any(|d| d.severity == Severity::Error) {
            return Vec::new();
        }
        let json = self.document.json().clone();
        let mut names: Vec<String> = Vec::new();
        let mut out = Vec::new();
        for (i, case) in json.get("case").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let at = format!("/case/{i}");
            let text = |key: &str| case.get(key).and_then(Value::as_str);
            let name = text("name").unwrap_or_default().to_owned();
            let span = self.span(&format!("{at}/name"));
            if names.contains(&name) {
                let d = Diagnostic::new(Code::RP0007, format!("a case `{name}` stands above already"));
                self.report(d, span);
            }
            names.push(name.clone());
            let time = text("at").map(date::parse_value);
            if time == Some(None) {
                let d =
                    Diagnostic::new(Code::RP0606, format!("`{}` is no time", text("at").unwrap_or_default()));
                self.report(d, self.span(&format!("{at}/at")));
            }
            let expect_span = self.document.nearest(&format!("{at}/expect")).name_span();
            let history = self.events(case, &at, "history");
            let events = self.events(case, &at, "events");
            let supplied = self.supplied(case, &at);
            out.push(Case {
                name,
                span,
                at: time.flatten(),
                history,
                events,
                expect: case.get("expect").map(|e| self.expect(e, &at)),
                expect_span,
                supplied,
                todo: text("todo").map(str::to_owned),
            });
        }
        if self.found.iter().any(|d| d.severity == Severity::Error) { Vec::new() } else { out }
    }

    fn events(&mut self, case: &Value, at: &str, key: &str) -> Vec<TestEvent> {
        let mut out = Vec::new();
        for (i, event) in case.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
            let span = self.span(&format!("{at}/{key}/{i}"));
            let Some(path) = event.as_str() else {
                out.push(TestEvent::Inline { json: event.clone(), span });
                continue;
            };
            match self.fixtures.get(path) {
                Some(Ok(bytes)) => {
                    out.push(TestEvent::File { path: path.to_owned(), bytes: Arc::clone(bytes), span });
                }
                Some(Err(d)) => self.report(d.as_ref().clone(), span),
                None => {}
            }
        }
        out
    }

    fn expect(&self, value: &Value, at: &str) -> Expect {
        let Some(alerts) = value.as_array() else { return Expect::Count(value.as_u64().unwrap_or(0)) };
        let alert = |(i, alert): (usize, &Value)| ExpectedAlert {
            events: alert
                .get("events")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|e| e.as_str().map(str::to_owned))
                .collect(),
            group: alert
                .get("group")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            span: self.span(&format!("{at}/expect/{i}")),
        };
        Expect::Alerts(alerts.iter().enumerate().map(alert).collect())
    }
}
