//! The number functions.

use super::Function;

/// The rows.
pub(super) static FUNCTIONS: &[Function] = &[];
