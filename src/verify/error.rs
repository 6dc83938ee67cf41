use std::{error::Error, fmt, time::Duration};

use crate::{
    backend_api::{OpaqueFailure, OpaqueRejection},
    instance::ResolveFailure,
    jwks::{FetchErrorKind, FetchUnavailable, KeyError},
    jwt::{HeaderError, MalformedToken},
    token_kind::TokenKind,
};

/// Why a token was rejected, or could not be verified because keys are unavailable.
///
/// [`kind`](Self::kind) is the first [check](super#checks) that failed. One kind says nothing about the token:
/// [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable), for which [`unavailable_reason`](Self::unavailable_reason)
/// and [`retry_after`](Self::retry_after) return a value. The text never contains a part of the token, so it may be
/// logged.
///
/// ```
/// # #[cfg(all(feature = "reqwest", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use tower_clerk::{Verifier, jwks::FetchErrorKind, testing::TestIssuer};
/// use tower_clerk::verify::{UnavailableReason, VerifyErrorKind};
///
/// let issuer = TestIssuer::start().await?;
/// let verifier = Verifier::new(issuer.config())?;
/// issuer.serve_status(503);
///
/// let error = verifier.verify(&issuer.token("user_ada").sign()).await.unwrap_err();
/// assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
/// let fetch_failed = UnavailableReason::Fetch(FetchErrorKind::UnexpectedStatus);
/// assert_eq!(error.unavailable_reason(), Some(fetch_failed));
/// assert!(error.retry_after().is_some());
/// assert_eq!(error.to_string(), "keys unavailable: unexpected HTTP status");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifyError {
    kind: VerifyErrorKind,
    /// The kind that the token claims to be of, if that was read.
    token: Option<TokenKind>,
    unavailable: Option<Unavailable>,
}

/// The details of [`VerifyErrorKind::KeysUnavailable`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Unavailable {
    reason: UnavailableReason,
    retry_after: Duration,
}

