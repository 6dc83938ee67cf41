//! What a request is called in errors and in the log.

use std::{error::Error, fmt};

use http::Method;

use super::dns::NoPermit;
use crate::jwks::source::{FetchError, FetchErrorKind};

/// Method, scheme, host and path of a request, of which none is secret. The rest of a URL is not for the log.
#[derive(Clone, Debug)]
pub(crate) struct RequestName {
    method: Method,
    url: String,
}

impl RequestName {
    pub(crate) fn new(method: &Method, url: &reqwest::Url) -> Self {
        let url = format!("{}{}", url.origin().ascii_serialization(), url.path());
        Self { method: method.clone(), url }
    }

    /// The error of a request without a complete response. It names the URL itself, so that of reqwest is left out.
    pub(crate) fn broken(&self, error: reqwest::Error) -> FetchError {
        let kind = if lacks_permit(&error) {
            FetchErrorKind::TooManyFetches
        } else if error.is_timeout() {
            FetchErrorKind::Timeout
        } else {
            FetchErrorKind::Transport
        };
        self.failed(kind, error.without_url())
    }

    pub(crate) fn failed(&self, kind: FetchErrorKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> FetchError {
        FetchError::with_source(kind, FailedRequest { name: self.clone(), cause: cause.into() })
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.url)
    }
}

/// A request that failed, for the log.
#[derive(Debug)]
struct FailedRequest {
    name: RequestName,
    cause: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for FailedRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(formatter)
    }
}

impl Error for FailedRequest {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause.as_ref())
    }
}

/// Whether the host was not looked up, because lookups of other names took all permits.
fn lacks_permit(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<NoPermit>() {
            return true;
        }
        cause = error.source();
    }
    false
}
