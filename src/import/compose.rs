//! One rule of an export against the pack: a new file, the changes of the file that has its id, or none.

use super::slug;
use crate::emit;
use crate::lang::rule::{Document, Rule, write};
use crate::pack::{Pack, RuleFile};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Keys that Kibana sets by itself.
const SERVER: [&str; 17] = [
    "alias_purpose",
    "alias_target_id",
    "created_at",
    "created_by",
    "execution_summary",
    "id",
    "immutable",
    "last_failure_at",
    "last_failure_message",
    "outcome",
    "output_index",
    "revision",
    "rule_source",
    "status",
    "updated_at",
    "updated_by",
    "version",
];

/// Keys that `generate` computes from the query.
const COMPUTED: [&str; 2] = ["related_integrations", "required_fields"];

/// What Kibana answers for keys that a rule leaves out. A file that leaves them out means the same.
fn is_default(key: &str, value: &Value) -> bool {
    match key {
        "actions"
        | "author"
        | "exceptions_list"
        | "false_positives"
        | "references"
        | "related_integrations"
        | "required_fields"
        | "risk_score_mapping"
        | "severity_mapping"
        | "tags"
        | "threat"
        | "filters" => *value == json!([]),
        "from" => value == "now-6m",
        "interval" => value == "5m",
        "language" => value == "kuery",
        "license" | "setup" | "note" => value == "",
        "max_signals" => *value == 100,
        "threat_indicator_path" => value == "threat.indicator",
        "to" => value == "now",
        _ => false,
    }
}

/// What an import makes of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// There is no file with this rule id: one is made.
    New,
    /// The file with this rule id changes in these keys.
    Changed(Vec<String>),
    /// The file with this rule id says the same.
    Same,
}

/// A rule that can be imported.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The name in the pack: the path below the rules folder without `.toml`.
    pub name: String,
    /// What happens.
    pub action: Action,
    /// The text of its file; what it is today where nothing changes.
    pub text: String,
    /// Keys that the file keeps though rulepack does not know them, by JSON pointer below `[rule]`.
    pub kept: Vec<String>,
    /// Values that are `null` and were left out, by JSON pointer.
    pub nulls: Vec<String>,
    /// Keys of the existing file that are not overwritten though the export has another value.
    pub held: Vec<String>,
    /// Keys that `generate` will not give back as the export has them.
    pub lost: Vec<String>,
    /// Whether Kibana marks it as one of Elastic's own rules.
    pub prebuilt: bool,
}

/// A rule, list or connector that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name or id.
    pub rule: String,
    /// Why, as a sentence without a full stop.
    pub why: String,
}

/// Imports rules into a pack.
pub struct Importer<'p> {
    pack: &'p Pack,
    by_id: BTreeMap<String, &'p RuleFile>,
    folder: String,
    today: String,
    names: BTreeSet<String>,
    seen: BTreeSet<String>,
}

