//! How Lucene joins the clauses of one level: no precedence, but a flat list of what must, should and
//! must not match, where an operator also changes the clause before it.

use super::ast::{Conjunction, Modifier};
use crate::plan::Pred;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occur {
    Must,
    Should,
    MustNot,
}

/// The clauses of one level, joined in the order in which they stand.
#[derive(Debug, Default)]
pub struct Occurrences {
    /// Whether clauses without an operator must all match.
    and: bool,
    clauses: Vec<(Occur, Pred)>,
}

impl Occurrences {
    /// An empty list; with `and`, clauses without an operator must all match.
    pub fn new(and: bool) -> Occurrences {
        Occurrences { and, clauses: Vec::new() }
    }

    /// Adds a clause with the operator before it. `None` for a text in which the analyzer finds no
    /// token: it asks nothing, but the operator still counts for the clause before.
    pub fn add(&mut self, conjunction: Option<Conjunction>, modifier: Option<Modifier>, pred: Option<Pred>) {
        if let Some((before, _)) = self.clauses.last_mut().filter(|(o, _)| *o != Occur::MustNot) {
            match conjunction {
                Some(Conjunction::And) => *before = Occur::Must,
                Some(Conjunction::Or) if self.and => *before = Occur::Should,
                _ => {}
            }
        }
        let occur = match modifier {
            Some(Modifier::Not) => Occur::MustNot,
            Some(Modifier::Must) => Occur::Must,
            None if self.and && conjunction != Some(Conjunction::Or) => Occur::Must,
            None if conjunction == Some(Conjunction::And) => Occur::Must,
            None => Occur::Should,
        };
        if let Some(pred) = pred {
            self.clauses.push((occur, pred));
        }
    }

    /// The condition: all that must be and none that must not; where nothing must be, one that should.
    pub fn pred(self) -> Option<Pred> {
        if self.clauses.is_empty() {
            return None;
        }
        let mut required = Vec::new();
        let mut optional = Vec::new();
        let mut must = false;
        for (occur, pred) in self.clauses {
            match occur {
                Occur::Must => {
                    must = true;
                    required.push(pred);
                }
                Occur::MustNot => required.push(pred.negate()),
                Occur::Should => optional.push(pred),
            }
        }
        if !must && !optional.is_empty() {
            required.push(Pred::any(optional));
        }
        Some(Pred::all(required))
    }
}
