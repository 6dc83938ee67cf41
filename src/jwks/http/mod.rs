//! Fetching a JWKS document with `reqwest`.
//!
//! No other folder names `reqwest`, except for the client that the application supplies to the builder.

mod client;
mod dns;
mod proxy;

use std::{error::Error, fmt, future::Future, pin::Pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, DATE, HeaderMap, RETRY_AFTER},
};

pub(crate) use self::client::HttpClients;
use self::dns::NoPermit;
use super::source::{FetchError, FetchErrorKind, KeySource};
use crate::{
    config::{ConfigError, SecretKey},
    jwt::MAX_DOCUMENT,
};

/// Fetches a JWKS document over HTTP, from the Frontend API or, with a secret key, from the Backend API.
pub(crate) struct HttpKeySource {
    authorization: Option<HeaderValue>,
    client: reqwest::Client,
    url: reqwest::Url,
}

/// The request of a fetch that failed, for the log: scheme, host and path of its URL, of which none is secret.
#[derive(Debug)]
struct FailedRequest {
    url: String,
    cause: Box<dyn Error + Send + Sync>,
}

impl HttpKeySource {
    /// Makes a source for this URL. It sends no request. The secret key is marked as sensitive, so that no log of
    /// headers shows it.
    pub(crate) fn new(url: &str, secret_key: Option<&SecretKey>, clients: &HttpClients) -> Result<Self, ConfigError> {
        let setting = if secret_key.is_some() { "api_url" } else { "frontend_api_url" };
        let url: reqwest::Url = url.parse().map_err(|_| ConfigError::invalid(setting, "is not a URL"))?;
        let authorization = match secret_key {
            Some(key) => {
                let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose()))
                    .map_err(|_| ConfigError::invalid("secret_key", "contains characters that no secret key has"))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let client = clients.client(&url)?;
        Ok(Self { authorization, client, url })
    }

    /// Fetches the document. The caller limits the time, from the connection to the last byte.
    async fn document(&self) -> Result<Bytes, FetchError> {
        let mut request = self.client.get(self.url.clone()).header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let mut response = request.send().await.map_err(|error| self.broken(error))?;
        if *response.url() != self.url {
            return Err(self.failed(FetchErrorKind::UnexpectedRedirect, "a redirect to another URL was followed"));
        }
        let status = response.status();
        if status != StatusCode::OK {
            let error = self.failed(FetchErrorKind::UnexpectedStatus, describe(status));
            return Err(match retry_after(response.headers()) {
                Some(delay) => error.retry_after(delay),
                None => error,
            });
        }
        if !is_unencoded(response.headers()) {
            return Err(self.failed(FetchErrorKind::UnexpectedEncoding, "Content-Encoding is not identity"));
        }
        // Counted while it arrives: `Content-Length` may be absent or wrong.
        let mut document = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if document.len() + chunk.len() > MAX_DOCUMENT {
                return Err(self.failed(FetchErrorKind::TooLarge, "more than 512 KiB"));
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document.freeze())
    }

    /// The error of a request without a complete response. It names the URL itself, so that of reqwest is left out.
    fn broken(&self, error: reqwest::Error) -> FetchError {
        let kind = if lacks_permit(&error) {
            FetchErrorKind::TooManyFetches
        } else if error.is_timeout() {
            FetchErrorKind::Timeout
        } else {
            FetchErrorKind::Transport
        };
        self.failed(kind, error.without_url())
    }

    fn failed(&self, kind: FetchErrorKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> FetchError {
        FetchError::with_source(kind, FailedRequest { url: self.public_url(), cause: cause.into() })
    }

    /// Scheme, host and path. The rest of a URL is not for the log.
    fn public_url(&self) -> String {
        format!("{}{}", self.url.origin().ascii_serialization(), self.url.path())
    }
}

impl KeySource for HttpKeySource {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + '_>> {
        Box::pin(self.document())
    }

    fn location(&self) -> Option<String> {
        Some(format!("GET {}", self.public_url()))
    }
}

impl fmt::Display for FailedRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GET {}", self.url)
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

/// Says of a redirect that it was not followed, since a browser or curl would follow it and show the keys.
fn describe(status: StatusCode) -> String {
    match status {
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => format!("{status}: redirects are not followed"),
        status => status.to_string(),
    }
}

/// Whether the body is the document itself. `identity` names no encoding (RFC 9110, section 8.4.1), and some proxies
/// add it, or an empty value.
fn is_unencoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        value.to_str().is_ok_and(|list| {
            list.split(',').map(str::trim).all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
        })
    })
}

/// The delay of a `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3). A date is compared with the `Date`
/// of the same response, so that the clocks of the two machines need not agree. A value that is neither is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    date(asked)?.duration_since(date(text(DATE)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let delay = |fields: &[(http::HeaderName, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            retry_after(&fields.collect())
        };
        let (now, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        assert_eq!(delay(&[(RETRY_AFTER, " 7 ")]), Some(Duration::from_secs(7)));
        assert_eq!(delay(&[(RETRY_AFTER, later), (DATE, now)]), Some(Duration::from_secs(30)));
        assert_eq!(delay(&[(RETRY_AFTER, now), (DATE, later)]), None);
        assert_eq!(delay(&[(RETRY_AFTER, later)]), None);
        for garbage in ["", "-1", "1.5", "soon", "99999999999999999999"] {
            assert_eq!(delay(&[(RETRY_AFTER, garbage), (DATE, now)]), None, "{garbage}");
        }
    }
}
