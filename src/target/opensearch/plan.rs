//! What has to be written so that OpenSearch has the monitors of the pack. Pure.

use super::client::Live;
use crate::emit::opensearch::{MARK, Mark, MonitorKind, Notification, Support, without_server_fields};
use crate::pack::target::{Manage, OnDrift};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How to plan.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pack.
    pub pack: String,
    /// What happens to monitors that were edited there.
    pub on_drift: OnDrift,
    /// Whether own monitors that the pack no longer has are deleted.
    pub prune: bool,
    /// How much of which part of a monitor belongs to the pack: `enabled`, `schedule`, `actions`.
    pub manage: BTreeMap<String, Manage>,
}

/// Parts of a monitor that may belong to those who use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Enabled,
    Schedule,
    Actions,
}

impl Part {
    const ALL: [Part; 3] = [Part::Enabled, Part::Schedule, Part::Actions];

    fn name(self) -> &'static str {
        match self {
            Part::Enabled => "enabled",
            Part::Schedule => "schedule",
            Part::Actions => "actions",
        }
    }

    /// How much of it belongs to the pack.
    fn managed(self, wanted: &Wanted, settings: &Settings) -> Manage {
        match settings.manage.get(self.name()) {
            Some(how) => *how,
            None if self == Part::Enabled && !wanted.says_enabled => Manage::CreateOnly,
            None => Manage::Set,
        }
    }
}

/// A monitor that the pack wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The rule's name.
    pub name: String,
    /// The rule's id.
    pub rule_id: String,
    /// The monitor, without the hash of its mark.
    pub monitor: Value,
    /// Whether the rule itself says if it runs; otherwise the state there is kept.
    pub says_enabled: bool,
    /// The fields that its query reads.
    pub fields: Vec<String>,
    /// The kind.
    pub kind: MonitorKind,
}

impl Wanted {
    /// Adds an action to its triggers, unless they have it.
    pub fn notify(&mut self, notification: &Notification) {
        let action = notification.action(self.kind);
        for trigger in triggers_mut(&mut self.monitor) {
            let list = trigger.entry("actions").or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut().filter(|l| !l.contains(&action)) {
                list.push(action.clone());
            }
        }
    }
}

/// A difference of a value within two monitors: its path, what is there and what is wanted.
pub type Difference = (String, Option<Value>, Option<Value>);

/// Where two monitors differ, as they are compared, sorted by path.
pub fn differences(live: &Value, wanted: &Value) -> Vec<Difference> {
    fn walk(a: Option<&Value>, b: Option<&Value>, at: &str, out: &mut Vec<Difference>) {
        match (a, b) {
            (a, b) if a == b => {}
            (Some(Value::Object(x)), Some(Value::Object(y))) => {
                let mut keys: Vec<&String> = x.keys().chain(y.keys()).collect();
                keys.sort();
                keys.dedup();
                keys.into_iter().for_each(|k| walk(x.get(k), y.get(k), &format!("{at}/{k}"), out));
            }
            (Some(Value::Array(x)), Some(Value::Array(y))) => {
                (0..x.len().max(y.len())).for_each(|i| walk(x.get(i), y.get(i), &format!("{at}/{i}"), out));
            }
            (a, b) => out.push((at.to_owned(), a.cloned(), b.cloned())),
        }
    }
    let mut out = Vec::new();
    let (live, wanted) = (Value::Object(normal(live)), Value::Object(normal(wanted)));
    walk(Some(&live), Some(&wanted), "", &mut out);
    out
}

/// The monitors that are generated. A canary has no triggers, so it only leaves findings; only doc-level
/// monitors can be canaries.
pub fn wanted(all: &[Support], says_enabled: &dyn Fn(&str) -> bool, canary: bool) -> Vec<Wanted> {
    all.iter()
        .filter(|s| s.is_generated() && (!canary || s.kind == Some(MonitorKind::DocLevel)))
        .filter_map(|s| {
            let mut monitor = s.monitor.clone()?;
            if let Some(map) = monitor.as_object_mut().filter(|_| canary) {
                map.insert("triggers".to_owned(), json!([]));
            }
            Some(Wanted {
                name: s.name.clone(),
                rule_id: s.rule_id.clone(),
                monitor,
                says_enabled: says_enabled(&s.name),
                fields: s.fields.clone(),
                kind: s.kind?,
            })
        })
        .collect()
}

/// What is to happen to a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is not there.
    Create,
    /// Something differs.
    Update,
    /// A person has to decide; it is left alone.
    Conflict(String),
    /// Edited there, and left so as configured.
    Kept,
    /// The pack owns it and no longer has it; it is left alone.
    Orphan,
    /// The pack owns it and no longer has it: it goes.
    Delete,
    /// Its rules stand in another monitor now: it goes once that one is there.
    Moved,
    /// Nothing.
    Same,
}

