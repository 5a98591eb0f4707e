//! The change set: what has to be written so that Kibana has what the pack wants. Pure; whoever reads
//! Kibana again can plan again.

use super::exceptions::{key, link_name};
use super::normalise::{is_server_tag, normal, normal_action, without_server_fields};
use super::ownership::{Live, Stamp, comparable, hash, tag};
use super::wanted::Wanted;
use crate::pack::Target;
use crate::pack::target::{Manage, MaxPrune, OnDrift};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How to plan.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the pack.
    pub pack: String,
    /// The name of the target, for what people are told.
    pub target: String,
    /// How much of which property belongs to the pack.
    pub manage: BTreeMap<String, Manage>,
    /// What happens to rules that were edited in Kibana.
    pub on_drift: OnDrift,
    /// Whether own rules that the pack no longer has are deleted.
    pub prune: bool,
    /// The most rules that may be deleted.
    pub max_prune: MaxPrune,
    /// The commit of the pack.
    pub commit: Option<String>,
    /// Rules that were being replaced when a deploy was cut off, as they were, by rule id.
    pub rescued: BTreeMap<String, Live>,
}

impl Settings {
    /// The settings of a target.
    pub fn new(pack: &str, target: &Target) -> Settings {
        Settings {
            pack: pack.to_owned(),
            target: target.name.clone(),
            manage: target.manage.clone(),
            on_drift: target.on_drift,
            prune: false,
            max_prune: target.max_prune,
            commit: None,
            rescued: BTreeMap::new(),
        }
    }

    /// How a property is managed. Links to exception lists and actions that were made in Kibana stay
    /// unless the configuration says otherwise.
    pub(super) fn mode(&self, property: &str) -> Manage {
        let usual = match property {
            "exceptions_list" | "actions" => Manage::Add,
            _ => Manage::Set,
        };
        self.manage.get(property).copied().unwrap_or(usual)
    }

    /// All modes as one text: hashes under different modes cannot be compared.
    fn modes(&self) -> String {
        self.manage.iter().map(|(k, v)| format!("{k}={};", v.word())).collect()
    }

    pub(super) fn hash(&self, normal: &Map<String, Value>) -> String {
        hash(normal, |property| self.mode(property) == Manage::Set, &self.modes())
    }
}

/// What is to happen to a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is not there.
    Create,
    /// Properties differ.
    Update,
    /// Its type differs, so it becomes a new object.
    Replace {
        /// The type that Kibana has.
        from: String,
        /// The type that the pack has.
        to: String,
    },
    /// Only whether it runs differs.
    Enable,
    /// Only whether it runs differs.
    Disable,
    /// A person has to decide; it is left alone.
    Conflict {
        /// What is the matter.
        reason: String,
        /// What may be done.
        help: Option<String>,
    },
    /// Edited in Kibana, and left so as configured.
    Kept,
    /// The pack owns it and no longer has it.
    Orphan {
        /// Why it is left alone.
        reason: String,
    },
    /// The pack owns it and no longer has it: it goes.
    Delete,
    /// Nothing.
    Same,
}

impl Kind {
    /// The word that people see.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Create => "create",
            Kind::Update => "update",
            Kind::Replace { .. } => "replace",
            Kind::Enable => "enable",
            Kind::Disable => "disable",
            Kind::Conflict { .. } => "conflict",
            Kind::Kept => "kept",
            Kind::Orphan { .. } => "orphan",
            Kind::Delete => "delete",
            Kind::Same => "same",
        }
    }

    /// The mark that stands before the word.
    pub fn mark(&self) -> &'static str {
        match self {
            Kind::Create => "+",
            Kind::Update | Kind::Enable | Kind::Disable => "~",
            Kind::Replace { .. } => "-/+",
            Kind::Conflict { .. } => "!",
            Kind::Orphan { .. } | Kind::Delete => "-",
            Kind::Kept | Kind::Same => "=",
        }
    }

    /// Whether it writes.
    pub fn writes(&self) -> bool {
        !matches!(self, Kind::Conflict { .. } | Kind::Kept | Kind::Orphan { .. } | Kind::Same)
    }
}

/// A property that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// The property.
    pub field: String,
    /// What Kibana has, in the one form; `None` where it has nothing.
    pub from: Option<Value>,
    /// What the pack wants; `None` for nothing.
    pub to: Option<Value>,
}

