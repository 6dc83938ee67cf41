//! A gRPC service behind Clerk. It includes an issuer, so that you can try it without an account.
//!
//! ```text
//! cargo run --example tonic
//! CLERK_PUBLISHABLE_KEY=pk_test_… PORT=8080 METRICS_PORT=9464 cargo run --example tonic
//! ```
//!
//! `ClerkAuthService` guards one service, so health checks and reflection need no token (`routes.rs`).
//! `Server::builder().layer(clerk)` would guard all services.
//!
//! The layer checks a token only when a call begins. The handler ends a response stream when the token expires
//! (`expiry.rs`).
//!
//! Metrics have a port of their own, which is not for clients: `METRICS_PORT`, or the one after `PORT`.

#[path = "../support/exit.rs"]
mod exit;
mod expiry;
#[path = "../support/metrics.rs"]
mod metrics;
mod metrics_server;
mod routes;
mod service;
#[path = "../axum/settings.rs"]
mod settings;
#[path = "../support/variables.rs"]
mod variables;
#[rustfmt::skip]
#[allow(clippy::as_conversions, unreachable_pub, unused_qualifications)]
mod whoami;

use std::{error::Error, io::Write, net::SocketAddr, process::ExitCode, time::Duration};

use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tower_clerk::{ClerkAuthLayer, testing::TestIssuer};

use self::{metrics::Metrics, settings::Settings};

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let Settings { config, issuer, port } = Settings::read(50051).await?;
    let metrics_port = variables::port_beside(port, "METRICS_PORT", variables::of_process)?;
    // Before the layer, so that nothing is left out.
    let metrics = Metrics::install()?;
    let clerk = ClerkAuthLayer::from_config(config)?;
    let routes = routes::routes(&clerk).await?;
    let (listener, metrics_listener) = (listen("PORT", port).await?, listen("METRICS_PORT", metrics_port).await?);
    let (address, metrics_address) = (listener.local_addr()?, metrics_listener.local_addr()?);
    // A closed stdout is ignored: the server runs without it.
    let _ =
        writeln!(std::io::stdout(), "listening on http://{address}\nmetrics are at http://{metrics_address}/metrics");
    if let Some(issuer) = &issuer {
        print_what_to_try(address, issuer);
    }
    let server = Server::builder().add_routes(routes).serve_with_incoming(TcpIncoming::from(listener));
    let metrics_server = metrics_server::serve(metrics_listener, metrics, clerk.verifier().clone());
    tokio::select! {
        served = server => Ok(served?),
        served = metrics_server => Ok(served?),
    }
}

async fn listen(variable: &str, port: u16) -> Result<TcpListener, String> {
    let listening = TcpListener::bind(("127.0.0.1", port)).await;
    listening.map_err(|error| format!("{variable}: 127.0.0.1:{port} cannot be listened on: {error}"))
}

fn print_what_to_try(address: SocketAddr, issuer: &TestIssuer) {
    let token = |user_id, role| issuer.token(user_id).organization("org_acme", role).lifetime(HOUR);
    let ada = token("user_ada", "admin").permission("invoices", "create").sign();
    let bob = token("user_bob", "member").sign();
    let python = "python3 -c \"import grpc; call = grpc.insecure_channel";
    let _ = writeln!(
        std::io::stdout(),
        "\nno Clerk instance is configured: tokens of an embedded one are trusted, {}\n\n\
         without a token, UNAUTHENTICATED:\n  \
         grpcurl -plaintext {address} {WHOAMI}\n  \
         {python}('{address}').unary_unary('/{WHOAMI}'); print(call(b''))\"\n\n\
         with one that is good for an hour, OK:\n  \
         grpcurl -plaintext -H 'authorization: Bearer {ada}' {address} {WHOAMI}\n  \
         {python}('{address}').unary_unary('/{WHOAMI}'); \
         print(call(b'', metadata=[('authorization', 'Bearer {ada}')]))\"\n\n\
         with one of a user who may not create invoices, PERMISSION_DENIED:\n  \
         grpcurl -plaintext -H 'authorization: Bearer {bob}' {address} whoami.v1.WhoAmI/CreateInvoice\n\n\
         everything at once, after pip install grpcio grpcio-reflection:\n  \
         python3 examples/tonic/try.py {address} {ada} {bob}",
        issuer.url()
    );
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const WHOAMI: &str = "whoami.v1.WhoAmI/WhoAmI";
