use std::{error::Error, fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

use crate::jwt::KeySetError;

/// A source of JWKS documents (RFC 7517, section 5), for keys that are not fetched from Clerk directly.
///
/// A closure without arguments that returns a future of `Result<Bytes, FetchError>` is one. Use it to read keys from a
/// shared cache, a file or a secret store, or to fetch them with an HTTP client other than reqwest. Set it with
/// [`Instance::key_source`](crate::verify::Instance::key_source).
///
/// The source returns the document as it is. Refresh, back-off and the stale limit work as for keys from Clerk:
///
/// - At most one call runs at a time for an instance, in a task on the Tokio runtime of a request.
/// - It is dropped after [`jwks_timeout`](crate::ClerkConfig::jwks_timeout), 3 seconds by default. A source that
///   [panics](FetchErrorKind::Panicked) fails only this fetch.
/// - The document is parsed and its size is limited to 512 KiB. A source that reads from the network should limit what
///   it reads.
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
    /// [`FetchError::new`] with the cause if the document is not available now. The last good key set stays in use.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + '_>>;

    /// Returns where the documents come from, such as a URL, for the log of a fetch that fails. Nothing of it may be
    /// secret. By default the log names no place.
    fn location(&self) -> Option<String> {
        None
    }
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

/// Why a JWKS document could not be fetched.
///
/// A [`KeySource`] makes one with [`new`](Self::new), of the kind [`Transport`](FetchErrorKind::Transport). The cause
/// appears in the log and as [`source`](Error::source), not in responses.
#[derive(Debug)]
pub struct FetchError {
    kind: FetchErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
    retry_after: Option<Duration>,
}

/// The kind of a [`FetchError`]. A fetch that fails leaves the last good key set in use.
///
/// Calls of the Backend API about opaque tokens fail with the same kinds. Their document is the response, a JSON object
/// of at most 64 KiB, and their time limit 3 seconds.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// The document is not a JWK Set (RFC 7517, section 5).
    InvalidDocument,
    /// The document has no RSA key of 2048 to 8192 bits with a `kid`, for verifying RS256, RS384 or RS512.
    NoUsableKey,
    /// The key source panicked.
    Panicked,
    /// The document did not arrive within [`jwks_timeout`](crate::ClerkConfig::jwks_timeout).
    Timeout,
    /// The document is larger than 512 KiB or has more than 1024 keys.
    TooLarge,
    /// Fetches for other instances of the verifier took all places for two thirds of
    /// [`jwks_timeout`](crate::ClerkConfig::jwks_timeout), or their name lookups all permits for a second.
    TooManyFetches,
    /// The server could not be reached, or the key source returned an error.
    Transport,
    /// The Backend API refused the secret key, or the token was not granted to this machine.
    Unauthorized,
    /// The response has a `Content-Encoding` other than `identity`, although none was asked for. It could grow past the
    /// size limit.
    UnexpectedEncoding,
    /// The HTTP client that the application supplied followed a redirect. Another server must not supply the keys.
    UnexpectedRedirect,
    /// The server responded with a status other than 200.
    UnexpectedStatus,
}

