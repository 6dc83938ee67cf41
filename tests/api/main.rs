//! The library through its public API: what it accepts, what it rejects, how it manages keys, and how it behaves in
//! real stacks.

#[path = "../support/mod.rs"]
mod support;

mod authorize;
mod custom_claims;
mod http;
mod instances;
mod lifecycle;
mod stack;
mod telemetry;
mod token_cache;
mod verify;
mod warnings;
