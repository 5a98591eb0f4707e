//! What has to be written so that OpenSearch has the monitors of the pack. Pure.

use super::client::Live;
use crate::emit::opensearch::{MARK, MonitorKind, Support, without_server_fields};
use crate::pack::target::OnDrift;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// How to plan.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pack.
    pub pack: String,
    /// What happens to monitors that were edited there.
    pub on_drift: OnDrift,
    /// Whether own monitors that the pack no longer has are deleted.
    pub prune: bool,
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
            Kind::Same => ("=", "same"),
        }
    }

    /// Whether it writes.
    pub fn writes(&self) -> bool {
        matches!(self, Kind::Create | Kind::Update | Kind::Delete)
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

fn hash(normal: &Map<String, Value>) -> String {
    let text = Value::Object(normal.clone()).to_string();
    Sha256::digest(text.as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// The properties at the top that differ.
pub fn fields_of(a: &Value, b: &Value) -> Vec<String> {
    let (a, b) = (normal(a), normal(b));
    let mut out: Vec<String> = a.keys().chain(b.keys()).filter(|k| a.get(*k) != b.get(*k)).cloned().collect();
    out.sort();
    out.dedup();
    out
}

/// The body of a write: with the hash of what is written in its mark.
fn body(wanted: &Wanted, live: Option<&Live>) -> Value {
    let mut out = wanted.monitor.clone();
    if let (Some(live), Some(map), false) = (live, out.as_object_mut(), wanted.says_enabled)
        && let Some(enabled) = live.monitor.get("enabled")
    {
        map.insert("enabled".to_owned(), enabled.clone());
    }
    let hash = hash(&normal(&out));
    if let Some(mark) = out.pointer_mut(&format!("/ui_metadata/{MARK}")).and_then(Value::as_object_mut) {
        mark.insert("hash".to_owned(), hash.into());
    }
    out
}

/// The change set, in the order of what is wanted; then what is there and not wanted. `whole` tells whether
/// all of the pack is wanted.
pub fn plan(wanted: &[Wanted], live: &[Live], settings: &Settings, whole: bool) -> Vec<Change> {
    let own: Vec<&Live> = live.iter().filter(|l| l.mark().is_some_and(|m| m.pack == settings.pack)).collect();
    let mut out: Vec<Change> = wanted.iter().map(|w| one(w, &own, live, settings)).collect();
    if !whole {
        return out;
    }
    for there in own {
        let Some(mark) = there.mark() else { continue };
        if wanted.iter().any(|w| w.rule_id == mark.rule_id) {
            continue;
        }
        out.push(Change {
            name: there.name().to_owned(),
            rule_id: mark.rule_id,
            kind: if settings.prune { Kind::Delete } else { Kind::Orphan },
            fields: Vec::new(),
            live: Some(there.clone()),
            body: Value::Null,
        });
    }
    out
}

fn one(wanted: &Wanted, own: &[&Live], all: &[Live], settings: &Settings) -> Change {
    let change = |kind: Kind, fields: Vec<String>, live: Option<&Live>| Change {
        name: wanted.name.clone(),
        rule_id: wanted.rule_id.clone(),
        kind,
        fields,
        body: body(wanted, live),
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
    let body = body(wanted, Some(there));
    let fields = fields_of(&there.monitor, &body);
    let mark = there.mark().and_then(|m| m.hash);
    let edited = mark.as_deref() != Some(hash(&normal(&there.monitor)).as_str());
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
