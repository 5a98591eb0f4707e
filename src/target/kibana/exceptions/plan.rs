//! What has to be written so that the lists in Kibana hold the pack's exceptions. Pure; whoever reads again
//! can plan again.

use super::form::{Origin, What, differences, has_tag, merged, only_grows, origin, stamp};
use super::live::{LiveList, LiveLists, find};
use super::values::{self, ValuesChange};
use super::wanted::{WantedItem, WantedList, WantedLists};
use super::{Key, Object, key, text};
use crate::pack::target::OnDrift;
use crate::target::http::one_line;
use crate::target::kibana::ownership::tag;
use crate::target::kibana::plan::{Changeset, Kind, Settings};
use serde_json::Value;
use std::collections::BTreeSet;

/// What is to happen to an exception.
#[derive(Clone, Debug)]
pub struct ItemChange {
    /// `item_id`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is to happen.
    pub kind: Kind,
    /// The properties that differ.
    pub fields: Vec<String>,
    /// What is written; empty where nothing is.
    pub body: Object,
    /// The live exception, if there is one.
    pub live: Option<Object>,
}

/// What is to happen to a list and its exceptions.
#[derive(Clone, Debug)]
pub struct ListChange {
    /// `list_id` and namespace.
    pub key: Key,
    /// What is to happen to the list itself.
    pub kind: Kind,
    /// Its properties that differ.
    pub fields: Vec<String>,
    /// Its exceptions: those of the file in its order, then what the pack wrote and no longer has.
    pub items: Vec<ItemChange>,
    /// How many exceptions the pack knows nothing of; they stay.
    pub kept: usize,
    /// The rule ids of the rules that it is for.
    pub rules: Vec<String>,
    /// What is written; empty where nothing is.
    pub body: Object,
    /// The live list, if there is one.
    pub live: Option<Object>,
}

/// What is to happen to exception lists and value lists.
#[derive(Clone, Debug, Default)]
pub struct ListPlan {
    /// One entry a list: those of the pack, then those that it no longer has.
    pub lists: Vec<ListChange>,
    /// Value lists.
    pub values: Vec<ValuesChange>,
}

impl ListChange {
    /// What happens to the list as a whole, in a word.
    pub fn word(&self) -> &'static str {
        match &self.kind {
            Kind::Create | Kind::Delete | Kind::Orphan { .. } => self.kind.word(),
            Kind::Update => "update",
            _ if self.items.iter().any(|i| i.kind.writes()) => "update",
            _ if self.conflicts() > 0 => "conflict",
            _ => "same",
        }
    }

    /// Whether anything of it is written.
    pub fn writes(&self) -> bool {
        matches!(self.word(), "create" | "update" | "delete")
    }

    /// How many of its exceptions need a person.
    pub fn conflicts(&self) -> usize {
        self.items.iter().filter(|i| matches!(i.kind, Kind::Conflict { .. })).count()
    }
}

impl ListPlan {
    /// Whether anything is written.
    pub fn writes(&self) -> bool {
        self.lists.iter().any(ListChange::writes) || self.values.iter().any(ValuesChange::writes)
    }

    /// How many lists are written, value lists among them.
    pub fn written(&self) -> usize {
        self.lists.iter().filter(|l| l.writes()).count() + self.values.iter().filter(|v| v.writes()).count()
    }

    /// How many exceptions need a person.
    pub fn conflicts(&self) -> usize {
        self.lists.iter().map(ListChange::conflicts).sum()
    }

    /// How many lists belong to the pack, its wishes fulfilled.
    pub fn same(&self) -> usize {
        self.lists.iter().filter(|l| l.word() == "same").count()
            + self.values.iter().filter(|v| !v.writes()).count()
    }

    /// How many lists are of a word.
    pub fn count(&self, word: &str) -> usize {
        self.lists.iter().filter(|l| l.word() == word).count()
    }
}

