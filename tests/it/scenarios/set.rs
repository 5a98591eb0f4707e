//! Scenario files: a mapping, documents, queries and the documents that each query finds. The answers are those of
//! real engines (`tests/engines/run`), recorded.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The languages of scenario files, by folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// Kibana's query language, compiled with the fields of the mapping.
    Kql,
    /// The same compiled without field information.
    KqlPlain,
    Lucene,
    /// EQL event queries.
    Eql,
    /// Query DSL itself.
    Dsl,
    Esql,
    /// The `threshold` of a rule over all documents: the groups that reach it, with their numbers of documents and, where
    /// they are counted, of different values.
    Threshold,
}

impl Language {
    pub const ALL: [Language; 7] = [
        Language::Kql,
        Language::KqlPlain,
        Language::Lucene,
        Language::Eql,
        Language::Dsl,
        Language::Esql,
        Language::Threshold,
    ];

    /// The folder below `tests/scenarios`.
    pub fn folder(self) -> &'static str {
        match self {
            Language::Kql => "kql",
            Language::KqlPlain => "kql-without-fields",
            Language::Lucene => "lucene",
            Language::Eql => "eql",
            Language::Dsl => "dsl",
            Language::Esql => "esql",
            Language::Threshold => "threshold",
        }
    }
}

/// What a query comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is refused, or fails.
    Refused(String),
    /// The documents that it finds.
    Hits(BTreeSet<String>),
    /// The rows of a table, as JSON, sorted unless the query sorts.
    Table(Vec<String>),
}

impl Outcome {
    /// Whether the interpreter says that it cannot tell.
    pub fn is_unsupported(&self) -> bool {
        let words = ["cannot be evaluated", "not supported yet"];
        matches!(self, Outcome::Refused(why) if words.iter().any(|w| why.contains(w)))
    }

    /// Whether two answers agree; the wording of a refusal does not count.
    pub fn agrees(&self, other: &Outcome) -> bool {
        match (self, other) {
            (Outcome::Refused(_), Outcome::Refused(_)) => true,
            _ => self == other,
        }
    }
}

/// The answer as a file has it: ids, `refused`, or one for each family of engines.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Expected {
    Same(String),
    Rows(Vec<String>),
    Each { elasticsearch: Answer, opensearch: Answer },
}

/// One answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    Text(String),
    Rows(Vec<String>),
}

/// Whose answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Elasticsearch,
    OpenSearch,
}

impl Expected {
    pub fn of(&self, family: Family) -> Outcome {
        match (self, family) {
            (Expected::Same(text), _) => of_text(text),
            (Expected::Rows(rows), _) => Outcome::Table(rows.clone()),
            (Expected::Each { elasticsearch, .. }, Family::Elasticsearch) => elasticsearch.outcome(),
            (Expected::Each { opensearch, .. }, Family::OpenSearch) => opensearch.outcome(),
        }
    }
}

impl Answer {
    fn outcome(&self) -> Outcome {
        match self {
            Answer::Text(text) => of_text(text),
            Answer::Rows(rows) => Outcome::Table(rows.clone()),
        }
    }
}

fn of_text(text: &str) -> Outcome {
    match text {
        "refused" => Outcome::Refused(String::new()),
        ids => Outcome::Hits(ids.split_whitespace().map(str::to_owned).collect()),
    }
}

/// One mapping, its documents, and queries on them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    pub name: String,
    /// Properties by name; a text is short for `{ type = "…" }`.
    pub mapping: Map<String, Value>,
    /// One JSON document a line, each with an `_id`.
    pub docs: String,
    /// What each query finds.
    pub queries: BTreeMap<String, Expected>,
    #[serde(skip)]
    pub language: Option<Language>,
    #[serde(skip)]
    pub file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    set: Vec<Set>,
}

impl Set {
    /// The mapping as an index takes it.
    pub fn properties(&self) -> Value {
        properties(&self.mapping)
    }

    /// The documents and their ids.
    pub fn documents(&self) -> Vec<(String, Value)> {
        let lines = self.docs.lines().filter(|l| !l.trim().is_empty());
        lines
            .map(|line| {
                let mut source: Value =
                    serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", self.name));
                let id = source.as_object_mut().and_then(|o| o.remove("_id"));
                let id = id.and_then(|i| i.as_str().map(str::to_owned));
                (id.unwrap_or_else(|| panic!("no _id: {line}")), source)
            })
            .collect()
    }

    pub fn language(&self) -> Language {
        self.language.unwrap_or(Language::Kql)
    }
}

/// Spells out the short form of a mapping.
pub fn properties(short: &Map<String, Value>) -> Value {
    let spelled: Map<String, Value> = short
        .iter()
        .map(|(name, spec)| {
            let spec = match spec {
                Value::String(kind) => json!({ "type": kind }),
                Value::Object(map) => {
                    let mut map = map.clone();
                    for below in ["properties", "fields"] {
                        if let Some(Value::Object(inner)) = map.get(below) {
                            let inner = properties(inner);
                            map.insert(below.to_owned(), inner);
                        }
                    }
                    Value::Object(map)
                }
                other => other.clone(),
            };
            (name.clone(), spec)
        })
        .collect();
    Value::Object(spelled)
}

/// The folder of the scenarios.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

/// Reads all scenario files, in the order of their names.
pub fn read_all() -> Vec<Set> {
    let mut sets = Vec::new();
    for language in Language::ALL {
        let Ok(listed) = std::fs::read_dir(folder().join(language.folder())) else { continue };
        let mut files: Vec<PathBuf> = listed.map(|e| e.unwrap().path()).collect();
        files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
        files.sort();
        for path in files {
            let text = std::fs::read_to_string(&path).unwrap();
            let file: File = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            for mut set in file.set {
                set.language = Some(language);
                set.file = path.strip_prefix(folder()).unwrap().to_owned();
                sets.push(set);
            }
        }
    }
    sets
}