/// What stays of a live rule although the pack knows nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Links to exception lists.
    pub exceptions: usize,
    /// Actions.
    pub actions: usize,
}

/// One rule and what is to happen to it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its name in the pack; for a rule that the pack does not have, the name that it had or its title.
    pub name: String,
    /// The rule id.
    pub rule_id: String,
    /// What is to happen.
    pub kind: Kind,
    /// The properties that differ, sorted.
    pub fields: Vec<FieldChange>,
    /// What stays.
    pub kept: Kept,
    /// Whether it is switched on or off, after everything else.
    pub toggle: Option<bool>,
    /// What is written; empty where nothing is.
    pub body: Map<String, Value>,
    /// The live rule, if there is one.
    pub live: Option<Live>,
}

/// What a deploy is about to do.
#[derive(Clone, Debug, Default)]
pub struct Changeset {
    /// One entry a rule: those of the pack in its order, then orphans by name.
    pub changes: Vec<Change>,
    /// How many live rules the pack owns.
    pub owned: usize,
}

impl Changeset {
    /// How many changes are of a kind, by its word.
    pub fn count(&self, word: &str) -> usize {
        self.changes.iter().filter(|c| c.kind.word() == word).count()
    }

    /// Whether anything is written.
    pub fn writes(&self) -> bool {
        self.changes.iter().any(|c| c.kind.writes())
    }
}

/// Compares what is wanted with what is there. `whole` tells whether `wanted` is all that the pack has
/// for this target: only then can a live rule be an orphan.
pub fn plan(wanted: &[Wanted], live: &[Live], settings: &Settings, whole: bool) -> Changeset {
    let mut by_rule_id: BTreeMap<&str, Vec<&Live>> = BTreeMap::new();
    for rule in live {
        by_rule_id.entry(rule.rule_id()).or_default().push(rule);
    }
    let none = Vec::new();
    let mut changes: Vec<Change> = wanted
        .iter()
        .map(|w| plan_one(w, by_rule_id.get(w.rule_id.as_str()).unwrap_or(&none), settings))
        .collect();
    let owned: Vec<&Live> =
        live.iter().filter(|l| l.is_owned_by(&settings.pack) && !l.is_prebuilt()).collect();
    if whole {
        let known: BTreeSet<&str> = wanted.iter().map(|w| w.rule_id.as_str()).collect();
        let mut orphans: Vec<Change> =
            owned.iter().filter(|l| !known.contains(l.rule_id())).map(|l| orphan(l, settings)).collect();
        orphans.sort_by(|a, b| (&a.name, &a.rule_id).cmp(&(&b.name, &b.rule_id)));
        changes.extend(orphans);
    }
    Changeset { changes, owned: owned.len() }
}

fn orphan(live: &Live, settings: &Settings) -> Change {
    let stamp = live.stamp();
    let ours = stamp.as_ref().filter(|s| s.rule_id == live.rule_id());
    let edited = is_edited(live, settings);
    let reason = match ours {
        // a copy has the tag, and perhaps the stamp, of the rule that it was made from
        None => "has the pack's tag, but the pack did not write it like this; left alone",
        Some(_) if edited && settings.on_drift != OnDrift::Overwrite => {
            "not in the pack, and edited in Kibana; left alone"
        }
        Some(_) if !settings.prune => "not in the pack; left alone without --prune",
        Some(_) => "",
    };
    // the stamped name of a copy would be that of its original
    let name = ours.map(|s| s.name.clone()).filter(|n| !n.is_empty());
    Change {
        name: name.unwrap_or_else(|| crate::target::http::one_line(live.title())),
        rule_id: live.rule_id().to_owned(),
        kind: if reason.is_empty() { Kind::Delete } else { Kind::Orphan { reason: reason.to_owned() } },
        fields: Vec::new(),
        kept: Kept::default(),
        toggle: None,
        body: Map::new(),
        live: Some(live.clone()),
    }
}

/// Whether a live rule is no longer what was written: its stamp is gone or tells something else.
fn is_edited(live: &Live, settings: &Settings) -> bool {
    let now = settings.hash(&normal(live.json()));
    match live.stamp() {
        None => true,
        Some(stamp) => comparable(&stamp.hash, &now) && stamp.hash != now,
    }
}

