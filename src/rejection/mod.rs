//! Responses to rejected requests.
//!
//! A rejection is a response, never an error of the service. It tells the client one of eight codes and nothing more:
//! details would help an attacker to forge a better token. The exact reason, a [`VerifyError`], is in the [`Rejection`]
//! in the response's extensions, for outer layers, and in a DEBUG event.
//!
//! | [`RejectionKind`] | code | HTTP | `WWW-Authenticate` | gRPC |
//! |---|---|---|---|---|
//! | no credential | `missing_token` | 401 | `Bearer` | 16 `UNAUTHENTICATED` |
//! | invalid token | `invalid_token` | 401 | `Bearer error="invalid_token"` | 16 `UNAUTHENTICATED` |
//! | token past its `exp` | `token_expired` | 401 | `Bearer error="invalid_token"` | 16 `UNAUTHENTICATED` |
//! | malformed credential | `malformed_request` | 400 | `Bearer error="invalid_request"` | 3 `INVALID_ARGUMENT` |
//! | cookie on a cross-site request | `cross_site` | 403 | | 7 `PERMISSION_DENIED` |
//! | requirement not met | `insufficient_scope` | 403 | `Bearer error="insufficient_scope"` | 7 `PERMISSION_DENIED` |
//! | requirement met after a reverification | `reverification` | 403 | | 7 `PERMISSION_DENIED` |
//! | keys unavailable | `keys_unavailable` | 503 | | 14 `UNAVAILABLE` |
//!
//! # HTTP form
//!
//! The body is a problem document (`application/problem+json`; RFC 9457) with the members `type`, `title`, `status` and
//! `code`. The challenges are those of RFC 6750, section 3. With a
//! [protected resource](crate::ClerkAuthLayer::protected_resource) they also have `resource_metadata` (RFC 9728,
//! section 5.1) and the `scope` to ask for. `Cache-Control: no-store` keeps caches from serving one client's rejection
//! to another. `keys_unavailable` has a `Retry-After` in seconds.
//!
//! The body of `reverification` is Clerk's own JSON instead, on which Clerk's front end asks the user to verify their
//! factors and repeats the request.
//!
//! # gRPC form
//!
//! A gRPC client reads the status from trailers and ignores other bodies. The response is therefore an HTTP 200 without
//! a body ("Trailers-Only" in the gRPC protocol), with the headers `grpc-status`, `grpc-message` and
//! `clerk-error-code`, and with `grpc-retry-pushback-ms` while keys are unavailable. [`RejectionFormat`] says when it
//! is used.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use http_body_util::BodyExt;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_clerk::{ClerkAuthLayer, Rejection, testing::TestIssuer, verify::VerifyErrorKind};
//!
//! let issuer = TestIssuer::new();
//! let service = ServiceBuilder::new()
//!     .layer(ClerkAuthLayer::from_config(issuer.config())?)
//!     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
//!
//! let bearer = format!("Bearer {}", issuer.token("user_ada").without_claim("sid").sign());
//! let response = service.oneshot(Request::builder().header("authorization", bearer).body(String::new())?).await?;
//! assert_eq!(response.status(), 401);
//! assert_eq!(response.headers()["www-authenticate"], r#"Bearer error="invalid_token""#);
//!
//! // For an outer layer, such as one that counts rejections by reason.
//! let rejection = response.extensions().get::<Rejection>();
//! let kind = rejection.and_then(Rejection::verify_error_kind);
//! assert_eq!(kind, Some(VerifyErrorKind::InvalidSessionId));
//!
//! // For the client.
//! let body = response.into_body().collect().await?.to_bytes();
//! assert_eq!(body, r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"invalid_token"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "axum")]
mod extract;
mod grpc;
mod http;
mod kind;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use ::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, request::Parts};
use bytes::Bytes;

