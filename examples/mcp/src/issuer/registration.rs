//! Clients introduce themselves (RFC 7591). Each is a public one: it has no secret, and PKCE in its place.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    redirect_uri,
    state::{Client, Issuer},
};

/// The members that count here. Others are ignored, as section 2 asks.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    client_name: String,
    redirect_uris: Vec<String>,
    #[serde(default = "code")]
    grant_types: Vec<String>,
}

/// The body is bounded by the router.
pub(super) async fn register(State(issuer): State<Arc<Issuer>>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_json(&headers) {
        let mut response = refused("invalid_client_metadata", "the Content-Type must be application/json");
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else {
        return refused("invalid_client_metadata", "the body must be JSON with redirect_uris");
    };
    if asked.client_name.chars().count() > MAX_NAME {
        return refused("invalid_client_metadata", "client_name is too long");
    }
    if !asked.grant_types.iter().any(|grant| grant == CODE) {
        return refused("invalid_client_metadata", "grant_types must have authorization_code");
    }
    if asked.redirect_uris.is_empty() || asked.redirect_uris.len() > MAX_REDIRECT_URIS {
        return refused("invalid_redirect_uri", "there must be 1 to 10 redirect_uris");
    }
    if !asked.redirect_uris.iter().all(|uri| redirect_uri::read(uri).is_some()) {
        return refused("invalid_redirect_uri", REDIRECT_URI_REFUSED);
    }
    let client = Client { name: asked.client_name, redirect_uris: asked.redirect_uris };
    let Ok(id) = issuer.clients.keep(client.clone()) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let registered = json!({
        "client_id": id,
        "client_name": client.name,
        "redirect_uris": client.redirect_uris,
        "grant_types": [CODE],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    (StatusCode::CREATED, [(CACHE_CONTROL, NO_STORE)], Json(registered)).into_response()
}

fn refused(error: &str, description: &str) -> Response {
    let body = Json(json!({ "error": error, "error_description": description }));
    (StatusCode::BAD_REQUEST, [(CACHE_CONTROL, NO_STORE)], body).into_response()
}

/// Section 3.1 asks for it. Without a preflight, a browser sends only three old types (Fetch, "CORS-safelisted
/// request-header"), so that a page which asks for nothing cannot register clients.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

/// The default of section 2.
fn code() -> Vec<String> {
    vec![CODE.to_owned()]
}

const REDIRECT_URI_REFUSED: &str = "a redirect_uri must be https, or http on this machine; its host must be a \
                                    domain name or an IP address, its query without code, error, iss and state";
const CODE: &str = "authorization_code";
/// In characters. It is shown to the user.
const MAX_NAME: usize = 100;
/// Known clients have up to six.
const MAX_REDIRECT_URIS: usize = 10;
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
