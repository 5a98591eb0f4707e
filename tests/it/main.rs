//! The one integration-test binary.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "helpers of tests count as code to clippy"
)]

mod architecture;
mod bad_input;
mod codes;
mod generated_schema;
mod sandbox;
