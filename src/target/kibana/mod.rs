//! Kibana's Detection Engine.

pub mod fake;
