use std::{error::Error, fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

use crate::jwt::KeySetError;

/// A source of JWKS documents, for keys that are not fetched from Clerk directly.
///
/// An `async` closure without arguments is one. It returns the raw document: parsing it, limiting its size to 512 KiB,
/// the deadline and the single flight are taken care of.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use bytes::Bytes;
/// use tower_clerk::{ClerkConfig, Verifier, jwks::FetchError, testing::TestIssuer, verify::Instance};
///
/// let issuer = TestIssuer::new();
/// let document = Bytes::from(issuer.jwks());
/// let source = move || {
///     let document = document.clone();
///     async move { Ok::<_, FetchError>(document) }
/// };
///
/// let config = ClerkConfig::from_frontend_api_url(issuer.url())?;
/// let verifier = Verifier::builder(Instance::new(config).key_source(source)).build()?;
/// let claims = verifier.verify(&issuer.token("user_ada").sign()).await?;
/// assert_eq!(claims.user_id(), "user_ada");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source of keys",
    label = "not a `KeySource`",
    note = "a closure without arguments that returns a future of `Result<Bytes, FetchError>` is one: `|| async {{ … }}`"
)]
pub trait KeySource: Send + Sync {
    /// Fetches the document.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if the document cannot be had now.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + '_>>;
}

impl<F, Fut> KeySource for F
where
    F: Fn() -> Fut + Send + Sync,
    Fut: Future<Output = Result<Bytes, FetchError>> + Send + 'static,
{
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + '_>> {
        Box::pin(self())
    }
}

/// A JWKS document could not be fetched.
#[derive(Debug)]
pub struct FetchError {
    kind: FetchErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
    retry_after: Option<Duration>,
}

/// What was wrong with a fetch of keys.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// The document is not a JWK Set (RFC 7517, section 5).
    InvalidDocument,
    /// The document has no key that can be used.
    NoUsableKey,
    /// The key source panicked.
    Panicked,
    /// The document did not arrive in time.
    Timeout,
    /// The document is larger than 512 KiB or has more than 1024 keys.
    TooLarge,
    /// The server could not be reached, or the key source failed.
    Transport,
    /// The response has a `Content-Encoding` that was not asked for.
    UnexpectedEncoding,
    /// The HTTP client that the application handed in followed a redirect.
    UnexpectedRedirect,
    /// The server responded with another status than 200.
    UnexpectedStatus,
}

impl FetchError {
    /// Makes the error of a key source that failed.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::of_kind(FetchErrorKind::Transport) }
    }

    /// Asks for no other attempt before `delay` has passed; honoured up to a minute, and up to 5 seconds while there
    /// are no keys at all.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    #[cfg(feature = "reqwest")]
    pub(super) fn of_status(status: http::StatusCode) -> Self {
        Self { source: Some(status.to_string().into()), ..Self::of_kind(FetchErrorKind::UnexpectedStatus) }
    }

    pub(super) fn of_kind(kind: FetchErrorKind) -> Self {
        Self { kind, source: None, retry_after: None }
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(formatter)
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| -> &(dyn Error + 'static) { source.as_ref() })
    }
}

impl FetchErrorKind {
    /// A name for metrics and logs, such as `no_usable_key`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidDocument => "invalid_document",
            Self::NoUsableKey => "no_usable_key",
            Self::Panicked => "panicked",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Transport => "transport",
            Self::UnexpectedEncoding => "unexpected_encoding",
            Self::UnexpectedRedirect => "unexpected_redirect",
            Self::UnexpectedStatus => "unexpected_status",
        }
    }
}

impl From<KeySetError> for FetchErrorKind {
    fn from(error: KeySetError) -> Self {
        match error {
            KeySetError::InvalidDocument => Self::InvalidDocument,
            KeySetError::NoUsableKey => Self::NoUsableKey,
            KeySetError::TooLarge => Self::TooLarge,
        }
    }
}

impl fmt::Display for FetchErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::InvalidDocument => "invalid JWKS document",
            Self::NoUsableKey => "no usable key in the JWKS document",
            Self::Panicked => "the key source panicked",
            Self::Timeout => "timed out fetching the JWKS document",
            Self::TooLarge => "JWKS document too large",
            Self::Transport => "could not fetch the JWKS document",
            Self::UnexpectedEncoding => "unexpected Content-Encoding",
            Self::UnexpectedRedirect => "unexpected redirect",
            Self::UnexpectedStatus => "unexpected HTTP status",
        })
    }
}