/// What is to happen to one rule, `live` being all live rules with its id.
pub(super) fn plan_one(wanted: &Wanted, live: &[&Live], settings: &Settings) -> Change {
    let change = |kind: Kind, live: Option<&Live>| Change {
        name: wanted.name.clone(),
        rule_id: wanted.rule_id.clone(),
        kind,
        fields: Vec::new(),
        kept: Kept::default(),
        toggle: None,
        body: Map::new(),
        live: live.cloned(),
    };
    let conflict = |reason: String, help: Option<String>| Kind::Conflict { reason, help };
    let Some(first) = live.first().copied() else {
        return create(wanted, settings, change(Kind::Create, None));
    };
    if live.len() > 1 {
        let ids: Vec<&str> = live.iter().map(|l| l.id()).collect();
        let reason = format!("Kibana has {} rules with this rule id: {}", ids.len(), ids.join(", "));
        return change(conflict(reason, Some("delete all but one in Kibana".to_owned())), Some(first));
    }
    if first.is_prebuilt() {
        let help = "give the pack's rule an id of its own".to_owned();
        return change(
            conflict("a prebuilt rule of Elastic has this rule id".to_owned(), Some(help)),
            Some(first),
        );
    }
    if !first.is_owned_by(&settings.pack) {
        let (reason, help) = match first.owner() {
            Some(other) => (
                format!("belongs to the pack `{}`", crate::target::http::one_line(other)),
                format!("take the tag `{}` off it in Kibana, and add `{}`", tag(other), tag(&settings.pack)),
            ),
            None => (
                "a rule with this rule id was made without the pack".to_owned(),
                format!("add the tag `{}` to it in Kibana to hand it over", tag(&settings.pack)),
            ),
        };
        return change(conflict(reason, Some(crate::target::http::one_line(&help))), Some(first));
    }
    existing(wanted, first, settings, change(Kind::Same, Some(first)))
}

fn create(wanted: &Wanted, settings: &Settings, mut change: Change) -> Change {
    let mut body = without_server_fields(&wanted.body);
    body.retain(|property, _| settings.mode(property) != Manage::Ignore || property == "type");
    if let Some(rescued) = settings.rescued.get(&wanted.rule_id) {
        change.kept.exceptions = carry_exceptions(&mut body, rescued);
    }
    let enable = match settings.manage.get("enabled") {
        Some(Manage::Ignore) => false,
        _ => wanted.enabled.unwrap_or(true),
    };
    body.insert("enabled".to_owned(), json!(false));
    name_actions(&mut body);
    stamp(&mut body, wanted, None, settings, enable);
    change.toggle = enable.then_some(true);
    change.body = body;
    change
}

/// Gives new actions their identity. Kibana would give one at every write, so that the same write sent
/// twice would look like an edit.
fn name_actions(body: &mut Map<String, Value>) {
    for action in body.get_mut("actions").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(action) = action.as_object_mut() {
            action.entry("uuid").or_insert_with(|| json!(uuid::Uuid::new_v4().to_string()));
        }
    }
}

/// Writes the stamp, beside what else is in `meta`.
fn stamp(
    body: &mut Map<String, Value>,
    wanted: &Wanted,
    live: Option<&Live>,
    settings: &Settings,
    enable: bool,
) {
    let stamp = Stamp {
        hash: settings.hash(&normal(body)),
        commit: settings.commit.clone(),
        name: wanted.name.clone(),
        rule_id: wanted.rule_id.clone(),
        enable,
        links: {
            let links = wanted.body.get("exceptions_list").and_then(Value::as_array);
            links.into_iter().flatten().map(|l| link_name(&key(l))).collect()
        },
    };
    let object = |v: Option<&Value>| v.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut meta = object(live.and_then(|l| l.json().get("meta")));
    meta.extend(object(wanted.body.get("meta")));
    meta.insert("rulepack".to_owned(), stamp.json());
    body.insert("meta".to_owned(), Value::Object(meta));
}

