//! Samples: for each key, one event for each item, all different, in no order.

use super::join::{self, Item, Match, Tuple};
use super::{Row, RunError};
use rustc_hash::FxHashMap;

/// What a sample asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The items; two to five.
    pub items: Vec<Item>,
}

/// A complete sample: its key, and an event for each item by the number that it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// The common key.
    pub key: Tuple,
    /// The events, in the order of the items.
    pub events: Vec<usize>,
}

impl Sample {
    /// The items that an event satisfies; none where it plays no part.
    ///
    /// # Errors
    /// When a condition fails.
    pub fn look(&self, row: &Row<'_>) -> Result<Vec<Match>, RunError> {
        join::look(self.items.iter(), row)
    }

    /// The samples among events, in the order of their keys, null first: at most `per_key` of one key
    /// and `size` in total. Of several events the earliest given are taken.
    pub fn run<'m>(
        &self,
        matches: impl IntoIterator<Item = (usize, &'m [Match])>,
        per_key: usize,
        size: usize,
    ) -> Vec<Sampled> {
        let mut by_key: FxHashMap<&Tuple, Vec<Vec<usize>>> = FxHashMap::default();
        for (number, found) in matches {
            for m in found {
                for key in &m.keys {
                    let items = by_key.entry(key).or_insert_with(|| vec![Vec::new(); self.items.len()]);
                    if let Some(events) = items.get_mut(m.item) {
                        events.push(number);
                    }
                }
            }
        }
        let mut keys: Vec<(&Tuple, Vec<Vec<usize>>)> =
            by_key.into_iter().filter(|(_, items)| items.iter().all(|i| !i.is_empty())).collect();
        keys.sort_by(|(a, _), (b, _)| join::order(a, b, true));
        let mut out = Vec::new();
        for (key, items) in keys {
            let left = size.saturating_sub(out.len());
            if left == 0 {
                break;
            }
            let mut chosen = Vec::new();
            choose(&items, &mut Vec::new(), per_key.min(left), &mut chosen);
            out.extend(chosen.into_iter().map(|events| Sampled { key: key.clone(), events }));
        }
        out
    }
}

/// Adds choices of one event an item, all different, until there are `limit`.
fn choose(items: &[Vec<usize>], taken: &mut Vec<usize>, limit: usize, out: &mut Vec<Vec<usize>>) {
    let Some((first, rest)) = items.split_first() else {
        out.push(taken.clone());
        return;
    };
    for event in first {
        if out.len() >= limit {
            return;
        }
        if taken.contains(event) {
            continue;
        }
        taken.push(*event);
        // without this look ahead, a dead end would be tried with every event of the items before it
        if possible(rest, taken) {
            choose(rest, taken, limit, out);
        }
        taken.pop();
    }
}

/// Whether the items can still be served. With all of `n` items' events but the first `taken + n` left
/// aside the answer is the same.
fn possible(items: &[Vec<usize>], taken: &mut Vec<usize>) -> bool {
    let Some((first, rest)) = items.split_first() else { return true };
    let enough = taken.len() + items.len();
    for event in first.iter().take(enough) {
        if taken.contains(event) {
            continue;
        }
        taken.push(*event);
        let served = possible(rest, taken);
        taken.pop();
        if served {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Pred;
    use crate::plan::join::KeyValue;
    use crate::source::Span;

    fn sample(n: usize) -> Sample {
        let item = Item { pred: Pred::Const(true), keys: Vec::new(), span: Span::default() };
        Sample { items: vec![item; n] }
    }

    /// Events by the items that they satisfy, all under one key.
    fn run(n: usize, events: &[&[usize]], per_key: usize) -> Vec<Vec<usize>> {
        let key: Tuple = vec![KeyValue::Int(1)].into();
        let matches: Vec<Vec<Match>> = events
            .iter()
            .map(|items| items.iter().map(|i| Match { item: *i, keys: vec![key.clone()] }).collect())
            .collect();
        let numbered = matches.iter().enumerate().map(|(i, m)| (i, m.as_slice()));
        sample(n).run(numbered, per_key, 100).into_iter().map(|s| s.events).collect()
    }

    #[test]
    fn an_event_fills_one_place_only() {
        assert_eq!(run(2, &[&[0, 1]], 1), Vec::<Vec<usize>>::new());
        assert_eq!(run(2, &[&[0, 1], &[0]], 1), [[1, 0]]);
        assert_eq!(run(2, &[&[0, 1], &[1]], 1), [[0, 1]]);
        assert_eq!(run(3, &[&[0, 1, 2], &[0, 1], &[0]], 1), [[2, 1, 0]]);
    }

    #[test]
    fn as_many_as_are_asked_for_of_one_key() {
        assert_eq!(run(2, &[&[0], &[0], &[1]], 1), [[0, 2]]);
        assert_eq!(run(2, &[&[0], &[0], &[1]], 5), [[0, 2], [1, 2]]);
    }

    #[test]
    fn a_dead_end_among_many_events_is_seen_at_once() {
        let many: Vec<&[usize]> =
            std::iter::once(&[0, 4][..]).chain(vec![&[0, 1, 2, 3][..]; 3_000]).collect();
        assert_eq!(run(5, &many, 1), [[1, 2, 3, 4, 0]]);
    }

    #[test]
    fn keys_come_in_order_with_null_first_and_must_be_in_every_item() {
        let tuple = |v: KeyValue| -> Tuple { vec![v].into() };
        let of =
            |keys: &[KeyValue], item: usize| Match { item, keys: keys.iter().cloned().map(tuple).collect() };
        let [a, b] = ["a", "b"].map(|s| KeyValue::Str(s.into()));
        let first = [of(&[b.clone(), KeyValue::Null, a.clone()], 0)];
        let second = [of(&[KeyValue::Null, b.clone()], 1)];
        let found = sample(2).run([(7, &first[..]), (9, &second[..])], 1, 10);
        let keys: Vec<Tuple> = found.iter().map(|s| s.key.clone()).collect();
        assert_eq!(keys, [tuple(KeyValue::Null), tuple(b)]);
        assert_eq!(found[0].events, [7, 9]);
        assert_eq!(sample(2).run([(7, &first[..]), (9, &second[..])], 1, 1).len(), 1);
    }
}
