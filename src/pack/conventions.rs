//! `[lint.conventions]` of `rulepack.toml`: what a pack has agreed on beside what the checks say by
//! themselves.

use serde_json::Value;
use std::collections::BTreeMap;

/// The conventions of a pack; what is not set asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conventions {
    /// Names of rule files are in snake_case.
    pub snake_case_files: bool,
    /// Names of rule files begin with the first tactic.
    pub tactic_files: bool,
    /// The first tactic is a tag too, with this before its name.
    pub tactic_tag: Option<String>,
    /// What tags begin with.
    pub tag_prefixes: Vec<String>,
    /// Tags that some rules need.
    pub required_tags: Vec<RequiredTags>,
    /// The lowest severity from which a rule needs a note.
    pub notes_required_from: Option<String>,
    /// A `min_stack_version` needs a comment.
    pub stack_comments: bool,
    /// Rules over one of these index patterns ask for `host.os.type`.
    pub host_os: Vec<String>,
    /// The timelines that rules may name, title by id; any where none is listed.
    pub timelines: BTreeMap<String, String>,
    /// The machine learning jobs that rules may name, by name or pattern; any where none is listed.
    pub ml_jobs: Vec<String>,
}

/// Tags that the rules need to which all of the conditions apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredTags {
    /// Patterns, one of which covers an index pattern of the rule; none for any.
    pub index: Vec<String>,
    /// Types of rules; none for any.
    pub types: Vec<String>,
    /// Only building blocks.
    pub building_block: bool,
    /// Only rules with a note.
    pub with_note: bool,
    /// The tags.
    pub tags: Vec<String>,
}

impl Conventions {
    /// From the table, whose form has been checked.
    pub(super) fn of(table: &Value) -> Conventions {
        let texts = |value: Option<&Value>| -> Vec<String> {
            let list = value.and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let yes = |table: &Value, key: &str| table.get(key) == Some(&Value::Bool(true));
        let text = |key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
        let required = table.get("required_tags").and_then(Value::as_array);
        Conventions {
            snake_case_files: yes(table, "snake_case_files"),
            tactic_files: yes(table, "tactic_files"),
            tactic_tag: text("tactic_tag"),
            tag_prefixes: texts(table.get("tag_prefixes")),
            required_tags: required
                .into_iter()
                .flatten()
                .map(|r| RequiredTags {
                    index: texts(r.get("index")),
                    types: texts(r.get("types")),
                    building_block: yes(r, "building_block"),
                    with_note: yes(r, "with_note"),
                    tags: texts(r.get("tags")),
                })
                .collect(),
            notes_required_from: text("notes_required_from"),
            stack_comments: yes(table, "stack_comments"),
            host_os: texts(table.get("host_os")),
            timelines: table
                .get("timelines")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(id, title)| Some((id.clone(), title.as_str()?.to_owned())))
                .collect(),
            ml_jobs: texts(table.get("ml_jobs")),
        }
    }
}