/// Compares what is wanted with what is there. `whole` tells whether `wanted` is all that the pack has for
/// this target; `rules` is what is to happen to the rules: a list that one keeps its link to stays.
pub fn plan(
    wanted: &WantedLists,
    live: &LiveLists,
    settings: &Settings,
    whole: bool,
    rules: &Changeset,
) -> ListPlan {
    let mut lists: Vec<ListChange> =
        wanted.lists.iter().map(|list| plan_list(list, live.lists.get(&list.key), settings)).collect();
    if whole {
        let others = live
            .lists
            .iter()
            .filter(|(key, list)| wanted.get(key).is_none() && has_tag(&list.list, &tag(&settings.pack)));
        lists.extend(others.map(|(key, list)| {
            let links = live.linked.as_ref().map(|linked| {
                let ids = linked.get(key).map(Vec::as_slice).unwrap_or_default();
                ids.iter().filter(|id| !drops_link(rules, id, key)).count()
            });
            orphan(key, list, settings, links)
        }));
    }
    ListPlan { lists, values: values::plan(&wanted.values, live) }
}

/// Whether a rule, by the id of its object, is about to lose its link to a list.
fn drops_link(rules: &Changeset, id: &str, list: &Key) -> bool {
    let change = rules.changes.iter().find(|c| c.live.as_ref().is_some_and(|l| l.id() == id));
    change.is_some_and(|c| match c.kind {
        Kind::Delete => true,
        Kind::Update | Kind::Replace { .. } => {
            let links = c.body.get("exceptions_list").and_then(Value::as_array);
            !links.into_iter().flatten().any(|l| key(l) == *list)
        }
        _ => false,
    })
}

/// What is to happen to a list and its exceptions.
pub(super) fn plan_list(wanted: &WantedList, live: Option<&LiveList>, settings: &Settings) -> ListChange {
    let mut change = container(wanted, live.map(|l| &l.list), settings);
    let none = LiveList::default();
    let live = live.unwrap_or(&none);
    change.items = wanted
        .items
        .iter()
        .map(|item| plan_item(item, &wanted.key, find(live, &item.id), settings))
        .collect();
    let known: BTreeSet<&str> = wanted.items.iter().map(|i| i.id.as_str()).collect();
    for item in live.items.iter().filter(|i| !known.contains(text(i, "item_id"))) {
        if origin(item, What::Item, &settings.pack) == Origin::Foreign {
            change.kept += 1;
        } else {
            change.items.push(stale(item, settings));
        }
    }
    change
}

/// What is to happen to a list itself.
pub(super) fn container(wanted: &WantedList, live: Option<&Object>, settings: &Settings) -> ListChange {
    let mut change = ListChange {
        key: wanted.key.clone(),
        kind: Kind::Same,
        fields: Vec::new(),
        items: Vec::new(),
        kept: 0,
        rules: wanted.rules.clone(),
        body: Object::new(),
        live: live.cloned(),
    };
    let Some(live) = live else {
        change.kind = Kind::Create;
        change.body = wanted.body.clone();
        stamp(&mut change.body, What::List, settings.commit.as_deref());
        return change;
    };
    let body = merged(&wanted.body, live);
    change.fields = differences(live, &body, What::List);
    if change.fields.is_empty() {
        return change;
    }
    let taken = match origin(live, What::List, &settings.pack) {
        Origin::AsWritten => true,
        // the list of somebody else is used as it is; one that says the same is taken over
        Origin::Foreign => {
            let others = live.get("tags").and_then(Value::as_array).into_iter().flatten();
            !others.filter_map(Value::as_str).any(|t| t.starts_with("rulepack:"))
                && (only_grows(&change.fields) || settings.on_drift == OnDrift::Overwrite)
        }
        Origin::Edited => only_grows(&change.fields) || settings.on_drift == OnDrift::Overwrite,
    };
    if taken {
        change.kind = Kind::Update;
        change.body = body;
        stamp(&mut change.body, What::List, settings.commit.as_deref());
    }
    change
}

