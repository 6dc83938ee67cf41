use std::fmt;

use http::StatusCode;

use crate::verify::VerifyErrorKind;

/// The kind of a [`Rejection`](super::Rejection), which is all that the client learns.
///
/// The [module docs](super) have the status and the challenge of each.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The credential is a cookie, and another site may have made the browser send the request.
    CrossSite,
    /// The user does not meet the requirement.
    InsufficientScope,
    /// The token is invalid for any reason but its expiry (RFC 6750, section 3.1, `invalid_token`).
    InvalidToken,
    /// There are no keys to verify the token with, so nothing is known about it.
    KeysUnavailable,
    /// The credential cannot be a token: it is malformed, repeated or too long (RFC 6750, section 3.1,
    /// `invalid_request`).
    MalformedRequest,
    /// The request has no credential in any of the token sources.
    MissingToken,
    /// The user meets the requirement only after verifying their factors again.
    Reverification,
    /// The token was valid until its `exp`. A client should get a new one and try again.
    TokenExpired,
}

/// The form of responses to rejected requests; see
/// [`ClerkAuthLayer::rejection_format`](crate::ClerkAuthLayer::rejection_format).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectionFormat {
    /// The gRPC form for POST requests with a gRPC `Content-Type`, the HTTP form for all others.
    ///
    /// The gRPC form is an HTTP 200. Choose [`Http`](Self::Http) if a proxy asks this service whether a request may
    /// pass and decides by the status (`auth_request` of nginx, `ext_authz` of Envoy). Otherwise a client could choose
    /// a gRPC `Content-Type` to turn the 401 into a 200.
    #[default]
    Auto,
    /// The gRPC form for all requests.
    Grpc,
    /// The HTTP form for all requests.
    Http,
}

impl RejectionKind {
    /// Returns the kind of rejection for a verification error. `Expired` has one of its own, because a client can act
    /// on it and an attacker learns nothing: only a token with a valid signature can be expired.
    pub(crate) fn of(error: VerifyErrorKind) -> Self {
        match error {
            VerifyErrorKind::Expired => Self::TokenExpired,
            VerifyErrorKind::KeysUnavailable => Self::KeysUnavailable,
            VerifyErrorKind::TooLong => Self::MalformedRequest,
            _ => Self::InvalidToken,
        }
    }

    /// Returns the code in the response, such as `invalid_token`. It is also a name for metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CrossSite => "cross_site",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidToken => "invalid_token",
            Self::KeysUnavailable => "keys_unavailable",
            Self::MalformedRequest => "malformed_request",
            Self::MissingToken => "missing_token",
            Self::Reverification => "reverification",
            Self::TokenExpired => "token_expired",
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::CrossSite | Self::InsufficientScope | Self::Reverification => StatusCode::FORBIDDEN,
            Self::InvalidToken | Self::MissingToken | Self::TokenExpired => StatusCode::UNAUTHORIZED,
            Self::KeysUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::MalformedRequest => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the gRPC status code: 3 `INVALID_ARGUMENT`, 7 `PERMISSION_DENIED`, 14 `UNAVAILABLE` or 16
    /// `UNAUTHENTICATED`.
    pub(super) fn grpc_code(self) -> u8 {
        match self {
            Self::CrossSite | Self::InsufficientScope | Self::Reverification => 7,
            Self::InvalidToken | Self::MissingToken | Self::TokenExpired => 16,
            Self::KeysUnavailable => 14,
            Self::MalformedRequest => 3,
        }
    }
}

impl fmt::Display for RejectionKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CrossSite => "cross-site request with a cookie",
            Self::InsufficientScope => "insufficient scope",
            Self::InvalidToken => "invalid token",
            Self::KeysUnavailable => "keys unavailable",
            Self::MalformedRequest => "malformed credential",
            Self::MissingToken => "missing token",
            Self::Reverification => "reverification required",
            Self::TokenExpired => "token expired",
        })
    }
}
