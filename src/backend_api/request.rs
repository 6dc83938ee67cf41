//! The requests to the Backend API.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Request, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use serde_json::json;

use super::OpaqueInstance;
use crate::token_kind::TokenKind;

/// The request that asks about a token of this kind.
///
/// It has no `Authorization` if the configuration has no key for it, which only an application's own
/// [`BackendApi`](super::BackendApi) may be asked without.
pub(super) fn verify_request(kind: TokenKind, token: &str, instance: &OpaqueInstance) -> Request<Bytes> {
    let (path, body) = match kind {
        // Nobody asks about a session, which is no opaque token.
        TokenKind::ApiKey | TokenKind::Session => ("/api_keys/verify", json!({ "secret": token })),
        TokenKind::OAuth => ("/oauth_applications/access_tokens/verify", json!({ "access_token": token })),
        TokenKind::M2m => ("/m2m_tokens/verify", json!({ "token": token })),
    };
    let mut request = Request::new(Bytes::from(body.to_string()));
    *request.method_mut() = Method::POST;
    // The configuration has parsed the URL with the same type, and the path adds nothing that a URL cannot have.
    *request.uri_mut() = Uri::try_from(format!("{}{path}", instance.config.backend_api_url())).unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(JSON));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(API_VERSION, HeaderValue::from_static(VERSION));
    let key = instance.config.opaque_token_key(kind);
    // A key has only characters that a header may have.
    if let Some(Ok(mut authorization)) = key.map(|key| HeaderValue::try_from(format!("Bearer {key}"))) {
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
    }
    request
}

const AGENT: &str = concat!("tower-clerk/", env!("CARGO_PKG_VERSION"));
const API_VERSION: HeaderName = HeaderName::from_static("clerk-api-version");
const JSON: &str = "application/json";
/// The version of the Backend API whose answers `answer.rs` reads.
const VERSION: &str = "2026-05-12";
