//! An API gateway that runs the files of a hosted one: `policies.json` and `*.oas.json`.
//!
//! [`Gateway`] is the program, and the place for policies of your own. The other modules are its parts, public for the
//! tests and the fuzz targets.

mod access_log;
mod admin;
mod cors;
mod demonstration;
mod dispatch;
pub mod documents;
mod environment;
mod error;
mod excerpt;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../../support/exit.rs"]
mod exit;
mod fault;
mod gateway;
mod gauges;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../../support/identity_headers.rs"]
mod identity_headers;
#[path = "../../support/keep_keys.rs"]
mod keep_keys;
#[path = "../../support/metrics.rs"]
mod metrics;
mod policies;
mod problem;
mod program;
pub mod proxy;
mod route_table;
mod routing;
mod running;
mod server;
mod settings;
mod shutdown;
mod signals;
mod site;
mod source;
mod template;
mod terminal;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../../support/variables.rs"]
mod variables;
mod warm_up;

/// Its example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use self::{
    error::GatewayError, fault::Fault, gateway::Gateway, policies::RouteService, route_table::route_table,
    running::RunningGateway,
};