impl Kind {
    /// The mark and the word that people see.
    pub fn words(&self) -> (&'static str, &'static str) {
        match self {
            Kind::Create => ("+", "create"),
            Kind::Update => ("~", "update"),
            Kind::Conflict(_) => ("!", "conflict"),
            Kind::Kept => ("=", "kept"),
            Kind::Orphan => ("-", "orphan"),
            Kind::Delete => ("-", "delete"),
            Kind::Moved => ("-", "moved"),
            Kind::Same => ("=", "same"),
        }
    }

    /// Whether it writes.
    pub fn writes(&self) -> bool {
        matches!(self, Kind::Create | Kind::Update | Kind::Delete | Kind::Moved)
    }
}

/// A change.
#[derive(Clone, Debug)]
pub struct Change {
    /// The rule's name, or that of the monitor where there is no rule.
    pub name: String,
    /// The rule's id.
    pub rule_id: String,
    /// What is to happen.
    pub kind: Kind,
    /// The properties that differ, at the top of the monitor.
    pub fields: Vec<String>,
    /// What is there.
    pub live: Option<Live>,
    /// What is written.
    pub body: Value,
}

/// A monitor in the one form that is compared: without what the server adds, nulls and the mark.
fn normal(monitor: &Value) -> Map<String, Value> {
    fn without_nulls(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let kept = map.iter().filter(|(_, v)| !v.is_null());
                crate::emit::sorted(kept.map(|(k, v)| (k.clone(), without_nulls(v))).collect())
            }
            Value::Array(items) => items.iter().map(without_nulls).collect(),
            other => other.clone(),
        }
    }
    let mut map = match without_nulls(&without_server_fields(monitor)) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    // how Dashboards draws it says nothing about what it does
    map.shift_remove("ui_metadata");
    map
}

