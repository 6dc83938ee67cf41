use std::{error::Error, fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

/// Where a JWKS document comes from, for keys that are not fetched from Clerk directly.
///
/// An `async` closure without arguments is one. The document is raw: reading it, capping its size at 512 KiB,
/// the deadline and the single flight are taken care of.
///
/// ```
/// use bytes::Bytes;
/// use tower_clerk::{ClerkConfig, Verifier, jwks::FetchError};
///
/// let source = || async { Ok::<_, FetchError>(Bytes::from_static(br#"{"keys":[]}"#)) };
/// let config = ClerkConfig::from_frontend_api_url("https://clerk.example.com")?;
/// let verifier = Verifier::builder(config).key_source(source).build()?;
/// # Ok::<(), tower_clerk::ConfigError>(())
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
    /// [`FetchError`] if it cannot be had now.
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
    retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What was wrong with a fetch of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// A client of the application's own followed a redirect, or the answer came with a `Content-Encoding`.
    Answer,
    /// The document is not a JWKS.
    Document,
    /// The document is on its way.
    InFlight,
    /// There is no Tokio runtime with a timer here to fetch keys on.
    NoRuntime,
    /// The document has no key that can be used.
    NoUsableKey,
    /// The key source panicked.
    Panicked,
    /// The application's resolver could not tell whether there is such an instance.
    Resolver,
    /// The key source failed, or the server could not be reached.
    Source,
    /// The server answered with another status than 200.
    Status,
    /// The document did not arrive in time.
    Timeout,
    /// The document is larger than 512 KiB or has more than 1 024 keys.
    TooLarge,
    /// Too many instances are being looked up already.
    TooManyLookups,
    /// Too many requests are waiting for keys already.
    TooManyWaiting,
}

impl FetchError {
    /// A failure of a key source.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: FetchErrorKind::Source, retry_after: None, source: Some(source.into()) }
    }

    /// Asks for no other attempt before `delay` has passed; honoured up to a minute, and up to 5 seconds
    /// while there are no keys at all.
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
        Self { source: Some(status.to_string().into()), ..Self::of_kind(FetchErrorKind::Status) }
    }

    pub(super) fn of_kind(kind: FetchErrorKind) -> Self {
        Self { kind, retry_after: None, source: None }
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

impl fmt::Display for FetchErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Answer => "the server redirected or encoded its answer",
            Self::Document => "the document is not a JWKS",
            Self::InFlight => "the document is on its way",
            Self::NoRuntime => "there is no Tokio runtime with a timer here; verify inside one, or use a PEM key",
            Self::NoUsableKey => "the document has no usable key",
            Self::Panicked => "the key source panicked",
            Self::Resolver => "the instance could not be looked up",
            Self::Source => "the key source failed",
            Self::Status => "the server answered with another status than 200",
            Self::Timeout => "the document did not arrive in time",
            Self::TooLarge => "the document is too large",
            Self::TooManyLookups => "too many instances are looked up already",
            Self::TooManyWaiting => "too many requests wait for keys already",
        })
    }
}

/// What tells one source of keys from another, so that none is ever served for another: its URL alone
/// would not, since every instance's keys have the same URL at the Backend API.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct SourceId {
    pub(crate) credential: Option<[u8; 32]>,
    /// Counts sources, since each may have an HTTP client of its own.
    pub(crate) number: u64,
    pub(crate) url: String,
}
