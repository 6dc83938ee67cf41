//! An MCP server (rmcp, streamable HTTP, axum) whose tools know which user and which client call them.
//!
//! [`Server`] puts the parts together:
//!
//! - `tools`: what the server offers, and the scopes that each tool needs.
//! - `scope_challenge`: the 403 on which an MCP client asks its user for more scopes.
//! - `audience`: the 401 for a token that was issued for another service.
//! - `browsers`: which web pages may call the server.
//! - `issuer`: a stand-in for a Clerk instance, with which the whole OAuth flow runs offline. Leave it out of your own
//!   server.

mod audience;
mod browsers;
mod issuer;
mod scope_challenge;
mod server;
mod settings;
#[path = "../../support/shutdown.rs"]
mod shutdown;
mod tools;
mod welcome;

pub use self::{
    issuer::Issuer,
    server::{PATH, Server},
    settings::Settings,
    welcome::welcome,
};