pub(super) fn hash(value: &Value) -> String {
    Sha256::digest(value.to_string().as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// The triggers of a monitor, each below its kind.
fn triggers(monitor: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    let list = monitor.get("triggers").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|t| t.as_object()?.values().next()?.as_object())
}

fn triggers_mut(monitor: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let list = monitor.get_mut("triggers").and_then(Value::as_array_mut).into_iter().flatten();
    list.filter_map(|t| t.as_object_mut()?.values_mut().next()?.as_object_mut())
}

/// The hash of a monitor without its parts, and those of the parts.
fn hashes(monitor: &Value) -> (String, BTreeMap<String, String>) {
    let mut whole = Value::Object(normal(monitor));
    let mut parts = BTreeMap::new();
    for part in Part::ALL {
        let value: Value = match part {
            Part::Actions => triggers_mut(&mut whole).filter_map(|t| t.shift_remove("actions")).collect(),
            _ => {
                let map = whole.as_object_mut();
                map.and_then(|m| m.shift_remove(part.name())).unwrap_or(Value::Null)
            }
        };
        parts.insert(part.name().to_owned(), hash(&value));
    }
    (hash(&whole), parts)
}

/// Whether somebody changed what belongs to the pack since it was written.
fn is_edited(live: &Live, wanted: &Wanted, settings: &Settings) -> bool {
    let Some(Mark { hash: Some(written), parts, .. }) = live.mark() else { return true };
    let (now, parts_now) = hashes(&live.monitor);
    let owned = Part::ALL.into_iter().filter(|p| p.managed(wanted, settings) == Manage::Set);
    now != written || owned.into_iter().any(|p| parts.get(p.name()) != parts_now.get(p.name()))
}

/// The properties at the top that differ.
pub fn fields_of(a: &Value, b: &Value) -> Vec<String> {
    let (a, b) = (normal(a), normal(b));
    let mut out: Vec<String> = a.keys().chain(b.keys()).filter(|k| a.get(*k) != b.get(*k)).cloned().collect();
    out.sort();
    out.dedup();
    out
}

/// The body of a write: with what belongs to those who use the monitor, and the hashes of it all in its mark.
fn body(wanted: &Wanted, live: Option<&Live>, settings: &Settings) -> Value {
    let mut out = wanted.monitor.clone();
    for part in Part::ALL {
        let how = part.managed(wanted, settings);
        match (part, live.map(|l| &l.monitor)) {
            (Part::Actions, None) if how == Manage::Ignore => {
                triggers_mut(&mut out).for_each(|t| drop(t.insert("actions".to_owned(), json!([]))));
            }
            (_, None) => {}
            (Part::Actions, Some(there)) => keep_actions(&mut out, there, how),
            (_, Some(_)) if how == Manage::Set => {}
            (_, Some(there)) => {
                for pointer in ["", "/ui_metadata"] {
                    if let (Some(value), Some(to)) = (
                        there.pointer(&format!("{pointer}/{}", part.name())),
                        out.pointer_mut(pointer).and_then(Value::as_object_mut),
                    ) {
                        to.insert(part.name().to_owned(), value.clone());
                    }
                }
            }
        }
    }
    let (hash, parts) = hashes(&out);
    if let Some(mark) = out.pointer_mut(&format!("/ui_metadata/{MARK}")).and_then(Value::as_object_mut) {
        mark.insert("hash".to_owned(), hash.into());
        mark.insert("parts".to_owned(), json!(parts));
    }
    out
}

/// Actions of the live monitor that stay: all, or besides those of the pack.
fn keep_actions(out: &mut Value, there: &Value, how: Manage) {
    for trigger in triggers_mut(out) {
        let id = trigger.get("id");
        let live = triggers(there).find(|t| t.get("id") == id);
        let Some(theirs) = live.and_then(|t| t.get("actions")?.as_array()) else { continue };
        match how {
            Manage::Set => {}
            Manage::CreateOnly | Manage::Ignore => {
                trigger.insert("actions".to_owned(), theirs.clone().into());
            }
            Manage::Add => {
                let own = trigger.get_mut("actions").and_then(Value::as_array_mut);
                let Some(own) = own else { continue };
                let more = theirs.iter().filter(|a| !own.iter().any(|o| o.get("id") == a.get("id")));
                let more: Vec<Value> = more.cloned().collect();
                own.extend(more);
            }
        }
    }
}

/// The change set, in the order of what is wanted; then what is there and not wanted. `whole` tells whether
/// all of the pack is wanted.
pub fn plan(wanted: &[Wanted], live: &[Live], settings: &Settings, whole: bool) -> Vec<Change> {
    let own: Vec<&Live> = live.iter().filter(|l| l.mark().is_some_and(|m| m.pack == settings.pack)).collect();
    let mut out: Vec<Change> = wanted.iter().map(|w| one(w, &own, live, settings)).collect();
    let queries: BTreeSet<String> = wanted.iter().flat_map(|w| query_ids(&w.monitor)).collect();
    if !whole {
        return out;
    }
    for there in own {
        let Some(mark) = there.mark() else { continue };
        if wanted.iter().any(|w| w.rule_id == mark.rule_id) {
            continue;
        }
        // left where it is, it would alert a second time
        let moved = query_ids(&there.monitor).iter().any(|id| queries.contains(id));
        let untouched = mark.hash.as_ref() == Some(&hashes(&there.monitor).0);
        let kind = match settings.on_drift {
            _ if moved && untouched => Kind::Moved,
            OnDrift::Overwrite if moved => Kind::Moved,
            _ if moved => {
                Kind::Conflict("edited in OpenSearch, and its rules stand in another monitor now".to_owned())
            }
            _ if settings.prune => Kind::Delete,
            _ => Kind::Orphan,
        };
        out.push(Change {
            name: there.name().to_owned(),
            rule_id: mark.rule_id,
            kind,
            fields: Vec::new(),
            live: Some(there.clone()),
            body: Value::Null,
        });
    }
    out
}

/// The ids of the stored queries of a monitor: those of its rules.
fn query_ids(monitor: &Value) -> Vec<String> {
    let queries = monitor.pointer("/inputs/0/doc_level_input/queries").and_then(Value::as_array);
    queries.into_iter().flatten().filter_map(|q| Some(q.get("id")?.as_str()?.to_owned())).collect()
}

fn one(wanted: &Wanted, own: &[&Live], all: &[Live], settings: &Settings) -> Change {
    let change = |kind: Kind, fields: Vec<String>, live: Option<&Live>| Change {
        name: wanted.name.clone(),
        rule_id: wanted.rule_id.clone(),
        kind,
        fields,
        body: body(wanted, live, settings),
        live: live.cloned(),
    };
    let title = wanted.monitor.get("name").and_then(Value::as_str).unwrap_or_default();
    let mine: Vec<&&Live> =
        own.iter().filter(|l| l.mark().is_some_and(|m| m.rule_id == wanted.rule_id)).collect();
    let there = match mine.as_slice() {
        [one] => **one,
        [] => {
            // an edit in Dashboards may have taken the mark away
            return match all.iter().find(|l| l.name() == title) {
                Some(other) if other.mark().is_none() => {
                    let reason = format!("a monitor `{title}` without the mark of a pack is there");
                    change(Kind::Conflict(reason), Vec::new(), Some(other))
                }
                _ => change(Kind::Create, Vec::new(), None),
            };
        }
        several => {
            let reason = format!("{} monitors carry the id of this rule", several.len());
            return change(Kind::Conflict(reason), Vec::new(), None);
        }
    };
    let body = body(wanted, Some(there), settings);
    let fields = fields_of(&there.monitor, &body);
    let edited = is_edited(there, wanted, settings);
    match (fields.is_empty(), edited, settings.on_drift) {
        (true, false, _) => change(Kind::Same, fields, Some(there)),
        // the same in all but its mark: an edit that came to the same
        (true, true, _) => change(Kind::Update, vec!["mark".to_owned()], Some(there)),
        (false, false, _) | (false, true, OnDrift::Overwrite) => change(Kind::Update, fields, Some(there)),
        (false, true, OnDrift::Keep) => change(Kind::Kept, fields, Some(there)),
        (false, true, OnDrift::Stop) => {
            let reason = format!("edited in OpenSearch: {} differ", fields.join(", "));
            change(Kind::Conflict(reason), fields, Some(there))
        }
    }
}