/// The check that rejected a token, roughly in the order of the [checks](super#checks).
///
/// A layer responds with 400 to [`TooLong`](Self::TooLong), with 503 to [`KeysUnavailable`](Self::KeysUnavailable), and
/// with 401 to all others. The client does not learn the kind, except that the token has [`Expired`](Self::Expired).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum VerifyErrorKind {
    /// The token is longer than [`ClerkConfig::max_token_length`](crate::ClerkConfig::max_token_length).
    TooLong,
    /// The token is not three segments of canonical base64url, or its header or payload is not a JSON object with
    /// unique members.
    Malformed,
    /// The token is of a [kind](crate::TokenKind) that is not accepted, or it is opaque and no key is configured to ask
    /// the Backend API with.
    TokenKindNotAccepted,
    /// The header has `crit`, which lists extensions that a recipient must understand (RFC 7515, section 4.1.11). This
    /// crate understands none.
    CriticalHeader,
    /// `typ` is not that of a token of the kind: absent or `JWT`, and `at+jwt` or `application/at+jwt` for an OAuth
    /// token alone.
    UnsupportedType,
    /// `cat` marks another kind of token that is accepted, or none that is known. A token made from a JWT template
    /// needs [`allow_template_tokens`](crate::ClerkConfig::allow_template_tokens).
    UnsupportedCategory,
    /// `alg` is not RS256, RS384 or RS512.
    UnsupportedAlgorithm,
    /// `kid` is missing or not a string of 1 to 255 bytes.
    InvalidKeyId,
    /// No key has this `kid`, even after a fetch where one was allowed. The token may be of another instance.
    UnknownKey,
    /// `alg` is not the one algorithm of the key (RFC 8725, section 3.1).
    AlgorithmMismatch,
    /// No key with this `kid` verifies the signature.
    InvalidSignature,
    /// `sub` is missing, empty or not a string.
    InvalidSubject,
    /// `sid` is missing, empty or not a string.
    InvalidSessionId,
    /// `iss` is missing, empty, not a string, or not an issuer of a trusted instance.
    InvalidIssuer,
    /// `azp` is missing, not a string, or not one of the
    /// [`authorized_parties`](crate::ClerkConfig::authorized_parties).
    InvalidAuthorizedParty,
    /// `aud` is missing, of the wrong type, or names none of the audiences that are configured for the kind of token:
    /// [`audience`](crate::ClerkConfig::audience), [`oauth_audience`](crate::ClerkConfig::oauth_audience) or
    /// [`m2m_audience`](crate::ClerkConfig::m2m_audience).
    InvalidAudience,
    /// `act` is not an object with a `sub` (RFC 8693, section 4.1), or in an OAuth token the `act` in it is none.
    InvalidActor,
    /// The M2M token is not for this machine, see [`ClerkConfig::machine_id`](crate::ClerkConfig::machine_id).
    MachineNotInScope,
    /// The token has `cnf` (RFC 7800): it is bound to a key of its client, and is no bearer token.
    KeyBound,
    /// The Backend API does not know the opaque token as valid: it is unknown, revoked or expired.
    Inactive,
    /// `exp` is missing or not a `NumericDate` (RFC 7519, section 2).
    InvalidExpiry,
    /// `exp` has passed by more than the clock skew. The token was valid before, and a client can get a new one.
    Expired,
    /// `nbf` is not a `NumericDate`.
    InvalidNotBefore,
    /// `nbf` is in the future by more than the clock skew. The clock of this machine may be slow.
    NotYetValid,
    /// `iat` is not a `NumericDate`.
    InvalidIssuedAt,
    /// `iat` is in the future by more than the clock skew. The clock of this machine may be slow.
    IssuedInFuture,
    /// The time from `iat` to `exp` is longer than the limit for the kind of token, or `iat` is missing:
    /// [`max_token_lifetime`](crate::ClerkConfig::max_token_lifetime),
    /// [`max_oauth_token_lifetime`](crate::ClerkConfig::max_oauth_token_lifetime) or
    /// [`max_m2m_token_lifetime`](crate::ClerkConfig::max_m2m_token_lifetime).
    LifetimeTooLong,
    /// `sts` is not a string.
    InvalidSessionStatus,
    /// The session is pending: the user has tasks left, such as to choose an organization (`sts`).
    PendingSession,
    /// The key of the token could not be fetched, its instance could not be looked up, or the Backend API could not be
    /// asked. This says nothing about the token.
    KeysUnavailable,
}

/// Why keys are unavailable: the reason of a [`VerifyErrorKind::KeysUnavailable`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum UnavailableReason {
    /// The Backend API could not be asked about an opaque token, or did not answer.
    BackendApi(FetchErrorKind),
    /// The last fetch of keys failed, and no key in use has the `kid` of the token.
    Fetch(FetchErrorKind),
    /// A fetch or a lookup is in progress. [`Verifier::try_verify`](crate::Verifier::try_verify) does not wait for it;
    /// [`Verifier::verify`](crate::Verifier::verify) does, for the bounded number of fetches that it may wait for.
    InProgress,
    /// The caller is outside a Tokio runtime, on which keys are fetched, the resolver is called and the Backend API is
    /// asked.
    NoRuntime,
    /// The application's resolver returned an error.
    ResolverFailed,
    /// The application's resolver panicked, or its runtime ended.
    ResolverPanicked,
    /// The application's resolver took longer than 2 seconds, a wait for a place included, or its call was stopped.
    ResolverTimeout,
    /// No call of the resolver is possible now: no place was free for 1.5 seconds, more unknown issuers arrived than
    /// the [`ResolverLimits`](super::ResolverLimits) allow, or the request has waited for another call already.
    TooManyLookups,
    /// More opaque tokens arrived that were never seen valid than the
    /// [`OpaqueTokenLimits`](crate::backend_api::OpaqueTokenLimits) allow to ask for.
    TooManyOpaqueTokens,
    /// 16 384 requests are already waiting for the keys of this instance, for the resolver, or for calls of the Backend
    /// API about opaque tokens; or all requests that wait at this verifier take 64 MiB.
    TooManyWaiting,
}

