//! Which lists a target wants, with their exceptions and value lists, and the links of its rules to them.

use super::{Key, Object, key, text};
use crate::diag::{Code, Diagnostic};
use crate::lang::exception::{ExceptionFile, ExceptionList};
use crate::pack::target::Manage;
use crate::pack::{CompiledRule, Exceptions, Target};
use crate::target::kibana::ownership::tag;
use crate::target::kibana::wanted::Wanted;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a target wants of exception lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WantedLists {
    /// The lists, by their key.
    pub lists: Vec<WantedList>,
    /// Value lists with a file in the pack.
    pub values: Vec<WantedValues>,
    /// Value lists that exceptions name and that have no file: Kibana has to have them. By id, with the
    /// name of a list that names it.
    pub elsewhere: BTreeMap<String, String>,
}

/// A list as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedList {
    /// `list_id` and namespace.
    pub key: Key,
    /// The file that it stands in.
    pub file: String,
    /// What is written, the tag of the pack among it.
    pub body: Object,
    /// Its exceptions, in order.
    pub items: Vec<WantedItem>,
    /// The rule ids of the rules that it is for.
    pub rules: Vec<String>,
}

/// An exception as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedItem {
    /// `item_id`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is written, the tag of the pack among it.
    pub body: Object,
}

/// A value list as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedValues {
    /// Its id.
    pub id: String,
    /// The type of its values, as Elasticsearch calls it.
    pub kind: String,
    /// The values, sorted, each once.
    pub values: Vec<String>,
}

/// The lists of all wanted rules: those that a rule names, those whose file names the rule, and those of
/// the target's overlays. Each rule gets its links to them, still without the ids that a space gives them.
pub fn wanted(
    rules: &[CompiledRule],
    exceptions: &Exceptions,
    pack: &str,
    target: &Target,
    wanted: &mut [Wanted],
) -> (WantedLists, Vec<Diagnostic>) {
    let mut found = Vec::new();
    if target.manage.get("exceptions_list") == Some(&Manage::Ignore) {
        return (WantedLists::default(), found);
    }
    let mut lists: BTreeMap<Key, WantedList> = BTreeMap::new();
    for want in wanted.iter_mut() {
        let Some(rule) = rules.iter().map(|c| &c.rule).find(|r| r.rule_id() == want.rule_id) else {
            continue;
        };
        let mut applied: Vec<(&ExceptionFile, &ExceptionList)> = exceptions.lists_of(rule);
        applied.extend(exceptions.only_at(target, rule));
        for (file, list) in applied {
            let key = (list.id.clone(), list.namespace.clone());
            let entry = lists.entry(key.clone()).or_insert_with(|| build(file, list, pack, &mut found));
            if !entry.rules.contains(&want.rule_id) {
                entry.rules.push(want.rule_id.clone());
            }
            link(want, &key, text(&entry.body, "type"));
        }
    }
    for list in lists.values() {
        if text(&list.body, "type") == "rule_default" && list.rules.len() > 1 {
            let d = Diagnostic::new(
                Code::RP0911,
                format!(
                    "the list `{}` is of one rule alone, and {} rules have it",
                    list.key.0,
                    list.rules.len()
                ),
            )
            .note(format!("it is of type `rule_default`, in {}", list.file))
            .help("give it the type `detection`, which any number of rules may share");
            found.push(d);
        }
    }
    let mut out = WantedLists { lists: lists.into_values().collect(), ..WantedLists::default() };
    value_lists(&mut out, exceptions, &mut found);
    (out, found)
}

/// Links a rule to a list, unless it is.
pub(super) fn link(want: &mut Wanted, key: &Key, kind: &str) {
    let links = want.body.entry("exceptions_list").or_insert_with(|| json!([]));
    let Some(links) = links.as_array_mut() else { return };
    if !links.iter().any(|l| super::key(l) == *key) {
        links.push(json!({ "list_id": key.0, "namespace_type": key.1, "type": kind }));
    }
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(map) => map,
        _ => Object::new(),
    }
}