#[cfg(feature = "axum")]
pub use self::extract::ClerkAuthRejection;
pub use self::kind::{RejectionFormat, RejectionKind};
pub(crate) use self::{grpc::GrpcForm, http::for_method};
use self::{
    grpc::response as grpc_response,
    http::{layer_missing as layer_missing_response, response as http_response},
};
use crate::{
    claims::{CustomClaimsError, Reverification},
    jwks::FetchErrorKind,
    resource::{ChallengeParameters, ProtectedResource},
    telemetry,
    verify::{UnavailableReason, VerifyError, VerifyErrorKind},
};

/// Why a request was rejected, and how to respond.
///
/// It is in the extensions of the response to a rejected request. If the layer lets a request pass without a user, it
/// is in the extensions of the request, so that a handler can still respond with it.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::{ClerkAuth, Requirement, rejection::RejectionKind};
///
/// let user = ClerkAuth::builder().organization("org_acme", "member").build();
/// let rejection = user.require(&Requirement::role("org:admin")).unwrap_err();
/// assert_eq!(rejection.kind(), RejectionKind::InsufficientScope);
/// assert_eq!(rejection.default_response().status(), 403);
/// # }
/// ```
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    reason: RejectionReason,
    reverification: Option<Reverification>,
    form: Option<GrpcForm>,
    challenge: ChallengeParameters,
    response: Option<Arc<dyn RejectionResponse>>,
}

/// Makes the responses to rejected requests; see
/// [`ClerkAuthLayer::rejection_response`](crate::ClerkAuthLayer::rejection_response).
///
/// Closures implement it. Start from [`Rejection::default_response`] to change a part of the response. The layer
/// removes the body for HEAD requests, and inserts the [`Rejection`] into the extensions.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use http::{HeaderValue, Request, Response, request::Parts};
/// use tower::{ServiceBuilder, ServiceExt};
/// use tower_clerk::{ClerkAuthLayer, Rejection, testing::TestIssuer};
///
/// let with_error_code = |rejection: &Rejection, _request: &Parts| {
///     let mut response = rejection.default_response();
///     response.headers_mut().insert("x-auth-error", HeaderValue::from_static(rejection.code()));
///     response
/// };
/// let clerk = ClerkAuthLayer::from_config(TestIssuer::new().config())?.rejection_response(with_error_code);
/// let service = ServiceBuilder::new()
///     .layer(clerk)
///     .service_fn(async |_: Request<String>| Ok::<_, std::convert::Infallible>(Response::new(String::new())));
///
/// let response = service.oneshot(Request::new(String::new())).await?;
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["x-auth-error"], "missing_token");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make responses to rejected requests",
    label = "not a `RejectionResponse`",
    note = "a closure is one if its arguments have their types: `|rejection: &Rejection, request: &Parts| -> Response<Bytes>`"
)]
pub trait RejectionResponse: Send + Sync {
    /// Returns the response to `request`, the head of the rejected request. It must not tell the client more than
    /// [`Rejection::code`] does.
    fn response(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes>;
}

impl<F> RejectionResponse for F
where
    F: Fn(&Rejection, &Parts) -> Response<Bytes> + Send + Sync,
{
    fn response(&self, rejection: &Rejection, request: &Parts) -> Response<Bytes> {
        self(rejection, request)
    }
}

/// How a layer responds to rejected requests. Each [`ClerkAuth`](crate::ClerkAuth) keeps it, so that a `RequireLayer`
/// or a handler responds alike.
#[derive(Clone, Default)]
pub(crate) struct Responder {
    pub(crate) format: RejectionFormat,
    pub(crate) response: Option<Arc<dyn RejectionResponse>>,
    pub(crate) resource: Option<Arc<ProtectedResource>>,
}

impl Responder {
    /// The parameters of the challenge of a request with this target and these headers.
    pub(crate) fn challenge(&self, uri: &Uri, headers: &HeaderMap) -> ChallengeParameters {
        self.resource.as_ref().map(|resource| resource.challenge(uri, headers)).unwrap_or_default()
    }

