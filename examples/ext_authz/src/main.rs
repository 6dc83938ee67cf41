//! An external authorization server (`ext_authz`) for Envoy and Istio. It includes an issuer and an upstream, so that
//! you can try it without an account.
//!
//! ```text
//! cargo run --manifest-path examples/ext_authz/Cargo.toml -- --demo
//! CLERK_PUBLISHABLE_KEY=pk_test_… cargo run --manifest-path examples/ext_authz/Cargo.toml
//! ```
//!
//! `envoy.yaml`, `istio.yaml` and `kubernetes.yaml` are beside it, and `README.md` says what to watch.

mod admin;
mod check;
mod demonstration;
#[path = "../../support/deployment.rs"]
mod deployment;
#[path = "../../support/exit.rs"]
mod exit;
mod guard;
#[path = "../../support/http_server.rs"]
mod http_server;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../../support/identity_headers.rs"]
mod identity_headers;
#[path = "../../support/keep_keys.rs"]
mod keep_keys;
#[path = "../../support/metrics.rs"]
mod metrics;
mod readiness;
mod request;
mod response;
mod server;
mod settings;
#[path = "../../support/shutdown.rs"]
mod shutdown;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../../support/variables.rs"]
mod variables;

use std::{env, error::Error, io, io::Write, process::ExitCode};

use tracing::Level;

use self::settings::{Command, HELP};

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(Level::WARN).init();
    match Command::read(env::args_os().skip(1), variables::of_process)? {
        Command::Help => Ok(io::stdout().write_all(HELP.as_bytes())?),
        Command::Serve(settings) => server::serve(settings).await,
    }
}
