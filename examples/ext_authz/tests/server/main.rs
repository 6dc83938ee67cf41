//! The program without Envoy, and the files beside it.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod checks;
mod files;
mod operation;
mod program;
#[allow(dead_code, reason = "a test binary takes what it needs")]
#[path = "../support/mod.rs"]
mod support;