/// A list as it is wanted, so far for no rule.
pub(super) fn build(
    file: &ExceptionFile,
    list: &ExceptionList,
    pack: &str,
    found: &mut Vec<Diagnostic>,
) -> WantedList {
    let own = |mut body: Object| {
        if let Some(tags) = body.entry("tags").or_insert_with(|| json!([])).as_array_mut()
            && !tags.iter().any(|t| *t == tag(pack))
        {
            tags.push(json!(tag(pack)));
        }
        body
    };
    let mut body = object(list.container_json());
    body.remove("os_types");
    if text(&body, "type") == "endpoint" {
        let d = Diagnostic::new(Code::RP9001, "deploying the lists of Elastic Defend is not supported yet")
            .note(format!("`{}` is of type `endpoint`, in {}", list.id, file.source.name()))
            .help("give it the type `detection`");
        found.push(d);
    }
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let items = list
        .items
        .iter()
        .map(|item| {
            let mut body = own(object(list.item_json(item)));
            let nth = names.entry(item.name.clone()).or_default();
            *nth += 1;
            let id = match text(&body, "item_id") {
                "" => derived_id(&list.id, &item.name, *nth),
                id => id.to_owned(),
            };
            body.insert("item_id".to_owned(), json!(id));
            body.insert("list_id".to_owned(), json!(list.id));
            body.insert("namespace_type".to_owned(), json!(list.namespace));
            for comment in body.get_mut("comments").and_then(Value::as_array_mut).into_iter().flatten() {
                // who said it, and when, is Kibana's to say
                if let Some(comment) = comment.as_object_mut() {
                    comment.retain(|k, _| k == "comment");
                }
            }
            WantedItem { id, name: item.name.clone(), body }
        })
        .collect();
    WantedList {
        key: (list.id.clone(), list.namespace.clone()),
        file: file.source.name().to_owned(),
        body: own(body),
        items,
        rules: Vec::new(),
    }
}

/// The identity of an exception whose file gives it none: it follows from the list and the name, so that it
/// is the same at every deploy.
fn derived_id(list: &str, name: &str, nth: usize) -> String {
    let digest = Sha256::digest(format!("{list}\n{name}\n{nth}").as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// The value lists that the exceptions name, with the values of their files.
fn value_lists(out: &mut WantedLists, exceptions: &Exceptions, found: &mut Vec<Diagnostic>) {
    let mut kinds: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for list in &out.lists {
        let entries = list.items.iter().filter_map(|i| i.body.get("entries")?.as_array()).flatten();
        for named in entries.filter_map(|e| e.get("list")) {
            let part = |key: &str| named.get(key).and_then(Value::as_str).unwrap_or_default();
            let (id, kind) = (part("id"), part("type"));
            let first = kinds.entry(id).or_insert((kind, &list.key.0));
            if first.0 != kind {
                let message = format!("the value list `{id}` cannot be of type `{}` and `{kind}`", first.0);
                let note = format!("exceptions of `{}` and `{}` name it", first.1, list.key.0);
                found.push(Diagnostic::new(Code::RP0911, message).note(note));
            }
        }
    }
    let mut elsewhere = BTreeMap::new();
    let mut lists = Vec::new();
    for (id, (kind, list)) in kinds {
        match exceptions.values(id) {
            Ok(mut values) => {
                values.sort_unstable();
                values.dedup();
                lists.push(WantedValues { id: id.to_owned(), kind: kind.to_owned(), values });
            }
            Err(_) => {
                elsewhere.insert(id.to_owned(), list.to_owned());
            }
        }
    }
    out.values = lists;
    out.elsewhere = elsewhere;
}

impl WantedLists {
    /// The list of a key.
    pub(super) fn get(&self, key: &Key) -> Option<&WantedList> {
        self.lists.iter().find(|l| l.key == *key)
    }

    /// Whether a link of a rule means one of these lists.
    pub fn has_link(&self, link: &Value) -> bool {
        self.get(&key(link)).is_some()
    }
}
