//! How to run a service with this crate, one chapter for each module below.
//!
//! - [`dashboards`]: every metric with its labels, a dashboard and alerts.
//! - [`deployment`]: compiler, TLS, runtime, proxy, certificates, start, frozen processes.
//! - [`replicas`]: load on the key endpoint, memory, probes, rotation of keys, rolling deploys.
//! - [`outages`]: what a service does while Clerk is unreachable, slow or wrong.
//! - [`events`]: every `tracing` event and span, and what an operator does about it.
//! - [`defaults`]: every number of this crate, with its reason.
//! - [`recipes`]: complete examples for common tasks.
//! - [`browsers`]: other origins, visitors, cookies, policies, WebSockets, server-sent events.
//! - [`in_front_of_anything`]: in the process, a gateway, forward_auth, ext_authz: which one when, and what each costs.
//! - [`leaving_a_hosted_gateway`]: the files of a hosted API gateway, run by a program of your own.
//! - [`machines`]: OAuth tokens, M2M tokens and API keys: which kind for whom, and what each costs.
//! - [`mcp_servers`]: an MCP server that accepts the tokens of OAuth clients.
//! - [`migration`]: from checks with `jsonwebtoken`, from clerk-rs and from jwt-authorizer, before and after.
//! - [`openapi`]: a security scheme with aide or utoipa.
//! - [`settings`]: settings that people set by mistake, each with its error.
//! - [`threats`]: who is trusted with what, and what this crate does not do.

#[doc = include_str!("browsers.md")]
pub mod browsers {}

// Its example needs the recorder and the facade.
#[cfg(any(not(doctest), feature = "metrics"))]
#[doc = include_str!("dashboards.md")]
pub mod dashboards {}

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[doc = include_str!("deployment.md")]
pub mod deployment {}

#[doc = include_str!("events.md")]
pub mod events {}

#[doc = include_str!("in_front_of_anything.md")]
pub mod in_front_of_anything {}

#[doc = include_str!("leaving_a_hosted_gateway.md")]
pub mod leaving_a_hosted_gateway {}

#[doc = include_str!("machines.md")]
pub mod machines {}

#[doc = include_str!("mcp_servers.md")]
pub mod mcp_servers {}

// Its programs need crates that people come from, so the package `tests/crates/migrations` runs them.
#[cfg(not(doctest))]
#[doc = include_str!("migration.md")]
pub mod migration {}

// Its examples need aide and utoipa, so the package `tests/crates/recipes` runs them.
#[cfg(not(doctest))]
#[doc = include_str!("openapi.md")]
pub mod openapi {}

#[doc = include_str!("outages.md")]
pub mod outages {}

#[doc = include_str!("recipes.md")]
pub mod recipes {}

// The picture is a part of the page, since docs.rs serves no other files of the package.
// Markdown needs the empty line before it.
#[doc = include_str!("replicas.md")]
#[doc = ""]
#[doc = include_str!("../../benches/replicas.svg")]
pub mod replicas {}

#[doc = include_str!("settings.md")]
pub mod settings {}

#[doc = include_str!("threats.md")]
pub mod threats {}

/// Programs that must not compile, each beside its nearest neighbour that does.
#[cfg(doctest)]
#[doc = include_str!("mistakes.md")]
mod mistakes {}
