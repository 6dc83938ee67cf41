//! What a client sees when it is refused.
//!
//! A refusal is a response, never an error of the service. Its text is fixed: what exactly was wrong goes
//! to the extensions of the response, as a [`Rejection`], and to a debug event, but not to the client.
//!
//! | kind | code | HTTP | gRPC |
//! |---|---|---|---|
//! | no Bearer credential | `missing_token` | 401 | 16 |
//! | malformed request | `malformed_request` | 400 | 3 |
//! | bad token | `invalid_token` | 401 | 16 |
//! | a good token past its `exp` | `token_expired` | 401 | 16 |
//! | a cookie that may come from another site | `cross_site` | 403 | 7 |
//! | a user who may not do this | `insufficient_scope` | 403 | 7 |
//! | a user who may do this after verifying their factors again | `reverification` | 403 | 7 |
//! | keys unavailable | `keys_unavailable` | 503 | 14 |
//!
//! Over HTTP it is a problem document (RFC 9457) with a challenge (RFC 6750, section 3). A gRPC call is
//! answered with trailers only, in the form that every gRPC client reads. The one exception is `reverification`, whose
//! body is the one that Clerk's front end looks for to have the user verify their factors and to try again.

#[cfg(feature = "axum")]
mod extract;
mod grpc;
mod hook;
mod http;
mod kind;

use std::{fmt, sync::Arc, time::Duration};

use ::http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, Entry},
    request::Parts,
};
use bytes::Bytes;

#[cfg(feature = "axum")]
pub use self::extract::ExtractRejection;
pub(crate) use self::grpc::{GrpcForm, is_token};
pub use self::{
    hook::OnRejection,
    kind::{Refusals, RejectionKind},
};
use crate::{
    claims::Reverification,
    jwks::FetchErrorKind,
    verify::{VerifyError, VerifyErrorKind},
};

/// A refusal: why, and how it is answered.
///
/// It lies in the extensions of a refused response; where the layer lets a request pass without a user, in
/// those of the request.
#[derive(Clone)]
pub struct Rejection {
    challenge: Option<HeaderValue>,
    error: Option<VerifyError>,
    form: Option<GrpcForm>,
    kind: RejectionKind,
    on_rejection: Option<Arc<dyn OnRejection>>,
    reverification: Option<Reverification>,
}

/// How a layer answers what it refuses.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    pub(crate) on_rejection: Option<Arc<dyn OnRejection>>,
    pub(crate) refusals: Refusals,
}

/// The answer where no layer has seen a request that needs a user.
pub(crate) fn layer_missing(method: &Method) -> Response<Bytes> {
    for_method(http::layer_missing(), method)
}

/// A hook may have put a body under the length of another one that it started from.
fn with_own_length(mut response: Response<Bytes>) -> Response<Bytes> {
    let length = HeaderValue::from(response.body().len());
    if let Entry::Occupied(mut stated) = response.headers_mut().entry(CONTENT_LENGTH) {
        stated.insert(length);
    }
    response
}

/// A HEAD request gets the headers alone: clients of HTTP/2 take a body for an error.
fn for_method(mut response: Response<Bytes>, method: &Method) -> Response<Bytes> {
    if method == Method::HEAD {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length);
        *response.body_mut() = Bytes::new();
    }
    response
}

impl Rejection {
    pub(crate) fn new(
        kind: RejectionKind,
        error: Option<VerifyError>,
        form: Option<GrpcForm>,
        challenge: Option<HeaderValue>,
        on_rejection: Option<Arc<dyn OnRejection>>,
    ) -> Self {
        Self { challenge, error, form, kind, on_rejection, reverification: None }
    }

    /// Of a user who may not do something, or only after `reverification`.
    pub(crate) fn forbidden(
        reverification: Option<Reverification>,
        form: Option<GrpcForm>,
        on_rejection: Option<Arc<dyn OnRejection>>,
    ) -> Self {
        let kind = match reverification {
            Some(_) => RejectionKind::Reverification,
            None => RejectionKind::InsufficientScope,
        };
        Self { challenge: None, error: None, form, kind, on_rejection, reverification }
    }

    /// The coarse reason, all that the client learns.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The exact reason, for logs; `None` if there was no token to verify.
    #[must_use]
    pub fn error(&self) -> Option<&VerifyError> {
        self.error.as_ref()
    }

    /// The exact reason's kind.
    #[must_use]
    pub fn verify_error_kind(&self) -> Option<VerifyErrorKind> {
        self.error.as_ref().map(VerifyError::kind)
    }

    /// What was wrong with the last fetch of keys, if it was that.
    #[must_use]
    pub fn fetch_error(&self) -> Option<FetchErrorKind> {
        self.error.as_ref().and_then(VerifyError::fetch_error)
    }

    /// What the user has to do first, if it is that.
    #[must_use]
    pub fn reverification(&self) -> Option<Reverification> {
        self.reverification
    }

    /// The public code, such as `invalid_token`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The HTTP status of the refusal, also where it is answered in the gRPC form.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The gRPC status code of the refusal.
    #[must_use]
    pub fn grpc_code(&self) -> u8 {
        self.kind.grpc_code()
    }

    /// The text that goes with the gRPC status code.
    pub(crate) fn grpc_message(&self) -> &'static str {
        grpc::message(self.kind)
    }

    /// After how many milliseconds a gRPC client may try again.
    pub(crate) fn retry_pushback(&self) -> Option<u64> {
        self.retry_after().map(|delay| delay.as_secs().saturating_mul(1000))
    }

    /// Whether the request was a gRPC call and is answered as one.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.form.is_some()
    }

    /// After how long the client may try again, in whole seconds, at least one; only if keys are unavailable.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let delay = self.error.as_ref()?.retry_after()?;
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        Some(Duration::from_secs(seconds.max(1)))
    }

    /// The response as it is without a hook.
    #[must_use]
    pub fn default_response(&self) -> Response<Bytes> {
        match self.form {
            Some(form) => grpc::response(self, form),
            None => http::response(self, self.challenge.as_ref()),
        }
    }

    /// The response to `request`, whose head goes to the hook and whose body is left alone.
    pub(crate) fn answer<B>(self, request: &mut Request<B>) -> Response<Bytes> {
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.version_mut() = request.version();
        std::mem::swap(head.uri_mut(), request.uri_mut());
        std::mem::swap(head.headers_mut(), request.headers_mut());
        std::mem::swap(head.extensions_mut(), request.extensions_mut());
        let (parts, ()) = head.into_parts();
        self.response(&parts)
    }

    /// The response to the request with this head: the hook's, if there is one. A HEAD request gets the
    /// headers alone.
    pub(crate) fn response(self, request: &Parts) -> Response<Bytes> {
        let response = match &self.on_rejection {
            Some(hook) => with_own_length(hook.response(&self, request)),
            None => self.default_response(),
        };
        let mut response = for_method(response, &request.method);
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => error.fmt(formatter),
            None => self.kind.fmt(formatter),
        }
    }
}

impl std::error::Error for Rejection {}
