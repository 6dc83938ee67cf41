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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::{Body, to_bytes};
    use form_urlencoded::Serializer;
    use http::{
        Request as HttpRequest,
        header::{CONTENT_TYPE, LOCATION},
    };
    use serde_json::{Value, json};
    use tokio::time::advance;
    use tower::ServiceExt;

    use super::*;

    const REDIRECT_URI: &str = "http://127.0.0.1:33418/";
    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    /// Without a socket, so that time passes only in `advance`.
    async fn post(app: &Router, path: &str, media_type: &str, body: String) -> Response {
        let request = HttpRequest::post(path).header(HOST, "127.0.0.1").header(CONTENT_TYPE, media_type);
        app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    async fn post_form(app: &Router, path: &str, form: &[(&str, &str)]) -> Response {
        post(app, path, "application/x-www-form-urlencoded", encoded(form)).await
    }

    fn encoded(form: &[(&str, &str)]) -> String {
        Serializer::new(String::new()).extend_pairs(form).finish()
    }

    async fn json(response: Response) -> Value {
        serde_json::from_slice(&to_bytes(response.into_body(), MAX_BODY).await.unwrap()).unwrap()
    }

    /// A code that the user has just allowed.
    async fn code(app: &Router, client: &str) -> String {
        let request = encoded(&[
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT_URI),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        let form = [("request", request.as_str()), ("decision", "allow")];
        let response = post_form(app, metadata::AUTHORIZE, &form).await;
        let location = Url::parse(response.headers()[LOCATION].to_str().unwrap()).unwrap();
        location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    async fn redeem(app: &Router, client: &str, code: &str) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT_URI),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        let response = post_form(app, metadata::TOKEN, &form).await;
        (response.status(), json(response).await["error"].clone())
    }

    #[tokio::test(start_paused = true)]
    async fn a_code_is_good_for_less_than_a_minute() {
        let app = routes(Arc::new(Issuer::new("http://127.0.0.1:3001", "http://127.0.0.1:3001/mcp")));
        let registration = json!({ "redirect_uris": [REDIRECT_URI] }).to_string();
        let client = json(post(&app, metadata::REGISTER, "application/json", registration).await).await;
        let client = client["client_id"].as_str().unwrap();
        let (early, late) = (code(&app, client).await, code(&app, client).await);
        advance(Duration::from_millis(59_999)).await;
        assert_eq!(redeem(&app, client, &early).await, (StatusCode::OK, Value::Null));
        advance(Duration::from_millis(1)).await;
        assert_eq!(redeem(&app, client, &late).await, (StatusCode::BAD_REQUEST, json!("invalid_grant")));
        // The client itself has no such end.
        let fresh = code(&app, client).await;
        assert_eq!(redeem(&app, client, &fresh).await, (StatusCode::OK, Value::Null));
    }
}
