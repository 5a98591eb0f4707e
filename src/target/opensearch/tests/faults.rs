//! Every fault at every request of a deploy: nothing is lost, nothing is there twice, and the next deploy
//! brings what is missing.

use super::*;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// What a deploy finds there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    /// Nothing of the pack.
    Nothing,
    /// All of it, of which everything has changed in the pack since.
    Older,
    /// All of it, and a rule that the pack has no more.
    Surplus,
}

fn lab(before: Before) -> Lab {
    let mut lab = Lab::new();
    lab.wanted.truncate(3);
    lab.api
        .create(&json!({ "name": "theirs", "monitor_type": "query_level_monitor", "triggers": [] }))
        .unwrap();
    if before != Before::Nothing {
        assert_eq!(lab.deploy().written, 3);
    }
    match before {
        Before::Nothing => {}
        Before::Older => {
            for wanted in &mut lab.wanted {
                wanted.monitor["schedule"]["period"]["interval"] = json!(7);
            }
        }
        Before::Surplus => {
            lab.wanted.truncate(2);
            lab.settings.prune = true;
        }
    }
    lab
}

/// Plans and applies; nothing where the monitors cannot even be read.
fn tried(lab: &Lab) -> Option<Applied> {
    let live = lab.api.monitors().ok()?;
    Some(apply(&plan(&lab.wanted, &live, &lab.settings, true), &lab.api))
}

/// The ids of the rules that monitors are there for, theirs as an empty one; each once.
fn there(lab: &Lab) -> BTreeSet<String> {
    let all = lab.fake.monitors();
    let ids: BTreeSet<String> = all
        .values()
        .map(|m| crate::emit::opensearch::Mark::of(m).map_or_else(String::new, |m| m.rule_id))
        .collect();
    assert_eq!(ids.len(), all.len(), "a rule has two monitors");
    ids
}

fn faults() -> Vec<(Fault, usize)> {
    vec![
        (Fault::Status(500, "exception"), 1),
        (Fault::Status(503, "unavailable_exception"), 1),
        (Fault::Status(503, "unavailable_exception"), usize::MAX),
        (Fault::Status(429, "circuit_breaking_exception"), 2),
        (Fault::Status(409, "version_conflict_engine_exception"), 1),
        (Fault::Status(401, "security_exception"), usize::MAX),
        (Fault::Status(403, "security_exception"), usize::MAX),
        (Fault::NoPlugin, usize::MAX),
        (Fault::ReadOnly, usize::MAX),
        (Fault::Refuse, 1),
        (Fault::LostReply, 1),
        (Fault::Reset, 1),
        (Fault::Slow(Duration::from_millis(20)), 1),
    ]
}

#[test]
fn every_fault_at_every_request_loses_nothing_and_the_next_deploy_completes_it() {
    let mut all = Vec::new();
    for before in [Before::Nothing, Before::Older, Before::Surplus] {
        let plain = lab(before);
        let earlier = plain.fake.requests().len();
        tried(&plain).unwrap();
        let requests = plain.fake.requests().len() - earlier;
        assert_eq!(plain.words(), []);
        assert!(requests >= 3, "{before:?}: {requests}");
        for (fault, times) in faults() {
            all.extend((0..requests).map(|at| (before, fault.clone(), times, at)));
        }
    }
    all.par_iter().for_each(|(before, fault, times, at)| {
        let what = format!("{before:?}, {fault:?} at request {at}");
        let lab = lab(*before);
        let kept = there(&lab);
        lab.fake.fault(fault.clone(), *at, *times);
        let applied = tried(&lab);
        let wanted: BTreeSet<String> = lab.wanted.iter().map(|w| w.rule_id.clone()).collect();
        // what was there and is wanted, or is somebody else's, is there whatever happens
        let now = there(&lab);
        let safe = |id: &&String| id.is_empty() || wanted.contains(*id);
        assert!(kept.iter().filter(safe).all(|id| now.contains(id)), "{what}: {now:?}");
        lab.fake.heal();
        // what was told as written is there as it was wanted
        if applied.is_some_and(|a| a.failed.is_empty() && a.conflicts.is_empty()) {
            assert_eq!(lab.words(), [], "{what}");
        }
        let again = tried(&lab).unwrap();
        assert!(again.failed.is_empty() && again.conflicts.is_empty(), "{what}: {again:?}");
        assert_eq!(lab.words(), [], "{what}");
        assert_eq!(there(&lab).len(), wanted.len() + 1, "{what}");
        assert_eq!(tried(&lab).unwrap().written, 0, "{what}");
    });
}

#[test]
fn an_edit_at_any_moment_of_a_deploy_is_never_overwritten_in_silence() {
    let plain = lab(Before::Older);
    let earlier = plain.fake.requests().len();
    tried(&plain).unwrap();
    let requests = plain.fake.requests().len() - earlier;
    for at in 1..requests {
        let lab = lab(Before::Older);
        let edited = json!([{ "query_level_trigger": { "id": "x", "name": "edited" } }]);
        lab.fake.fault(Fault::EditBefore("triggers", edited.clone()), at, 1);
        let applied = tried(&lab).unwrap();
        let monitors = lab.fake.monitors();
        let own = monitors.values().filter(|m| m["name"] != "theirs");
        let kept = own.filter(|m| m["triggers"] == edited).count();
        // whoever was written before the edit has it still; whoever was not, is a conflict
        assert_eq!(kept, 3, "at request {at}: {applied:?}");
        assert!(applied.conflicts.len() + applied.failed.len() + applied.written >= 3, "{applied:?}");
        assert!(lab.words().iter().all(|(_, word)| *word == "conflict"), "{:?}", lab.words());
    }
}

#[test]
fn an_answer_that_takes_too_long_is_a_write_that_may_have_happened() {
    let lab = lab(Before::Nothing);
    let mut options = options(&lab.fake.url(), Credentials::None);
    options.timeout = Duration::from_millis(150);
    options.pause = Duration::from_millis(1);
    let impatient = OpenSearch::new(Http::new(options).unwrap());
    let changes = lab.plan();
    lab.fake.fault(Fault::Slow(Duration::from_millis(400)), 0, 1);
    let applied = apply(&changes, &impatient);
    // it is told as failed or found by reading; the next deploy sees what became of it
    assert!(applied.written >= 2, "{applied:?}");
    std::thread::sleep(Duration::from_millis(500));
    let before = there(&lab).len();
    assert!(before >= 3);
    tried(&lab).unwrap();
    assert_eq!((there(&lab).len(), lab.words()), (4, vec![]));
}
