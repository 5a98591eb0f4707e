//! The rule file: `[metadata]`, `[rule]` and `[transform]` in TOML, read into a [`Rule`] whose every
//! key and value knows its place in the file.

mod document;
mod format;
mod kind;
mod string;
mod structure;
mod window;
pub mod write;

pub use document::{Document, MAX_BYTES, Node};
pub use format::{NotFormatted, format, format_query};
pub use kind::RuleType;
pub use structure::{Structure, Violation};
pub use window::{interval, length, lookback};

use super::Language;
use crate::diag::{Diagnostic, Severity};
use crate::schema::Version;
use crate::source::{QueryText, Source, Span};
use serde_json::Value;
use std::sync::{Arc, LazyLock};

static STRUCTURE: LazyLock<Structure> =
    LazyLock::new(|| Structure::new(include_str!("../../../schemas/rule.schema.json")));

/// A rule as its file has it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name: the path below the rules folder without `.toml`, with `/`.
    pub name: String,
    /// The text of the file; its name is the path that people see.
    pub source: Arc<Source>,
    /// The rule type.
    pub kind: RuleType,
    /// The language of [`Rule::query`]; `None` where the type has no query.
    pub language: Option<Language>,
    /// The query with the place of each of its bytes.
    pub query: Option<QueryText>,
    /// Whether the file had errors; such a rule is checked further, but neither run nor generated.
    pub broken: bool,
    document: Document,
}

impl Rule {
    /// Reads a rule file. `name` is the rule's name, `file` the path that people see. `None` where no
    /// rule can be made out; a rule with errors is marked [`Rule::broken`].
    pub fn read(name: &str, file: &str, bytes: Vec<u8>) -> (Option<Rule>, Vec<Diagnostic>) {
        let (document, mut found) = Document::read(file, bytes);
        let Some(document) = document else { return (None, found) };
        let kept = document.json().pointer("/metadata/kept");
        found.extend(STRUCTURE.check_except(&document, &texts(kept)));
        crate::diag::sort(&mut found);
        let broken = found.iter().any(|d| d.severity == Severity::Error);
        let rule = document.json().get("rule").filter(|r| r.is_object());
        let kind = rule.and_then(|r| r.get("type")).and_then(Value::as_str).and_then(RuleType::from_name);
        let Some(kind) = kind else { return (None, found) };
        let query = document.query_text("/rule/query").filter(|_| !document.is_mended("/rule/query"));
        let written = rule.and_then(|r| r.get("language")).and_then(Value::as_str);
        let language = match written {
            Some(name) => Language::from_name(name),
            None => kind.default_language(),
        };
        let rule = Rule {
            name: name.to_owned(),
            source: Arc::clone(document.source()),
            kind,
            language: language.filter(|_| query.is_some()),
            query,
            broken,
            document,
        };
        (Some(rule), found)
    }

    /// The `[rule]` table, keys in the order of the file.
    pub fn json(&self) -> &Value {
        self.document.json().get("rule").unwrap_or(&Value::Null)
    }

    /// The `[metadata]` table.
    pub fn metadata(&self) -> &Value {
        self.document.json().get("metadata").unwrap_or(&Value::Null)
    }

    /// The `[transform]` table, if there is one.
    pub fn transform(&self) -> Option<&Value> {
        self.document.json().get("transform")
    }

    /// The whole file.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The path of the file as people see it.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The place of a value by its JSON pointer from the top of the file (`/rule/severity`), or of the
    /// nearest table above it.
    pub fn value_span(&self, pointer: &str) -> Span {
        self.document.nearest(pointer).value
    }

    /// The place of a key by its JSON pointer, or of the nearest table above it.
    pub fn key_span(&self, pointer: &str) -> Span {
        self.document.nearest(pointer).name_span()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.json().get(key)?.as_str()
    }

    fn texts(&self, key: &str) -> Vec<&str> {
        texts(self.json().get(key))
    }

    fn meta(&self, key: &str) -> Option<&str> {
        self.metadata().get(key)?.as_str()
    }

    /// `rule_id`; empty where it is missing.
    pub fn rule_id(&self) -> &str {
        self.text("rule_id").unwrap_or_default()
    }

