//! The refusals of this program itself, in the form that the library gives its own.

use axum::body::Body;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
};

/// Why a request is refused before its token is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Problem {
    /// Servers could read the path in different ways, under different rules.
    AmbiguousPath,
    /// The headers that tell method and URI of the request are repeated or contradict each other.
    ContradictoryRequest,
    /// The client sent a header that only this program may set.
    ForgedIdentity,
    /// No rule covers the path with this method.
    NoRule,
    /// Rules need the method, and servers could take it for another one.
    InvalidMethod,
    /// Rules need the path, and the URI has none, or one that servers could take for another one.
    InvalidPath,
    /// Rules need method and URI of the request, and nobody who is trusted tells them.
    MissingRequest,
}

impl Problem {
    pub(crate) fn response(self, is_for_nginx: bool) -> Response<Body> {
        let status = if self == Self::NoRule { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        response(for_proxy(status, is_for_nginx), self.code(), Some(self.detail()))
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::AmbiguousPath => "ambiguous_path",
            Self::ForgedIdentity => "forged_identity",
            Self::NoRule => "no_rule",
            Self::ContradictoryRequest | Self::InvalidMethod | Self::InvalidPath | Self::MissingRequest => {
                "original_request"
            }
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::AmbiguousPath => "Servers could read the path in different ways.",
            Self::ContradictoryRequest => {
                "Headers tell the method or the URI of the request twice, or contradict each other."
            }
            Self::ForgedIdentity => "The request has an identity header, which clients must not send.",
            Self::NoRule => "No rule lets anyone use this path with this method.",
            Self::InvalidMethod => "The method has characters other than capital letters and hyphens.",
            Self::InvalidPath => {
                "The URI of the request has no path that begins with a slash and is visible ASCII throughout."
            }
            Self::MissingRequest => {
                "Method or URI of the request is missing, or comes from a proxy that is not trusted."
            }
        }
    }
}

/// The status under which a refusal arrives: nginx passes on 401 and 403, and makes a 500 of a 400.
pub(crate) fn for_proxy(status: StatusCode, is_for_nginx: bool) -> StatusCode {
    if is_for_nginx && status == StatusCode::BAD_REQUEST { StatusCode::UNAUTHORIZED } else { status }
}

/// A problem document (RFC 9457).
pub(crate) fn response<B: From<String>>(status: StatusCode, code: &str, detail: Option<&str>) -> Response<B> {
    let title = status.canonical_reason().unwrap_or_default();
    let detail = detail.map(|detail| format!(r#","detail":"{detail}""#)).unwrap_or_default();
    let body =
        format!(r#"{{"type":"about:blank","title":"{title}","status":{},"code":"{code}"{detail}}}"#, status.as_u16());
    let mut response = Response::new(B::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer error="invalid_request""#));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nginx_gets_no_400() {
        for problem in [
            Problem::AmbiguousPath,
            Problem::ContradictoryRequest,
            Problem::ForgedIdentity,
            Problem::InvalidMethod,
            Problem::InvalidPath,
            Problem::MissingRequest,
        ] {
            assert_eq!(problem.response(false).status(), 400);
            let response = problem.response(true);
            assert_eq!(response.status(), 401);
            assert_eq!(response.headers()["www-authenticate"], r#"Bearer error="invalid_request""#);
        }
        for is_for_nginx in [false, true] {
            let response = Problem::NoRule.response(is_for_nginx);
            assert_eq!(response.status(), 403);
            assert!(!response.headers().contains_key("www-authenticate"));
        }
        assert_eq!(for_proxy(StatusCode::SERVICE_UNAVAILABLE, true), 503);
    }

    #[test]
    fn the_body_is_a_problem_document() {
        let response = response::<String>(StatusCode::FORBIDDEN, "no_rule", Some("No."));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(
            response.body(),
            r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"no_rule","detail":"No."}"#
        );
    }
}
