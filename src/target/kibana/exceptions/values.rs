//! Value lists: the values that a file has and Kibana lacks are added. Values have no place for a mark, so
//! none is ever taken away: nobody could tell a stale one from one that was added in Kibana.

use super::live::LiveLists;
use super::wanted::WantedValues;
use crate::target::http::Failure;
use crate::target::kibana::client::Kibana;
use std::collections::BTreeSet;

/// What is to happen to a value list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesChange {
    /// Its id.
    pub id: String,
    /// The type of its values.
    pub kind: String,
    /// Whether it is new.
    pub is_new: bool,
    /// The values that are added.
    pub added: Vec<String>,
    /// How many values only Kibana has; they stay.
    pub kept: usize,
}

impl ValuesChange {
    /// Whether anything is written.
    pub fn writes(&self) -> bool {
        self.is_new || !self.added.is_empty()
    }
}

/// Compares the value lists of the pack with those of Kibana.
pub(super) fn plan(wanted: &[WantedValues], live: &LiveLists) -> Vec<ValuesChange> {
    let none = BTreeSet::new();
    let change = |list: &WantedValues| {
        let there = live.values.get(&list.id).map(|(_, values)| values);
        let values = there.unwrap_or(&none);
        let added: Vec<String> = list.values.iter().filter(|v| !values.contains(*v)).cloned().collect();
        ValuesChange {
            id: list.id.clone(),
            kind: list.kind.clone(),
            is_new: there.is_none(),
            kept: values.len() - (list.values.len() - added.len()),
            added,
        }
    };
    wanted.iter().map(change).collect()
}

/// Writes a value list; what is there decides after every answer that was lost.
pub(super) fn write(kibana: &Kibana, wanted: &WantedValues, rounds: u32) -> Result<(), Failure> {
    let mut round = 1;
    loop {
        let done = once(kibana, wanted);
        match done {
            Err(e) if round < rounds && (e.status() == Some(409) || e.is_uncertain()) => {
                std::thread::sleep(kibana.http().pause(round));
                round += 1;
            }
            other => return other,
        }
    }
}

fn once(kibana: &Kibana, wanted: &WantedValues) -> Result<(), Failure> {
    if kibana.value_list(&wanted.id)?.is_none() {
        kibana.create_value_list(&wanted.id, &wanted.kind, "values of a rulepack pack")?;
    }
    let there = kibana.values(&wanted.id)?;
    let missing: Vec<&str> =
        wanted.values.iter().filter(|v| !there.contains(*v)).map(String::as_str).collect();
    kibana.add_values(&wanted.id, &missing)
}
