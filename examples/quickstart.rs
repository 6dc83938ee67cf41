//! Protects an axum app with one line.
//!
//! ```text
//! cargo run --example quickstart -- https://your-app.clerk.accounts.dev
//! ```

use axum::{Router, routing::get};
use tower_clerk::{ClerkAuth, ClerkAuthLayer};

async fn me(user: ClerkAuth) -> String {
    format!("hello {}", user.user_id())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).ok_or("usage: quickstart <Frontend API URL>")?;
    let clerk = ClerkAuthLayer::new(url)?;
    // The layer guards the routes before it. Routes that are added or merged after it are open.
    let app = Router::new().route("/me", get(me)).route_layer(clerk);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await?;
    Ok(())
}

#[path = "support/exit.rs"]
mod exit;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    exit::code(run().await)
}
