//! Thresholds: groups of at least so many events in the time that one run of a rule looks at. [`Threshold::look`] says
//! what an event is to it, [`Threshold::run`] plays the runs of the rule over events in order of time.
//!
//! The detection engine runs the rule every `interval` and looks at the time from `now - from` to `now - to`. A group
//! that reached the threshold is an alert; the events of that group up to its last one do not count in later runs, in
//! whatever group they are. When the runs would have happened nobody knows. Here they fall on multiples of the interval
//! from an anchor, and as a group must not be missed because of that, a group of events of which none is in an alert
//! yet, but which a run at another time would have seen together, is an alert as well ([`Group::shifted`]).

use super::join::{KeyValue, MAX_TUPLES, Match, Tuple};
use super::{FieldId, Occurrence, Row, RunError};
use crate::es;
use crate::value::Value;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// Nanoseconds.
type Nanos = i128;

/// What a threshold asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The fields whose values make a group; an array counts in the group of each value, a document without a value is
    /// in none. Without fields everything is one group.
    pub fields: Vec<FieldId>,
    /// The least number of events of a group.
    pub count: u64,
    /// A field, and the least number of its different values in a group. Counted exactly here; Elasticsearch's count is
    /// an approximation beyond 3,000.
    pub cardinality: Option<(FieldId, u64)>,
    /// The fields that hold the time of an event; the first that has a value counts.
    pub time: Vec<FieldId>,
    /// When it runs, and what a run looks at.
    pub window: Window,
}

/// The runs of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How long before a run the events begin that it looks at.
    pub from: Nanos,
    /// How long before a run they end; 0 for now.
    pub to: Nanos,
    /// The time between two runs.
    pub interval: Nanos,
}

/// A group that reached the threshold in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The values of its fields.
    pub key: Tuple,
    /// Its events in order, by the number that they were given under.
    pub events: Vec<usize>,
    /// The number of different values, where that is asked for.
    pub distinct: Option<u64>,
    /// When the run was.
    pub at: Nanos,
    /// Whether no run on the multiples of the interval saw these events together.
    pub shifted: bool,
}

/// The place of the group in [`Occurrence::matches`].
const GROUP: usize = 0;
/// The place of the values that are counted.
const COUNTED: usize = 1;

/// The different values of a field: an event counts once in a group.
fn values(row: &Row<'_>, field: FieldId) -> Vec<KeyValue> {
    let Some(ty) = row.fields.get(field).and_then(|f| f.types.first()) else { return Vec::new() };
    let mut known = FxHashSet::default();
    let all = es::doc_values(row.cell(field), ty).into_iter().filter_map(|v| match v {
        // the two zeroes are two values
        Value::Double(d) if d == 0.0 && d.is_sign_negative() => Some(KeyValue::Double(d.to_bits())),
        other => KeyValue::of(other),
    });
    all.filter(|v| known.insert(v.clone())).collect()
}

impl Threshold {
    /// What an event is to this threshold: its time, its groups, and its values that are counted; `None` where it is in
    /// no group, or has no time.
    ///
    /// # Errors
    /// When it is in more than [`MAX_TUPLES`] groups.
    pub fn look(&self, row: &Row<'_>) -> Result<Option<Occurrence>, RunError> {
        let time = self.time.iter().find_map(|f| {
            row.values(*f).into_iter().find_map(|v| if let Value::Date(t) = v { Some(t) } else { None })
        });
        let Some(time) = time else { return Ok(None) };
        let mut keys: Vec<Vec<KeyValue>> = vec![Vec::with_capacity(self.fields.len())];
        for field in &self.fields {
            let values = values(row, *field);
            if keys.len().saturating_mul(values.len()) > MAX_TUPLES {
                return Err(RunError(format!("an event is in more than {MAX_TUPLES} groups of a threshold")));
            }
            keys = keys
                .iter()
                .flat_map(|k| values.iter().map(move |v| k.iter().chain([v]).cloned().collect()))
                .collect();
        }
        if keys.is_empty() {
            return Ok(None);
        }
        let keys = keys.into_iter().map(Vec::into_boxed_slice).collect();
        let mut matches = vec![Match { item: GROUP, keys }];
        if let Some((field, _)) = self.cardinality {
            let keys = values(row, field).into_iter().map(|v| [v].into()).collect();
            matches.push(Match { item: COUNTED, keys });
        }
        Ok(Some(Occurrence { time, tiebreaker: Value::Null, matches }))
    }

