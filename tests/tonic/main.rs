//! The layer in front of tonic services, called by tonic's clients over sockets.
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod cancellation;
mod credentials;
mod deadlines;
#[rustfmt::skip]
#[allow(clippy::as_conversions, unreachable_pub, unused_qualifications)]
mod echo;
#[path = "../../examples/tonic/expiry.rs"]
mod expiry;
mod handlers;
mod harness;
mod header_limit;
mod kinds;
mod one_port;
mod proto;
mod requirements;
#[path = "../../examples/tonic/routes.rs"]
mod routes;
#[path = "../../examples/tonic/service.rs"]
mod service;
mod statuses;
mod stream_expiry;
mod tls;
mod unprotected_services;
mod web;
#[rustfmt::skip]
#[allow(clippy::as_conversions, unreachable_pub, unused_qualifications)]
#[path = "../../examples/tonic/whoami.rs"]
mod whoami;
