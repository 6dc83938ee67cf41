//! The HTTP form: a problem document (RFC 9457) and a challenge (RFC 6750, section 3).

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{Rejection, RejectionKind};

/// `resource_metadata` is the challenge parameter of RFC 9728, section 5.1, ready to append.
pub(super) fn response(rejection: &Rejection, resource_metadata: Option<&HeaderValue>) -> Response<Bytes> {
    let body = body(rejection.kind());
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = rejection.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge(rejection.kind()) {
        headers.insert(WWW_AUTHENTICATE, with_parameter(challenge, resource_metadata));
    }
    if let Some(delay) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs()));
    }
    response
}

fn with_parameter(challenge: &'static str, parameter: Option<&HeaderValue>) -> HeaderValue {
    let joined = parameter.and_then(|parameter| parameter.to_str().ok()).map(|parameter| {
        let separator = if challenge == "Bearer" { " " } else { ", " };
        HeaderValue::try_from(format!("{challenge}{separator}{parameter}"))
    });
    match joined {
        Some(Ok(value)) => value,
        _ => HeaderValue::from_static(challenge),
    }
}

/// RFC 6750, section 3: no error code where there was no credential.
fn challenge(kind: RejectionKind) -> Option<&'static str> {
    match kind {
        RejectionKind::MissingToken => Some("Bearer"),
        RejectionKind::InvalidToken | RejectionKind::TokenExpired => Some(r#"Bearer error="invalid_token""#),
        RejectionKind::MalformedRequest => Some(r#"Bearer error="invalid_request""#),
        RejectionKind::CrossSite | RejectionKind::KeysUnavailable => None,
    }
}

fn body(kind: RejectionKind) -> &'static str {
    match kind {
        RejectionKind::CrossSite => r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"cross_site"}"#,
        RejectionKind::InvalidToken => {
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"invalid_token"}"#
        }
        RejectionKind::KeysUnavailable => {
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"keys_unavailable"}"#
        }
        RejectionKind::MalformedRequest => {
            r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"malformed_request"}"#
        }
        RejectionKind::MissingToken => {
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"missing_token"}"#
        }
        RejectionKind::TokenExpired => {
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"token_expired"}"#
        }
    }
}
