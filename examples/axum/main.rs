//! An API behind Clerk. It includes an issuer, so that you can try it without an account.
//!
//! ```text
//! cargo run --example axum
//! CLERK_PUBLISHABLE_KEY=pk_test_… PORT=8080 cargo run --example axum
//! CLERK_PUBLISHABLE_KEY=pk_test_… CLERK_SECRET_KEY=sk_test_… cargo run --example axum
//! ```
//!
//! `/protected` and `/optional` are for the users of sessions. `/any`, `/oauth` and `/scoped` accept the tokens of OAuth
//! clients and machines too, and API keys if there is a secret key to verify them with.

mod caller;
#[path = "../support/exit.rs"]
mod exit;
mod routes;
mod settings;
mod tokens;

use std::{error::Error, io::Write, net::SocketAddr, process::ExitCode, time::Duration};

use tower_clerk::{ClerkAuthLayer, testing::TestIssuer};

use self::settings::Settings;

#[tokio::main]
async fn main() -> ExitCode {
    exit::code(run().await)
}

async fn run() -> Result<(), Box<dyn Error>> {
    let settings = Settings::read(3000).await?;
    let config = tokens::accepted(settings.config.clone(), settings.issuer.as_ref())?;
    let app = routes::app(ClerkAuthLayer::from_config(config)?)?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", settings.port))
        .await
        .map_err(|error| format!("PORT: 127.0.0.1:{} cannot be listened on: {error}", settings.port))?;
    let address = listener.local_addr()?;
    print_what_to_try(address, settings.issuer.as_ref());
    let serving = axum::serve(listener, app).with_graceful_shutdown(interrupted());
    tokio::select! {
        served = serving => Ok(served?),
        // A client that never finishes its request must not keep the program running.
        () = async { interrupted().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
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

/// Waits for Ctrl-C. If no handler can be installed, the signal ends the process anyway.
async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}

/// How long running requests may take after Ctrl-C.
const GRACE: Duration = Duration::from_secs(5);
