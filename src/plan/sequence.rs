//! Sequences: events in order, joined by keys. [`Sequence::look`] says what an event is to a sequence,
//! [`Machine`] takes events in time order and completes sequences as Elasticsearch does.
//!
//! One machine per key holds at most one open sequence a stage. An event extends the open sequence of
//! the stage before, which is consumed even if time has run out; what stood at the stage is replaced.
//! Stages go from last to first, so that an event never follows itself.

#[cfg(test)]
mod tests;

use super::join::{self, Item, Match, Tuple};
use super::{FieldId, Row, RunError};
use crate::schema::Kind;
use crate::value::Value;
use rustc_hash::FxHashMap;
use std::cmp::Ordering;

/// What a sequence asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// The steps in order; at least one is not missing.
    pub steps: Vec<Step>,
    /// The most time from the first event to the last, in nanoseconds; equality is within.
    pub maxspan: Option<i128>,
    /// What ends open sequences of its key.
    pub until: Option<Item>,
    /// The field that orders events, a date.
    pub time: FieldId,
    /// The field that orders events of one instant; of type [`Kind::Other`] where nothing maps it, its
    /// values are then compared as the JSON types that they are.
    pub tiebreaker: Option<FieldId>,
}

/// A step of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its condition.
    pub item: Item,
    /// Whether no such event may come.
    pub missing: bool,
    /// How many places it takes, one after the other; at least 1.
    pub runs: usize,
}

/// What one event is to a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    /// When, in nanoseconds since the epoch.
    pub time: i128,
    /// What decides between events of one instant; null where it has none.
    pub tiebreaker: Value,
    /// The steps that it satisfies, by their place; `until` counts after the last.
    pub matches: Vec<Match>,
}

/// A complete sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The common key.
    pub key: Tuple,
    /// An event for each place, by the number that it was fed under; `None` for a missing one.
    pub events: Vec<Option<usize>>,
}

/// What a machine did, for explanations. Stages count events that are not missing, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the event, the stage that it fills and the events so far")]
pub enum Change {
    /// The event opened a sequence, or took the place of one that was open at the first stage.
    Opened { event: usize, replaced: Option<Vec<usize>> },
    /// The event extended a sequence; one that was open at this stage is lost.
    Extended { event: usize, stage: usize, events: Vec<usize>, replaced: Option<Vec<usize>> },
    /// The event came too late for the sequence that it would have extended, which is lost.
    Expired { event: usize, stage: usize, events: Vec<usize> },
    /// The event satisfies `until`, so this open sequence is lost.
    Ended { event: usize, events: Vec<usize> },
    /// The event found no open sequence of its key that it could extend.
    Idle { event: usize, stage: usize },
    /// The event completed a sequence.
    Completed { event: usize, events: Vec<usize> },
}

/// The most keys with open sequences that a machine without `maxspan` keeps; beyond, those that waited
/// longest are forgotten. Sequences with a `maxspan` are forgotten when their time is over.
pub const MAX_OPEN: usize = 1_000_000;

impl Occurrence {
    /// How many keys it holds, which is what its memory goes by.
    pub fn weight(&self) -> usize {
        self.matches.iter().map(|m| m.keys.len()).sum()
    }
}

impl Sequence {
    /// What an event is to this sequence; `None` where it plays no part.
    ///
    /// # Errors
    /// When a condition fails, or an event that plays a part has no single time or a tiebreaker that
    /// cannot be compared.
    pub fn look(&self, row: &Row<'_>) -> Result<Option<Occurrence>, RunError> {
        let matches = join::look(self.steps.iter().map(|s| &s.item).chain(&self.until), row)?;
        if matches.is_empty() {
            return Ok(None);
        }
        let held = |field: FieldId| {
            let values = &row.cell(field).values;
            match values.as_slice() {
                [] => "no value".to_owned(),
                [one] => format!("`{one}`"),
                more => format!("{} values", more.len()),
            }
        };
        let name = |field: FieldId| row.fields.get(field).map_or("", |f| &f.name);
        let [Value::Date(time)] = *row.values(self.time).as_slice() else {
            return Err(RunError(format!(
                "a sequence needs exactly one date in the timestamp field `{}`, found {}",
                name(self.time),
                held(self.time)
            )));
        };
        let mut tiebreaker = Value::Null;
        if let Some(field) = self.tiebreaker {
            let native = row.fields.get(field).is_some_and(|f| f.types.iter().all(|t| t.kind == Kind::Other));
            let mut values = if native {
                row.cell(field).values.iter().map(Value::of_scalar).collect()
            } else {
                row.values(field)
            };
            if values.len() > 1 {
                return Err(RunError(format!(
                    "the tiebreaker field `{}` must hold at most one value, found {}",
                    name(field),
                    held(field)
                )));
            }
            tiebreaker = values.pop().unwrap_or(Value::Null);
        }
        Ok(Some(Occurrence { time, tiebreaker, matches }))
    }