    /// The name that Kibana shows.
    pub fn title(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    /// What the rule detects.
    pub fn description(&self) -> &str {
        self.text("description").unwrap_or_default()
    }

    /// `low`, `medium`, `high` or `critical`; empty where it is missing.
    pub fn severity(&self) -> &str {
        self.text("severity").unwrap_or_default()
    }

    /// The risk score, 0 to 100.
    pub fn risk_score(&self) -> Option<i64> {
        self.json().get("risk_score")?.as_i64()
    }

    /// The index patterns; none for ES|QL.
    pub fn index(&self) -> Vec<&str> {
        self.texts("index")
    }

    /// The tags.
    pub fn tags(&self) -> Vec<&str> {
        self.texts("tags")
    }

    /// The investigation guide.
    pub fn note(&self) -> Option<&str> {
        self.text("note")
    }

    /// Start of the range of each run; Kibana's default is `now-6m`.
    pub fn from(&self) -> &str {
        self.text("from").unwrap_or("now-6m")
    }

    /// End of the range of each run; Kibana's default is `now`.
    pub fn to(&self) -> &str {
        self.text("to").unwrap_or("now")
    }

    /// How often it runs; Kibana's default is `5m`.
    pub fn interval(&self) -> &str {
        self.text("interval").unwrap_or("5m")
    }

    /// How far back of its end each run reads, in nanoseconds; `None` for times that are not relative.
    pub fn lookback(&self) -> Option<i128> {
        Some(lookback(self.from())? - lookback(self.to())?)
    }

    /// The new terms fields, in either form of the file.
    pub fn new_terms_fields(&self) -> Vec<&str> {
        let nested = self.json().pointer("/new_terms/value");
        texts(nested.or_else(|| self.json().get("new_terms_fields")))
    }

    /// JSON pointer of the new terms fields.
    pub fn new_terms_pointer(&self) -> &'static str {
        if self.json().get("new_terms").is_some() {
            "/rule/new_terms/value"
        } else {
            "/rule/new_terms_fields"
        }
    }

    /// The start of the new terms history, in either form of the file.
    pub fn history_window_start(&self) -> Option<&str> {
        let nested = self.json().pointer("/new_terms/history_window_start/0/value");
        nested.or_else(|| self.json().get("history_window_start"))?.as_str()
    }

    /// JSON pointer of the start of the new terms history.
    pub fn history_pointer(&self) -> &'static str {
        if self.json().get("new_terms").is_some() {
            "/rule/new_terms/history_window_start/0/value"
        } else {
            "/rule/history_window_start"
        }
    }

    /// The fields whose values make the groups of a threshold rule, with their JSON pointers.
    pub fn threshold_fields(&self) -> Vec<(String, &str)> {
        let at = "/rule/threshold/field";
        match self.json().pointer("/threshold/field") {
            Some(Value::String(one)) if !one.is_empty() => vec![(at.to_owned(), one)],
            many => texts(many).into_iter().enumerate().map(|(i, f)| (format!("{at}/{i}"), f)).collect(),
        }
    }

    /// The least number of events of a threshold rule.
    pub fn threshold_value(&self) -> u64 {
        self.json().pointer("/threshold/value").and_then(Value::as_u64).unwrap_or(1)
    }

    /// The field of a threshold rule whose values are counted, and how many different ones there must be. Kibana
    /// looks at the first entry only.
    pub fn threshold_cardinality(&self) -> Option<(&str, u64)> {
        let first = self.json().pointer("/threshold/cardinality/0")?;
        Some((first.get("field")?.as_str()?, first.get("value")?.as_u64()?))
    }

    /// Whether `@timestamp` counts where `timestamp_override` has no value.
    pub fn timestamp_fallback(&self) -> bool {
        self.json().get("timestamp_override_fallback_disabled") != Some(&Value::Bool(true))
    }

    /// EQL: the field of the event category.
    pub fn event_category_override(&self) -> Option<&str> {
        self.text("event_category_override")
    }

    /// EQL: the field that orders events.
    pub fn timestamp_field(&self) -> Option<&str> {
        self.text("timestamp_field")
    }

    /// EQL: the field that orders events of one instant.
    pub fn tiebreaker_field(&self) -> Option<&str> {
        self.text("tiebreaker_field")
    }

    /// The field that is read as the time of an event.
    pub fn timestamp_override(&self) -> Option<&str> {
        self.text("timestamp_override")
    }

    /// Whether Kibana shall run it; `None` leaves that to the target.
    pub fn enabled(&self) -> Option<bool> {
        self.json().get("enabled")?.as_bool()
    }

    /// The oldest stack that can run it.
    pub fn min_stack_version(&self) -> Option<Version> {
        Version::parse(self.meta("min_stack_version")?)
    }

    /// How far the rule has come.
    pub fn maturity(&self) -> Option<&str> {
        self.meta("maturity")
    }

    /// The packages whose events it reads.
    pub fn integrations(&self) -> Vec<&str> {
        match self.metadata().get("integration") {
            Some(Value::String(one)) => vec![one],
            other => texts(other),
        }
    }

    /// JSON pointers (`/rule/…`) of what the file keeps though rulepack does not know it: it is generated
    /// as it stands.
    pub fn kept(&self) -> Vec<&str> {
        texts(self.metadata().get("kept"))
    }

    /// What of a whole rule file does not fit the schema of rules, `metadata.kept` aside.
    pub fn violations(json: &Value) -> Vec<Violation> {
        STRUCTURE.violations(json)
    }

    /// Whether a list such as `filters` has an entry.
    pub fn has_entries(&self, key: &str) -> bool {
        self.json().get(key).and_then(Value::as_array).is_some_and(|a| !a.is_empty())
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

#[cfg(test)]
pub(crate) mod tests;
