//! Writes lists and exceptions: before the rules what they need, after them what is stale. Nothing is taken
//! away to be made anew, and a list that could not be completed keeps its rules from being written.

use super::calls::values_of;
use super::form::What;
use super::live::{self, LiveLists, linked};
use super::plan::{ItemChange, ListChange, ListPlan, container, orphan, plan_item, plan_list, stale};
use super::values;
use super::wanted::{WantedItem, WantedList, WantedLists};
use super::{Key, Object, text};
use crate::target::http::{Failure, each};
use crate::target::kibana::client::Kibana;
use crate::target::kibana::plan::{Kind, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a write is begun anew after it met another one.
const ROUNDS: u32 = 5;

/// What is wanted of exception lists, and what was planned for them.
#[derive(Clone, Copy, Debug)]
pub struct Lists<'a> {
    /// What is wanted.
    pub wanted: &'a WantedLists,
    /// What was planned.
    pub plan: &'a ListPlan,
}

/// A list, or an exception of it, that was not brought to where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotWritten {
    /// The list.
    pub list: String,
    /// The name of the exception, if it is about one.
    pub item: Option<String>,
    /// Why, as a sentence.
    pub message: String,
}

/// What came of the lists.
#[derive(Clone, Debug, Default)]
pub struct ListsApplied {
    /// How many lists were written, value lists among them, and read back equal.
    pub written: usize,
    /// What failed.
    pub failed: Vec<NotWritten>,
    /// Exceptions, after the list that they are of, that turned out to need a person after the plan.
    pub conflicts: Vec<(String, ItemChange)>,
}

/// How one write ended.
enum Done {
    Fine,
    Conflict(Box<ItemChange>),
    Failed(String),
}

/// A deploy of lists, between its two halves.
pub(in crate::target::kibana) struct Halfway<'a> {
    lists: Lists<'a>,
    kibana: &'a Kibana,
    settings: &'a Settings,
    /// The ids that the space gives to lists.
    pub ids: BTreeMap<Key, String>,
    broken: BTreeSet<Key>,
    out: ListsApplied,
}

fn again(e: &Failure) -> bool {
    matches!(e.status(), Some(404 | 409)) || e.is_uncertain()
}

/// Value lists, lists, exceptions: all that rules may need.
pub(in crate::target::kibana) fn before<'a>(
    lists: Lists<'a>,
    kibana: &'a Kibana,
    settings: &'a Settings,
) -> Halfway<'a> {
    let mut half = Halfway {
        lists,
        kibana,
        settings,
        ids: BTreeMap::new(),
        broken: BTreeSet::new(),
        out: ListsApplied::default(),
    };
    let without = half.values();
    half.containers(&without);
    half.items();
    half
}

