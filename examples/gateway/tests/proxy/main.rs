//! The proxy between raw sockets: what the client writes and reads, and what the upstream reads and writes.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod aborts;
mod bodies;
mod expect;
mod framing;
mod headers;
mod pool;
mod support;
mod timeouts;
mod upgrade;
#[path = "../support/wire.rs"]
mod wire;
