//! Laws of the executor.
