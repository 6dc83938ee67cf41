//! The server over its socket: with MCP clients that others have written, with browsers, and with attackers.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod browsers;
mod issuer;
mod minimal;
mod program;
mod rmcp_client;
mod support;
mod tokens;
mod typescript_client;
