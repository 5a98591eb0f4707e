//! Where rules go.

pub mod kibana;