impl FetchError {
    /// Makes an error from its cause, of the kind [`Transport`](FetchErrorKind::Transport).
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::of_kind(FetchErrorKind::Transport) }
    }

    /// Sets the delay before the next fetch, as the HTTP header `Retry-After` does (RFC 9110, section 10.2.3).
    ///
    /// It is honoured up to 60 seconds, and up to 5 seconds if there is no key set in use. Below such a limit it is
    /// lengthened by up to a half at random, though not past the limit, so that replicas which were put off together do
    /// not come back together. A delay of the limit or more is not lengthened: such replicas come back together, after
    /// the limit. It never shortens the back-off.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::time::Duration;
    ///
    /// use bytes::Bytes;
    /// use tower_clerk::{ClerkConfig, Verifier, jwks::FetchError, testing::ManualClock, verify::Instance};
    ///
    /// let source = || async {
    ///     Err::<Bytes, _>(FetchError::new("the store is being restored").retry_after(Duration::from_secs(3)))
    /// };
    /// let config = ClerkConfig::from_frontend_api_url("https://clerk.example.com")?;
    /// let instance = Instance::new(config).key_source(source);
    /// let verifier = Verifier::builder(instance).clock(ManualClock::new()).build()?;
    ///
    /// let error = verifier.warm_up().await.unwrap_err();
    /// let delay = error.retry_after().ok_or("a delay")?;
    /// assert!(delay >= Duration::from_secs(3) && delay <= Duration::from_millis(4500));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    pub(crate) fn with_source(kind: FetchErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..Self::of_kind(kind) }
    }

    pub(crate) fn of_kind(kind: FetchErrorKind) -> Self {
        Self { kind, source: None, retry_after: None }
    }

    /// Adds the place that the documents come from, unless the error has a cause, which is more precise.
    pub(super) fn at(self, location: Option<String>) -> Self {
        Self { source: self.source.or_else(|| location.map(Into::into)), ..self }
    }

    pub(crate) fn delay(&self) -> Option<Duration> {
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
    /// Returns a stable name for metrics and logs, such as `no_usable_key`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidDocument => "invalid_document",
            Self::NoUsableKey => "no_usable_key",
            Self::Panicked => "panicked",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::TooManyFetches => "too_many_fetches",
            Self::Transport => "transport",
            Self::Unauthorized => "unauthorized",
            Self::UnexpectedEncoding => "unexpected_encoding",
            Self::UnexpectedRedirect => "unexpected_redirect",
            Self::UnexpectedStatus => "unexpected_status",
        }
    }
}

impl FetchErrorKind {
    /// What it means where the Backend API was asked. `Display` speaks of keys.
    pub(crate) fn of_backend_api(self) -> &'static str {
        match self {
            Self::InvalidDocument | Self::NoUsableKey => "the response of the Backend API is no JSON object",
            Self::Panicked => "the client of the Backend API panicked",
            Self::Timeout => "timed out asking the Backend API",
            Self::TooLarge => "response of the Backend API too large",
            Self::TooManyFetches => "too many calls of the Backend API in progress",
            Self::Transport => "could not ask the Backend API",
            Self::Unauthorized => "the Backend API refused the secret key",
            Self::UnexpectedEncoding => "unexpected Content-Encoding of the Backend API",
            Self::UnexpectedRedirect => "unexpected redirect of the Backend API",
            Self::UnexpectedStatus => "unexpected HTTP status of the Backend API",
        }
    }

    /// Its name where the Backend API was asked, so that metrics tell it from a failed fetch of keys.
    pub(crate) fn name_of_backend_api(self) -> &'static str {
        match self {
            Self::InvalidDocument => "backend_api_invalid_document",
            Self::NoUsableKey => "backend_api_no_usable_key",
            Self::Panicked => "backend_api_panicked",
            Self::Timeout => "backend_api_timeout",
            Self::TooLarge => "backend_api_too_large",
            Self::TooManyFetches => "backend_api_too_many_fetches",
            Self::Transport => "backend_api_transport",
            Self::Unauthorized => "backend_api_unauthorized",
            Self::UnexpectedEncoding => "backend_api_unexpected_encoding",
            Self::UnexpectedRedirect => "backend_api_unexpected_redirect",
            Self::UnexpectedStatus => "backend_api_unexpected_status",
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
            Self::TooManyFetches => "too many fetches of other instances in progress",
            Self::Transport => "could not fetch the JWKS document",
            Self::Unauthorized => "the Backend API refused the secret key",
            Self::UnexpectedEncoding => "unexpected Content-Encoding",
            Self::UnexpectedRedirect => "unexpected redirect",
            Self::UnexpectedStatus => "unexpected HTTP status",
        })
    }
}
