use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::{get, post},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ConfigError, OAuthToken, Principal, RequireLayer, Requirement, TokenKind, Verifier,
    claims::Organization,
};

use crate::{
    caller::Caller,
    metrics::{self, Metrics},
};

/// `GET /public` for everyone, `GET /protected` for users, `GET /optional` for both, `POST /invoices` for users with a
/// permission, `GET /healthz` and `GET /metrics` for operators; and for programs too `GET /any`, `GET /oauth` for OAuth
/// clients, `GET /scoped` for OAuth clients and API keys with a scope.
///
/// The layers share one verifier, and so its keys and what it knows about tokens.
pub(crate) fn app(clerk: ClerkAuthLayer, metrics: Metrics) -> Result<Router, ConfigError> {
    let sessions = clerk.clone().accept([TokenKind::Session])?;
    let scope = RequireLayer::new(Requirement::scope("things:read"));
    let health = Router::new().route("/healthz", get(healthz)).with_state(clerk.verifier().clone());
    let metrics = Router::new().route("/metrics", get(self::metrics)).with_state((metrics, clerk.verifier().clone()));
    let protected = Router::new().route("/protected", get(protected)).route_layer(sessions.clone());
    let invoices = Router::new()
        .route("/invoices", post(create_invoice))
        .route_layer(RequireLayer::new(Requirement::permission("org:invoices:create")))
        .route_layer(sessions.clone());
    let optional =
        Router::new().route("/optional", get(optional)).route_layer(sessions.allow_unauthenticated_requests());
    let programs = Router::new()
        .route("/scoped", get(any).route_layer(scope))
        .route("/any", get(any))
        .route("/oauth", get(oauth))
        .route_layer(clerk);
    Ok(Router::new()
        .route("/public", get(|| async { "everyone may read this\n" }))
        .merge(protected)
        .merge(invoices)
        .merge(optional)
        .merge(programs)
        .merge(health)
        .merge(metrics))
}

/// What the token grants to the user, and all its claims.
#[derive(Serialize)]
struct User {
    sub: String,
    organization: Option<Membership>,
    features: Vec<String>,
    plans: Vec<String>,
    claims: Box<RawValue>,
}

#[derive(Serialize)]
struct Membership {
    id: String,
    slug: Option<String>,
    role: Option<String>,
    permissions: Vec<String>,
}

#[derive(Serialize)]
struct Visitor {
    authenticated: bool,
    sub: Option<String>,
}

#[derive(Serialize)]
struct Invoice {
    created_by: String,
    organization_id: Option<String>,
}

/// The state of the keys, with times in seconds.
#[derive(Serialize)]
struct Health {
    keys: usize,
    age: Option<u64>,
    last_success: Option<u64>,
    last_error: Option<String>,
}

async fn protected(user: ClerkAuth) -> impl IntoResponse {
    RawValue::from_string(user.as_json().to_owned()).map_err(|error| error.to_string()).map(|claims| {
        Json(User {
            sub: user.user_id().to_owned(),
            organization: user.organization().map(Membership::from),
            features: user.features().map(|feature| feature.to_string()).collect(),
            plans: user.plans().map(|plan| plan.to_string()).collect(),
            claims,
        })
    })
}

async fn optional(user: Option<ClerkAuth>) -> Json<Visitor> {
    Json(Visitor { authenticated: user.is_some(), sub: user.map(|user| user.user_id().to_owned()) })
}

/// Nothing is kept: the response says for whom the invoice would be.
async fn create_invoice(user: ClerkAuth) -> impl IntoResponse {
    let organization_id = user.organization().map(|organization| organization.id().to_owned());
    (StatusCode::CREATED, Json(Invoice { created_by: user.user_id().to_owned(), organization_id }))
}

async fn any(principal: Principal) -> Json<Caller> {
    Json(Caller::from(&principal))
}

/// The layer accepts more, but a handler that takes an `OAuthToken` never sees another kind: those get a 401.
async fn oauth(token: OAuthToken) -> Json<Caller> {
    Json(Caller::from(&Principal::from(token)))
}

/// Always a 200, even without keys: restarting this service would not end an outage of Clerk.
async fn healthz(State(verifier): State<Verifier>) -> Json<Health> {
    let status = verifier.keys_status();
    Json(Health {
        keys: status.keys,
        age: status.age.map(|age| age.as_secs()),
        last_success: status.last_success.map(|age| age.as_secs()),
        last_error: status.last_error.map(|kind| kind.to_string()),
    })
}

/// For Prometheus.
async fn metrics(State((metrics, verifier)): State<(Metrics, Verifier)>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.render([&verifier]))
}

impl From<Organization<'_>> for Membership {
    fn from(organization: Organization<'_>) -> Self {
        Self {
            id: organization.id().to_owned(),
            slug: organization.slug().map(str::to_owned),
            role: organization.role().map(str::to_owned),
            permissions: organization.permissions().map(str::to_owned).collect(),
        }
    }
}