impl<'p> Importer<'p> {
    /// An import into `folder` below the rules folder for rules that are new; `today` as YYYY/MM/DD.
    pub fn new(pack: &'p Pack, folder: &str, today: &str) -> Importer<'p> {
        let rule_id = |f: &'p RuleFile| Some((f.rule.as_ref()?.rule_id().to_owned(), f));
        Importer {
            pack,
            // the first file counts where an id is used twice
            by_id: pack.files.iter().rev().filter_map(rule_id).collect(),
            folder: folder.trim_matches('/').to_owned(),
            today: today.to_owned(),
            names: pack.files.iter().map(|f| f.name.clone()).collect(),
            seen: BTreeSet::new(),
        }
    }

    /// What becomes of one rule.
    ///
    /// # Errors
    /// When it has no id, was there before, or has no form as a file.
    pub fn rule(&mut self, mut json: Map<String, Value>) -> Result<Imported, Refused> {
        let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (id, title) = (text("rule_id"), text("name"));
        let shown = if title.is_empty() { id.clone() } else { title.clone() };
        let refuse = |why: String| Refused { rule: shown.clone(), why };
        if id.is_empty() {
            return Err(refuse("it has no `rule_id`, so nothing could recognise it later".to_owned()));
        }
        if !self.seen.insert(id.clone()) {
            return Err(refuse(format!("the rule id `{id}` stands in the export before")));
        }
        let prebuilt = json.get("immutable") == Some(&Value::Bool(true))
            || json.get("rule_source").and_then(|s| s.get("type")?.as_str()) == Some("external");
        let days = ["created_at", "updated_at"].map(|k| day(&text(k)).unwrap_or_else(|| self.today.clone()));
        json.retain(|k, _| !SERVER.contains(&k.as_str()));
        own_marks(&mut json);
        let mut value = Value::Object(json);
        let mut nulls = Vec::new();
        write::strip_nulls(&mut value, "", &mut nulls).map_err(|e| refuse(e.to_string()))?;
        // an action that is not throttled says so by a null, which `generate` writes
        nulls.retain(|p| !(p.starts_with("/actions/") && p.ends_with("/frequency/throttle")));
        let json = value.as_object().cloned().unwrap_or_default();
        let mut out = match self.by_id.get(&id).copied() {
            Some(file) => self.changed(file, &json),
            None => self.added(&json, &title, &days),
        }
        .map_err(&refuse)?;
        (out.prebuilt, out.nulls) = (prebuilt, nulls);
        Ok(out)
    }

    /// A rule that the pack does not have.
    fn added(
        &mut self,
        json: &Map<String, Value>,
        title: &str,
        days: &[String; 2],
    ) -> Result<Imported, String> {
        let stem = slug(title);
        let base = if self.folder.is_empty() { stem } else { format!("{}/{stem}", self.folder) };
        let mut name = base.clone();
        for n in 2.. {
            if !self.names.contains(&name) {
                break;
            }
            name = format!("{base}_{n}");
        }
        let mut rule = json.clone();
        let computed: Vec<(&str, Value)> =
            COMPUTED.iter().filter_map(|k| Some((*k, rule.shift_remove(*k)?))).collect();
        if !rule.contains_key("setup") && rule.get("note").and_then(Value::as_str).is_some_and(has_setup) {
            // without the key, `generate` would take the section out of the note
            rule.insert("setup".to_owned(), "".into());
        }
        nest_new_terms(&mut rule);
        let mut metadata = Map::new();
        metadata.insert("creation_date".to_owned(), days[0].as_str().into());
        let packages = packages(json);
        if !packages.is_empty() {
            metadata.insert("integration".to_owned(), json!(packages));
        }
        metadata.insert("maturity".to_owned(), "production".into());
        // a rule cannot have been changed before it was made
        metadata.insert("updated_date".to_owned(), days.iter().max().map_or("", |d| d.as_str()).into());
        let mut generated = self.read(&name, &metadata, &rule)?;
        // what is computed stays out of the file, unless it would come out different
        let names = |v: Option<&Value>| -> BTreeSet<String> {
            let row = |r: &Value| format!("{:?}", ["name", "package", "integration"].map(|k| r.get(k)));
            v.and_then(Value::as_array).into_iter().flatten().map(row).collect()
        };
        let mut pinned = false;
        for (key, value) in computed {
            let own = generated.json.get(key);
            if value != json!([]) && names(own) != names(Some(&value)) {
                rule.insert(key.to_owned(), value);
                pinned = true;
            }
        }
        if pinned {
            generated = self.read(&name, &metadata, &rule)?;
        }
        self.names.insert(name.clone());
        let lost = differing(json, &generated.json, &COMPUTED);
        Ok(Imported {
            name,
            action: Action::New,
            text: generated.text,
            kept: generated.kept,
            nulls: Vec::new(),
            held: Vec::new(),
            lost,
            prebuilt: false,
        })
    }

    /// A rule that the pack has.
    fn changed(&self, file: &RuleFile, json: &Map<String, Value>) -> Result<Imported, String> {
        let Some(rule) = &file.rule else { return Err("its file cannot be read".to_owned()) };
        if rule.broken {
            return Err(format!("{} has errors; `rulepack validate {}` shows them", file.file, file.name));
        }
        let text = rule.source.text();
        let before = self.generate(file)?;
        let written = |key: &str| rule.json().get(key).is_some();
        let mut old = before.json.clone();
        let mut new = json.clone();
        // what the pack says about itself, or leaves to a target or to `generate`
        let mut fixed = vec!["author", "license"];
        fixed.extend(
            ["enabled", "meta", "related_integrations", "required_fields", "version"]
                .iter()
                .filter(|k| !written(k)),
        );
        if written("version") {
            fixed.push("version");
        }
        let held = ["author", "license"]
            .into_iter()
            .filter(|k| new.get(*k).is_some_and(|v| !is_default(k, v)) && old.get(*k) != new.get(*k));
        let held: Vec<String> = held.map(str::to_owned).collect();
        let sectioned = new.get("note").and_then(Value::as_str).is_some_and(has_setup);
        if sectioned && !new.contains_key("setup") {
            // without the key, `generate` would take the section out of the note
            new.insert("setup".to_owned(), "".into());
        }
        new.retain(|k, v| old.contains_key(k) || !is_default(k, v) || (k == "setup" && sectioned));
        old.retain(|k, v| new.contains_key(k) || !is_default(k, v));
        default_techniques(&mut new);
        if let (Some(a), Some(b)) = (old.get("actions"), new.get("actions"))
            && without_ids(a) == without_ids(b)
        {
            new.insert("actions".to_owned(), a.clone());
        }
        if !written("setup") && old.contains_key("setup") {
            // both come out of the note of the file, so they change together
            let same = old.get("setup") == new.get("setup") && old.get("note") == new.get("note");
            if !same {
                old.remove("setup");
                old.insert("note".to_owned(), Value::Null);
            }
        }
        if old.get("note") != new.get("note")
            && let Some(note) = new.get("note").and_then(Value::as_str)
        {
            let note = emit::restore_buttons(note, rule.transform());
            new.insert("note".to_owned(), note.into());
        }
        if written("new_terms") {
            nest_new_terms(&mut old);
            nest_new_terms(&mut new);
        }
        // what is the same in both is not touched, whatever its order in the export
        let (mut out, changed) = write::change(text, &old, &new, &fixed).map_err(|e| e.to_string())?;
        let mut result = Imported {
            name: file.name.clone(),
            action: Action::Same,
            text: text.to_owned(),
            kept: Vec::new(),
            nulls: Vec::new(),
            held,
            lost: Vec::new(),
            prebuilt: false,
        };
        if changed.is_empty() {
            return Ok(result);
        }
        let (kept, new_kept) = self.unknown(&file.name, &out, rule)?;
        if new_kept {
            out = write::with_key(&out, "metadata", "kept", &json!(kept)).map_err(|e| e.to_string())?;
        }
        let after = self.generate(&self.file_of(&file.name, &file.file, &out)?)?;
        let mut skip = fixed.clone();
        skip.extend(COMPUTED);
        let mut wanted = json.clone();
        wanted.retain(|k, v| after.json.contains_key(k) || !is_default(k, v));
        if changed.iter().all(|c| c != "actions") {
            skip.push("actions");
        }
        result.lost = differing(&wanted, &after.json, &skip);
        result.kept = if new_kept { kept } else { Vec::new() };
        (result.action, result.text) = (Action::Changed(changed), out);
        Ok(result)
    }

    /// What a changed file keeps without knowing it, and whether some of that is new.
    fn unknown(&self, name: &str, text: &str, before: &Rule) -> Result<(Vec<String>, bool), String> {
        let (document, _) = Document::read(name, text.as_bytes().to_vec());
        let json = document.map(|d| d.json().clone()).unwrap_or_default();
        let mut kept: Vec<String> = before.kept().into_iter().map(str::to_owned).collect();
        let count = kept.len();
        for p in not_known(&json)? {
            if !kept.contains(&p) {
                kept.push(p);
            }
        }
        let grown = kept.len() > count;
        Ok((kept, grown))
    }

    /// Writes a new file and reads it back.
    fn read(
        &self,
        name: &str,
        metadata: &Map<String, Value>,
        rule: &Map<String, Value>,
    ) -> Result<Generated, String> {
        let mut metadata = metadata.clone();
        let kept = not_known(&json!({"metadata": metadata, "rule": rule}))?;
        if !kept.is_empty() {
            metadata.insert("kept".to_owned(), json!(kept));
        }
        let text = write::document(&[("metadata", &metadata), ("rule", rule)]);
        let file = self.file_of(name, &format!("{}/{name}.toml", self.pack.config.rules), &text)?;
        let mut out = self.generate(&file)?;
        (out.text, out.kept) = (text, kept);
        Ok(out)
    }

    fn file_of(&self, name: &str, file: &str, text: &str) -> Result<RuleFile, String> {
        let (rule, found) = Rule::read(name, file, text.as_bytes().to_vec());
        let error = found.iter().find(|d| d.severity == crate::diag::Severity::Error);
        match (rule, error) {
            (Some(rule), None) => Ok(RuleFile {
                name: name.to_owned(),
                file: file.to_owned(),
                rule: Some(Arc::new(rule)),
                diagnostics: Vec::new(),
            }),
            (_, Some(error)) => Err(error.message.clone()),
            (None, None) => Err("its `type` is not known".to_owned()),
        }
    }

    fn generate(&self, file: &RuleFile) -> Result<Generated, String> {
        let compiled = self.pack.compile(&[file]);
        let rule = compiled.first().ok_or_else(|| "it cannot be read back".to_owned())?;
        let mut json = emit::detection_rule(rule, &self.pack.config).json;
        write::strip_nulls(&mut json, "", &mut Vec::new()).map_err(|e| e.to_string())?;
        Ok(Generated {
            text: String::new(),
            json: json.as_object().cloned().unwrap_or_default(),
            kept: Vec::new(),
        })
    }
}

/// A file as it comes back.
struct Generated {
    text: String,
    json: Map<String, Value>,
    kept: Vec<String>,
}

/// The pointers at which a rule file does not fit the schema, to be kept.
fn not_known(json: &Value) -> Result<Vec<String>, String> {
    let mut out: Vec<String> = Vec::new();
    for v in Rule::violations(json) {
        // what is missing cannot be kept, and a rule without a known type is none
        if v.code == crate::diag::Code::RP0004
            || v.pointer == "/rule/type"
            || !v.pointer.starts_with("/rule/")
        {
            return Err(v.message);
        }
        if !out.contains(&v.pointer) {
            out.push(v.pointer);
        }
    }
    Ok(out)
}

/// Takes out what `deploy` writes by itself: the pack's tag and mark.
fn own_marks(json: &mut Map<String, Value>) {
    if let Some(tags) = json.get_mut("tags").and_then(Value::as_array_mut) {
        tags.retain(|t| !t.as_str().is_some_and(|t| t.starts_with("rulepack:")));
    }
    if let Some(meta) = json.get_mut("meta").and_then(Value::as_object_mut) {
        meta.remove("rulepack");
        if meta.is_empty() {
            json.remove("meta");
        }
    }
}

/// The two properties of Kibana as the nested form of the file.
fn nest_new_terms(rule: &mut Map<String, Value>) {
    if rule.get("type").and_then(Value::as_str) != Some("new_terms") {
        return;
    }
    // only both together have a nested form
    let (true, true) = (rule.contains_key("new_terms_fields"), rule.contains_key("history_window_start"))
    else {
        return;
    };
    let fields = rule.remove("new_terms_fields").unwrap_or_default();
    let start = rule.remove("history_window_start").unwrap_or_default();
    let nested = json!({
        "field": "new_terms_fields",
        "value": fields,
        "history_window_start": [{"field": "history_window_start", "value": start}],
    });
    rule.insert("new_terms".to_owned(), nested);
}

/// Kibana may leave out an empty list of techniques that `generate` writes.
fn default_techniques(rule: &mut Map<String, Value>) {
    for threat in rule.get_mut("threat").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(threat) = threat.as_object_mut() {
            threat.entry("technique").or_insert_with(|| json!([]));
        }
    }
}