    /// All sequences among events that are in order, and how many open ones were forgotten for want of
    /// room (see [`MAX_OPEN`]). Events are numbered from 0.
    pub fn run<'o>(&self, occurrences: impl IntoIterator<Item = &'o Occurrence>) -> (Vec<Found>, u64) {
        let mut machine = Machine::new(self, MAX_OPEN);
        for (i, occurrence) in occurrences.into_iter().enumerate() {
            machine.feed(i, occurrence);
        }
        machine.finish()
    }

    /// How many events make a sequence, missing ones aside.
    pub fn stages(&self) -> usize {
        self.steps.iter().filter(|s| !s.missing).map(|s| s.runs).sum()
    }

    /// The step of a stage (which counts the events that are not missing), by its place.
    pub fn step_of(&self, stage: usize) -> Option<usize> {
        self.stage_steps().nth(stage)
    }

    fn stage_steps(&self) -> impl Iterator<Item = usize> {
        let positive = self.steps.iter().enumerate().filter(|(_, s)| !s.missing);
        positive.flat_map(|(i, s)| std::iter::repeat_n(i, s.runs))
    }
}

/// The order of events: time, then tiebreaker, a missing one last. What is equal keeps the order of
/// the input.
pub fn order(a: &Occurrence, b: &Occurrence) -> Ordering {
    a.time.cmp(&b.time).then_with(|| match (&a.tiebreaker, &b.tiebreaker) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (x, y) => super::expr::order(x, y).unwrap_or(Ordering::Equal),
    })
}

/// An open sequence.
#[derive(Clone, Debug)]
struct Partial {
    /// The time of its first event.
    since: i128,
    events: Vec<usize>,
    /// The milliseconds of its events; only kept where a step is missing.
    times: Vec<i64>,
}

/// The open sequences of one key, by the stage that they have reached.
type Open = Box<[Option<Partial>]>;

/// Completes sequences from events that come in order.
#[derive(Debug)]
pub struct Machine<'p> {
    sequence: &'p Sequence,
    /// The step of each stage.
    steps: Vec<usize>,
    /// Whether a step is missing, so that times matter at the end.
    timed: bool,
    /// The most keys that are kept.
    room: usize,
    open: FxHashMap<Tuple, Open>,
    /// When the number of keys gives reason to look for those whose time is over.
    sweep_at: usize,
    /// Milliseconds at which events of missing steps came, ascending.
    unwanted: FxHashMap<(usize, Tuple), Vec<i64>>,
    /// Complete sequences whose missing events are not looked at yet.
    complete: Vec<(Tuple, Partial)>,
    forgotten: u64,
    log: Option<Vec<Change>>,
}

/// How many keys are not worth a sweep.
const FEW: usize = 1_024;

impl<'p> Machine<'p> {
    /// A machine that has seen nothing. Of a sequence without `maxspan` it keeps at most `room` keys.
    pub fn new(sequence: &'p Sequence, room: usize) -> Machine<'p> {
        let room = room.max(2);
        Machine {
            sequence,
            steps: sequence.stage_steps().collect(),
            timed: sequence.steps.iter().any(|s| s.missing),
            room,
            open: FxHashMap::default(),
            sweep_at: FEW.min(room),
            unwanted: FxHashMap::default(),
            complete: Vec::new(),
            forgotten: 0,
            log: None,
        }
    }

    /// The same, keeping a log of what it does.
    pub fn logging(mut self) -> Machine<'p> {
        self.log = Some(Vec::new());
        self
    }