/// What is to happen to one wanted exception of a list.
pub(super) fn plan_item(
    wanted: &WantedItem,
    list: &Key,
    live: Option<&Object>,
    settings: &Settings,
) -> ItemChange {
    let mut change = ItemChange {
        id: wanted.id.clone(),
        name: wanted.name.clone(),
        kind: Kind::Same,
        fields: Vec::new(),
        body: Object::new(),
        live: live.cloned(),
    };
    let conflict = |reason: String| Kind::Conflict { reason, help: None };
    let Some(live) = live else {
        change.kind = Kind::Create;
        change.body = wanted.body.clone();
        stamp(&mut change.body, What::Item, settings.commit.as_deref());
        return change;
    };
    if text(live, "list_id") != list.0 {
        let other = one_line(text(live, "list_id"));
        change.kind = conflict(format!("the list `{other}` has an exception with this `item_id`"));
        return change;
    }
    let body = merged(&wanted.body, live);
    change.fields = differences(live, &body, What::Item);
    if change.fields.is_empty() {
        return change;
    }
    let from = origin(live, What::Item, &settings.pack);
    if from != Origin::AsWritten && !only_grows(&change.fields) {
        let who = one_line(text(live, "updated_by"));
        let by = if who.is_empty() { who } else { format!(" by {who}") };
        match (settings.on_drift, from) {
            (OnDrift::Overwrite, _) => {}
            (OnDrift::Keep, _) => {
                change.kind = Kind::Kept;
                return change;
            }
            (OnDrift::Stop, Origin::Foreign) => {
                change.kind = conflict(format!("made in Kibana{by}, not by the pack, and not as here"));
                return change;
            }
            (OnDrift::Stop, _) => {
                change.kind = conflict(format!("edited in Kibana{by}"));
                return change;
            }
        }
    }
    change.kind = Kind::Update;
    change.body = body;
    stamp(&mut change.body, What::Item, settings.commit.as_deref());
    change
}

/// What is to happen to an exception that the pack wrote and no longer has.
pub(super) fn stale(live: &Object, settings: &Settings) -> ItemChange {
    let edited = origin(live, What::Item, &settings.pack) != Origin::AsWritten;
    let kind = if edited && settings.on_drift != OnDrift::Overwrite {
        Kind::Orphan { reason: "no longer in the pack, but edited in Kibana; left alone".to_owned() }
    } else {
        Kind::Delete
    };
    ItemChange {
        id: text(live, "item_id").to_owned(),
        name: one_line(text(live, "name")),
        kind,
        fields: Vec::new(),
        body: Object::new(),
        live: Some(live.clone()),
    }
}

/// What is to happen to a list that the pack wrote and no longer has. `links` is how many rules refer to it,
/// `None` where that is not known.
pub(super) fn orphan(key: &Key, live: &LiveList, settings: &Settings, links: Option<usize>) -> ListChange {
    let others =
        live.items.iter().filter(|i| origin(i, What::Item, &settings.pack) != Origin::AsWritten).count();
    let reason = match origin(&live.list, What::List, &settings.pack) {
        Origin::Foreign => {
            "has the pack's tag, but the pack did not write it like this; left alone".to_owned()
        }
        Origin::Edited => "not in the pack, and edited in Kibana; left alone".to_owned(),
        Origin::AsWritten if !settings.prune => "not in the pack; left alone without --prune".to_owned(),
        Origin::AsWritten if key.1 == "agnostic" => {
            "not in the pack; left alone, because rules of other spaces may use it".to_owned()
        }
        Origin::AsWritten if others > 0 => {
            format!(
                "not in the pack; left alone, because {others} of its exceptions were made or edited in Kibana"
            )
        }
        Origin::AsWritten => match links {
            Some(0) => String::new(),
            Some(1) => "not in the pack; left alone, because a rule uses it".to_owned(),
            Some(n) => format!("not in the pack; left alone, because {n} rules use it"),
            None => {
                "not in the pack; left alone, because not every rule of the space could be read".to_owned()
            }
        },
    };
    ListChange {
        key: key.clone(),
        kind: if reason.is_empty() { Kind::Delete } else { Kind::Orphan { reason } },
        fields: Vec::new(),
        items: Vec::new(),
        kept: live.items.len(),
        rules: Vec::new(),
        body: Object::new(),
        live: Some(live.list.clone()),
    }
}
