//! The HTTP form: a problem document (RFC 9457) and a challenge (RFC 6750, section 3).

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::{Rejection, RejectionKind};
use crate::claims::Reverification;

/// `resource_metadata` is the challenge parameter of RFC 9728, section 5.1, ready to append.
pub(super) fn response(rejection: &Rejection, resource_metadata: Option<&HeaderValue>) -> Response<Bytes> {
    let mut response = match rejection.reverification() {
        Some(reverification) => clerk_error(reverification),
        None => {
            let (length, body) = body(rejection.kind());
            problem(rejection.status(), length, body)
        }
    };
    let headers = response.headers_mut();
    if let Some(challenge) = challenge(rejection.kind()) {
        headers.insert(WWW_AUTHENTICATE, with_parameter(challenge, resource_metadata));
    }
    if let Some(delay) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs()));
    }
    response
}

/// The answer where no layer has seen a request that needs a user: a mistake in the program.
pub(super) fn layer_missing() -> Response<Bytes> {
    let body = r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;
    problem(StatusCode::INTERNAL_SERVER_ERROR, "67", body)
}

fn problem(status: StatusCode, length: &'static str, body: &'static str) -> Response<Bytes> {
    let length = HeaderValue::from_static(length);
    document(status, "application/problem+json", length, Bytes::from_static(body.as_bytes()))
}

/// What Clerk's front end looks for to have the user verify their factors and to try again by itself.
fn clerk_error(reverification: Reverification) -> Response<Bytes> {
    let asked = reverification.to_json();
    let body = format!(
        r#"{{"clerk_error":{{"type":"forbidden","reason":"reverification-error","metadata":{{"reverification":{asked}}}}}}}"#
    );
    document(StatusCode::FORBIDDEN, "application/json", HeaderValue::from(body.len()), Bytes::from(body))
}

fn document(status: StatusCode, media_type: &'static str, length: HeaderValue, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
        RejectionKind::InsufficientScope => Some(r#"Bearer error="insufficient_scope""#),
        RejectionKind::CrossSite | RejectionKind::KeysUnavailable | RejectionKind::Reverification => None,
    }
}

/// With its length, which costs an allocation to write out for every answer.
fn body(kind: RejectionKind) -> (&'static str, &'static str) {
    match kind {
        RejectionKind::CrossSite => {
            ("75", r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"cross_site"}"#)
        }
        RejectionKind::InsufficientScope => {
            ("83", r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"insufficient_scope"}"#)
        }
        RejectionKind::InvalidToken => {
            ("81", r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"invalid_token"}"#)
        }
        RejectionKind::KeysUnavailable => {
            ("91", r#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"keys_unavailable"}"#)
        }
        RejectionKind::MalformedRequest => {
            ("84", r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"malformed_request"}"#)
        }
        RejectionKind::MissingToken => {
            ("81", r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"missing_token"}"#)
        }
        RejectionKind::Reverification => {
            ("79", r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"reverification"}"#)
        }
        RejectionKind::TokenExpired => {
            ("81", r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"token_expired"}"#)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_are_those_of_the_bodies() {
        for kind in [
            RejectionKind::CrossSite,
            RejectionKind::InsufficientScope,
            RejectionKind::InvalidToken,
            RejectionKind::KeysUnavailable,
            RejectionKind::MalformedRequest,
            RejectionKind::MissingToken,
            RejectionKind::Reverification,
            RejectionKind::TokenExpired,
        ] {
            let (length, body) = body(kind);
            assert_eq!(length, body.len().to_string(), "{kind:?}");
        }
        let response = layer_missing();
        assert_eq!(response.headers()[CONTENT_LENGTH], response.body().len().to_string());
    }
}