    /// Rejects a valid token of another kind than what is further in takes.
    pub(crate) fn other_kind(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Rejection {
        let form = GrpcForm::of(self.format, method, headers);
        Rejection::other_kind(form, self.challenge(uri, headers), self.response.clone())
    }

    /// The parameters of a challenge where the request is not at hand.
    pub(crate) fn challenge_without_request(&self) -> ChallengeParameters {
        self.resource.as_ref().map(|resource| resource.challenge_without_request().clone()).unwrap_or_default()
    }
}

/// The exact reason of a rejection, which stays hidden from the client.
#[derive(Clone, Debug)]
pub(crate) enum RejectionReason {
    /// The cookies hold valid tokens of two users.
    AmbiguousCookies,
    /// The payload does not deserialize into the custom claims.
    CustomClaims(CustomClaimsError),
    /// The kind says all.
    None,
    Verify(VerifyError),
}

/// Returns the response if a request needs a user but no layer has seen it.
pub(crate) fn layer_missing(method: &Method) -> Response<Bytes> {
    for_method(layer_missing_response(), method)
}

impl Rejection {
    pub(crate) fn new(
        kind: RejectionKind,
        reason: RejectionReason,
        form: Option<GrpcForm>,
        challenge: ChallengeParameters,
        response: Option<Arc<dyn RejectionResponse>>,
    ) -> Self {
        Self { kind, reason, reverification: None, form, challenge, response }
    }

    /// Makes the rejection of a user who does not meet a requirement, or only meets it after `reverification`.
    pub(crate) fn forbidden(
        reverification: Option<Reverification>,
        form: Option<GrpcForm>,
        challenge: ChallengeParameters,
        response: Option<Arc<dyn RejectionResponse>>,
    ) -> Self {
        let kind = match reverification {
            Some(_) => RejectionKind::Reverification,
            None => RejectionKind::InsufficientScope,
        };
        Self { reverification, ..Self::new(kind, RejectionReason::None, form, challenge, response) }
    }

    /// Makes the rejection of a valid token of another kind than the handler takes, and logs it.
    pub(crate) fn other_kind(
        form: Option<GrpcForm>,
        challenge: ChallengeParameters,
        response: Option<Arc<dyn RejectionResponse>>,
    ) -> Self {
        let error = VerifyError::rejected(VerifyErrorKind::TokenKindNotAccepted);
        telemetry::rejected(error.kind().as_str(), None, false, None);
        Self::new(RejectionKind::InvalidToken, error.into(), form, challenge, response)
    }

    /// Returns the kind, which is all that the client learns.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the exact reason, for logs; `None` if the request was not rejected because of its token.
    #[must_use]
    pub fn verify_error(&self) -> Option<&VerifyError> {
        match &self.reason {
            RejectionReason::Verify(error) => Some(error),
            RejectionReason::AmbiguousCookies | RejectionReason::CustomClaims(_) | RejectionReason::None => None,
        }
    }

    /// Returns the kind of [`verify_error`](Self::verify_error), for metric labels.
    #[must_use]
    pub fn verify_error_kind(&self) -> Option<VerifyErrorKind> {
        self.verify_error().map(VerifyError::kind)
    }

    /// Returns why keys are unavailable, if that is the reason.
    #[must_use]
    pub fn unavailable_reason(&self) -> Option<UnavailableReason> {
        self.verify_error().and_then(VerifyError::unavailable_reason)
    }

    /// Returns why the last fetch of keys failed, if keys are unavailable because of that.
    #[must_use]
    pub fn fetch_error_kind(&self) -> Option<FetchErrorKind> {
        self.verify_error().and_then(VerifyError::fetch_error_kind)
    }

    /// Returns the reverification that the user needs, if the kind is [`RejectionKind::Reverification`].
    #[must_use]
    pub fn reverification(&self) -> Option<Reverification> {
        self.reverification
    }