fn existing(wanted: &Wanted, live: &Live, settings: &Settings, mut change: Change) -> Change {
    let (desired, kept) = desired(wanted, live, settings);
    let (here, there) = (normal(&desired), normal(live.json()));
    change.fields = differences(&there, &here);
    change.kept = kept;
    change.toggle = toggle(wanted, live, settings);
    if change.fields.is_empty() {
        change.kind = match change.toggle {
            Some(true) => Kind::Enable,
            Some(false) => Kind::Disable,
            None => Kind::Same,
        };
        return change;
    }
    let links = desired.get("exceptions_list").and_then(Value::as_array).into_iter().flatten();
    if links.filter(|l| l.get("type").and_then(Value::as_str) == Some("rule_default")).count() > 1 {
        change.kind = Kind::Conflict {
            reason: "it has a default exception list in Kibana, and Kibana takes one only".to_owned(),
            help: Some("give the pack's list the type `detection`".to_owned()),
        };
        change.toggle = None;
        return change;
    }
    if is_edited(live, settings) {
        match settings.on_drift {
            OnDrift::Overwrite => {}
            OnDrift::Keep => {
                change.kind = Kind::Kept;
                change.toggle = None;
                return change;
            }
            OnDrift::Stop => {
                change.kind = drift(&change, live, settings.hash(&here), settings);
                change.toggle = None;
                return change;
            }
        }
    }
    let kind = wanted.body.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut body = desired;
    name_actions(&mut body);
    let own = wanted.body.get("version").and_then(Value::as_u64).unwrap_or(0);
    body.insert("version".to_owned(), json!(own.max(live.version() + 1)));
    if kind != live.kind() {
        change.kind = Kind::Replace { from: live.kind().to_owned(), to: kind.to_owned() };
        let enable = match (settings.manage.get("enabled"), wanted.enabled) {
            (None | Some(Manage::Set), Some(enabled)) => enabled,
            _ => live.is_enabled(),
        };
        body.insert("enabled".to_owned(), json!(false));
        stamp(&mut body, wanted, Some(live), settings, enable);
        change.toggle = enable.then_some(true);
    } else {
        change.kind = Kind::Update;
        // a property that this version of rulepack does not know would fall back to its default
        for (property, value) in without_server_fields(live.json()) {
            if !body.contains_key(&property) && !normal(live.json()).contains_key(&property) {
                body.entry(property).or_insert(value);
            }
        }
        body.insert("enabled".to_owned(), json!(live.is_enabled()));
        let pending = live.stamp().is_some_and(|s| s.enable) && live.is_untouched();
        stamp(&mut body, wanted, Some(live), settings, pending && change.toggle == Some(true));
    }
    change.body = body;
    change
}

/// The conflict of a rule that was edited in Kibana.
fn drift(change: &Change, live: &Live, here: String, settings: &Settings) -> Kind {
    let fields: Vec<String> = change.fields.iter().map(|f| format!("`{}`", f.field)).collect();
    let fields = fields.join(", ");
    let who = crate::target::http::one_line(live.updated_by());
    let by = |before: &str, after: &str| {
        if who.is_empty() { String::new() } else { format!("{before}by {who}{after}") }
    };
    let reason = match live.stamp() {
        Some(stamp) if stamp.hash == here => format!("{fields}: changed in Kibana{}", by(" ", "")),
        Some(_) => format!("{fields}: changed here and{} in Kibana", by(", ", ",")),
        None => format!("{fields}: not as here, and edited in Kibana{}", by(" ", "")),
    };
    let help = format!("rulepack pull --target {} {}", settings.target, change.name);
    Kind::Conflict { reason, help: Some(help) }
}

/// Whether a live rule is switched on or off.
fn toggle(wanted: &Wanted, live: &Live, settings: &Settings) -> Option<bool> {
    let want = match (settings.manage.get("enabled"), wanted.enabled) {
        (Some(Manage::Ignore), _) => return None,
        (None | Some(Manage::Set | Manage::Add), Some(enabled)) => enabled,
        // created, but the deploy was cut off before it was switched on
        _ if live.is_untouched() && live.stamp().is_some_and(|s| s.enable) => true,
        _ => return None,
    };
    (want != live.is_enabled()).then_some(want)
}

