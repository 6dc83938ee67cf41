//! Models of the fetch gate and of the freshness of a set. Loom runs them in every order.

#![cfg(test)]

#[path = "../../../../src/jwks/freshness.rs"]
mod freshness;
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