    /// Returns the code in the response, such as `invalid_token`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Returns the HTTP status of the kind, even if the response has the gRPC form, whose status is 200.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// Returns the gRPC status code of the kind, even if the response has the HTTP form.
    #[must_use]
    pub fn grpc_code(&self) -> u8 {
        self.kind.grpc_code()
    }

    /// Returns the text for `grpc-message`.
    #[cfg(feature = "tonic")]
    pub(crate) fn grpc_message(&self) -> &'static str {
        grpc::message(self.kind)
    }

    /// Returns the value for `grpc-retry-pushback-ms`, in milliseconds.
    #[cfg(feature = "tonic")]
    pub(crate) fn retry_pushback(&self) -> Option<u64> {
        self.retry_after().map(grpc::retry_pushback)
    }

    /// Returns `true` if the default response has the gRPC form.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.form.is_some()
    }

    /// Returns how long the client should wait before it tries again, if keys are unavailable.
    ///
    /// It is rounded up to whole seconds, since `Retry-After` has no fractions (RFC 9110, section 10.2.3), and at least
    /// 1 second, so that clients do not retry at once.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let delay = self.verify_error()?.retry_after()?;
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        Some(Duration::from_secs(seconds.max(1)))
    }

    /// Returns the response that the layer makes without a [`RejectionResponse`], as in the [module docs](self).
    #[must_use]
    pub fn default_response(&self) -> Response<Bytes> {
        match self.form {
            Some(form) => grpc_response(self.kind, self.retry_after(), form),
            None => http_response(self.kind, self.retry_after(), self.reverification, &self.challenge),
        }
    }

    /// Returns the response to `request`. The head moves into the [`RejectionResponse`] without a copy; the body, which
    /// may not be `Send` or `'static`, stays in `request`.
    pub(crate) fn into_response<B>(self, request: &mut Request<B>) -> Response<Bytes> {
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.version_mut() = request.version();
        std::mem::swap(head.uri_mut(), request.uri_mut());
        std::mem::swap(head.headers_mut(), request.headers_mut());
        std::mem::swap(head.extensions_mut(), request.extensions_mut());
        let (parts, ()) = head.into_parts();
        self.into_response_for(&parts)
    }

    /// Returns the response to the request with this head, with the rejection in its extensions.
    pub(crate) fn into_response_for(self, request: &Parts) -> Response<Bytes> {
        let response = match &self.response {
            Some(response) => response.response(&self, request),
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
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(formatter)
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            RejectionReason::CustomClaims(error) => Some(error),
            RejectionReason::AmbiguousCookies | RejectionReason::None => None,
            RejectionReason::Verify(error) => Some(error),
        }
    }
}

impl RejectionReason {
    /// Returns the name of the exact reason for logs; the code of the kind if there is none.
    pub(crate) fn name(&self, kind: RejectionKind) -> &'static str {
        match self {
            Self::AmbiguousCookies => "ambiguous_cookies",
            Self::CustomClaims(_) => "invalid_custom_claims",
            Self::None => kind.as_str(),
            Self::Verify(error) => error.kind().as_str(),
        }
    }

    /// Returns the name of why keys are unavailable, for logs.
    pub(crate) fn unavailable(&self) -> Option<&'static str> {
        match self {
            Self::Verify(error) => error.unavailable_reason().map(UnavailableReason::as_str),
            Self::AmbiguousCookies | Self::CustomClaims(_) | Self::None => None,
        }
    }

    /// Returns what the name does not say, for logs.
    pub(crate) fn cause(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::CustomClaims(error) => error.source(),
            Self::AmbiguousCookies | Self::None | Self::Verify(_) => None,
        }
    }
}

impl From<CustomClaimsError> for RejectionReason {
    fn from(error: CustomClaimsError) -> Self {
        Self::CustomClaims(error)
    }
}

impl From<VerifyError> for RejectionReason {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}
