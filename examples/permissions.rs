//! Who may do what: by route, by handler, by policy, and with API keys beside Clerk.
//!
//! ```text
//! cargo run --example permissions
//! ```

use axum::{
    Json, Router,
    extract::{Path, Request},
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post},
};
use serde_json::{Value, json};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, Rejection, Requirement,
    authorize::{Authorized, Policy, RequireAuthenticatedLayer, RequireLayer},
    claims::Reverification,
    testing::TestIssuer,
};

/// A machine that sent a valid API key.
#[derive(Clone)]
struct Machine;

/// The policy of the payment pages.
struct ManageBilling;

impl Policy for ManageBilling {
    fn requirement() -> Requirement {
        Requirement::role("org:admin").and(Requirement::reverification(Reverification::strict()))
    }
}

pub(crate) fn app(clerk: &ClerkAuthLayer) -> Router {
    let may_create = Requirement::permission("org:invoices:create").and(Requirement::plan("org:business"));
    let users = Router::new()
        .route("/invoices", post(create).route_layer(RequireLayer::new(may_create)))
        .route("/invoices/{organization}", delete(delete_all))
        .route("/billing", get(billing))
        .route_layer(clerk.clone());
    let machines_too = Router::new()
        .route("/reports", get(reports))
        .route_layer(RequireAuthenticatedLayer::new().or::<Machine>())
        .route_layer(middleware::from_fn(api_key))
        .route_layer(clerk.clone().allow_unauthenticated_requests());
    users.merge(machines_too)
}

/// `RequireLayer` has already checked the permission and the plan.
async fn create(user: ClerkAuth) -> Json<Value> {
    Json(json!({ "created_by": user.user_id() }))
}

/// The requirement depends on the request.
async fn delete_all(user: ClerkAuth, Path(organization): Path<String>) -> Result<Json<Value>, Rejection> {
    let is_own = move |user: &ClerkAuth| user.organization().is_some_and(|own| own.id() == organization);
    user.require(&Requirement::role("org:admin").and(Requirement::predicate(is_own)))?;
    Ok(Json(json!({ "deleted_by": user.user_id() })))
}

async fn billing(user: Authorized<ManageBilling>) -> Json<Value> {
    Json(json!({ "managed_by": user.user_id() }))
}

async fn reports(user: Option<ClerkAuth>) -> Json<Value> {
    Json(json!({ "read_by": user.map_or("a machine".to_owned(), |user| user.user_id().to_owned()) }))
}

/// A placeholder for a real scheme: it reads its own header and passes every request on.
async fn api_key(mut request: Request, next: Next) -> Response {
    if request.headers().get("x-api-key").is_some_and(|key| key == "secret") {
        request.extensions_mut().insert(Machine);
    }
    next.run(request).await
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let issuer = TestIssuer::start().await?;
    let clerk = ClerkAuthLayer::new(issuer.url())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let admin = issuer
        .token("user_ada")
        .organization("org_acme", "admin")
        .permission("invoices", "create")
        .plan("o:business")
        .claim("fva", [30, -1])
        .lifetime(std::time::Duration::from_secs(3600))
        .sign();
    println!(
        "TOKEN={admin}\n\
         curl -X POST localhost:3000/invoices -H \"Authorization: Bearer $TOKEN\"             # 200\n\
         curl -X DELETE localhost:3000/invoices/org_other -H \"Authorization: Bearer $TOKEN\" # 403, not her own\n\
         curl localhost:3000/billing -H \"Authorization: Bearer $TOKEN\"                      # 403, verified 30 minutes ago\n\
         curl localhost:3000/reports -H 'x-api-key: secret'                                 # 200, a machine\n\
         curl localhost:3000/reports                                                        # 401"
    );
    axum::serve(listener, app(&clerk)).await?;
    Ok(())
}

#[path = "support/exit.rs"]
mod exit;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    exit::code(run().await)
}
