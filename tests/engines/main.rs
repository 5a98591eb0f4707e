//! The scenarios, and generated pairs of documents and queries, on real engines. `tests/engines/run` starts the
//! engines and sets `RULEPACK_ENGINES`; without it nothing here runs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    dead_code,
    reason = "a test may panic, and clippy takes its helpers for code"
)]

mod fuzz;
#[path = "../it/scenarios/interpreter.rs"]
mod interpreter;
mod node;
#[path = "../it/scenarios/set.rs"]
mod set;

use node::{Asked, Node};
use set::{Family, Language, Outcome};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The engines that `run` started: `NAME=URL`, comma-separated.
fn engines() -> Vec<Node> {
    let given = std::env::var("RULEPACK_ENGINES").expect("tests/engines/run sets RULEPACK_ENGINES");
    given.split(',').filter(|e| !e.is_empty()).map(Node::connect).collect()
}

#[derive(Default)]
struct Tally {
    agreed: usize,
    wrong: usize,
    not_there: usize,
}

/// What each engine answered, by place of the set, query and family.
type Recorded = BTreeMap<(PathBuf, String), BTreeMap<String, BTreeMap<Family, Outcome>>>;

#[test]
#[ignore = "needs engines: tests/engines/run"]
fn every_scenario_holds_on_the_engines() {
    let record = std::env::var_os("RULEPACK_RECORD").is_some();
    let mut recorded = Recorded::new();
    let only = std::env::var("SCENARIOS").ok();
    let mut sets = set::read_all();
    sets.retain(|s| only.as_deref().is_none_or(|folder| s.language().folder() == folder));
    let mut wrong = Vec::new();
    for node in engines() {
        let mut tallies: BTreeMap<Language, Tally> = BTreeMap::new();
        for set in &sets {
            let tally = tallies.entry(set.language()).or_default();
            let Some(index) = node.index(&set.properties(), &set.documents()) else {
                tally.not_there += set.queries.len();
                continue;
            };
            let queries: Vec<&str> = set.queries.keys().map(String::as_str).collect();
            let answers = index.answers(set.language(), &queries);
            for (query, asked) in queries.iter().zip(answers) {
                let expected = set.queries[*query].of(node.family);
                let Asked::Answered(got) = asked else {
                    tally.not_there += 1;
                    continue;
                };
                if record {
                    let answers = recorded.entry((set.file.clone(), set.name.clone())).or_default();
                    // the first engine of a family counts
                    answers.entry((*query).to_owned()).or_default().entry(node.family).or_insert(got.clone());
                }
                if got.agrees(&expected) {
                    tally.agreed += 1;
                } else {
                    tally.wrong += 1;
                    let place = format!("{} {}: {}", node.name, set.file.display(), set.name);
                    wrong.push(format!("{place}: {query}\n    expected {expected:?}\n    got      {got:?}"));
                }
            }
        }
        println!("\n{} {}", node.name, node.version);
        println!("  {:20} {:>7} {:>7} {:>22}", "language", "agree", "differ", "not to be had there");
        for (language, t) in tallies {
            println!("  {:20} {:>7} {:>7} {:>22}", language.folder(), t.agreed, t.wrong, t.not_there);
        }
    }
    if record {
        write_answers(&sets, &recorded);
        return;
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
#[ignore = "needs engines: tests/engines/run"]
fn generated_queries_are_answered_alike() {
    let number = |name: &str, default: u64| -> u64 {
        std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let (seed, pairs) = (number("SEED", 1), number("PAIRS", 500));
    let mut differing = 0;
    for node in engines() {
        let report = fuzz::run(&node, seed, pairs as usize);
        println!(
            "\n{} {}: seed {seed}, {} pairs ({} refused by the engine, {} beyond the interpreter; {} more could not be \
             put to it), {} differ in {} ways",
            node.name,
            node.version,
            report.pairs,
            report.refused,
            report.unsupported,
            report.not_there,
            report.differing,
            report.differences.len()
        );
        for (kind, d) in &report.differences {
            println!("  [{kind}] {}\n    mapping     {}\n    document    {}", d.query, d.mapping, d.document);
            println!("    interpreter {}\n    engine      {}", d.interpreter, d.engine);
            println!("    as a scenario, for a file of its language:\n{}", d.scenario());
        }
        differing += report.differing;
    }
    assert_eq!(differing, 0, "interpreter and engines differ");
}

/// Writes the answers of engines into the scenario files; a query that no engine can be asked keeps what the
/// interpreter says.
fn write_answers(sets: &[set::Set], recorded: &Recorded) {
    let mut files: BTreeMap<PathBuf, toml_edit::DocumentMut> = BTreeMap::new();
    for set in sets {
        let path = set::folder().join(&set.file);
        let document = files
            .entry(path.clone())
            .or_insert_with(|| std::fs::read_to_string(&path).unwrap().parse().unwrap());
        let tables = document["set"].as_array_of_tables_mut().unwrap();
        let table = tables.iter_mut().find(|t| t["name"].as_str() == Some(&set.name)).unwrap();
        let index = interpreter::Index::new(&set.properties(), &set.documents());
        for query in set.queries.keys() {
            let found = recorded.get(&(set.file.clone(), set.name.clone())).and_then(|a| a.get(query));
            let of = |family| found.and_then(|f| f.get(&family));
            let value = match (of(Family::Elasticsearch), of(Family::OpenSearch)) {
                (Some(a), Some(b)) if !a.agrees(b) => both(a, b),
                // a type that Central's Elasticsearch lacks: what is believed of it stays
                (None, Some(b)) if !matches!(set.language(), Language::Esql | Language::Threshold) => {
                    let own = index.answer(set.language(), query);
                    if own.agrees(b) { written(b) } else { both(&own, b) }
                }
                (Some(a), _) | (None, Some(a)) => written(a),
                (None, None) => written(&index.answer(set.language(), query)),
            };
            table["queries"][query.as_str()] = toml_edit::value(value);
        }
    }
    for (path, document) in files {
        std::fs::write(path, document.to_string()).unwrap();
    }
}

fn both(elasticsearch: &Outcome, opensearch: &Outcome) -> toml_edit::Value {
    let mut each = toml_edit::InlineTable::new();
    each.insert("elasticsearch", written(elasticsearch));
    each.insert("opensearch", written(opensearch));
    each.into()
}

fn written(outcome: &Outcome) -> toml_edit::Value {
    match outcome {
        Outcome::Refused(_) => "refused".into(),
        Outcome::Hits(ids) => ids.iter().cloned().collect::<Vec<_>>().join(" ").into(),
        Outcome::Table(rows) => rows.iter().collect::<toml_edit::Array>().into(),
    }
}
