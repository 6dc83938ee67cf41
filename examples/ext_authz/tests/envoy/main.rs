//! The real Envoy with `envoy.yaml`, the real program and a real upstream.
//!
//! ```text
//! ENVOY=/usr/bin/envoy cargo test --test envoy -- --ignored
//! ```
//!
//! Where a test shows that an attack fails, it or its neighbour shows that the same attack works with a naive server
//! (`naive.rs`) or a naive configuration.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod client;
mod failures;
mod grpc;
mod identity;
mod naive;
mod paths;
mod proxy;
mod statuses;
#[allow(dead_code, reason = "a test binary takes what it needs")]
#[path = "../support/mod.rs"]
mod support;
mod upstream;