/// Actions without the ids that Kibana gives them.
fn without_ids(actions: &Value) -> Value {
    let mut out = actions.clone();
    for action in out.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        action.remove("uuid");
        if let Some(frequency) = action.get_mut("frequency").and_then(Value::as_object_mut) {
            frequency.remove("throttle");
        }
    }
    out
}

/// The keys in which what is generated is not what was imported.
fn differing(imported: &Map<String, Value>, generated: &Map<String, Value>, skip: &[&str]) -> Vec<String> {
    let mut imported = imported.clone();
    default_techniques(&mut imported);
    let mut keys: BTreeSet<&String> = imported.keys().chain(generated.keys()).collect();
    keys.retain(|k| !skip.contains(&k.as_str()));
    let same = |k: &str| match (imported.get(k), generated.get(k)) {
        (None, Some(v)) => is_default(k, v),
        (a, b) => a == b,
    };
    keys.into_iter().filter(|k| !same(k)).cloned().collect()
}

fn has_setup(note: &str) -> bool {
    note.lines().any(|l| l.starts_with("##") && !l.starts_with("###") && l.contains("Setup"))
}

/// The packages that a rule says it is made for.
fn packages(json: &Map<String, Value>) -> Vec<String> {
    let rows = json.get("related_integrations").and_then(Value::as_array);
    let mut out: Vec<String> =
        rows.into_iter().flatten().filter_map(|r| Some(r.get("package")?.as_str()?.to_owned())).collect();
    out.sort();
    out.dedup();
    out
}

/// `2026/01/31` of `2026-01-31T…`.
fn day(time: &str) -> Option<String> {
    let day = time.get(..10)?;
    let shape =
        day.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    shape.then(|| day.replace('-', "/"))
}

#[cfg(test)]
mod tests;