/// The rule as it is to be, given what is there; and what stays of that.
pub(super) fn desired(wanted: &Wanted, live: &Live, settings: &Settings) -> (Map<String, Value>, Kept) {
    let mut body = without_server_fields(&wanted.body);
    let mut kept = Kept::default();
    let live_properties = without_server_fields(live.json());
    let properties: BTreeSet<&String> = body.keys().chain(live_properties.keys()).collect();
    let properties: Vec<String> = properties.into_iter().cloned().collect();
    for property in &properties {
        let there = live_properties.get(property);
        match (property.as_str(), settings.mode(property)) {
            ("meta" | "enabled" | "version" | "rule_id" | "type", _) => {}
            (_, Manage::CreateOnly | Manage::Ignore) => match there {
                Some(value) => {
                    body.insert(property.clone(), value.clone());
                }
                None => {
                    body.remove(property);
                }
            },
            ("exceptions_list", Manage::Add) => kept.exceptions = carry_exceptions(&mut body, live),
            ("actions", mode) => kept.actions = carry_actions(&mut body, live, mode == Manage::Add),
            (_, Manage::Add) => add(&mut body, property, there),
            ("tags", Manage::Set) => {
                let server = live.tags().filter(|t| is_server_tag(t)).map(|t| json!(t)).collect();
                add(&mut body, property, Some(&Value::Array(server)));
            }
            (_, Manage::Set) => {}
        }
    }
    (body, kept)
}

/// Adds the entries of a live list to the pack's.
fn add(body: &mut Map<String, Value>, property: &str, there: Option<&Value>) {
    let Some(there) = there.and_then(Value::as_array).filter(|t| !t.is_empty()) else { return };
    let here = body.entry(property).or_insert_with(|| json!([]));
    if let Some(here) = here.as_array_mut() {
        for entry in there {
            if !here.contains(entry) {
                here.push(entry.clone());
            }
        }
    }
}

/// Keeps the live links to exception lists; tells how many the pack does not have itself. Only a link that
/// the pack made, and no longer has, goes.
fn carry_exceptions(body: &mut Map<String, Value>, live: &Live) -> usize {
    let there = live.list("exceptions_list");
    if there.is_empty() {
        return 0;
    }
    let stamp = live.stamp().filter(|s| s.rule_id == live.rule_id());
    let ours = stamp.map(|s| s.links).unwrap_or_default();
    let here = body.entry("exceptions_list").or_insert_with(|| json!([]));
    let Some(here) = here.as_array_mut() else { return 0 };
    let own: Vec<_> = here.iter().map(key).collect();
    let stays = |l: &&Value| !own.contains(&key(l)) && !ours.contains(&link_name(&key(l)));
    let others: Vec<Value> = there.iter().filter(stays).cloned().collect();
    let n = others.len();
    here.extend(others);
    n
}

/// Gives the pack's actions the identities of the live ones that they are, so that their throttling
/// goes on; with `add`, keeps the others and tells how many.
fn carry_actions(body: &mut Map<String, Value>, live: &Live, add: bool) -> usize {
    let form = |action: &Value| {
        let mut map = action.as_object().cloned().unwrap_or_default();
        normal_action(&mut map, None);
        crate::emit::sorted(Value::Object(map))
    };
    let place = |action: &Value| {
        let form = form(action);
        (form.get("id").cloned(), form.get("group").cloned())
    };
    let mut there: Vec<&Value> = live.list("actions").iter().collect();
    let mut none = Vec::new();
    let here = body.get_mut("actions").and_then(Value::as_array_mut).unwrap_or(&mut none);
    let mut take = |action: &mut Value, is: &dyn Fn(&Value, &Value) -> bool| {
        let Some(at) = there.iter().position(|t| is(t, action)) else { return false };
        let uuid = there.remove(at).get("uuid").cloned();
        if let (Some(uuid), Some(action)) = (uuid, action.as_object_mut()) {
            action.insert("uuid".to_owned(), uuid);
        }
        true
    };
    // the same action first, then one to the same connector with other parameters
    let mut left: Vec<&mut Value> = Vec::new();
    for action in here.iter_mut() {
        if !take(action, &|t, a| form(t) == form(a)) {
            left.push(action);
        }
    }
    for action in left {
        take(action, &|t, a| place(t) == place(a));
    }
    if !add || there.is_empty() {
        return 0;
    }
    let others: Vec<Value> = there.into_iter().cloned().collect();
    let n = others.len();
    if let Some(list) = body.entry("actions").or_insert_with(|| json!([])).as_array_mut() {
        list.extend(others);
    }
    n
}

/// The properties that differ, sorted.
pub(super) fn differences(there: &Map<String, Value>, here: &Map<String, Value>) -> Vec<FieldChange> {
    let properties: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
    properties
        .into_iter()
        .filter(|p| there.get(*p) != here.get(*p))
        .map(|p| FieldChange { field: p.clone(), from: there.get(p).cloned(), to: here.get(p).cloned() })
        .collect()
}
