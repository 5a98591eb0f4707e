//! What the fake remembers: spaces and their rules, lists and connectors; ids, the clock, the log.

use super::exceptions::Exceptions;
use super::faults::Faults;
use super::lists::Lists;
use super::refusal::Refusal;
use super::user::User;
use super::{Clock, Settings};
use crate::es::date;
use crate::schema::Version;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// A text of an object; empty when it has none of this name.
pub(super) fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or("")
}

/// How many requests the log keeps.
const LOG: usize = 10_000;

/// Everything, behind one lock.
#[derive(Clone)]
pub(super) struct State {
    pub(super) version: Version,
    pub(super) version_text: String,
    pub(super) spaces: BTreeMap<String, Space>,
    /// Lists of the namespace `agnostic`, which all spaces share.
    pub(super) agnostic: Exceptions,
    /// Prebuilt rules that can be installed, by `rule_id`.
    pub(super) assets: BTreeMap<String, Object>,
    pub(super) faults: Faults,
    pub(super) log: VecDeque<Value>,
    pub(super) server: Server,
}

/// What gives out ids and times.
#[derive(Clone)]
pub(super) struct Server {
    seed: u64,
    clock: Clock,
}

impl Server {
    /// The next id: a UUID of version 4, the same each time for the same seed.
    pub(super) fn id(&mut self) -> String {
        let mut bytes = [0u8; 16];
        let halves = [self.next(), self.next()].map(u64::to_be_bytes);
        for (to, from) in bytes.iter_mut().zip(halves.iter().flatten()) {
            *to = *from;
        }
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    // SplitMix64
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The time as Kibana writes it, with milliseconds.
    pub(super) fn now(&self) -> String {
        date::format(date::truncate((self.clock)(), false))
    }
}

/// One space.
#[derive(Clone)]
pub(super) struct Space {
    /// As `/api/spaces/space` shows it.
    pub(super) info: Value,
    pub(super) rules: Rules,
    pub(super) exceptions: Exceptions,
    pub(super) lists: Lists,
    /// Connectors by id.
    pub(super) connectors: BTreeMap<String, Value>,
}

impl Space {
    pub(super) fn new(id: &str, name: &str) -> Space {
        let info = json!({ "id": id, "name": name, "disabledFeatures": [] });
        Space {
            info,
            rules: Rules::default(),
            exceptions: Exceptions::default(),
            lists: Lists::default(),
            connectors: BTreeMap::new(),
        }
    }
}

impl State {
    pub(super) fn new(settings: &Settings, version: Version) -> State {
        let mut default = Space::new("default", "Default");
        if let Some(info) = default.info.as_object_mut() {
            info.insert("_reserved".to_owned(), Value::Bool(true));
        }
        State {
            version,
            version_text: settings.version.clone(),
            spaces: BTreeMap::from([("default".to_owned(), default)]),
            agnostic: Exceptions::default(),
            assets: BTreeMap::new(),
            faults: Faults::default(),
            log: VecDeque::new(),
            server: Server { seed: settings.seed, clock: settings.clock.clone() },
        }
    }

    /// The space of this name; an unknown one is refused with 404 (contract 1).
    pub(super) fn space(&mut self, name: &str) -> Result<&mut Space, Refusal> {
        self.spaces.get_mut(name).ok_or_else(|| Refusal::platform(404, "Not Found"))
    }

    /// Notes a request; the oldest are forgotten.
    pub(super) fn note(&mut self, entry: Value) {
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(entry);
    }
}

/// A rule as the server keeps it.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: String,
    /// What a writer can set, after the server's defaults; `rule_id`, `version` and `enabled` included.
    pub(super) body: Object,
    pub(super) revision: u64,
    pub(super) created: (String, String),
    pub(super) updated: (String, String),
    pub(super) source: Source,
    pub(super) key: Option<Key>,
    /// Further response fields of a seeded rule, such as `execution_summary`.
    pub(super) extra: Object,
}

/// Where a rule comes from (`rule_source`).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// A rule of the user.
    Internal,
    /// A prebuilt rule.
    External,
}

/// The API key that an enabled rule runs with (contract 4.2).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    /// Whether it is the caller's own, which stops with the caller's.
    pub(super) callers: bool,
    /// Whose privileges it has.
    pub(super) user: String,
}

impl Rule {
    pub(super) fn text(&self, key: &str) -> &str {
        text(&self.body, key)
    }

    pub(super) fn rule_id(&self) -> &str {
        self.text("rule_id")
    }

    pub(super) fn enabled(&self) -> bool {
        self.body.get("enabled") == Some(&Value::Bool(true))
    }

    pub(super) fn immutable(&self) -> bool {
        self.source == Source::External
    }

