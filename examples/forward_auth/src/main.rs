//! Decides for nginx, Caddy and Traefik whose requests may pass, by tokens of Clerk.
//!
//! ```text
//! cargo run --manifest-path examples/forward_auth/Cargo.toml -- --demo
//! CLERK_PUBLISHABLE_KEY=pk_test_… cargo run --manifest-path examples/forward_auth/Cargo.toml -- --nginx
//! ```
//!
//! `README.md` beside the manifest shows the proxies.

mod decision;
#[path = "../../support/deployment.rs"]
mod deployment;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../../support/exit.rs"]
mod exit;
#[path = "../../support/http_server.rs"]
mod http_server;
#[path = "../../support/identity_headers.rs"]
mod identity_headers;
#[path = "../../support/keep_keys.rs"]
mod keep_keys;
#[path = "../../support/metrics.rs"]
mod metrics;
mod original;
mod peers;
mod problem;
mod rules;
mod server;
mod settings;
#[path = "../../support/shutdown.rs"]
mod shutdown;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../../support/spelling.rs"]
mod spelling;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../../support/variables.rs"]
mod variables;
mod welcome;

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
};

use self::{
    decision::Decider,
    deployment::Deployment,
    metrics::Metrics,
    server::Server,
    settings::{Command, HELP},
    welcome::welcome,
};

#[tokio::main]
async fn main() -> ExitCode {
    // What the library reports, such as keys that cannot be fetched.
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(tracing::Level::WARN).init();
    exit::code_of_lines(run().await)
}

async fn run() -> Result<(), Vec<String>> {
    let settings = match Command::read(env::args_os().skip(1), variables::of_process)? {
        Command::Help => {
            // A closed stdout is ignored: there is nobody to help.
            let _ = write!(io::stdout(), "{HELP}");
            return Ok(());
        }
        Command::Serve(settings) => settings,
    };
    let one = |error: &(dyn Error + 'static)| vec![exit::line(error)];
    let Deployment { config, issuer } =
        Deployment::read(settings.is_demonstration).await.map_err(|error| one(error.as_ref()))?;
    // What is counted without a recorder is lost.
    let metrics = Metrics::install().map_err(|error| one(error.as_ref()))?;
    let decider = Decider::new(config, &settings).map_err(|error| one(&error))?;
    let address = SocketAddr::new(settings.address, settings.port);
    let server = Server::bind(address, decider, metrics).await.map_err(|error| vec![error])?;
    let address = server.address().map_err(|error| one(&error))?;
    // A closed stdout is ignored: the server runs without it.
    let _ = write!(io::stdout(), "{}", welcome(address, &settings, issuer.as_ref()));
    server.run().await;
    Ok(())
}
