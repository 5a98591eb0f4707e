//! The course of a rule's sequences over some events: which event opened one, which went on with it,
//! and what it died of.

use super::RunRule;
use super::decision::item_text;
use crate::lang::rule::length;
use crate::plan::sequence::{self, Change, MAX_OPEN, Machine};
use crate::plan::{Occurrence, Sequence};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// The events that it is about, by the names that they were given under.
    pub events: Vec<String>,
    /// What happened, as a sentence without a full stop.
    pub text: String,
}

/// What the events of a rule do to its sequences, in order of time. An event is given with the name to
/// call it by. Nothing for rules that look for no sequence.
pub fn course(rule: &RunRule, events: &[(String, Occurrence)]) -> Vec<Happening> {
    let Some(sequence) = rule.plan.sequence() else { return Vec::new() };
    let mut sorted: Vec<&(String, Occurrence)> = events.iter().collect();
    sorted.sort_by(|a, b| sequence::order(&a.1, &b.1));
    let mut machine = Machine::new(sequence, MAX_OPEN).logging();
    let mut changes = Vec::new();
    for (i, (_, occurrence)) in sorted.iter().enumerate() {
        machine.feed(i, occurrence);
        changes.extend(machine.changes());
    }
    let teller = Teller { rule, sequence, events: &sorted };
    let mut waiting: Vec<(Vec<usize>, usize)> = machine.waiting().collect();
    waiting.sort();
    let (found, _) = machine.finish();
    let found: Vec<Vec<usize>> =
        found.into_iter().map(|f| f.events.into_iter().flatten().collect()).collect();
    let mut out: Vec<Happening> = changes.iter().map(|c| teller.tell(c, &found)).collect();
    out.extend(waiting.into_iter().map(|(events, stage)| Happening {
        text: format!(
            "{} {} for {}, {}",
            teller.names(&events),
            if events.len() == 1 { "still waits" } else { "still wait" },
            teller.place(stage),
            sequence.step_of(stage).map_or_else(String::new, |i| item_text(rule, i))
        ),
        events: teller.ids(&events),
    }));
    out
}

struct Teller<'a> {
    rule: &'a RunRule,
    sequence: &'a Sequence,
    events: &'a [&'a (String, Occurrence)],
}

impl Teller<'_> {
    fn ids(&self, events: &[usize]) -> Vec<String> {
        events.iter().filter_map(|e| self.events.get(*e)).map(|(id, _)| id.clone()).collect()
    }

    fn names(&self, events: &[usize]) -> String {
        self.ids(events).join(", ")
    }

    /// `event 2 of 3`.
    fn place(&self, stage: usize) -> String {
        format!("event {} of {}", stage + 1, self.sequence.stages())
    }

    fn seconds(&self, from: usize, to: usize) -> String {
        let time = |e: usize| self.events.get(e).map_or(0, |(_, o)| o.time);
        length(time(to) - time(from))
    }

    fn tell(&self, change: &Change, found: &[Vec<usize>]) -> Happening {
        let lost = |replaced: &Option<Vec<usize>>| match replaced {
            Some(events) => format!("; it takes the place of {}, which cannot go on", self.names(events)),
            None => String::new(),
        };
        let (event, mut about, text) = match change {
            Change::Opened { event, replaced } => {
                let text = format!("is {}{}", self.place(0), lost(replaced));
                (*event, replaced.clone().unwrap_or_default(), text)
            }
            Change::Extended { event, stage, events, replaced } => {
                let before = events.split_last().map_or(&[][..], |(_, b)| b);
                let text =
                    format!("is {}, after {}{}", self.place(*stage), self.names(before), lost(replaced));
                let replaced = replaced.iter().flatten();
                (*event, before.iter().chain(replaced).copied().collect(), text)
            }
            Change::Expired { event, stage, events } => {
                let after = events.first().map_or_else(String::new, |first| self.seconds(*first, *event));
                let maxspan = self.sequence.maxspan.map(length).unwrap_or_default();
                let text = format!(
                    "would be {}, but comes {after} after the first, and maxspan is {maxspan}: {} cannot go on",
                    self.place(*stage),
                    self.names(events)
                );
                (*event, events.clone(), text)
            }
            Change::Ended { event, events } => {
                let until = item_text(self.rule, self.sequence.steps.len());
                (*event, events.clone(), format!("satisfies {until}: {} cannot go on", self.names(events)))
            }
            Change::Idle { event, stage } => {
                let text = format!("could be {}, but none of its key has got that far", self.place(*stage));
                (*event, Vec::new(), text)
            }
            Change::Completed { event, events } => {
                let before = events.split_last().map_or(&[][..], |(_, b)| b);
                let after =
                    if before.is_empty() { String::new() } else { format!(" after {}", self.names(before)) };
                let but =
                    if found.contains(events) { "" } else { ", but an event came that must be missing" };
                let last = self.place(self.sequence.stages().saturating_sub(1));
                (*event, before.to_vec(), format!("is {last}, the last{after}{but}"))
            }
        };
        about.insert(0, event);
        Happening { text: format!("{} {text}", self.names(&[event])), events: self.ids(&about) }
    }
}
