//! A set of texts that keeps the order of their arrival.

use rustc_hash::FxHashSet;
use std::borrow::Cow;

/// Texts, each once, in the order of their arrival.
#[derive(Default)]
pub(super) struct Names<'r> {
    list: Vec<Cow<'r, str>>,
    /// The same texts, once there are too many to look through.
    index: FxHashSet<Cow<'r, str>>,
}

impl<'r> Names<'r> {
    const FEW: usize = 32;

    /// Adds a text; false if it is empty or known.
    pub fn add(&mut self, text: Cow<'r, str>) -> bool {
        if text.is_empty() {
            return false;
        }
        if self.list.len() < Self::FEW {
            if self.list.contains(&text) {
                return false;
            }
        } else {
            if self.index.is_empty() {
                self.index.extend(self.list.iter().cloned());
            }
            if !self.index.insert(text.clone()) {
                return false;
            }
        }
        self.list.push(text);
        true
    }

    /// The texts by arrival.
    pub fn list(&self) -> &[Cow<'r, str>] {
        &self.list
    }

    /// Sorts the texts by UTF-16 units, as a Java `TreeSet` has them.
    pub fn sort(&mut self) {
        if self.list.iter().all(|t| t.is_ascii()) {
            self.list.sort_unstable();
        } else {
            self.list.sort_unstable_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_once_and_sort_by_utf16_units() {
        let mut names = Names::default();
        let added: Vec<bool> =
            ["i-1", "", "arn:x", "i-1", "KEY"].into_iter().map(|t| names.add(t.into())).collect();
        assert_eq!(added, [true, false, true, false, true]);
        names.sort();
        assert_eq!(names.list(), ["KEY", "arn:x", "i-1"]);
        let mut names = Names::default();
        for t in ["\u{FFFD}", "\u{1F600}", "a"] {
            names.add(t.into());
        }
        names.sort();
        assert_eq!(names.list(), ["a", "\u{1F600}", "\u{FFFD}"]);
        let mut names = Names::default();
        for i in 0..100 {
            names.add((i % 50).to_string().into());
        }
        assert_eq!(names.list().len(), 50);
    }
}
