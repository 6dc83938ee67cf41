//! The program as its users run it: arguments, files, signals and sockets.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod arguments;
mod clients;
mod custom;
mod demonstration;
mod framing;
mod metrics;
mod operation;
mod serving;
mod streaming;
mod support;
mod web_socket;
#[path = "../support/wire.rs"]
mod wire;
