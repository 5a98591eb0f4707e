//! The one integration-test binary.
#![expect(clippy::unwrap_used, reason = "helpers of tests count as code to clippy")]

mod architecture;
mod compile;
