//! The shapes that events can have in an index: a condition in words of ECS said in words of the shape.

use super::condition::Condition;
use crate::pack::Profile;

/// Something that a shape has no place for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// The field of the rule.
    pub field: String,
    /// What about it, where the field itself has a place; else empty.
    pub why: String,
}

impl Unmapped {
    /// The sentence about it.
    pub fn reason(&self) -> String {
        if self.why.is_empty() {
            format!("`{}` has no place there", self.field)
        } else {
            format!("`{}`: {}", self.field, self.why)
        }
    }
}

/// The field of a shape that holds the values of a field, unchanged.
pub(super) fn field(name: &str, profile: Profile) -> Option<String> {
    (profile == Profile::Ecs).then(|| name.to_owned())
}

/// The condition in the shape of the data, and what differs by that.
///
/// # Errors
/// Everything that has no place there.
pub fn mapped(condition: Condition, profile: Profile) -> Result<(Condition, Vec<String>), Vec<Unmapped>> {
    match profile {
        Profile::Ecs => Ok((condition, Vec::new())),
        _ => {
            let why = "this profile is not supported yet".to_owned();
            Err(condition.fields().into_iter().map(|field| Unmapped { field, why: why.clone() }).collect())
        }
    }
}
