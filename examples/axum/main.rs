//! An API behind Clerk. It includes an issuer, so that you can try it without an account.
//!
//! ```text
//! cargo run --example axum
//! CLERK_PUBLISHABLE_KEY=pk_test_… PORT=8080 cargo run --example axum
//! CLERK_PUBLISHABLE_KEY=pk_test_… CLERK_SECRET_KEY=sk_test_… cargo run --example axum
//! ```
//!
//! Its address in a browser is a page that calls the routes. `/protected`, `/optional` and `/invoices` are for the users
//! of sessions. `/any`, `/oauth` and `/scoped` accept the tokens of OAuth clients and machines too, and API keys if there
//! is a secret key to verify them with. With a publishable key the page signs you in with Clerk's own script.
//!
//! `/metrics` is open to everyone here, so that it can be tried with curl. In production it belongs on a port that only
//! Prometheus can reach, as in the tonic example.

mod caller;
#[path = "../support/exit.rs"]
mod exit;
#[path = "../support/metrics.rs"]
mod metrics;
mod page;
mod routes;
mod settings;
#[path = "../support/shutdown.rs"]
mod shutdown;
mod tokens;
#[allow(dead_code, reason = "a program takes what it needs")]
#[path = "../support/variables.rs"]
mod variables;

use std::{error::Error, io::Write, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tower_clerk::{ClerkAuthLayer, testing::TestIssuer};

use self::{metrics::Metrics, settings::Settings, shutdown::Signals};

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(3000).await?;
    let issuer = settings.issuer.map(Arc::new);
    let config = tokens::accepted(settings.config, issuer.as_deref())?;
    // Before the layer, so that nothing is left out.
    let metrics = Metrics::install()?;
    let app = routes::app(ClerkAuthLayer::from_config(config)?, metrics)?.merge(page::routes(issuer.clone())?);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", settings.port))
        .await
        .map_err(|error| format!("PORT: 127.0.0.1:{} cannot be listened on: {error}", settings.port))?;
    let address = listener.local_addr()?;
    // From now on a signal waits to be obeyed; until then it ends the process.
    let signals = Signals::new();
    print_what_to_try(address, issuer.as_deref());
    let server = axum::serve(listener, app);
    Ok(signals.serve(|ended| server.with_graceful_shutdown(async { drop(ended.await) })).await?)
}

fn print_what_to_try(address: SocketAddr, issuer: Option<&TestIssuer>) {
    // A closed stdout is ignored: the server runs without it.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening on http://{address}");
    let Some(issuer) = issuer else { return };
    let token = issuer
        .token("user_ada")
        .authorized_party("http://localhost:3000")
        .organization("org_acme", "admin")
        .organization_slug("acme")
        .permission("invoices", "create")
        .permission("invoices", "read")
        .feature("u:beta")
        .plan("o:business")
        .claim("email", "ada@example.com")
        .lifetime(Duration::from_secs(60 * 60))
        .sign();
    let _ = writeln!(
        stdout,
        "\nno Clerk instance is configured: tokens of an embedded one are trusted, {}\n\n\
         a page that tries every route, in a browser:\n  http://{address}/\n\n\
         without a token, 401:\n  curl -i http://{address}/protected\n\n\
         with a token that is good for an hour, 200:\n  curl -i http://{address}/protected -H 'Authorization: Bearer {token}'\n",
        issuer.url()
    );
    for (what, path, token) in tokens::of_programs(issuer) {
        let _ = writeln!(
            stdout,
            "with {what}, 200:\n  curl -i http://{address}{path} -H 'Authorization: Bearer {token}'\n"
        );
    }
    let _ = writeln!(stdout, "with or without, 200:\n  curl -i http://{address}/optional");
}
