//! Fetching a JWKS document with `reqwest`.
//!
//! No other file names `reqwest`, except for the client that the application supplies to the builder.

use std::{
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, DATE, HeaderMap, RETRY_AFTER},
};
use reqwest::{Client, redirect, retry};

use super::source::{FetchError, FetchErrorKind, KeySource};
use crate::{
    config::{ConfigError, Host, SecretKey},
    jwt::MAX_DOCUMENT,
};

/// Fetches a JWKS document over HTTP, from the Frontend API or, with a secret key, from the Backend API.
pub(crate) struct HttpKeySource {
    authorization: Option<HeaderValue>,
    client: Client,
    url: reqwest::Url,
}

/// The clients of all sources of a verifier. They are made when they are first needed, because making one reads the
/// certificates of the system.
///
/// There are two, because reqwest decides by client and not by URL whether `HTTP_PROXY` applies. A request to a
/// loopback address must not go to a proxy, for which the address is another machine.
pub(crate) struct HttpClients {
    /// For loopback addresses.
    direct: Mutex<Option<Client>>,
    /// For all other addresses, through the proxy that the environment names, if any.
    proxied: Mutex<Option<Client>>,
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
        let mut response = request.send().await.map_err(unreachable)?;
        if *response.url() != self.url {
            return Err(FetchError::of_kind(FetchErrorKind::UnexpectedRedirect));
        }
        if response.status() != StatusCode::OK {
            let error = FetchError::of_status(response.status());
            return Err(match retry_after(response.headers()) {
                Some(delay) => error.retry_after(delay),
                None => error,
            });
        }
        if response.headers().contains_key(CONTENT_ENCODING) {
            return Err(FetchError::of_kind(FetchErrorKind::UnexpectedEncoding));
        }
        // Counted while it arrives: `Content-Length` may be absent or wrong.
        let mut document = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if document.len() + chunk.len() > MAX_DOCUMENT {
                return Err(FetchError::of_kind(FetchErrorKind::TooLarge));
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document.freeze())
    }
}

impl KeySource for HttpKeySource {
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + '_>> {
        Box::pin(self.document())
    }
}

impl HttpClients {
    /// Uses `own` for all URLs if there is one: its proxy settings are the application's choice.
    pub(crate) fn new(own: Option<Client>) -> Self {
        Self { direct: Mutex::new(own.clone()), proxied: Mutex::new(own) }
    }

    /// The client for this URL. Clones of one client share its connections and certificates.
    fn client(&self, url: &reqwest::Url) -> Result<Client, ConfigError> {
        let is_loopback = is_loopback(url);
        let slot = if is_loopback { &self.direct } else { &self.proxied };
        let mut client = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match client.as_ref() {
            Some(client) => Ok(client.clone()),
            None => Ok(client.insert(make_client(is_loopback)?).clone()),
        }
    }
}

/// Makes a client that sends one request and takes the response as it is.
///
/// A redirect could point it at the keys of another server. A compressed response could outgrow the size limit while it
/// is decoded. A retry would not obey the back-off. An idle connection would be minutes old at the next fetch, and may
/// be broken.
fn make_client(is_loopback: bool) -> Result<Client, ConfigError> {
    let mut builder = Client::builder()
        .no_brotli()
        .no_deflate()
        .no_gzip()
        .no_zstd()
        .pool_max_idle_per_host(0)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .user_agent(concat!("tower-clerk/", env!("CARGO_PKG_VERSION")));
    if is_loopback {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| ConfigError::HttpClient { source: error.without_url().into() })
}

fn is_loopback(url: &reqwest::Url) -> bool {
    Host::of_authority(url.host_str().unwrap_or_default()).is_some_and(Host::is_loopback)
}

/// Makes the error of a request without a response. The URL is left out, because errors are logged.
fn unreachable(error: reqwest::Error) -> FetchError {
    if error.is_timeout() {
        return FetchError::of_kind(FetchErrorKind::Timeout);
    }
    FetchError::new(error.without_url())
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
