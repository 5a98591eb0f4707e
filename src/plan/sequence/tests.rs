//! The machine against the obvious way, and the cases that are most often got wrong.

use super::*;
use crate::plan::join::KeyValue;
use crate::plan::{FieldId, Pred};
use crate::source::Span;
use proptest::prelude::*;

fn step(missing: bool, runs: usize) -> Step {
    let item = Item { pred: Pred::Const(true), keys: Vec::new(), span: Span::default() };
    Step { item, missing, runs }
}

/// `a`, `!a` and `a2` (twice), then `until` if it is asked for.
fn sequence(steps: &str, maxspan: Option<i128>, until: bool) -> Sequence {
    let steps = steps
        .split_whitespace()
        .map(|s| {
            step(s.starts_with('!'), s.chars().last().and_then(|c| c.to_digit(10)).unwrap_or(1) as usize)
        })
        .collect();
    let until = until.then(|| step(false, 1).item);
    Sequence { steps, maxspan, until, time: FieldId(0), tiebreaker: None }
}

fn key(n: u8) -> Tuple {
    vec![if n == 0 { KeyValue::Null } else { KeyValue::Int(i64::from(n)) }].into()
}

/// Events as `time:items`, items as letters, all of one key.
fn events(text: &str) -> Vec<Occurrence> {
    text.split_whitespace()
        .map(|e| {
            let (time, items) = e.split_once(':').unwrap();
            let items = items.bytes().map(|b| Match { item: usize::from(b - b'a'), keys: vec![key(1)] });
            Occurrence {
                time: time.parse::<i128>().unwrap() * 1_000_000,
                tiebreaker: Value::Null,
                matches: items.collect(),
            }
        })
        .collect()
}

fn found(sequence: &Sequence, text: &str) -> Vec<Vec<Option<usize>>> {
    sequence.run(&events(text)).0.into_iter().map(|f| f.events).collect()
}

fn all(rows: &[&[usize]]) -> Vec<Vec<Option<usize>>> {
    rows.iter().map(|r| r.iter().map(|n| Some(*n)).collect()).collect()
}

#[test]
fn the_newest_open_sequence_wins_and_a_complete_one_uses_up_its_start() {
    let two = sequence("a b", None, false);
    assert_eq!(found(&two, "1:a 2:a 3:b"), all(&[&[1, 2]]));
    assert_eq!(found(&two, "1:a 2:b 3:b"), all(&[&[0, 1]]));
    assert_eq!(found(&two, "1:ab 2:ab 3:ab"), all(&[&[0, 1], &[1, 2]]));
    let three = sequence("a b c", None, false);
    assert_eq!(found(&three, "1:a 2:b 3:a 4:b 5:c"), all(&[&[2, 3, 4]]));
}

#[test]
fn maxspan_spans_the_whole_and_equality_is_within() {
    let s = sequence("a b c", Some(10_000_000), false);
    assert_eq!(found(&s, "0:a 5:b 10:c"), all(&[&[0, 1, 2]]));
    assert_eq!(found(&s, "0:a 5:b 11:c"), all(&[]));
    // the late `b` uses up its start, so the one in time that follows finds nothing
    assert_eq!(found(&s, "0:a 11:b 12:a 13:c"), all(&[]));
}

#[test]
fn until_counts_from_the_last_event_to_before_the_completing_one() {
    let s = sequence("a b", None, true);
    assert_eq!(found(&s, "1:a 2:c 3:b"), all(&[]));
    assert_eq!(found(&s, "1:ac 3:b"), all(&[]));
    assert_eq!(found(&s, "1:a 3:bc"), all(&[&[0, 1]]));
}

#[test]
fn runs_take_as_many_events() {
    assert_eq!(found(&sequence("a b2", None, false), "1:a 2:b 3:b 4:b"), all(&[&[0, 1, 2]]));
}

#[test]
fn a_missing_event_is_looked_for_by_milliseconds_and_bounds_do_not_count() {
    let s = sequence("a !b c", Some(10_000_000), false);
    assert_eq!(found(&s, "1:a 2:c"), [[Some(0), None, Some(1)]]);
    assert_eq!(found(&s, "1:a 1:b 3:b 3:c"), [[Some(0), None, Some(3)]]);
    assert!(found(&s, "1:a 2:b 3:c").is_empty());
    let lead = sequence("!a b", Some(10_000_000), false);
    assert!(found(&lead, "0:a 10:b").is_empty());
    assert_eq!(found(&lead, "0:a 11:b"), [[None, Some(1)]]);
    let both = sequence("!a b !c2", Some(10_000_000), false);
    // one side on which nothing ever came is enough
    assert_eq!(found(&both, "5:a 6:b"), [[None, Some(1), None, None]]);
    assert!(found(&both, "5:a 6:b 15:c").is_empty());
    assert_eq!(found(&both, "5:a 6:b 16:c"), [[None, Some(1), None, None]]);
}

