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

mod architecture;
mod output;
mod reference;
mod replay;
mod sequence;
mod transcripts;
