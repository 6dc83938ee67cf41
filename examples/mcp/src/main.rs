//! An MCP server behind Clerk. It includes an issuer, so that you can try it without an account.
//!
//! ```text
//! cargo run --manifest-path examples/mcp/Cargo.toml
//! CLERK_PUBLISHABLE_KEY=pk_test_… PUBLIC_URL=https://mcp.example.com cargo run --manifest-path examples/mcp/Cargo.toml
//! ```

#[path = "../../support/exit.rs"]
mod exit;

use std::{error::Error, io::Write, process::ExitCode};

use mcp::{Server, Settings, welcome};

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(run().await.map_err(|error| -> Box<dyn Error> { error }))
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = Server::bind(Settings::from_env()?).await?;
    // A closed stdout is ignored: the server runs without it.
    let _ = write!(std::io::stdout(), "{}", welcome(&server));
    Ok(server.run().await?)
}
