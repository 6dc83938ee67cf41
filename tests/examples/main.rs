//! The examples as a user starts them, and the README that shows them.

mod apps;
mod axum;
mod process;
mod readme;
mod tonic;
