use std::fmt;

use http::StatusCode;

use crate::verify::VerifyErrorKind;

/// The coarse reason of a [`Rejection`](super::Rejection), which the client learns.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectionKind {
    /// A cookie on a request that another site may have made.
    CrossSite,
    /// A user who may not do this.
    InsufficientScope,
    /// A bad token.
    InvalidToken,
    /// No keys to judge the token with.
    KeysUnavailable,
    /// The credential is not in a form that could hold a token (RFC 6750, section 3.1, `invalid_request`).
    MalformedRequest,
    /// No Bearer credential.
    MissingToken,
    /// A user who may do this after verifying their factors again.
    Reverification,
    /// A token that was good until its `exp`.
    TokenExpired,
}

/// In which form refusals are answered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusals {
    /// gRPC calls in the gRPC form, everything else in the HTTP form.
    ///
    /// The gRPC form is an HTTP 200. Choose [`Http`](Self::Http) behind a proxy that takes this service's
    /// status for an answer to "may this request pass?": its client decides the media type.
    #[default]
    Auto,
    /// Everything in the gRPC form.
    Grpc,
    /// Everything in the HTTP form.
    Http,
}

impl RejectionKind {
    pub(crate) fn of(error: VerifyErrorKind) -> Self {
        match error {
            VerifyErrorKind::Expired => Self::TokenExpired,
            VerifyErrorKind::KeysUnavailable => Self::KeysUnavailable,
            VerifyErrorKind::TooLong => Self::MalformedRequest,
            _ => Self::InvalidToken,
        }
    }

    pub(super) fn code(self) -> &'static str {
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
            Self::CrossSite => "a cookie on a request that another site may have made",
            Self::InsufficientScope => "the user may not do this",
            Self::InvalidToken => "the token is not valid",
            Self::KeysUnavailable => "keys are unavailable",
            Self::MalformedRequest => "the credential is malformed",
            Self::MissingToken => "there is no Bearer credential",
            Self::Reverification => "the user must verify their factors again to do this",
            Self::TokenExpired => "the token has expired",
        })
    }
}