    /// What happened since this was asked last; nothing unless the machine is [`Machine::logging`].
    pub fn changes(&mut self) -> Vec<Change> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The open sequences: their events, and the stage that each waits for.
    pub fn waiting(&self) -> impl Iterator<Item = (Vec<usize>, usize)> {
        self.open.values().flat_map(|open| {
            open.iter().enumerate().filter_map(|(i, p)| Some((p.as_ref()?.events.clone(), i + 1)))
        })
    }

    /// Takes the next event. `number` is the caller's and must grow from call to call.
    pub fn feed(&mut self, number: usize, event: &Occurrence) {
        let sequence = self.sequence;
        for stage in (0..self.steps.len()).rev() {
            let step = self.steps.get(stage).copied().unwrap_or(usize::MAX);
            let Some(found) = event.matches.iter().find(|m| m.item == step) else { continue };
            for key in &found.keys {
                self.advance(stage, key, number, event.time);
            }
        }
        for found in &event.matches {
            match sequence.steps.get(found.item) {
                Some(step) if step.missing => {
                    let at = millis(event.time);
                    for key in &found.keys {
                        let times = self.unwanted.entry((found.item, key.clone())).or_default();
                        if times.last() != Some(&at) {
                            times.push(at);
                        }
                    }
                }
                Some(_) => {}
                None => found.keys.iter().for_each(|key| self.end(key, number)),
            }
        }
        if self.open.len() > self.sweep_at {
            self.sweep(event.time);
        }
    }

    fn advance(&mut self, stage: usize, key: &Tuple, number: usize, time: i128) {
        let mut partial = match stage.checked_sub(1) {
            None => Partial { since: time, events: Vec::with_capacity(self.steps.len()), times: Vec::new() },
            Some(before) => {
                let open = self.open.get_mut(key).and_then(|open| open.get_mut(before));
                match open.and_then(Option::take) {
                    Some(partial) => partial,
                    None => {
                        if let Some(log) = &mut self.log {
                            log.push(Change::Idle { event: number, stage });
                        }
                        return;
                    }
                }
            }
        };
        if self.sequence.maxspan.is_some_and(|span| time - partial.since > span) {
            if let Some(log) = &mut self.log {
                log.push(Change::Expired { event: number, stage, events: partial.events });
            }
            return;
        }
        partial.events.push(number);
        if self.timed {
            partial.times.push(millis(time));
        }
        let events = self.log.as_ref().map(|_| partial.events.clone());
        let last = self.steps.len() - 1;
        let mut replaced = None;
        if stage == last {
            self.complete.push((key.clone(), partial));
        } else {
            // most keys are known: look before the key is copied
            let open = match self.open.get_mut(key) {
                Some(open) => open,
                None => self.open.entry(key.clone()).or_insert_with(|| vec![None; last].into_boxed_slice()),
            };
            replaced = open.get_mut(stage).and_then(|slot| slot.replace(partial));
        }
        if let (Some(log), Some(events)) = (&mut self.log, events) {
            let replaced = replaced.map(|p| p.events);
            log.push(match stage {
                _ if stage == last => Change::Completed { event: number, events },
                0 => Change::Opened { event: number, replaced },
                _ => Change::Extended { event: number, stage, events, replaced },
            });
        }
    }

    /// `until`: whatever is open for the key was last extended by this event or before it, so it can
    /// never go on.
    fn end(&mut self, key: &Tuple, number: usize) {
        let Some(open) = self.open.remove(key) else { return };
        if let Some(log) = &mut self.log {
            let ended = open.into_iter().flatten();
            log.extend(ended.map(|p| Change::Ended { event: number, events: p.events }));
        }
    }

