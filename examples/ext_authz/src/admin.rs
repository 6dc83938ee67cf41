//! `/healthz`, `/readyz` and `/metrics`, on a port of their own that is not for clients.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};

use crate::{
    metrics::{self, Metrics},
    readiness::Readiness,
};

#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
}

pub(crate) fn routes(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(admin)
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    match admin.readiness.is_ready() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the keys are missing, or the server ends\n"),
    }
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], admin.metrics.render([admin.readiness.verifier()]))
}