    /// The rule as responses show it. `customized` names the changed fields of a prebuilt rule.
    pub(super) fn response(&self, assets: &BTreeMap<String, Object>, version: Version) -> Object {
        let mut out = Object::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("id", self.id.as_str().into());
        put("created_at", self.created.0.as_str().into());
        put("created_by", self.created.1.as_str().into());
        put("updated_at", self.updated.0.as_str().into());
        put("updated_by", self.updated.1.as_str().into());
        put("revision", self.revision.into());
        put("immutable", self.immutable().into());
        put("rule_source", self.rule_source(assets.get(self.rule_id()), version));
        for (key, value) in self.body.iter().chain(&self.extra) {
            put(key, value.clone());
        }
        out
    }

    fn rule_source(&self, base: Option<&Object>, version: Version) -> Value {
        if self.source == Source::Internal {
            return json!({ "type": "internal" });
        }
        let ignored =
            |key: &str| matches!(key, "enabled" | "actions" | "exceptions_list" | "rule_id" | "meta");
        let customized: Vec<&String> = base.map_or_else(Vec::new, |base| {
            let absent = base.keys().filter(|k| !self.body.contains_key(*k));
            let other = self.body.iter().filter(|(k, v)| base.get(*k) != Some(*v)).map(|(k, _)| k);
            other.chain(absent).filter(|k| !ignored(k)).collect()
        });
        let mut source = json!({ "type": "external", "is_customized": !customized.is_empty() });
        if version >= Version(9, 5, 0)
            && let Some(source) = source.as_object_mut()
        {
            source.insert("has_base_version".to_owned(), base.is_some().into());
            let fields = customized.iter().map(|k| json!({ "field_name": k })).collect();
            source.insert("customized_fields".to_owned(), Value::Array(fields));
        }
        source
    }

    /// Marks a write.
    pub(super) fn touch(&mut self, now: String, user: &User) {
        self.updated = (now, user.name.clone());
    }
}

/// The rules of a space, in order of creation, found by id, by `rule_id`, and by default exception list.
#[derive(Clone, Default)]
pub(super) struct Rules {
    rules: BTreeMap<u64, Rule>,
    next: u64,
    by_id: FxHashMap<String, u64>,
    /// More than one only after seeding: nothing in Kibana's store forbids it (contract 0.7).
    by_rule_id: FxHashMap<String, Vec<u64>>,
    /// Which rule a `rule_default` list belongs to, by `list_id`.
    default_lists: FxHashMap<String, u64>,
}

impl Rules {
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Rule> {
        self.rules.values()
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&Rule> {
        self.rules.get(self.by_id.get(id)?)
    }

    pub(super) fn by_rule_id(&self, rule_id: &str) -> Option<&Rule> {
        self.rules.get(self.by_rule_id.get(rule_id)?.first()?)
    }

    /// The id of the rule that a default exception list belongs to.
    pub(super) fn owner_of_list(&self, list_id: &str) -> Option<&str> {
        let rule = self.rules.get(self.default_lists.get(list_id)?)?;
        Some(&rule.id)
    }

    /// Adds a rule, or replaces the one with its id.
    pub(super) fn put(&mut self, rule: Rule) {
        let at = match self.by_id.get(&rule.id) {
            Some(at) => *at,
            None => {
                self.next += 1;
                self.next
            }
        };
        self.forget(at);
        self.by_id.insert(rule.id.clone(), at);
        let same = self.by_rule_id.entry(rule.rule_id().to_owned()).or_default();
        same.push(at);
        same.sort_unstable();
        for list in default_lists(&rule.body) {
            self.default_lists.insert(list.to_owned(), at);
        }
        self.rules.insert(at, rule);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Rule> {
        let at = self.by_id.remove(id)?;
        self.forget(at)
    }

    fn forget(&mut self, at: u64) -> Option<Rule> {
        let rule = self.rules.remove(&at)?;
        if let Some(same) = self.by_rule_id.get_mut(rule.rule_id()) {
            same.retain(|other| *other != at);
            if same.is_empty() {
                self.by_rule_id.remove(rule.rule_id());
            }
        }
        for list in default_lists(&rule.body) {
            // seeded rules may share one
            if self.default_lists.get(list) == Some(&at) {
                self.default_lists.remove(list);
            }
        }
        Some(rule)
    }
}

/// The `list_id`s of the default lists that a rule links to.
pub(super) fn default_lists(body: &Object) -> impl Iterator<Item = &str> {
    let links = body.get("exceptions_list").and_then(Value::as_array).into_iter().flatten();
    links
        .filter(|l| l.get("type").and_then(Value::as_str) == Some("rule_default"))
        .filter_map(|l| l.get("list_id")?.as_str())
}
