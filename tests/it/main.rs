//! The one integration-test binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a test may panic, and clippy takes its helpers for code"
)]

mod adopt;
mod architecture;
mod bad_input;
mod codes;
mod compile;
mod deploy;
mod diff;
mod esql_reference;
mod examples;
mod fake_kibana;
mod fuzz;
mod generated_schema;
mod limits;
mod opensearch;
mod output;
mod pack;
mod pull;
mod reference;
mod replay;
mod reports;
mod sandbox;
mod scenarios;
mod selection;
mod sequence;
mod supplied;
mod threshold;
mod trail;
mod transcripts;
