//! The examples as a user starts them, and the README that shows them.

#[path = "../support/mod.rs"]
mod support;

mod apps;
mod axum;
mod process;
mod readme;
mod settings;
mod tonic;
