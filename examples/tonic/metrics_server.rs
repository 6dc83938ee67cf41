use std::io;

use axum::{Router, extract::State, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use tokio::net::TcpListener;
use tower_clerk::Verifier;

use super::metrics::{self, Metrics};

/// Serves `GET /metrics` over HTTP.
pub(crate) async fn serve(listener: TcpListener, metrics: Metrics, verifier: Verifier) -> io::Result<()> {
    let app = Router::new().route("/metrics", get(exposition)).with_state((metrics, verifier));
    axum::serve(listener, app).await
}

async fn exposition(State((metrics, verifier)): State<(Metrics, Verifier)>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.render([&verifier]))
}