impl Halfway<'_> {
    fn fail(&mut self, list: &str, item: Option<&str>, message: String) {
        self.out.failed.push(NotWritten { list: list.to_owned(), item: item.map(str::to_owned), message });
    }

    /// Value lists; gives those that are not complete.
    fn values(&mut self) -> BTreeSet<String> {
        let mut without = BTreeSet::new();
        for change in self.lists.plan.values.iter().filter(|v| v.writes()) {
            let Some(wanted) = self.lists.wanted.values.iter().find(|w| w.id == change.id) else { continue };
            if let Err(e) = values::write(self.kibana, wanted, ROUNDS) {
                without.insert(change.id.clone());
                self.fail(&change.id, None, e.to_string());
            }
        }
        without
    }

    /// The planned lists of the pack, each with what is wanted of it.
    fn planned(&self) -> Vec<(&'_ ListChange, &'_ WantedList)> {
        let of = |change: &'_ ListChange| self.lists.wanted.get(&change.key);
        self.lists.plan.lists.iter().filter_map(|c| Some((c, of(c)?))).collect()
    }

    fn containers(&mut self, without: &BTreeSet<String>) {
        let planned = self.planned();
        let results = each(&planned, self.kibana.http().in_flight(), |(change, wanted)| {
            let missing =
                wanted.items.iter().flat_map(|i| values_of(&i.body)).find(|id| without.contains(*id));
            if let Some(id) = missing {
                return Err(format!("its value list `{id}` is not complete"));
            }
            self.list(change, wanted).map(|live| text(&live, "id").to_owned())
        });
        let keys: Vec<Key> = planned.iter().map(|(change, _)| change.key.clone()).collect();
        for (key, result) in keys.into_iter().zip(results) {
            match result {
                Ok(id) => drop(self.ids.insert(key, id)),
                Err(message) => {
                    self.fail(&key.0, None, message);
                    self.broken.insert(key);
                }
            }
        }
    }

    /// Brings a list to where it should be; what is there decides after an answer that was lost.
    fn list(&self, change: &ListChange, wanted: &WantedList) -> Result<Object, String> {
        let mut live = change.live.clone();
        let mut last = String::new();
        for round in 1..=ROUNDS {
            if round > 1 {
                std::thread::sleep(self.kibana.http().pause(round));
                live = self
                    .kibana
                    .exception(What::List, &wanted.key.0, &wanted.key.1)
                    .map_err(|e| format!("{last}; and then, looking for it: {e}"))?;
            }
            if let Some(live) = live.as_ref().filter(|l| text(l, "type") != text(&wanted.body, "type")) {
                return Err(format!("it is of type `{}` in Kibana", text(live, "type")));
            }
            let now = container(wanted, live.as_ref(), self.settings);
            let result = match (&now.kind, &live) {
                (Kind::Create, _) => self.kibana.create_exception(What::List, &now.body),
                (Kind::Update, Some(live)) => self.kibana.put_exception(What::List, &now.body, live),
                (_, Some(live)) => return Ok(live.clone()),
                (_, None) => return Err("it is not there".to_owned()),
            };
            match result {
                Ok(live) => return Ok(live),
                Err(e) if again(&e) => last = e.to_string(),
                Err(e) => return Err(e.to_string()),
            }
        }
        Err(last)
    }

    fn items(&mut self) {
        let todo: Vec<(&ListChange, &ItemChange, &WantedItem)> = self
            .planned()
            .into_iter()
            .filter(|(list, _)| !self.broken.contains(&list.key))
            .flat_map(|(list, wanted)| {
                list.items.iter().filter(|i| matches!(i.kind, Kind::Create | Kind::Update)).filter_map(
                    move |item| Some((list, item, wanted.items.iter().find(|w| w.id == item.id)?)),
                )
            })
            .collect();
        let results = each(&todo, self.kibana.http().in_flight(), |(list, change, wanted)| {
            self.item(&list.key, change, wanted)
        });
        let all: Vec<(Key, String, Done)> = todo
            .iter()
            .zip(results)
            .map(|((list, item, _), done)| (list.key.clone(), item.name.clone(), done))
            .collect();
        for (key, name, done) in all {
            match done {
                Done::Fine => {}
                Done::Conflict(change) => self.out.conflicts.push((key.0, *change)),
                Done::Failed(message) => {
                    self.fail(&key.0, Some(&name), message);
                    self.broken.insert(key);
                }
            }
        }
    }

    fn item(&self, list: &Key, change: &ItemChange, wanted: &WantedItem) -> Done {
        let mut live = change.live.clone();
        let mut last = String::new();
        for round in 1..=ROUNDS {
            if round > 1 {
                std::thread::sleep(self.kibana.http().pause(round));
                live = match self.kibana.exception(What::Item, &wanted.id, &list.1) {
                    Ok(live) => live,
                    Err(e) => return Done::Failed(format!("{last}; and then, looking for it: {e}")),
                };
            }
            let now = plan_item(wanted, list, live.as_ref(), self.settings);
            let result = match (&now.kind, &live) {
                (Kind::Create, _) => self.kibana.create_exception(What::Item, &now.body),
                (Kind::Update, Some(live)) => self.kibana.put_exception(What::Item, &now.body, live),
                (Kind::Same, _) => return Done::Fine,
                _ => return Done::Conflict(Box::new(now)),
            };
            match result {
                Ok(_) => return Done::Fine,
                Err(e) if again(&e) => last = e.to_string(),
                Err(e) => return Done::Failed(e.to_string()),
            }
        }
        Done::Failed(last)
    }

    /// Why a rule must wait: a list that it needs is not complete.
    pub fn blocked(&self) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for list in self.lists.wanted.lists.iter().filter(|l| self.broken.contains(&l.key)) {
            for rule in &list.rules {
                out.insert(
                    rule.clone(),
                    format!("not written, because its exception list `{}` is not complete", list.key.0),
                );
            }
        }
        out
    }

    /// What is stale goes, if all rules that it concerns are as they should be; then everything is read back.
    pub fn after(mut self, failed_rules: &BTreeSet<&str>) -> ListsApplied {
        self.stale(failed_rules);
        self.prune();
        self.verify();
        let failed: BTreeSet<&str> = self.out.failed.iter().map(|f| f.list.as_str()).collect();
        let plan = self.lists.plan;
        self.out.written =
            plan.lists.iter().filter(|l| l.writes() && !failed.contains(l.key.0.as_str())).count()
                + plan.values.iter().filter(|v| v.writes() && !failed.contains(v.id.as_str())).count();
        self.out
    }

    fn stale(&mut self, failed_rules: &BTreeSet<&str>) {
        let mut todo: Vec<(Key, ItemChange)> = Vec::new();
        for list in &self.lists.plan.lists {
            let waits = self.broken.contains(&list.key)
                || list.rules.iter().any(|id| failed_rules.contains(id.as_str()));
            for item in list.items.iter().filter(|i| i.kind == Kind::Delete) {
                if waits {
                    // it may be what keeps a rule quiet that has not changed yet
                    let message = "stale, but kept until its list and rules are written".to_owned();
                    self.out.failed.push(NotWritten {
                        list: list.key.0.clone(),
                        item: Some(item.name.clone()),
                        message,
                    });
                } else {
                    todo.push((list.key.clone(), item.clone()));
                }
            }
        }
        let results = each(&todo, self.kibana.http().in_flight(), |(list, item)| self.delete(list, item));
        for ((key, item), done) in todo.iter().zip(results) {
            match done {
                Done::Fine => {}
                Done::Conflict(change) => self.out.conflicts.push((key.0.clone(), *change)),
                Done::Failed(message) => self.fail(&key.0, Some(&item.name), message),
            }
        }
    }

    fn delete(&self, list: &Key, item: &ItemChange) -> Done {
        let live = match self.kibana.exception(What::Item, &item.id, &list.1) {
            Ok(Some(live)) => live,
            Ok(None) => return Done::Fine,
            Err(e) => return Done::Failed(e.to_string()),
        };
        let now = stale(&live, self.settings);
        if now.kind != Kind::Delete || text(&live, "list_id") != list.0 {
            return Done::Conflict(Box::new(now));
        }
        match self.kibana.delete_exception(What::Item, &live) {
            Ok(()) => Done::Fine,
            Err(e) => Done::Failed(e.to_string()),
        }
    }

    /// Lists that go are looked at once more: rules or exceptions may have been added since the plan.
    fn prune(&mut self) {
        let todo: Vec<Key> =
            self.lists.plan.lists.iter().filter(|l| l.kind == Kind::Delete).map(|l| l.key.clone()).collect();
        if todo.is_empty() {
            return;
        }
        let links = match linked(self.kibana) {
            Ok(links) => links,
            Err(e) => {
                todo.iter().for_each(|key| self.fail(&key.0, None, e.to_string()));
                return;
            }
        };
        for key in todo {
            let n = links.as_ref().map(|l| l.get(&key).map_or(0, Vec::len));
            if let Err(message) = self.delete_list(&key, n) {
                self.fail(&key.0, None, message);
            }
        }
    }

    fn delete_list(&self, key: &Key, links: Option<usize>) -> Result<(), String> {
        let told = |e: Failure| e.to_string();
        let Some(list) = self.kibana.exception(What::List, &key.0, &key.1).map_err(told)? else {
            return Ok(());
        };
        let live = live::LiveList { list, items: self.kibana.exceptions_of(key).map_err(told)? };
        match orphan(key, &live, self.settings, links).kind {
            Kind::Orphan { reason } => Err(reason),
            _ => self.kibana.delete_exception(What::List, &live.list).map_err(told),
        }
    }

    /// Reads back what was written: planned once more, nothing may be left to do.
    fn verify(&mut self) {
        let failed: BTreeSet<String> = self.out.failed.iter().map(|f| f.list.clone()).collect();
        let touched = |list: &&WantedList| {
            let planned = self.lists.plan.lists.iter().find(|c| c.key == list.key);
            planned.is_some_and(ListChange::writes) && !failed.contains(&list.key.0)
        };
        let values = |id: &str| {
            let planned = self.lists.plan.values.iter().find(|v| v.id == id);
            planned.is_some_and(values::ValuesChange::writes) && !failed.contains(id)
        };
        let part = WantedLists {
            lists: self.lists.wanted.lists.iter().filter(touched).cloned().collect(),
            values: self.lists.wanted.values.iter().filter(|v| values(&v.id)).cloned().collect(),
            ..WantedLists::default()
        };
        let mut wrong = Vec::new();
        for round in 1..=3 {
            if round > 1 {
                // searches may lag a moment behind writes
                std::thread::sleep(self.kibana.http().pause(round).max(Duration::from_millis(20)));
            }
            wrong = match live::read(self.kibana, &part, &self.settings.pack, false, false) {
                Ok(live) => self.open(&part, &live),
                Err(e) => {
                    let all = part.lists.iter().map(|l| &l.key.0).chain(part.values.iter().map(|v| &v.id));
                    all.map(|id| (id.clone(), None, format!("written, but not read back: {e}"))).collect()
                }
            };
            if wrong.is_empty() {
                break;
            }
        }
        for (list, item, message) in wrong {
            self.out.failed.push(NotWritten { list, item, message });
        }
    }

    /// What is still to do.
    fn open(&self, part: &WantedLists, live: &LiveLists) -> Vec<(String, Option<String>, String)> {
        let mut out = Vec::new();
        for list in &part.lists {
            let now = plan_list(list, live.lists.get(&list.key), self.settings);
            if now.kind.writes() {
                out.push((list.key.0.clone(), None, "written, but it reads back different".to_owned()));
            }
            for item in now.items.iter().filter(|i| i.kind.writes()) {
                let message = match item.kind {
                    Kind::Create => "written, but it is not there".to_owned(),
                    Kind::Delete => "deleted, but it is still there".to_owned(),
                    _ => {
                        format!("written, but Kibana shows something else in `{}`", item.fields.join("`, `"))
                    }
                };
                out.push((list.key.0.clone(), Some(item.name.clone()), message));
            }
        }
        for change in values::plan(&part.values, live).iter().filter(|v| v.writes()) {
            let n = change.added.len();
            out.push((
                change.id.clone(),
                None,
                format!("written, but Kibana does not show {n} of its values"),
            ));
        }
        out
    }
}