    /// The groups that reach the threshold among events that are in order of time. One of the runs is at `anchor`.
    pub fn run<'o>(
        &self,
        occurrences: impl IntoIterator<Item = &'o Occurrence>,
        anchor: Nanos,
    ) -> Vec<Group> {
        let all: Vec<&Occurrence> = occurrences.into_iter().collect();
        let mut free = vec![true; all.len()];
        let Window { to, interval, .. } = self.window;
        let interval = interval.max(1);
        // the first run that comes when the event can be seen
        let due = |time: Nanos| {
            let wanted = time + to - anchor;
            anchor + (wanted.div_euclid(interval) + Nanos::from(wanted.rem_euclid(interval) != 0)) * interval
        };
        let mut found = self.runs(&all, &mut free, &due, false);
        // what a run would have seen that happens to come with the event
        found.extend(self.runs(&all, &mut free, &|time| time + to, true));
        found.sort_by(|a, b| (a.at, &a.events).cmp(&(b.at, &b.events)));
        found
    }

    /// Plays runs at the times that `due` gives for events, over the events that are free; those of alerts are no
    /// longer. Only a run that sees a new event of a group can find something: without one, a group only gets smaller.
    fn runs(
        &self,
        all: &[&Occurrence],
        free: &mut [bool],
        due: &dyn Fn(Nanos) -> Nanos,
        shifted: bool,
    ) -> Vec<Group> {
        let mut out = Vec::new();
        let mut open: FxHashMap<&Tuple, Open<'_>> = FxHashMap::default();
        let mut next = 0;
        while let Some(first) = all.get(next) {
            let at = due(first.time);
            let begin = at - self.window.from;
            let mut touched: Vec<&Tuple> = Vec::new();
            while let Some(event) = all.get(next).filter(|o| due(o.time) == at) {
                if event.time >= begin && free.get(next).copied().unwrap_or(false) {
                    for key in keys(event, GROUP) {
                        open.entry(key).or_default().add(next, event);
                        touched.push(key);
                    }
                }
                next += 1;
            }
            let mut known = FxHashSet::default();
            touched.retain(|key| known.insert(*key));
            let mut spent: Vec<usize> = Vec::new();
            for key in touched {
                let Some(group) = open.get_mut(key) else { continue };
                group.forget(all, free, begin);
                let distinct = self.cardinality.map(|_| group.values.len() as u64);
                let enough = self.cardinality.is_none_or(|(_, least)| group.values.len() as u64 >= least);
                if group.count < self.count.max(1) || !enough {
                    continue;
                }
                let events: Vec<usize> =
                    group.events.iter().copied().filter(|e| free.get(*e).copied().unwrap_or(false)).collect();
                spent.extend(&events);
                out.push(Group { key: key.clone(), events, distinct, at, shifted });
            }
            // other groups of the same run have counted them; later runs do not
            for event in spent {
                let Some(held) = free.get_mut(event).filter(|f| **f) else { continue };
                *held = false;
                let Some(occurrence) = all.get(event) else { continue };
                for key in keys(occurrence, GROUP) {
                    if let Some(group) = open.get_mut(key).filter(|g| g.holds(event)) {
                        group.take(occurrence);
                    }
                }
            }
        }
        out
    }
}

/// The keys of an item.
fn keys(occurrence: &Occurrence, item: usize) -> &[Tuple] {
    occurrence.matches.iter().find(|m| m.item == item).map_or(&[], |m| &m.keys)
}

/// A group as a run sees it.
#[derive(Debug, Default)]
struct Open<'o> {
    /// Its events in order; some may be spent by now.
    events: VecDeque<usize>,
    /// How many are not.
    count: u64,
    /// The values of those, and how many events have each.
    values: FxHashMap<&'o Tuple, u64>,
}

