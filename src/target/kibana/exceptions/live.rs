//! What Kibana has of exception lists and value lists, as far as it concerns the pack.

use super::form::What;
use super::wanted::WantedLists;
use super::{Key, Object, text};
use crate::diag::{Code, Diagnostic};
use crate::target::http::{Failure, each};
use crate::target::kibana::client::Kibana;
use crate::target::kibana::ownership::tag;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A list with its exceptions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveList {
    /// The list.
    pub list: Object,
    /// Its exceptions.
    pub items: Vec<Object>,
}

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct LiveLists {
    /// The lists that are wanted, and those with the tag of the pack.
    pub lists: BTreeMap<Key, LiveList>,
    /// Wanted value lists that are there, with their type and values.
    pub values: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Which rules refer to which list, by name; `None` where not every rule of the space was read.
    pub linked: Option<BTreeMap<Key, Vec<String>>>,
}

impl LiveLists {
    /// The wanted lists with the ids that this space has given to them; `None` for those yet to be made.
    pub fn ids(&self, wanted: &WantedLists) -> BTreeMap<Key, Option<String>> {
        let id = |key: &Key| self.lists.get(key).map(|l| text(&l.list, "id").to_owned());
        wanted.lists.iter().map(|l| (l.key.clone(), id(&l.key))).collect()
    }
}

/// Reads what is wanted, and where `whole` all that has the tag of the pack. With `prune`, the rules of the
/// space are read as well if lists might go: a list that a rule refers to stays.
///
/// # Errors
/// When Kibana refuses or does not answer.
pub fn read(
    kibana: &Kibana,
    wanted: &WantedLists,
    pack: &str,
    whole: bool,
    prune: bool,
) -> Result<LiveLists, Failure> {
    let mut out = LiveLists::default();
    let mut lists: BTreeMap<Key, Option<Object>> = BTreeMap::new();
    if whole {
        for namespace in ["single", "agnostic"] {
            let tagged = match kibana.tagged_lists(&tag(pack), namespace) {
                Ok(tagged) => tagged,
                // who has no lists needs no rights to them
                Err(Failure::Refused { status: 403 | 404, .. }) if wanted.lists.is_empty() => continue,
                Err(e) => return Err(e),
            };
            for list in tagged {
                lists.insert((text(&list, "list_id").to_owned(), namespace.to_owned()), Some(list));
            }
        }
    }
    let stale = lists.keys().any(|key| wanted.get(key).is_none());
    for list in &wanted.lists {
        lists.entry(list.key.clone()).or_default();
    }
    let keys: Vec<(Key, Option<Object>)> = lists.into_iter().collect();
    let read = each(&keys, kibana.http().in_flight(), |(key, list)| {
        let read = match list {
            Some(list) => Some(LiveList { list: list.clone(), items: kibana.exceptions_of(key)? }),
            None => one(kibana, key)?,
        };
        Ok(read.map(|list| (key.clone(), list)))
    });
    for list in read {
        out.lists.extend(list?);
    }
    for values in &wanted.values {
        if let Some(list) = kibana.value_list(&values.id)? {
            let kind = text(&list, "type").to_owned();
            out.values.insert(values.id.clone(), (kind, kibana.values(&values.id)?));
        }
    }
    if stale && prune {
        out.linked = linked(kibana)?;
    }
    Ok(out)
}

/// A list with its exceptions; `None` where it does not exist.
///
/// # Errors
/// When Kibana refuses or does not answer.
pub fn one(kibana: &Kibana, key: &Key) -> Result<Option<LiveList>, Failure> {
    let Some(list) = kibana.exception(What::List, &key.0, &key.1)? else { return Ok(None) };
    Ok(Some(LiveList { list, items: kibana.exceptions_of(key)? }))
}

/// Which rules of the space refer to which list.
pub(super) fn linked(kibana: &Kibana) -> Result<Option<BTreeMap<Key, Vec<String>>>, Failure> {
    let Some(rules) = kibana.all_rules()? else { return Ok(None) };
    let mut out: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for rule in &rules {
        for link in rule.list("exceptions_list") {
            out.entry(super::key(link)).or_default().push(rule.id().to_owned());
        }
    }
    Ok(Some(out))
}

/// What stands in the way of the wanted lists in this space.
///
/// # Errors
/// When Kibana refuses or does not answer.
pub fn obstacles(
    kibana: &Kibana,
    wanted: &WantedLists,
    live: &LiveLists,
) -> Result<Vec<Diagnostic>, Failure> {
    let mut found = Vec::new();
    for list in &wanted.lists {
        let Some(there) = live.lists.get(&list.key) else { continue };
        let (here, there) = (text(&list.body, "type"), text(&there.list, "type"));
        if here != there {
            let message = format!("the exception list `{}` is of type `{there}` in Kibana", list.key.0);
            let d = Diagnostic::new(Code::RP0911, message)
                .note(format!("{} says `{here}`, and the type of a list cannot change", list.file))
                .help("give the pack's list another `list_id`");
            found.push(d);
        }
    }
    for list in &wanted.values {
        if let Some((kind, _)) = live.values.get(&list.id).filter(|(kind, _)| *kind != list.kind) {
            let message = format!("the value list `{}` is of type `{kind}` in Kibana", list.id);
            let note = format!("exceptions of the pack name it as `{}`", list.kind);
            found.push(Diagnostic::new(Code::RP0911, message).note(note));
        }
    }
    for (id, list) in &wanted.elsewhere {
        if kibana.value_list(id)?.is_none() {
            let d = Diagnostic::new(
                Code::RP0911,
                format!("Kibana has no value list `{id}`, and the pack has no file of it"),
            )
            .note(format!("an exception of `{list}` names it"))
            .help(format!("write its values into `lists/{id}` below the folder of exceptions, one a line"));
            found.push(d);
        }
    }
    Ok(found)
}

/// The live exception with an id, wherever it is.
pub(super) fn find<'a>(live: &'a LiveList, id: &str) -> Option<&'a Object> {
    live.items.iter().find(|i| i.get("item_id").and_then(Value::as_str) == Some(id))
}
