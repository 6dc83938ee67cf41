//! The gRPC form: "Trailers-Only" in an HTTP 200 without a body.
//!
//! The [protocol](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses) has a server send the
//! status in the headers if it sends no message. gRPC-Web clients accept the same, in headers as in trailers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header::CONTENT_TYPE};

use super::{RejectionFormat, RejectionKind};

/// A variant of gRPC over HTTP. The response must repeat the media type of the request's variant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GrpcForm {
    Grpc,
    Web,
    WebText,
}

impl GrpcForm {
    /// Returns the form in which to reject a request; `None` for the HTTP form.
    ///
    /// A gRPC call is a POST with exactly one `Content-Type` of a gRPC media type. Anything else gets the HTTP form,
    /// whose status proxies and browsers understand.
    pub(crate) fn of(format: RejectionFormat, method: &Method, headers: &HeaderMap) -> Option<Self> {
        let detected = || {
            let mut types = headers.get_all(CONTENT_TYPE).iter();
            match (types.next(), types.next()) {
                (Some(media_type), None) if method == Method::POST => Self::of_media_type(media_type.to_str().ok()?),
                _ => None,
            }
        };
        match format {
            RejectionFormat::Auto => detected(),
            RejectionFormat::Grpc => Some(detected().unwrap_or(Self::Grpc)),
            RejectionFormat::Http => None,
        }
    }

    /// Media types are case-insensitive and may have parameters (RFC 9110, section 8.3.1). A suffix such as `+proto`
    /// names the message format.
    fn of_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim_matches([' ', '\t']);
        let (base, suffix) = match essence.split_once('+') {
            Some((base, suffix)) => (base, Some(suffix)),
            None => (essence, None),
        };
        let forms = [Self::Grpc, Self::Web, Self::WebText];
        let form = forms.into_iter().find(|form| base.eq_ignore_ascii_case(form.content_type()))?;
        suffix.is_none_or(is_token).then_some(form)
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Grpc => "application/grpc",
            Self::Web => "application/grpc-web",
            Self::WebText => "application/grpc-web-text",
        }
    }
}

pub(super) fn response(kind: RejectionKind, retry_after: Option<Duration>, form: GrpcForm) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(kind.grpc_code())));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message(kind)));
    headers.insert(ERROR_CODE, HeaderValue::from_static(kind.as_str()));
    if let Some(delay) = retry_after {
        headers.insert(RETRY_PUSHBACK, HeaderValue::from(retry_pushback(delay)));
    }
    response
}

/// Converts a delay to the milliseconds of `grpc-retry-pushback-ms`, which clients with a [retry
/// policy](https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback) obey.
pub(super) fn retry_pushback(delay: Duration) -> u64 {
    delay.as_secs().saturating_mul(1000)
}

/// Returns the text of `grpc-message`. The header is percent-encoded, which leaves these texts unchanged.
pub(super) fn message(kind: RejectionKind) -> &'static str {
    match kind {
        RejectionKind::CrossSite => "cross-site request",
        RejectionKind::InsufficientScope => "insufficient scope",
        RejectionKind::InvalidToken => "invalid token",
        RejectionKind::KeysUnavailable => "keys unavailable",
        RejectionKind::MalformedRequest => "malformed credential",
        RejectionKind::MissingToken => "missing token",
        RejectionKind::Reverification => "reverification needed",
        RejectionKind::TokenExpired => "token expired",
    }
}

/// Whether `text` is a token (RFC 9110, section 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The only header that is not part of gRPC. It holds the code of the kind, which is finer than the gRPC status.
const ERROR_CODE: HeaderName = HeaderName::from_static("clerk-error-code");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const RETRY_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

#[cfg(test)]
mod tests {
    use super::*;

    fn form(method: &Method, media_types: &[&str]) -> Option<GrpcForm> {
        let mut headers = HeaderMap::new();
        for media_type in media_types {
            headers.append(CONTENT_TYPE, HeaderValue::from_bytes(media_type.as_bytes()).unwrap());
        }
        GrpcForm::of(RejectionFormat::Auto, method, &headers)
    }

    #[test]
    fn only_a_post_of_a_grpc_media_type_is_a_grpc_call() {
        for (media_type, expected) in [
            ("application/grpc", GrpcForm::Grpc),
            ("application/grpc+proto", GrpcForm::Grpc),
            ("Application/GRPC+Json; charset=utf-8", GrpcForm::Grpc),
            ("application/grpc-web", GrpcForm::Web),
            ("application/grpc-web+proto", GrpcForm::Web),
            ("application/grpc-web-text", GrpcForm::WebText),
            ("application/grpc-web-text+proto;a=b", GrpcForm::WebText),
        ] {
            assert_eq!(form(&Method::POST, &[media_type]), Some(expected), "{media_type}");
            assert_eq!(form(&Method::GET, &[media_type]), None, "{media_type}");
            assert_eq!(form(&Method::POST, &[media_type, media_type]), None, "{media_type}");
        }
        for media_type in [
            "",
            "application/json",
            "application/grpcs",
            "application/grpc+",
            "application/grpc-web+",
            "application/grpc-webtext",
            "application/grpc proto",
            "application/grpc/x",
            "xapplication/grpc",
            "application/grpc+a b",
            "application/grpc\u{a0}",
        ] {
            assert_eq!(form(&Method::POST, &[media_type]), None, "{media_type}");
        }
        assert_eq!(form(&Method::POST, &[]), None);
    }
}
