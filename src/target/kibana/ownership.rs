//! Whose a live rule is: the tag of its pack, and the stamp of what rulepack last wrote there.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The form of stamps. A stamp of another form cannot be compared, and proves nothing.
const FORM: &str = "1";

/// The tag of the rules of a pack.
pub fn tag(pack: &str) -> String {
    format!("{PREFIX}{pack}")
}

const PREFIX: &str = "rulepack:";

/// What rulepack writes into `meta.rulepack` of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Hash of what was written, with its form.
    pub hash: String,
    /// The commit that it came from.
    pub commit: Option<String>,
    /// The name of the rule in the pack.
    pub name: String,
    /// The rule's id: a copy made in Kibana takes the stamp along, and is told by it.
    pub rule_id: String,
    /// Whether the rule is to be switched on once it is there.
    pub enable: bool,
    /// The exception lists that the pack linked: should it drop one, it takes its own link away, and no other.
    pub links: Vec<String>,
}

impl Stamp {
    /// As it stands in `meta.rulepack`.
    pub fn json(&self) -> Value {
        let mut out = json!({ "hash": self.hash, "name": self.name, "rule_id": self.rule_id });
        if let Some(map) = out.as_object_mut() {
            if let Some(commit) = &self.commit {
                map.insert("commit".to_owned(), json!(commit));
            }
            if self.enable {
                map.insert("enable".to_owned(), json!(true));
            }
            if !self.links.is_empty() {
                map.insert("links".to_owned(), json!(self.links));
            }
        }
        out
    }
}

/// The hash of a rule in its one form, of the properties that belong to the pack. `managed` tells
/// which those are: where that has changed, hashes cannot be compared.
pub fn hash(normal: &Map<String, Value>, managed: impl Fn(&str) -> bool, modes: &str) -> String {
    let part: Map<String, Value> =
        normal.iter().filter(|(k, _)| managed(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
    format!("{FORM}:{}:{}", short(modes, 4), short(&Value::Object(part).to_string(), 16))
}

fn short(text: &str, bytes: usize) -> String {
    Sha256::digest(text.as_bytes()).iter().take(bytes).map(|b| format!("{b:02x}")).collect()
}

/// Whether two hashes are of one form, and of the same properties.
pub fn comparable(a: &str, b: &str) -> bool {
    match (a.rsplit_once(':'), b.rsplit_once(':')) {
        (Some((a, _)), Some((b, _))) => a == b,
        _ => false,
    }
}

/// A rule as Kibana has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Live(Map<String, Value>);

impl Live {
    /// From an answer of Kibana.
    pub fn new(json: Value) -> Live {
        match json {
            Value::Object(map) => Live(map),
            _ => Live(Map::new()),
        }
    }

    /// All properties.
    pub fn json(&self) -> &Map<String, Value> {
        &self.0
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The id of the object in its space.
    pub fn id(&self) -> &str {
        self.text("id")
    }

    /// The rule id.
    pub fn rule_id(&self) -> &str {
        self.text("rule_id")
    }

    /// The name that Kibana shows.
    pub fn title(&self) -> &str {
        self.text("name")
    }

    /// The rule type.
    pub fn kind(&self) -> &str {
        self.text("type")
    }

    /// Who wrote it last.
    pub fn updated_by(&self) -> &str {
        self.text("updated_by")
    }

    /// Whether it runs.
    pub fn is_enabled(&self) -> bool {
        self.0.get("enabled") == Some(&Value::Bool(true))
    }

    /// The version of its content.
    pub fn version(&self) -> u64 {
        self.0.get("version").and_then(Value::as_u64).unwrap_or(1)
    }

    /// How often it was written.
    pub fn revision(&self) -> u64 {
        self.0.get("revision").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Whether nobody has touched it since it was created.
    pub fn is_untouched(&self) -> bool {
        !self.text("created_at").is_empty() && self.text("created_at") == self.text("updated_at")
    }

    /// Its tags.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.0.get("tags").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The entries of a list of objects.
    pub fn list(&self, key: &str) -> &[Value] {
        self.0.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether it comes from Elastic's prebuilt rules.
    pub fn is_prebuilt(&self) -> bool {
        self.0.get("immutable") == Some(&Value::Bool(true))
            || self.0.get("rule_source").and_then(|s| s.get("type")) == Some(&json!("external"))
    }

    /// Whether it belongs to a pack.
    pub fn is_owned_by(&self, pack: &str) -> bool {
        let own = tag(pack);
        self.tags().any(|t| t == own)
    }

    /// The pack that it belongs to, if it does to one.
    pub fn owner(&self) -> Option<&str> {
        self.tags().find_map(|t| t.strip_prefix(PREFIX))
    }

    /// What rulepack wrote last; `None` once `meta` was overwritten, as Kibana's editor does.
    pub fn stamp(&self) -> Option<Stamp> {
        let stamp = self.0.get("meta")?.get("rulepack")?;
        let text = |key: &str| stamp.get(key).and_then(Value::as_str);
        Some(Stamp {
            hash: text("hash")?.to_owned(),
            commit: text("commit").map(str::to_owned),
            name: crate::target::http::one_line(text("name").unwrap_or_default()),
            rule_id: text("rule_id").unwrap_or_default().to_owned(),
            enable: stamp.get("enable") == Some(&Value::Bool(true)),
            links: {
                let links = stamp.get("links").and_then(Value::as_array);
                links.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
            },
        })
    }
}
