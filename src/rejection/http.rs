//! The HTTP form: a problem document (RFC 9457) and a challenge (RFC 6750, section 3).
//!
//! The bodies are literals: a rejection is the cheapest response that an attacker can provoke, so it should cost
//! nothing.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};

use super::RejectionKind;
use crate::{claims::Reverification, resource::ChallengeParameters};

/// Makes the response of a kind, with these parameters in its challenge if it has one.
pub(super) fn response(
    kind: RejectionKind,
    retry_after: Option<Duration>,
    reverification: Option<Reverification>,
    parameters: &ChallengeParameters,
) -> Response<Bytes> {
    let mut response = match reverification {
        Some(reverification) => clerk_error(reverification),
        None => problem(kind.status(), body(kind)),
    };
    let headers = response.headers_mut();
    if let Some(challenge) = challenge(kind) {
        headers.insert(WWW_AUTHENTICATE, with_parameters(challenge, &named(kind, parameters)));
    }
    if let Some(delay) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs()));
    }
    response
}

/// Makes the response for a request that needs a user but that no layer has seen. The advice is in the log: it concerns
/// the operator, not the client.
pub(super) fn layer_missing() -> Response<Bytes> {
    let body = r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;
    problem(StatusCode::INTERNAL_SERVER_ERROR, body)
}

/// Removes the body from a response to a HEAD request (RFC 9110, section 9.3.2) and sets the `Content-Length` that it
/// would have. Servers of HTTP/1 do so themselves, but an HTTP/2 client treats a body as a protocol error.
pub(crate) fn for_method<B: AsRef<[u8]> + Default>(mut response: Response<B>, method: &Method) -> Response<B> {
    if method == Method::HEAD {
        let length = HeaderValue::from(response.body().as_ref().len());
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length);
        *response.body_mut() = B::default();
    }
    response
}

/// `type` is `about:blank`: the status says all, and `title` is its phrase (RFC 9457, section 4.2.1).
fn problem(status: StatusCode, body: &'static str) -> Response<Bytes> {
    document(status, "application/problem+json", Bytes::from_static(body.as_bytes()))
}

/// Makes the response that Clerk's front end recognizes: it asks the user to verify their factors and repeats the
/// request ([reverification](https://clerk.com/docs/guides/secure/reverification)).
fn clerk_error(reverification: Reverification) -> Response<Bytes> {
    let asked = reverification.to_json();
    let body = format!(
        r#"{{"clerk_error":{{"type":"forbidden","reason":"reverification-error","metadata":{{"reverification":{asked}}}}}}}"#
    );
    document(StatusCode::FORBIDDEN, "application/json", Bytes::from(body))
}

/// A cache must not serve the rejection of one client to another, whatever the status allows (RFC 9111, section
/// 5.2.2.5).
fn document(status: StatusCode, media_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Appends the parameters to a challenge: after a space if it is the first one, otherwise after a comma (RFC 9110,
/// section 11.6.1).
fn with_parameters(challenge: &'static str, parameters: &[(&str, Option<&str>)]) -> HeaderValue {
    let mut text = Cow::Borrowed(challenge);
    for (name, value) in parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        let separator = if text == "Bearer" { " " } else { ", " };
        text = Cow::Owned(format!("{text}{separator}{name}=\"{value}\""));
    }
    match text {
        Cow::Borrowed(text) => HeaderValue::from_static(text),
        Cow::Owned(text) => HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(challenge)),
    }
}

/// The parameters that the challenge of a kind has. Their order means nothing (RFC 9110, section 11.2); it is that of
/// the examples in the MCP specification.
fn named(kind: RejectionKind, parameters: &ChallengeParameters) -> [(&'static str, Option<&str>); 2] {
    let metadata = ("resource_metadata", parameters.resource_metadata.as_deref());
    let scope = ("scope", parameters.scope.as_deref());
    match kind {
        RejectionKind::InsufficientScope => [scope, metadata],
        // No scope mends a malformed request.
        RejectionKind::MalformedRequest => [metadata, ("scope", None)],
        _ => [metadata, scope],
    }
}

/// Returns the value of `WWW-Authenticate`, which a 401 must have (RFC 9110, section 15.5.2).
///
/// A request without a credential gets no error code (RFC 6750, section 3.1). Kinds for which another token would not
/// help get no challenge.
fn challenge(kind: RejectionKind) -> Option<&'static str> {
    match kind {
        RejectionKind::MissingToken => Some("Bearer"),
        RejectionKind::InvalidToken | RejectionKind::TokenExpired => Some(r#"Bearer error="invalid_token""#),
        RejectionKind::MalformedRequest => Some(r#"Bearer error="invalid_request""#),
        RejectionKind::InsufficientScope => Some(r#"Bearer error="insufficient_scope""#),
        RejectionKind::CrossSite | RejectionKind::KeysUnavailable | RejectionKind::Reverification => None,
    }
}

fn body(kind: RejectionKind) -> &'static str {
    match kind {
        RejectionKind::CrossSite => r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"cross_site"}"#,
        RejectionKind::InsufficientScope => {
            r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"insufficient_scope"}"#
        }
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
        RejectionKind::Reverification => {
            r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"reverification"}"#
        }
        RejectionKind::TokenExpired => {
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"token_expired"}"#
        }
    }
}
