//! Claims of your own, from Clerk's dashboard to a typed argument of a handler.
//!
//! ```text
//! cargo run --example custom_claims
//! ```
//!
//! In the dashboard, under Sessions, customize the session token:
//!
//! ```json
//! { "email": "{{user.primary_email_address}}", "metadata": "{{user.public_metadata}}" }
//! ```

use axum::{Json, Router, routing::get};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_clerk::{ClerkAuth, ClerkAuthLayer, CustomClaims, testing::TestIssuer};

#[derive(Deserialize)]
struct Profile {
    email: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    onboarded: bool,
}

/// The layer rejects a token without an `email` before the request reaches a handler.
pub(crate) fn app(clerk: ClerkAuthLayer) -> Router {
    Router::new().route("/profile", get(profile)).route_layer(clerk.with_custom_claims::<Profile>())
}

async fn profile(user: ClerkAuth, profile: CustomClaims<Profile>) -> Json<Value> {
    Json(json!({ "sub": user.user_id(), "email": profile.email, "onboarded": profile.metadata.onboarded }))
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let issuer = TestIssuer::start().await?;
    let clerk = ClerkAuthLayer::new(issuer.url())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let token = issuer
        .token("user_ada")
        .claim("email", "ada@example.com")
        .claim("metadata", json!({ "onboarded": true }))
        .lifetime(std::time::Duration::from_secs(3600))
        .sign();
    println!("curl localhost:3000/profile -H 'Authorization: Bearer {token}'");
    axum::serve(listener, app(clerk)).await?;
    Ok(())
}

#[path = "support/exit.rs"]
mod exit;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    exit::code(run().await)
}
