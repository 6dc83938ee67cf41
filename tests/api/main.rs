//! The library through its public API: what it accepts, what it rejects, how it manages keys, and how it behaves in
//! real stacks.

#[path = "../support/mod.rs"]
mod support;

mod authorize;
mod backend_api;
mod custom_claims;
mod http;
mod instances;
mod kinds;
mod kit;
mod lifecycle;
mod metrics;
mod opaque_tokens;
mod stack;
mod telemetry;
mod token_cache;
mod verify;
mod warnings;
