//! Models of the fetch gate. Loom runs them in every order.

#![cfg(test)]

#[path = "../../../../src/jwks/gate.rs"]
#[allow(dead_code, reason = "a model uses a part of it")]
mod gate;
#[path = "../../../../src/rate_limit.rs"]
#[allow(dead_code, reason = "a model uses a part of it")]
mod rate_limit;
#[path = "../../../../src/jwks/schedule.rs"]
#[allow(dead_code, reason = "a model uses a part of it")]
mod schedule;

mod models;
