//! An MCP server behind Clerk. It includes an issuer, so that you can try it without an account.
//!
//! ```text
//! cargo run --manifest-path examples/mcp/Cargo.toml
//! CLERK_PUBLISHABLE_KEY=pk_test_… PUBLIC_URL=https://mcp.example.com cargo run --manifest-path examples/mcp/Cargo.toml
//! ```

use std::{error::Error, io::Write, process::ExitCode};

use mcp::{Server, Settings, welcome};

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    // A closed stderr is ignored: the exit code reports the error too.
    let _ = writeln!(std::io::stderr(), "error: {}", line(error.as_ref()));
    ExitCode::from(2)
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let server = Server::bind(Settings::from_env()?).await?;
    // A closed stdout is ignored: the server runs without it.
    let _ = write!(std::io::stdout(), "{}", welcome(&server));
    Ok(server.run().await?)
}

/// The error and its causes, which say what could not be done and why.
fn line(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace(['\r', '\n'], " ")
}
