//! OpenSearch: what becomes of the pack's own rules, and whether the monitors find what the rules find.

mod deploy;
mod generate;
mod groups;
mod profiles;
mod replay;
mod selection;