#[test]
fn keys_without_room_are_given_up_oldest_first_and_counted() {
    let s = sequence("a b", None, false);
    let mut stream = Vec::new();
    for (item, range) in [(0, 1..=100u8), (1, 1..=100)] {
        stream.extend(range.map(|n| Occurrence {
            time: 0,
            tiebreaker: Value::Null,
            matches: vec![Match { item, keys: vec![key(n)] }],
        }));
    }
    let mut machine = Machine::new(&s, 40);
    stream.iter().enumerate().for_each(|(i, e)| machine.feed(i, e));
    let (found, forgotten) = machine.finish();
    assert_eq!(found.len() as u64 + forgotten, 100);
    assert!((20..=40).contains(&found.len()), "{}", found.len());
    assert_eq!(found.last().map(|f| f.key.clone()), Some(key(100)));
}

#[test]
fn a_log_tells_why_a_sequence_did_not_come() {
    let s = sequence("a b", Some(1_000_000), true);
    let mut machine = Machine::new(&s, MAX_OPEN).logging();
    for (i, e) in events("0:a 5:b 6:a 6:c 7:ab 7:b").iter().enumerate() {
        machine.feed(i, e);
    }
    let (events, stage) = (vec![0], 1);
    assert_eq!(
        machine.changes(),
        [
            Change::Opened { event: 0, replaced: None },
            Change::Expired { event: 1, stage, events },
            Change::Opened { event: 2, replaced: None },
            Change::Ended { event: 3, events: vec![2] },
            Change::Idle { event: 4, stage },
            Change::Opened { event: 4, replaced: None },
            Change::Completed { event: 5, events: vec![4, 5] },
        ]
    );
}

/// Section by section what Elasticsearch does, without any thought of speed.
fn obvious(s: &Sequence, stream: &[Occurrence]) -> Vec<Found> {
    struct Open {
        events: Vec<usize>,
    }
    let satisfied = |e: &Occurrence, item: usize, key: &Tuple| {
        e.matches.iter().any(|m| m.item == item && m.keys.contains(key))
    };
    let mut keys: Vec<Tuple> = Vec::new();
    for k in stream.iter().flat_map(|e| &e.matches).flat_map(|m| &m.keys) {
        if !keys.contains(k) {
            keys.push(k.clone());
        }
    }
    // a machine a key: they have nothing to do with each other
    let stages: Vec<usize> =
        (0..s.steps.len()).filter(|i| !s.steps[*i].missing).flat_map(|i| vec![i; s.steps[i].runs]).collect();
    let n = stages.len();
    let mut out = Vec::new();
    for key in keys {
        let mut pending: Vec<Option<Open>> = (0..n).map(|_| None).collect();
        let mut untils: Vec<usize> = Vec::new();
        for (o, e) in stream.iter().enumerate() {
            for stage in (0..n).rev() {
                if !satisfied(e, stages[stage], &key) {
                    continue;
                }
                let mut seq = Open { events: Vec::new() };
                if stage > 0 {
                    match pending[stage - 1].take() {
                        None => continue,
                        Some(open) => seq = open,
                    }
                    let last = *seq.events.last().unwrap();
                    if s.maxspan.is_some_and(|m| e.time - stream[seq.events[0]].time > m)
                        || untils.iter().any(|u| last <= *u && *u < o)
                    {
                        continue;
                    }
                }
                seq.events.push(o);
                if stage == n - 1 {
                    out.push((key.clone(), seq.events));
                } else {
                    pending[stage] = Some(seq);
                }
            }
            if satisfied(e, s.steps.len(), &key) {
                untils.push(o);
            }
        }
    }
    out.retain(|(key, events)| {
        let ms = |o: usize| stream[o].time.div_euclid(1_000_000);
        let span = s.maxspan.map_or(i128::MAX, |m| m.div_euclid(1_000_000));
        let (first, last) = (ms(events[0]), ms(*events.last().unwrap()));
        let (mut leads, mut trails) = (Vec::new(), Vec::new());
        let mut before = 0;
        for (i, step) in s.steps.iter().enumerate() {
            if !step.missing {
                before += step.runs;
                continue;
            }
            for o in (0..stream.len()).filter(|o| satisfied(&stream[*o], i, key)) {
                if before == 0 {
                    leads.extend(Some(ms(o)).filter(|t| *t < first));
                } else if before == n {
                    trails.extend(Some(ms(o)).filter(|t| *t > last));
                } else if ms(events[before - 1]) < ms(o) && ms(o) < ms(events[before]) {
                    return false;
                }
            }
        }
        let starts = s.steps[0].missing;
        let ends = s.steps[s.steps.len() - 1].missing;
        match (leads.iter().max(), trails.iter().min()) {
            (None, None) => true,
            (None, _) if starts => true,
            (_, None) if ends => true,
            (Some(lead), Some(trail)) => trail - lead > span,
            (Some(lead), None) => last - lead > span,
            (None, Some(trail)) => trail - first > span,
        }
    });
    // by the last event, then by key, null last
    let rank = |k: &Tuple| if *k == key(0) { u8::MAX } else { (1..9).find(|n| *k == key(*n)).unwrap() };
    out.sort_by_key(|(k, events)| (*events.last().unwrap(), rank(k)));
    out.into_iter()
        .map(|(key, events)| {
            let mut events = events.into_iter();
            let mut slots = Vec::new();
            for step in &s.steps {
                for _ in 0..step.runs {
                    slots.push(if step.missing { None } else { events.next() });
                }
            }
            Found { key, events: slots }
        })
        .collect()
}

