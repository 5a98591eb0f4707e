//! OpenSearch's Alerting plugin as a target: whose a monitor is, what would change, and how it is written.
//! No state is kept outside: monitors carry the mark of their pack, with a hash of what was written.

mod apply;
mod client;
pub mod fake;
mod group;
mod plan;

pub use apply::{Applied, Failed, apply};
pub use client::{About, Live, OpenSearch, options};
pub use group::{MAX_TRIGGERS, grouped};
pub use plan::{Change, Difference, Kind, Settings, Wanted, differences, fields_of, plan, wanted};

#[cfg(test)]
mod tests;
