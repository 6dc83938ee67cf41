use std::{error::Error, fmt, time::Duration};

use crate::jwks::FetchErrorKind;

/// A token was refused, or could not be judged for want of keys.
///
/// Its texts never hold anything of the token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifyError {
    cause: Option<FetchErrorKind>,
    kind: VerifyErrorKind,
    retry_after: Option<Duration>,
}

/// Why a token was refused, about in the order of the [checks](super).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum VerifyErrorKind {
    /// The token is longer than [`ClerkConfig::max_token_length`](crate::ClerkConfig::max_token_length).
    TooLong,
    /// It is not three segments of canonical base64url, or its header or payload is not a JSON object
    /// with unique members.
    Malformed,
    /// Its header has `crit`: extensions that must be understood (RFC 7515, section 4.1.11).
    CriticalHeader,
    /// Its `typ` is not `JWT`.
    UnsupportedType,
    /// Its `cat` is not that of a session token.
    UnsupportedCategory,
    /// Its `alg` is not RS256, RS384 or RS512.
    UnsupportedAlgorithm,
    /// Its `kid` is missing or not a text of 1 to 255 bytes.
    InvalidKeyId,
    /// No key goes by its `kid`.
    UnknownKey,
    /// Its `alg` is not the key's.
    AlgorithmMismatch,
    /// Its signature is not the key's.
    InvalidSignature,
    /// Its `sub` is missing, empty, no text or a machine's.
    InvalidSubject,
    /// Its `sid` is missing, empty or no text.
    InvalidSessionId,
    /// Its `iss` is missing, empty, no text or another instance's.
    InvalidIssuer,
    /// Its `azp` is missing, no text or not an authorized party.
    InvalidAuthorizedParty,
    /// Its `aud` is missing, of a wrong type or names none of the audiences.
    InvalidAudience,
    /// Its `act` is not an object with a `sub`.
    InvalidActor,
    /// Its `exp` is missing or no time.
    InvalidExpiry,
    /// It has expired (`exp`).
    Expired,
    /// Its `nbf` is no time.
    InvalidNotBefore,
    /// It does not hold yet (`nbf`).
    NotYetValid,
    /// Its `iat` is no time.
    InvalidIssuedAt,
    /// It was issued in the future (`iat`).
    IssuedInFuture,
    /// It lives longer than [`ClerkConfig::max_token_lifetime`](crate::ClerkConfig::max_token_lifetime).
    LifetimeTooLong,
    /// Its `sts` is no text.
    InvalidSessionStatus,
    /// Its session is pending (`sts`).
    PendingSession,
    /// It does not have the custom claims that the layer asks for.
    MissingCustomClaims,
    /// Nothing is known of the token: there are no keys to judge it with.
    KeysUnavailable,
}

impl VerifyError {
    pub(crate) fn keys_unavailable(cause: FetchErrorKind, retry_after: Duration) -> Self {
        Self { cause: Some(cause), kind: VerifyErrorKind::KeysUnavailable, retry_after: Some(retry_after) }
    }

    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> VerifyErrorKind {
        self.kind
    }

    /// What was wrong with the last fetch, if there are no keys.
    #[must_use]
    pub fn fetch_error(&self) -> Option<FetchErrorKind> {
        self.cause
    }

    /// How long until keys are fetched again, if there are none.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<VerifyErrorKind> for VerifyError {
    fn from(kind: VerifyErrorKind) -> Self {
        Self { cause: None, kind, retry_after: None }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Some(cause) => write!(formatter, "{}: {cause}", self.kind),
            None => self.kind.fmt(formatter),
        }
    }
}

impl Error for VerifyError {}

impl fmt::Display for VerifyErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::TooLong => "the token is too long",
            Self::Malformed => "the token is not a compact JWT",
            Self::CriticalHeader => "the token has critical header parameters",
            Self::UnsupportedType => "the token is of another type (typ)",
            Self::UnsupportedCategory => "the token is not a session token (cat)",
            Self::UnsupportedAlgorithm => "the token's algorithm is not accepted (alg)",
            Self::InvalidKeyId => "the token does not name its key (kid)",
            Self::UnknownKey => "the token's key is not known (kid)",
            Self::AlgorithmMismatch => "the token's algorithm is not its key's (alg)",
            Self::InvalidSignature => "the signature does not hold",
            Self::InvalidSubject => "the subject is not a user (sub)",
            Self::InvalidSessionId => "the session is not named (sid)",
            Self::InvalidIssuer => "the issuer is another (iss)",
            Self::InvalidAuthorizedParty => "the authorized party is another (azp)",
            Self::InvalidAudience => "the audience is another (aud)",
            Self::InvalidActor => "the actor is not named (act)",
            Self::InvalidExpiry => "the expiry is not a time (exp)",
            Self::Expired => "the token has expired (exp)",
            Self::InvalidNotBefore => "the beginning is not a time (nbf)",
            Self::NotYetValid => "the token does not hold yet (nbf)",
            Self::InvalidIssuedAt => "the time of issue is not a time (iat)",
            Self::IssuedInFuture => "the token was issued in the future (iat)",
            Self::LifetimeTooLong => "the token lives too long",
            Self::InvalidSessionStatus => "the session's status is not a text (sts)",
            Self::PendingSession => "the session is pending (sts)",
            Self::MissingCustomClaims => "the token lacks the custom claims asked for",
            Self::KeysUnavailable => "keys are unavailable",
        })
    }
}
