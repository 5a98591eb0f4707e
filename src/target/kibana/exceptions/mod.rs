//! The exception lists of a pack in a Kibana. Whoever has a list there may add to it: what the pack did not
//! write stays. Lists and exceptions are there before a rule refers to them; what is stale goes last.

mod apply;
mod calls;
mod form;
mod live;
mod plan;
#[cfg(test)]
mod tests;
mod values;
mod wanted;

pub(super) use apply::before;
pub use apply::{Lists, ListsApplied, NotWritten};
pub use live::{LiveList, LiveLists, obstacles, one, read};
pub use plan::{ItemChange, ListChange, ListPlan, plan};
pub use values::ValuesChange;
pub use wanted::{WantedItem, WantedList, WantedLists, WantedValues, wanted};

use serde_json::{Map, Value};

/// A list, an exception or a link, as the API has it.
type Object = Map<String, Value>;

/// A list by its `list_id` and whether it belongs to one space (`single`) or all (`agnostic`).
pub type Key = (String, String);

/// The list that an object names.
pub(super) fn key(object: &Value) -> Key {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("list_id"), text("namespace_type"))
}

/// A list in one word, for the stamp of a rule: `admins`, `agnostic:admins`.
pub(super) fn link_name(key: &Key) -> String {
    if key.1 == "agnostic" { format!("agnostic:{}", key.0) } else { key.0.clone() }
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
