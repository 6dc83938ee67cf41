//! How to run a service with this crate, one chapter for each module below.
//!
//! - [`deployment`]: compiler, TLS, runtime, proxy, certificates, health endpoint, start, replicas, frozen processes.
//! - [`outages`]: what a service does while Clerk is unreachable, slow or wrong.
//! - [`events`]: every `tracing` event and span, and what an operator does about it.
//! - [`defaults`]: every number of this crate, with its reason.
//! - [`recipes`]: complete examples for common tasks.
//! - [`browsers`]: other origins, visitors, cookies, WebSockets, server-sent events.
//! - [`leaving_a_hosted_gateway`]: the files of a hosted API gateway, run by a program of your own.
//! - [`machines`]: OAuth tokens, M2M tokens and API keys: which kind for whom, and what each costs.
//! - [`mcp_servers`]: an MCP server that accepts the tokens of OAuth clients.
//! - [`openapi`]: a security scheme with aide or utoipa.
//! - [`settings`]: settings that people set by mistake, each with its error.
//! - [`threats`]: who is trusted with what, and what this crate does not do.

#[doc = include_str!("browsers.md")]
pub mod browsers {}

#[doc = include_str!("defaults.md")]
pub mod defaults {}

#[doc = include_str!("deployment.md")]
pub mod deployment {}

#[doc = include_str!("events.md")]
pub mod events {}

#[doc = include_str!("leaving_a_hosted_gateway.md")]
pub mod leaving_a_hosted_gateway {}

#[doc = include_str!("machines.md")]
pub mod machines {}

#[doc = include_str!("mcp_servers.md")]
pub mod mcp_servers {}

// Its examples need aide and utoipa, so the package `tests/crates/recipes` runs them.
#[cfg(not(doctest))]
#[doc = include_str!("openapi.md")]
pub mod openapi {}

#[doc = include_str!("outages.md")]
pub mod outages {}

#[doc = include_str!("recipes.md")]
pub mod recipes {}

#[doc = include_str!("settings.md")]
pub mod settings {}

#[doc = include_str!("threats.md")]
pub mod threats {}

/// Programs that must not compile, each beside its nearest neighbour that does.
#[cfg(doctest)]
#[doc = include_str!("mistakes.md")]
mod mistakes {}
