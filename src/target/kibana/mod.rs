//! Kibana's Detection Engine as a target: what a pack wants there, what is there, the change set between
//! them, and how it is applied. No state is kept outside Kibana: rules carry the tag of their pack and
//! a stamp of what was written.

mod apply;
mod client;
pub mod exceptions;
pub mod fake;
mod normalise;
mod overlay;
mod ownership;
mod plan;
pub mod pull;
mod sides;
mod wanted;

pub use apply::{Applied, Failed, Rescue, apply, deploy};
pub use client::{About, Bulk, Kibana, options};
pub use normalise::{normal, without_server_fields};
pub use overlay::{NamedAction, Overlaid, overlay};
pub use ownership::{Live, Stamp, tag};
pub use plan::{Change, Changeset, FieldChange, Kept, Kind, Settings, plan};
pub use sides::{Sides, sides};
pub use wanted::{Wanted, resolve, wanted};

#[cfg(test)]
mod tests;
