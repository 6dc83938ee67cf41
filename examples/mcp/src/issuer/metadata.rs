//! What clients learn about the authorization server (RFC 8414). They ask under the path of OpenID Connect too.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::state::{Issuer, SCOPES};

/// The metadata. Each member is one that clients check, or that OpenID Connect requires.
pub(super) async fn document(State(issuer): State<Arc<Issuer>>) -> Json<Value> {
    let url = |path| format!("{}{path}", issuer.url);
    Json(json!({
        "issuer": issuer.url,
        "authorization_endpoint": url(AUTHORIZE),
        "token_endpoint": url(TOKEN),
        "registration_endpoint": url(REGISTER),
        "jwks_uri": url(JWKS),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }))
}

/// The public key of the tokens.
pub(super) async fn keys(State(issuer): State<Arc<Issuer>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], issuer.keys.jwks()).into_response()
}

pub(super) const AUTHORIZE: &str = "/oauth/authorize";
pub(super) const JWKS: &str = "/.well-known/jwks.json";
pub(super) const REGISTER: &str = "/oauth/register";
pub(super) const TOKEN: &str = "/oauth/token";