impl<'o> Open<'o> {
    fn add(&mut self, number: usize, event: &'o Occurrence) {
        self.events.push_back(number);
        self.count += 1;
        for value in keys(event, COUNTED) {
            *self.values.entry(value).or_default() += 1;
        }
    }

    /// Whether an event is still among its events, which are in order of their numbers.
    fn holds(&self, number: usize) -> bool {
        self.events.front().is_some_and(|first| *first <= number)
    }

    /// An event counts no longer.
    fn take(&mut self, event: &Occurrence) {
        self.count = self.count.saturating_sub(1);
        for value in keys(event, COUNTED) {
            if let Some(n) = self.values.get_mut(value) {
                *n -= 1;
                if *n == 0 {
                    self.values.remove(value);
                }
            }
        }
    }

    /// Forgets the events before a time.
    fn forget(&mut self, all: &[&'o Occurrence], free: &[bool], begin: Nanos) {
        while let Some((number, event)) = self.events.front().and_then(|n| Some((*n, *all.get(*n)?))) {
            if event.time >= begin {
                break;
            }
            self.events.pop_front();
            if free.get(number).copied().unwrap_or(false) {
                self.take(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn threshold(count: u64, distinct: Option<u64>, from: Nanos, interval: Nanos) -> Threshold {
        Threshold {
            fields: vec![FieldId(0)],
            count,
            cardinality: distinct.map(|n| (FieldId(1), n)),
            time: vec![FieldId(2)],
            window: Window { from, to: 0, interval },
        }
    }

    fn event(time: Nanos, users: &[i64], values: &[i64]) -> Occurrence {
        let all = |of: &[i64]| of.iter().map(|v| [KeyValue::Int(*v)].into()).collect();
        let matches =
            vec![Match { item: GROUP, keys: all(users) }, Match { item: COUNTED, keys: all(values) }];
        Occurrence { time, tiebreaker: Value::Null, matches }
    }

    fn events(times: &[Nanos]) -> Vec<Occurrence> {
        times.iter().map(|t| event(*t, &[1], &[])).collect()
    }

    fn found(t: &Threshold, events: &[Occurrence]) -> Vec<(Vec<usize>, bool)> {
        t.run(events, 0).into_iter().map(|g| (g.events, g.shifted)).collect()
    }

    #[test]
    fn a_burst_is_one_alert_and_does_not_count_again() {
        let t = threshold(3, None, 9, 5);
        assert_eq!(found(&t, &events(&[1, 2, 3, 4])), [(vec![0, 1, 2, 3], false)]);
        // the two events after the alert are too few by themselves
        assert_eq!(found(&t, &events(&[1, 2, 3, 6, 7])), [(vec![0, 1, 2], false)]);
        assert_eq!(found(&t, &events(&[1, 2, 3, 6, 7, 8])), [(vec![0, 1, 2], false), (vec![3, 4, 5], false)]);
    }

    #[test]
    fn a_burst_that_only_runs_at_other_times_see_is_told_as_such() {
        // runs at 5, 10 and 15 see 0..5, 1..10 and 6..15
        assert_eq!(found(&threshold(3, None, 9, 5), &events(&[0, 5, 9])), [(vec![0, 1, 2], true)]);
        assert_eq!(found(&threshold(3, None, 9, 5), &events(&[0, 5, 10])), []);
        // a rule that looks at less than its interval
        assert_eq!(found(&threshold(2, None, 2, 10), &events(&[1, 2])), [(vec![0, 1], true)]);
    }

    #[test]
    fn different_values_are_counted_in_what_is_left() {
        let t = threshold(1, Some(2), 9, 5);
        let all = [event(1, &[1], &[7]), event(2, &[1], &[7]), event(3, &[1], &[8, 8])];
        assert_eq!(found(&t, &all), [(vec![0, 1, 2], false)]);
        assert_eq!(found(&t, &all[..2]), []);
    }

    #[test]
    fn an_event_of_two_groups_counts_in_both_until_one_of_them_has_alerted() {
        let t = threshold(2, None, 9, 5);
        let all = [event(1, &[1, 2], &[]), event(2, &[1, 2], &[]), event(6, &[2], &[])];
        let keys: Vec<Tuple> = t.run(&all, 0).into_iter().map(|g| g.key).collect();
        assert_eq!(keys.len(), 2);
        let all = [event(1, &[1, 2], &[]), event(2, &[1], &[]), event(6, &[2], &[])];
        assert_eq!(found(&t, &all), [(vec![0, 1], false)]);
    }

    /// The rules of the detection engine written down without any thought of speed: every run looks at everything.
    fn obvious(
        t: &Threshold,
        all: &[Occurrence],
        runs: &[Nanos],
        shifted: bool,
        spent: &mut FxHashSet<usize>,
    ) -> Vec<Group> {
        let mut out = Vec::new();
        for at in runs {
            let seen: Vec<usize> = (0..all.len())
                .filter(|i| {
                    (at - t.window.from..=at - t.window.to).contains(&all[*i].time) && !spent.contains(i)
                })
                .collect();
            let mut buckets: Vec<(&Tuple, Vec<usize>)> = Vec::new();
            for i in seen {
                for key in keys(&all[i], GROUP) {
                    match buckets.iter_mut().find(|(k, _)| *k == key) {
                        Some((_, events)) => events.push(i),
                        None => buckets.push((key, vec![i])),
                    }
                }
            }
            let mut alerted = Vec::new();
            for (key, events) in buckets {
                let values: FxHashSet<&Tuple> = events.iter().flat_map(|e| keys(&all[*e], COUNTED)).collect();
                if events.len() as u64 >= t.count.max(1)
                    && t.cardinality.is_none_or(|(_, n)| values.len() as u64 >= n)
                {
                    alerted.extend(events.iter().copied());
                    let distinct = t.cardinality.map(|_| values.len() as u64);
                    out.push(Group { key: key.clone(), events, distinct, at: *at, shifted });
                }
            }
            spent.extend(alerted);
        }
        out
    }

    proptest! {
        #[test]
        fn runs_find_what_looking_at_everything_in_every_run_finds(
            raw in prop::collection::vec((0i128..60, prop::collection::btree_set(0i64..3, 1..3), prop::collection::btree_set(0i64..4, 0..3)), 0..25),
            count in 0u64..5, distinct in prop::option::of(0u64..4),
            from in 1i128..20, interval in 1i128..15, late in 0i128..3, anchor in -5i128..70,
        ) {
            let mut all: Vec<Occurrence> = raw
                .iter()
                .map(|(t, k, v)| event(*t, &k.iter().copied().collect::<Vec<_>>(), &v.iter().copied().collect::<Vec<_>>()))
                .collect();
            all.sort_by_key(|o| o.time);
            let mut t = threshold(count, distinct, from + late, interval);
            t.window.to = late;
            let got = t.run(&all, anchor);
            let grid: Vec<Nanos> = (-200..200).map(|k| anchor + k * interval).filter(|at| (-20..120).contains(at)).collect();
            let mut spent = FxHashSet::default();
            let mut want = obvious(&t, &all, &grid, false, &mut spent);
            let mut with_events: Vec<Nanos> = all.iter().map(|o| o.time + late).collect();
            with_events.dedup();
            want.extend(obvious(&t, &all, &with_events, true, &mut spent));
            let sorted = |mut groups: Vec<Group>| {
                groups.sort_by(|a, b| (a.at, &a.events, format!("{:?}", a.key)).cmp(&(b.at, &b.events, format!("{:?}", b.key))));
                groups
            };
            let got = sorted(got);
            prop_assert_eq!(&got, &sorted(want));
            // whenever the runs are: a group that one of them finds shares an event with an alert
            for at in 0..80 {
                for group in obvious(&t, &all, &[at], false, &mut FxHashSet::default()) {
                    prop_assert!(got.iter().any(|g| g.events.iter().any(|e| group.events.contains(e))), "{group:?}");
                }
            }
        }
    }
}
