//! The scenarios on the interpreter. `tests/engines/run` runs the same files on real engines.

pub mod interpreter;
pub mod set;

use set::Family;

#[test]
fn where_the_families_differ_both_answers_are_recorded() {
    let sets = set::read_all();
    let differ = sets.iter().flat_map(|s| s.queries.values()).filter(|e| {
        let [a, b] = [Family::Elasticsearch, Family::OpenSearch].map(|f| e.of(f));
        !a.agrees(&b)
    });
    assert!(differ.count() >= 15);
}

#[test]
fn every_scenario_holds_on_the_interpreter() {
    let mut wrong = Vec::new();
    let (mut ran, mut unsupported) = (0, 0);
    for set in set::read_all() {
        let index = interpreter::Index::new(&set.properties(), &set.documents());
        for (query, expected) in &set.queries {
            ran += 1;
            let (expected, got) = (expected.of(Family::Elasticsearch), index.answer(set.language(), query));
            if got.is_unsupported() {
                unsupported += 1;
            } else if !got.agrees(&expected) {
                let place = format!("{}: {}", set.file.display(), set.name);
                wrong.push(format!("{place}: {query}\n    recorded {expected:?}\n    found    {got:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {ran} scenarios:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ran >= 1500, "only {ran} scenarios were read");
    assert!(unsupported <= 30, "{unsupported} scenarios are not supported");
}
