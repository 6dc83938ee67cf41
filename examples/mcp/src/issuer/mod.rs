//! A stand-in for a Clerk instance that plays the authorization server (OAuth 2.1), so that MCP clients can go through
//! the whole flow offline. Whoever asks becomes its one user.
//!
//! It has no other purpose. It serves only a server whose public URL is on this machine, answers only requests whose
//! `Host` is, and forgets everything at its end.

mod authorize;
mod consent;
mod metadata;
mod parameters;
mod pkce;
mod redirect_uri;
mod registration;
mod state;
mod store;
mod token;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{StatusCode, header::HOST};
use tower_http::{
    cors::{Any, CorsLayer},
    csrf::CsrfLayer,
};
use url::Url;

pub use self::state::Issuer;
use crate::browsers::is_loopback;

/// The endpoints of the issuer.
pub(crate) fn routes(issuer: Arc<Issuer>) -> Router {
    // Clients in browsers fetch these from pages of other origins. No cookie is read anywhere.
    let for_clients = Router::new()
        .route("/.well-known/oauth-authorization-server", get(metadata::document))
        .route("/.well-known/openid-configuration", get(metadata::document))
        .route(metadata::JWKS, get(metadata::keys))
        .route(metadata::REGISTER, post(registration::register))
        .route(metadata::TOKEN, post(token::exchange))
        .route_layer(CorsLayer::new().allow_origin(Any).allow_methods(Any).allow_headers(Any));
    let for_people = Router::new()
        .route(metadata::AUTHORIZE, get(authorize::ask).post(authorize::decide))
        // Without it, another page could consent in the name of its visitor.
        .route_layer(CsrfLayer::new());
    for_clients
        .merge(for_people)
        .route_layer(DefaultBodyLimit::max(MAX_BODY))
        .route_layer(from_fn(on_this_machine))
        .with_state(issuer)
}

/// Rejects requests for another host: a page that has given its own name this machine's address (DNS rebinding) must
/// not read what the issuer says.
async fn on_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let url = host.and_then(|host| Url::parse(&format!("http://{host}")).ok());
    match url {
        Some(url) if is_loopback(&url) => next.run(request).await,
        _ => (StatusCode::FORBIDDEN, "the embedded issuer serves this machine alone\n").into_response(),
    }
}

/// In bytes, of a registration and of a form.
const MAX_BODY: usize = 16 * 1024;