    /// Drops what is over, and what there is no room for.
    fn sweep(&mut self, now: i128) {
        let maxspan = self.sequence.maxspan;
        self.open.retain(|_, open| {
            for slot in open.iter_mut() {
                slot.take_if(|p| maxspan.is_some_and(|span| now - p.since > span));
            }
            open.iter().any(Option::is_some)
        });
        if maxspan.is_none() && self.open.len() > self.room {
            let latest = |open: &Open| open.iter().flatten().filter_map(|p| p.events.last()).max().copied();
            let mut ages: Vec<Option<usize>> = self.open.values().map(latest).collect();
            let middle = ages.len() / 2;
            let median = *ages.select_nth_unstable(middle).1;
            let before = self.open.len();
            self.open.retain(|_, open| latest(open) >= median);
            self.forgotten += (before - self.open.len()) as u64;
        }
        self.sweep_at = (self.open.len() * 2).max(FEW.min(self.room));
        if maxspan.is_none() {
            self.sweep_at = self.sweep_at.min(self.room);
        }
    }

    /// The complete sequences whose missing events did not come, in the order of their last events,
    /// those of one event by key; and how many open ones were forgotten.
    pub fn finish(self) -> (Vec<Found>, u64) {
        let Machine { sequence, unwanted, complete, forgotten, .. } = self;
        let mut complete: Vec<(Tuple, Partial)> = complete
            .into_iter()
            .filter(|(key, partial)| undisturbed(sequence, key, &partial.times, &unwanted))
            .collect();
        complete.sort_by(|(a, x), (b, y)| {
            x.events.last().cmp(&y.events.last()).then_with(|| join::order(a, b, false))
        });
        let found = complete.into_iter().map(|(key, partial)| {
            let mut events = partial.events.into_iter();
            let places = sequence.steps.iter().flat_map(|s| std::iter::repeat_n(s.missing, s.runs));
            let events = places.map(|missing| if missing { None } else { events.next() }).collect();
            Found { key, events }
        });
        (found.collect(), forgotten)
    }
}

fn millis(nanos: i128) -> i64 {
    i64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(i64::MAX)
}

/// Whether no missing event came where it must not. Between two events that is decided by their
/// milliseconds, bounds excluded. Before the first and after the last it must be further from the other
/// end than `maxspan`; where both ends are open, the nearest on both sides count together, and a side
/// on which none ever came is enough.
fn undisturbed(
    sequence: &Sequence,
    key: &Tuple,
    times: &[i64],
    unwanted: &FxHashMap<(usize, Tuple), Vec<i64>>,
) -> bool {
    if unwanted.is_empty() {
        return true;
    }
    let (Some(first), Some(last)) = (times.first().copied(), times.last().copied()) else { return true };
    let (mut lead, mut trail) = (None::<i64>, None::<i64>);
    let mut stage = 0;
    for (i, step) in sequence.steps.iter().enumerate() {
        if !step.missing {
            stage += step.runs;
            continue;
        }
        let Some(came) = unwanted.get(&(i, key.clone())) else { continue };
        let before = |t: i64| came.get(..came.partition_point(|x| *x < t)).and_then(<[i64]>::last).copied();
        let after = |t: i64| came.get(came.partition_point(|x| *x <= t)).copied();
        match (stage.checked_sub(1).and_then(|s| times.get(s)), times.get(stage)) {
            (Some(from), Some(to)) => {
                if after(*from).is_some_and(|t| t < *to) {
                    return false;
                }
            }
            (None, _) => lead = lead.max(before(first)),
            (Some(_), None) => trail = [trail, after(last)].into_iter().flatten().min(),
        }
    }
    let starts = sequence.steps.first().is_some_and(|s| s.missing);
    let ends = sequence.steps.last().is_some_and(|s| s.missing);
    let span = i128::from(sequence.maxspan.map_or(i64::MAX, millis));
    let further = |from: i64, to: i64| i128::from(to) - i128::from(from) > span;
    match (lead, trail) {
        (None, None) => true,
        (None, _) if starts => true,
        (_, None) if ends => true,
        (Some(lead), Some(trail)) => further(lead, trail),
        (Some(lead), None) => further(lead, last),
        (None, Some(trail)) => further(first, trail),
    }
}
