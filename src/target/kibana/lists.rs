//! Reading exception lists with their items, as far as `pull` needs them.

use super::client::Kibana;
use crate::target::http::{Failure, encode};
use serde_json::{Map, Value};

/// How many items one page has.
const PAGE: usize = 1_000;

/// The most items of a list that are read: Kibana gives no more.
const MOST: usize = 10_000;

/// A list and its items, as Kibana answers.
pub type ListWithItems = (Map<String, Value>, Vec<Map<String, Value>>);

impl Kibana {
    /// An exception list with its items; `None` where it does not exist.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn list_with_items(&self, list_id: &str, namespace: &str) -> Result<Option<ListWithItems>, Failure> {
        let named = format!("list_id={}&namespace_type={}", encode(list_id), encode(namespace));
        let list = match self.get(&format!("/api/exception_lists?{named}")) {
            Ok(Value::Object(list)) => list,
            Ok(_) | Err(Failure::Refused { status: 404, .. }) => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut items: Vec<Map<String, Value>> = Vec::new();
        for page in 1..=MOST / PAGE {
            let answer = self.get(&format!(
                "/api/exception_lists/items/_find?{named}&page={page}&per_page={PAGE}&sort_field=created_at&sort_order=asc"
            ))?;
            let rows = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            items.extend(rows.iter().filter_map(|r| r.as_object().cloned()));
            if rows.len() < PAGE {
                break;
            }
        }
        Ok(Some((list, items)))
    }

    /// Every rule of the space that is not one of Elastic's own.
    ///
    /// # Errors
    /// When Kibana refuses or does not answer.
    pub fn custom_rules(&self) -> Result<Vec<super::Live>, Failure> {
        self.find("alert.attributes.params.immutable: false")
    }
}
