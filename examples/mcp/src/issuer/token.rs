//! The token endpoint: a code for an access token.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde_json::{Value, json};

use super::{
    parameters::Parameters,
    state::{Issuer, TOKEN_LIFETIME},
    store::random_name,
};

/// Takes a form (RFC 6749, section 4.1.3), whose size the router bounds.
pub(super) async fn exchange(State(issuer): State<Arc<Issuer>>, body: Bytes) -> Response {
    let (status, body) = match issuer.redeem(&body) {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
    };
    (status, [(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

impl Issuer {
    /// The response, or its error code (RFC 6749, section 5.2).
    fn redeem(&self, body: &[u8]) -> Result<Value, &'static str> {
        let parameters = Parameters::read(body).map_err(|_| "invalid_request")?;
        match parameters.get("grant_type") {
            Some("authorization_code") => {}
            Some(_) => return Err("unsupported_grant_type"),
            None => return Err("invalid_request"),
        }
        let required = |name| parameters.get(name).ok_or("invalid_request");
        let (code, verifier) = (required("code")?, required("code_verifier")?);
        let (client_id, redirect_uri) = (required("client_id")?, required("redirect_uri")?);
        // Taken first: whoever tries a code uses it up, whatever else is wrong.
        let grant = self.codes.take(code).ok_or("invalid_grant")?;
        if grant.client_id != client_id || grant.redirect_uri != redirect_uri || !grant.challenge.is_of(verifier) {
            return Err("invalid_grant");
        }
        if parameters.get("resource").is_some_and(|resource| resource != self.resource) {
            return Err("invalid_target");
        }
        let scope = grant.scopes.join(" ");
        // The id of an OAuth token of Clerk.
        let id = format!("oat_{}", random_name().map_err(|_| "server_error")?);
        let token = self.token().claim("client_id", client_id).claim("jti", id).claim("scope", &scope).sign();
        Ok(json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFETIME.as_secs(),
            "scope": scope,
        }))
    }
}
