//! The gRPC form: trailers only, in an HTTP 200 without a body.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header::CONTENT_TYPE};

use super::{Refusals, Rejection, RejectionKind};

/// A dialect of gRPC over HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GrpcForm {
    Grpc,
    Web,
    WebText,
}

impl GrpcForm {
    /// The form in which to refuse a request; `None` for the HTTP form.
    pub(crate) fn of(refusals: Refusals, method: &Method, headers: &HeaderMap) -> Option<Self> {
        let detected = || {
            let mut types = headers.get_all(CONTENT_TYPE).iter();
            match (types.next(), types.next()) {
                (Some(media_type), None) if method == Method::POST => Self::of_media_type(media_type.to_str().ok()?),
                _ => None,
            }
        };
        match refusals {
            Refusals::Auto => detected(),
            Refusals::Grpc => Some(detected().unwrap_or(Self::Grpc)),
            Refusals::Http => None,
        }
    }

    fn of_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_ascii_lowercase();
        let (base, suffix) = match essence.split_once('+') {
            Some((base, suffix)) => (base, Some(suffix)),
            None => (essence.as_str(), None),
        };
        let form = match base {
            "application/grpc" => Self::Grpc,
            "application/grpc-web" => Self::Web,
            "application/grpc-web-text" => Self::WebText,
            _ => return None,
        };
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

pub(super) fn response(rejection: &Rejection, form: GrpcForm) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(rejection.grpc_code())));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(rejection.grpc_message()));
    headers.insert(ERROR_CODE, HeaderValue::from_static(rejection.code()));
    if let Some(millis) = rejection.retry_pushback() {
        headers.insert(RETRY_PUSHBACK, HeaderValue::from(millis));
    }
    response
}

/// Percent-encoding leaves these as they are.
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

/// A token as RFC 9110, section 5.6.2, has it.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

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
        GrpcForm::of(Refusals::Auto, method, &headers)
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
