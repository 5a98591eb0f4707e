//! New terms: which combinations of values are seen for the first time within a history. Occurrences
//! come in any order; what is kept is one run of occurrences per combination and gap, so that results
//! of several files can be merged.

use crate::value::Scalar;
use rustc_hash::FxHashMap;

/// A combination of values, one per field, as keyword text.
pub type Terms = Vec<Box<str>>;

/// Nanoseconds since the epoch.
type Nanos = i128;

/// Occurrences of one combination, each within the history of the one before.
#[derive(Clone, Debug)]
struct Run<T> {
    first: Nanos,
    last: Nanos,
    /// What the first occurrence was, and its id, which decides between occurrences of one instant.
    /// `None` when it is history only.
    event: (String, Option<T>),
}

/// The runs of every combination.
#[derive(Clone, Debug)]
pub struct NewTerms<T> {
    history: Nanos,
    runs: FxHashMap<Terms, Vec<Run<T>>>,
}

impl<T> NewTerms<T> {
    /// No occurrence yet; `history` is the window in nanoseconds.
    pub fn new(history: Nanos) -> Self {
        NewTerms { history, runs: FxHashMap::default() }
    }

    /// Notes an occurrence. `alert` is what a first occurrence leads to; `None` for history.
    pub fn see(&mut self, terms: Terms, time: Nanos, id: String, alert: Option<T>) {
        let run = Run { first: time, last: time, event: (id, alert) };
        let runs = self.runs.entry(terms).or_default();
        merge(runs, run, self.history);
    }

    /// Adds what another file had.
    pub fn absorb(&mut self, other: NewTerms<T>) {
        for (terms, runs) in other.runs {
            let mine = self.runs.entry(terms).or_default();
            for run in runs {
                merge(mine, run, self.history);
            }
        }
    }

    /// The first occurrences that alert, with their terms.
    pub fn finish(self) -> impl Iterator<Item = (Terms, T)> {
        self.runs
            .into_iter()
            .flat_map(|(terms, runs)| runs.into_iter().map(move |r| (terms.clone(), r.event.1)))
            .filter_map(|(terms, alert)| Some((terms, alert?)))
    }
}

/// Puts a run among runs that are sorted and further apart than the history.
fn merge<T>(runs: &mut Vec<Run<T>>, mut new: Run<T>, history: Nanos) {
    // a handful of runs is the rule: most combinations have one
    let mut i = 0;
    while let Some(run) = runs.get(i) {
        if run.last + history < new.first {
            i += 1;
            continue;
        }
        if new.last + history < run.first {
            break;
        }
        let run = runs.remove(i);
        let earlier = (run.first, &run.event.0, run.event.1.is_some())
            <= (new.first, &new.event.0, new.event.1.is_some());
        let (first, last) = (run.first.min(new.first), run.last.max(new.last));
        let event = if earlier { run.event } else { new.event };
        new = Run { first, last, event };
    }
    runs.insert(i, new);
}

/// Every combination of one value per field; none when a field has no value.
pub fn combinations(columns: &[Vec<Box<str>>], limit: usize) -> Vec<Terms> {
    let mut out: Vec<Terms> = vec![Vec::new()];
    for column in columns {
        let mut next = Vec::new();
        for terms in &out {
            for value in column {
                if next.len() >= limit {
                    break;
                }
                let mut terms = terms.clone();
                terms.push(value.clone());
                next.push(terms);
            }
        }
        out = next;
    }
    out
}

/// The distinct texts of a cell.
pub fn distinct(values: &[Scalar]) -> Vec<Box<str>> {
    let mut out: Vec<Box<str>> = values.iter().map(|v| v.text().as_ref().into()).collect();
    out.sort();
    out.dedup();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn firsts(occurrences: &[(i128, &str)], history: i128) -> Vec<String> {
        let mut n = NewTerms::new(history);
        for (time, id) in occurrences {
            n.see(vec!["t".into()], *time, (*id).to_owned(), Some((*id).to_owned()));
        }
        let mut out: Vec<String> = n.finish().map(|(_, id)| id).collect();
        out.sort();
        out
    }

    #[test]
    fn only_the_first_within_the_history_counts() {
        assert_eq!(firsts(&[(5, "b"), (1, "a"), (9, "c")], 10), ["a"]);
        assert_eq!(firsts(&[(1, "a"), (11, "b"), (22, "c")], 10), ["a", "c"]);
        assert_eq!(firsts(&[(1, "b"), (1, "a")], 10), ["a"]);
    }

    proptest! {
        #[test]
        fn the_order_and_the_grouping_of_input_do_not_matter(times in prop::collection::vec(0i128..60, 1..12), cut in 0usize..12, seed in any::<u64>()) {
            let all: Vec<(i128, String)> = times.iter().enumerate().map(|(i, t)| (*t, format!("{t:02}-{i:02}"))).collect();
            let mut sorted = all.clone();
            sorted.sort();
            // the obvious way: in time order, new if the one before is further back than the history
            let mut want = Vec::new();
            let mut last: Option<i128> = None;
            for (t, id) in &sorted {
                if last.is_none_or(|l| l + 7 < *t) {
                    want.push(id.clone());
                }
                last = Some(*t);
            }
            let mut shuffled = all;
            let n = shuffled.len();
            for i in 0..n {
                let j = (seed.rotate_left(i as u32) as usize) % n;
                shuffled.swap(i, j);
            }
            let (a, b) = shuffled.split_at(cut.min(n));
            let mut x = NewTerms::new(7);
            let mut y = NewTerms::new(7);
            for (t, id) in a { x.see(vec![], *t, id.clone(), Some(id.clone())); }
            for (t, id) in b { y.see(vec![], *t, id.clone(), Some(id.clone())); }
            x.absorb(y);
            let mut got: Vec<String> = x.finish().map(|(_, id)| id).collect();
            got.sort();
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn arrays_expand_and_a_missing_value_drops_out() {
        let c = combinations(&[vec!["a".into(), "b".into()], vec!["x".into()]], 100);
        assert_eq!(c.len(), 2);
        assert!(combinations(&[vec!["a".into()], vec![]], 100).is_empty());
    }
}
