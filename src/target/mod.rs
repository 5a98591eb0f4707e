//! Where a pack is deployed to: change sets against a live system, and the HTTP to reach it. The only
//! place below the command line that opens a socket.

pub mod http;
pub mod kibana;
pub mod opensearch;
mod secret;
pub mod sigv4;

pub use secret::Secret;