impl VerifyError {
    pub(crate) fn rejected(kind: VerifyErrorKind) -> Self {
        Self { kind, token: None, unavailable: None }
    }

    pub(super) fn unavailable(reason: UnavailableReason, retry_after: Duration) -> Self {
        Self {
            kind: VerifyErrorKind::KeysUnavailable,
            token: None,
            unavailable: Some(Unavailable { reason, retry_after }),
        }
    }

    /// Notes the kind that the token claims to be of.
    pub(super) fn of_token(self, token: Option<TokenKind>) -> Self {
        Self { token: self.token.or(token), ..self }
    }

    /// The kind that the token claims to be of; `None` if it was rejected before that was read.
    pub(crate) fn token(&self) -> Option<TokenKind> {
        self.token
    }

    /// Returns the first check that failed.
    #[must_use]
    pub fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// Returns why keys are unavailable; `None` unless the kind is
    /// [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable).
    #[must_use]
    pub fn unavailable_reason(&self) -> Option<UnavailableReason> {
        self.unavailable.map(|unavailable| unavailable.reason)
    }

    /// Returns why the last fetch of keys, or the call of the Backend API, failed, if that is the reason.
    #[must_use]
    pub fn fetch_error_kind(&self) -> Option<FetchErrorKind> {
        match self.unavailable_reason() {
            Some(UnavailableReason::BackendApi(kind) | UnavailableReason::Fetch(kind)) => Some(kind),
            _ => None,
        }
    }

    /// Returns how long to wait before the next attempt; `None` unless keys are unavailable.
    ///
    /// After a failed fetch, or a failed call of the Backend API, it is the time until the next may start, which may be
    /// zero. If there are too many opaque tokens, it is the time until a call is allowed. For every other reason it is
    /// one second.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.unavailable.map(|unavailable| unavailable.retry_after)
    }
}

impl From<MalformedToken> for VerifyError {
    fn from(_: MalformedToken) -> Self {
        Self::rejected(VerifyErrorKind::Malformed)
    }
}

impl From<HeaderError> for VerifyError {
    fn from(error: HeaderError) -> Self {
        Self::rejected(match error {
            HeaderError::Critical => VerifyErrorKind::CriticalHeader,
            HeaderError::Kind => VerifyErrorKind::TokenKindNotAccepted,
            HeaderError::Type => VerifyErrorKind::UnsupportedType,
            HeaderError::Category => VerifyErrorKind::UnsupportedCategory,
            HeaderError::Algorithm => VerifyErrorKind::UnsupportedAlgorithm,
            HeaderError::KeyId => VerifyErrorKind::InvalidKeyId,
        })
    }
}

impl From<KeyError> for VerifyError {
    fn from(error: KeyError) -> Self {
        Self::rejected(match error {
            KeyError::AlgorithmMismatch => VerifyErrorKind::AlgorithmMismatch,
            KeyError::InvalidKeyId => VerifyErrorKind::InvalidKeyId,
            KeyError::InvalidSignature => VerifyErrorKind::InvalidSignature,
            KeyError::UnknownKid => VerifyErrorKind::UnknownKey,
            KeyError::Unavailable(unavailable) => {
                return match unavailable {
                    FetchUnavailable::Failed { kind, retry_after } => {
                        Self::unavailable(UnavailableReason::Fetch(kind), retry_after)
                    }
                    FetchUnavailable::InProgress => Self::unavailable(UnavailableReason::InProgress, RETRY_AFTER),
                    FetchUnavailable::NoRuntime => Self::unavailable(UnavailableReason::NoRuntime, RETRY_AFTER),
                    FetchUnavailable::TooManyWaiting => {
                        Self::unavailable(UnavailableReason::TooManyWaiting, RETRY_AFTER)
                    }
                };
            }
        })
    }
}