fn stream(items: usize) -> impl Strategy<Value = Vec<Occurrence>> {
    let keys = proptest::collection::btree_set(0u8..3, 1..3);
    let matches = proptest::collection::btree_map(0..items, keys, 1..3);
    // steps of less than a millisecond, so that milliseconds and nanoseconds differ
    proptest::collection::vec((0i128..5, matches), 0..24).prop_map(|events| {
        let mut time = 0;
        events
            .into_iter()
            .map(|(after, matches)| {
                time += after * 400_000;
                let matches = matches
                    .into_iter()
                    .map(|(item, keys)| Match { item, keys: keys.into_iter().map(key).collect() });
                Occurrence { time, tiebreaker: Value::Null, matches: matches.collect() }
            })
            .collect()
    })
}

fn any_sequence() -> impl Strategy<Value = Sequence> {
    let steps = proptest::collection::vec((proptest::bool::weighted(0.3), 1usize..3), 1..5);
    (steps, proptest::option::weighted(0.7, 0i128..20), any::<bool>()).prop_filter_map(
        "an event must come, and a missing one needs a maxspan",
        |(steps, maxspan, until)| {
            let missing = steps.iter().any(|s| s.0);
            let sound = steps.iter().any(|s| !s.0) && (maxspan.is_some() || !missing);
            sound.then(|| Sequence {
                steps: steps.into_iter().map(|(missing, runs)| step(missing, runs)).collect(),
                maxspan: maxspan.map(|m| m * 400_000),
                until: until.then(|| step(false, 1).item),
                time: FieldId(0),
                tiebreaker: None,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_finds_what_the_obvious_way_finds(
        (sequence, stream) in any_sequence().prop_flat_map(|s| {
            let items = s.steps.len() + usize::from(s.until.is_some());
            (Just(s), stream(items))
        })
    ) {
        let want = obvious(&sequence, &stream);
        prop_assert_eq!(&sequence.run(&stream).0, &want);
        // what is over is dropped early when there is little room, and nobody can tell
        if sequence.maxspan.is_some() {
            let mut machine = Machine::new(&sequence, 2).logging();
            stream.iter().enumerate().for_each(|(i, e)| machine.feed(i, e));
            prop_assert_eq!(&machine.finish(), &(want, 0));
        }
    }

    #[test]
    fn events_are_ordered_by_time_then_tiebreaker_and_one_without_comes_last(
        rows in proptest::collection::vec((0i128..3, proptest::option::of(0i64..3)), 0..12)
    ) {
        let mut occurrences: Vec<Occurrence> = rows
            .iter()
            .map(|(time, t)| {
                let tiebreaker = t.map_or(Value::Null, Value::Int);
                Occurrence { time: *time, tiebreaker, matches: Vec::new() }
            })
            .collect();
        occurrences.sort_by(order);
        let mut want = rows;
        want.sort_by_key(|(time, t)| (*time, t.unwrap_or(9)));
        let got: Vec<(i128, Option<i64>)> = occurrences
            .iter()
            .map(|o| (o.time, match o.tiebreaker { Value::Int(i) => Some(i), _ => None }))
            .collect();
        prop_assert_eq!(got, want);
    }
}
