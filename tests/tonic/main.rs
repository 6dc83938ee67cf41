//! The layer in front of tonic services, the example's among them, asked by real clients over sockets.
#![cfg(test)]

mod calls;
mod cancellation;
mod credentials;
mod deadlines;
#[rustfmt::skip]
#[allow(clippy::as_conversions, unreachable_pub, unused_qualifications)]
mod echo;
#[path = "../../examples/tonic/expiry.rs"]
mod expiry;
mod expiry_of_streams;
mod handlers;
mod one_port;
mod open;
mod proto;
mod requirements;
#[path = "../../examples/tonic/routes.rs"]
mod routes;
#[path = "../../examples/tonic/service.rs"]
mod service;
mod statuses;
mod support;
mod tls;
mod web;
#[rustfmt::skip]
#[allow(clippy::as_conversions, unreachable_pub, unused_qualifications)]
#[path = "../../examples/tonic/whoami.rs"]
mod whoami;
