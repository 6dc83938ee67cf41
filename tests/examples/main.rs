//! The examples as a user starts them, and the README that shows them.

#![allow(clippy::duplicate_mod, reason = "each example is a crate of its own with the file that ends it")]

#[path = "../support/mod.rs"]
mod support;

mod apps;
mod axum;
mod metrics;
mod page;
mod process;
mod programs;
mod queries;
mod readme;
mod settings;
mod tonic;
