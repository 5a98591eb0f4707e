//! How `size` and the pipes `head` and `tail` cut a list of results. Elasticsearch combines them into
//! one window before it looks at any result, and so does this.

use crate::lang::Cut;
use std::ops::Range;

/// A window on an ordered list of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Whether offset and limit count from the end of the list.
    pub tail: bool,
    /// How many results at most.
    pub limit: usize,
    /// How many are left out before them, seen from that side.
    pub offset: usize,
}

/// Combines the request's `size`, its result position (`tail_first`) and the query's pipes. `size` acts
/// as a first pipe in the direction of the first written one, or of the result position without any.
pub fn combine(size: usize, tail_first: bool, pipes: &[Cut]) -> Window {
    let tail = pipes.first().map_or(tail_first, |p| p.tail);
    let mut window = Window { tail, limit: size, offset: 0 };
    for pipe in pipes {
        if pipe.tail == tail {
            window.limit = window.limit.min(pipe.limit);
        } else if pipe.limit < window.limit {
            window.offset = window.offset.saturating_add(window.limit - pipe.limit);
            window.limit = pipe.limit;
        }
    }
    window
}

impl Window {
    /// The rows of an ascending list of `total` events that the window shows, in ascending order. As the
    /// offset was computed without looking at results, a short list may be passed over completely.
    pub fn of_events(self, total: usize) -> Range<usize> {
        let from = self.offset.min(total);
        let to = from.saturating_add(self.limit).min(total);
        if self.tail { total - to..total - from } else { from..to }
    }

    /// The rows of an ascending list of `total` sequences that the window shows, in ascending order. On
    /// a list that is shorter than offset and limit together, it is the last rows within the limit.
    pub fn of_sequences(self, total: usize) -> Range<usize> {
        if total < self.offset.saturating_add(self.limit) {
            return total.saturating_sub(self.limit)..total;
        }
        self.of_events(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipes(text: &str) -> Vec<Cut> {
        text.split_whitespace()
            .map(|p| p.split_at(1))
            .map(|(side, n)| Cut { tail: side == "t", limit: n.parse().unwrap() })
            .collect()
    }

    fn rows(size: usize, text: &str, total: usize) -> Range<usize> {
        combine(size, true, &pipes(text)).of_events(total)
    }

    #[test]
    fn size_takes_the_direction_of_the_first_pipe() {
        assert_eq!(rows(10, "", 30), 20..30);
        assert_eq!(combine(10, false, &[]).of_events(30), 0..10);
        assert_eq!(rows(10, "h50", 30), 0..10);
        assert_eq!(rows(10, "t20", 30), 20..30);
        assert_eq!(rows(0, "", 30), 30..30);
        assert_eq!(rows(10, "h0", 30), 0..0);
    }

    #[test]
    fn opposite_pipes_move_the_window() {
        assert_eq!(rows(10, "h10 t7", 30), 3..10);
        assert_eq!(rows(10, "t10 h7", 30), 20..27);
        assert_eq!(rows(10, "h10 t7 h5 t3", 30), 5..8);
        assert_eq!(rows(10, "h1 t12", 30), 0..1);
        assert_eq!(rows(10, "t7 h10", 30), 23..30);
    }

    #[test]
    fn a_list_shorter_than_the_offset_shows_nothing() {
        assert!(rows(10, "h10 t3", 5).is_empty());
        assert!(rows(10, "t10 h3", 5).is_empty());
        assert_eq!(rows(10, "h4 t3", 5), 1..4);
    }

    #[test]
    fn a_short_list_of_sequences_shows_its_last_rows() {
        let rows = |text: &str, total| combine(10, true, &pipes(text)).of_sequences(total);
        assert_eq!(rows("h10 t3", 5), 2..5);
        assert_eq!(rows("h10 t3", 30), 7..10);
        assert_eq!(rows("t10 h3", 30), 20..23);
        assert_eq!(rows("", 4), 0..4);
        assert!(rows("h0", 4).is_empty());
    }
}