impl From<OpaqueFailure> for VerifyError {
    fn from(failure: OpaqueFailure) -> Self {
        let (reason, retry_after) = match failure {
            OpaqueFailure::Rejected(rejection) => {
                return Self::rejected(match rejection {
                    OpaqueRejection::Actor => VerifyErrorKind::InvalidActor,
                    OpaqueRejection::Audience => VerifyErrorKind::InvalidAudience,
                    OpaqueRejection::Confirmation => VerifyErrorKind::KeyBound,
                    OpaqueRejection::Inactive => VerifyErrorKind::Inactive,
                    OpaqueRejection::KindNotAsked => VerifyErrorKind::TokenKindNotAccepted,
                    OpaqueRejection::MachineNotInScope => VerifyErrorKind::MachineNotInScope,
                });
            }
            OpaqueFailure::Failed { kind, retry_after } => (UnavailableReason::BackendApi(kind), retry_after),
            OpaqueFailure::NoRuntime => (UnavailableReason::NoRuntime, RETRY_AFTER),
            OpaqueFailure::TooManyTokens { retry_after } => (UnavailableReason::TooManyOpaqueTokens, retry_after),
            OpaqueFailure::TooManyWaiting => (UnavailableReason::TooManyWaiting, RETRY_AFTER),
        };
        Self::unavailable(reason, retry_after)
    }
}

impl From<ResolveFailure> for VerifyError {
    fn from(failure: ResolveFailure) -> Self {
        let reason = match failure {
            ResolveFailure::NoRuntime => UnavailableReason::NoRuntime,
            ResolveFailure::ResolverFailed => UnavailableReason::ResolverFailed,
            ResolveFailure::ResolverPanicked => UnavailableReason::ResolverPanicked,
            ResolveFailure::ResolverTimeout => UnavailableReason::ResolverTimeout,
            ResolveFailure::TooManyLookups => UnavailableReason::TooManyLookups,
            ResolveFailure::TooManyWaiting => UnavailableReason::TooManyWaiting,
            ResolveFailure::UnknownIssuer => return Self::rejected(VerifyErrorKind::InvalidIssuer),
        };
        Self::unavailable(reason, RETRY_AFTER)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unavailable_reason() {
            Some(reason) => write!(formatter, "{}: {reason}", self.kind),
            None => self.kind.fmt(formatter),
        }
    }
}

impl Error for VerifyError {}

impl VerifyErrorKind {
    /// Returns a stable name for metrics and logs, such as `invalid_signature`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::TokenKindNotAccepted => "token_kind_not_accepted",
            Self::CriticalHeader => "critical_header",
            Self::UnsupportedType => "unsupported_type",
            Self::UnsupportedCategory => "unsupported_category",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::InvalidKeyId => "invalid_key_id",
            Self::UnknownKey => "unknown_key",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::InvalidSignature => "invalid_signature",
            Self::InvalidSubject => "invalid_subject",
            Self::InvalidSessionId => "invalid_session_id",
            Self::InvalidIssuer => "invalid_issuer",
            Self::InvalidAuthorizedParty => "invalid_authorized_party",
            Self::InvalidAudience => "invalid_audience",
            Self::InvalidActor => "invalid_actor",
            Self::MachineNotInScope => "machine_not_in_scope",
            Self::KeyBound => "key_bound",
            Self::Inactive => "inactive",
            Self::InvalidExpiry => "invalid_expiry",
            Self::Expired => "expired",
            Self::InvalidNotBefore => "invalid_not_before",
            Self::NotYetValid => "not_yet_valid",
            Self::InvalidIssuedAt => "invalid_issued_at",
            Self::IssuedInFuture => "issued_in_future",
            Self::LifetimeTooLong => "lifetime_too_long",
            Self::InvalidSessionStatus => "invalid_session_status",
            Self::PendingSession => "pending_session",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}

