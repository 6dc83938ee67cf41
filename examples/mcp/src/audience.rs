//! Refuses tokens that name other services, but not this one (`aud`). Those without `aud` pass: an instance writes one
//! only if it is set up for it.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, InvalidHeaderValue, WWW_AUTHENTICATE},
};
use tower_clerk::OAuthToken;

use crate::tools;

/// What this server is called in `aud`.
#[derive(Clone, Debug)]
pub(crate) struct Audience {
    url: String,
    challenge: HeaderValue,
}

impl Audience {
    /// `url` is that of the resource, `metadata` that of its metadata.
    pub(crate) fn new(url: &str, metadata: &str) -> Result<Self, InvalidHeaderValue> {
        // As `ClerkAuthLayer` writes it for every other bad token.
        let scope = tools::BASIC;
        let challenge = format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\", scope=\"{scope}\"");
        Ok(Self { url: url.to_owned(), challenge: HeaderValue::try_from(challenge)? })
    }

    fn is_only_for_others(&self, token: &OAuthToken) -> bool {
        let mut named = token.audience().peekable();
        named.peek().is_some() && !named.any(|name| name == self.url)
    }
}

/// Its place is inside of `ClerkAuthLayer`.
pub(crate) async fn check(State(audience): State<Audience>, request: Request, next: Next) -> Response {
    match request.extensions().get() {
        Some(token) if audience.is_only_for_others(token) => {
            let headers =
                [(WWW_AUTHENTICATE, audience.challenge), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
            (StatusCode::UNAUTHORIZED, headers).into_response()
        }
        _ => next.run(request).await,
    }
}
