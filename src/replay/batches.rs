//! Sharing one long text between threads: records are gathered into batches, and what comes of the
//! batches is handed back in the order of the text, whichever is done first.

use super::records::Record;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How much of a text is read before the rest is shared, in bytes: less is not worth it.
pub(super) const ALONE: usize = 2 << 20;
/// From how many bytes on a batch goes out.
const FULL: usize = 512 << 10;

/// How long whoever reads waits for others, when there is nothing to help with.
pub(super) const PAUSE: Duration = Duration::from_micros(50);

/// Records with their texts, one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: Vec<u8>,
    records: Vec<(Range<usize>, u64, Option<u64>, bool)>,
}

impl Batch {
    pub fn push(&mut self, record: &Record<'_>) {
        let from = self.text.len();
        self.text.extend_from_slice(record.text);
        self.records.push((from..self.text.len(), record.number, record.line, record.delivered));
    }

    pub fn is_full(&self) -> bool {
        self.text.len() >= FULL
    }

    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records.iter().map(|(range, number, line, delivered)| Record {
            text: self.text.get(range.clone()).unwrap_or_default(),
            number: *number,
            line: *line,
            delivered: *delivered,
        })
    }
}

/// What batches gave, until it is its turn.
#[derive(Debug)]
pub(super) struct Batches<T> {
    /// How many were begun.
    begun: AtomicUsize,
    done: Mutex<Done<T>>,
}

#[derive(Debug)]
struct Done<T> {
    next: usize,
    ready: BTreeMap<usize, T>,
}

impl<T> Batches<T> {
    pub fn new() -> Batches<T> {
        let done = Mutex::new(Done { next: 0, ready: BTreeMap::new() });
        Batches { begun: AtomicUsize::new(0), done }
    }

    /// The number of the next batch.
    pub fn begin(&self) -> usize {
        self.begun.fetch_add(1, Ordering::Relaxed)
    }

    /// How many were begun and not handed on yet, whether done or not: what they hold is in memory.
    pub fn held(&self) -> usize {
        self.begun.load(Ordering::Relaxed).saturating_sub(self.lock().next)
    }

    /// Keeps what a batch gave.
    pub fn done(&self, number: usize, value: T) {
        self.lock().ready.insert(number, value);
    }

    /// Hands on what is ready, as far as nothing before it is missing.
    pub fn take_ready(&self, mut take: impl FnMut(T)) {
        loop {
            let mut done = self.lock();
            let next = done.next;
            let Some(value) = done.ready.remove(&next) else { return };
            done.next += 1;
            drop(done);
            take(value);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Done<T>> {
        // a panic elsewhere cannot leave it half changed
        self.done.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_early_waits_for_its_turn() {
        let batches = Batches::new();
        let mut seen = Vec::new();
        for n in 0..3 {
            assert_eq!(batches.begin(), n);
        }
        batches.done(2, 'c');
        batches.take_ready(|v| seen.push(v));
        assert!(seen.is_empty());
        assert_eq!(batches.held(), 3);
        batches.done(0, 'a');
        batches.take_ready(|v| seen.push(v));
        batches.done(1, 'b');
        batches.take_ready(|v| seen.push(v));
        assert_eq!(seen, ['a', 'b', 'c']);
        assert_eq!(batches.held(), 0);
    }

    #[test]
    fn a_batch_gives_its_records_as_they_came() {
        let mut batch = Batch::default();
        for (text, number) in [("{}", 7), ("{\"a\":1}", 8)] {
            batch.push(&Record { text: text.as_bytes(), number, line: Some(number), delivered: false });
        }
        let found: Vec<_> = batch.records().map(|r| (r.text.to_vec(), r.number, r.line)).collect();
        assert_eq!(found, [(b"{}".to_vec(), 7, Some(7)), (b"{\"a\":1}".to_vec(), 8, Some(8))]);
        assert!(!batch.is_full());
    }
}