impl fmt::Display for VerifyErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooLong => "token too long",
            Self::Malformed => "malformed token",
            Self::TokenKindNotAccepted => "token kind not accepted",
            Self::CriticalHeader => "unsupported critical header parameter (crit)",
            Self::UnsupportedType => "unsupported token type (typ)",
            Self::UnsupportedCategory => "unsupported token category (cat)",
            Self::UnsupportedAlgorithm => "unsupported algorithm (alg)",
            Self::InvalidKeyId => "missing or invalid key id (kid)",
            Self::UnknownKey => "unknown key id (kid)",
            Self::AlgorithmMismatch => "algorithm does not match the key (alg)",
            Self::InvalidSignature => "signature verification failed",
            Self::InvalidSubject => "invalid subject (sub)",
            Self::InvalidSessionId => "missing or invalid session id (sid)",
            Self::InvalidIssuer => "issuer not accepted (iss)",
            Self::InvalidAuthorizedParty => "authorized party not accepted (azp)",
            Self::InvalidAudience => "audience not accepted (aud)",
            Self::InvalidActor => "invalid actor claim (act)",
            Self::MachineNotInScope => "token is not for this machine (scopes)",
            Self::KeyBound => "token is bound to a key (cnf)",
            Self::Inactive => "token is unknown, revoked or expired",
            Self::InvalidExpiry => "exp is missing or not a NumericDate",
            Self::Expired => "token expired (exp)",
            Self::InvalidNotBefore => "nbf is not a NumericDate",
            Self::NotYetValid => "token not yet valid (nbf)",
            Self::InvalidIssuedAt => "iat is not a NumericDate",
            Self::IssuedInFuture => "token issued in the future (iat)",
            Self::LifetimeTooLong => "token lifetime exceeds max_token_lifetime",
            Self::InvalidSessionStatus => "invalid session status (sts)",
            Self::PendingSession => "session is pending (sts)",
            Self::KeysUnavailable => "keys unavailable",
        })
    }
}

impl UnavailableReason {
    /// Returns a stable name for metrics and logs, such as `timeout` or `no_runtime`. Those of
    /// [`BackendApi`](Self::BackendApi) start with `backend_api_`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BackendApi(kind) => kind.name_of_backend_api(),
            Self::Fetch(kind) => kind.as_str(),
            Self::InProgress => "in_progress",
            Self::NoRuntime => "no_runtime",
            Self::ResolverFailed => "resolver_failed",
            Self::ResolverPanicked => "resolver_panicked",
            Self::ResolverTimeout => "resolver_timeout",
            Self::TooManyLookups => "too_many_lookups",
            Self::TooManyOpaqueTokens => "too_many_opaque_tokens",
            Self::TooManyWaiting => "too_many_waiting",
        }
    }
}

impl fmt::Display for UnavailableReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::BackendApi(kind) => kind.of_backend_api(),
            Self::Fetch(kind) => return kind.fmt(formatter),
            Self::InProgress => "a fetch is in progress",
            Self::NoRuntime => {
                "no Tokio runtime; verify inside one, or configure a PEM key where only JWTs are accepted"
            }
            Self::ResolverFailed => "the instance resolver failed",
            Self::ResolverPanicked => "the instance resolver panicked",
            Self::ResolverTimeout => "the instance resolver timed out",
            Self::TooManyLookups => "too many instance lookups in progress",
            Self::TooManyOpaqueTokens => "too many opaque tokens that were never seen valid",
            Self::TooManyWaiting => "too many waiting requests",
        })
    }
}

/// For reasons that come without a time: `Retry-After` counts whole seconds, and fetches and lookups take about one.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);
