use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
};
use tower_clerk::{ClerkAuthLayer, Rejection};

use super::before::{self, AuthState};

/// The old check decides. What tower-clerk would have rejected is logged, and is in the extensions of the response.
async fn compare(request: Request, next: Next) -> Response {
    let rejection = request.extensions().get::<Rejection>().cloned();
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(rejection) = rejection.filter(|_| response.status().is_success()) {
        tracing::warn!(path, reason = ?rejection.verify_error_kind(), "accepted only by the old check");
        response.extensions_mut().insert(rejection);
    }
    response
}

pub fn app(auth: AuthState, clerk: ClerkAuthLayer) -> Router {
    before::app(auth).route_layer(from_fn(compare)).route_layer(clerk.allow_unauthenticated_requests())
}
