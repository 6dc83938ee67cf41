//! Fetching a JWKS document with `reqwest`, and what other requests share with it.
//!
//! Nothing else names `reqwest`, except for the client of the Backend API, and the one that the application supplies to
//! the builder.

mod client;
mod connecting;
mod dns;
mod proxy;
mod request_name;

use std::{future::Future, pin::Pin};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};

pub(crate) use self::{
    client::{Connections, HttpClients},
    connecting::noting_new_connections,
    request_name::RequestName,
};
use super::{
    headers::{is_unencoded, retry_after},
    source::{FetchError, FetchErrorKind, KeySource},
};
use crate::{
    config::{ConfigError, SecretKey},
    jwt::MAX_DOCUMENT,
};

/// Fetches a JWKS document over HTTP, from the Frontend API or, with a secret key, from the Backend API.
pub(crate) struct HttpKeySource {
    authorization: Option<HeaderValue>,
    client: reqwest::Client,
    name: RequestName,
    url: reqwest::Url,
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
        let client = clients.client(&url, Connections::Closed)?;
        let name = RequestName::new(&Method::GET, &url);
        Ok(Self { authorization, client, name, url })
    }

    /// Fetches the document. The caller limits the time, from the connection to the last byte.
    async fn document(&self) -> Result<Bytes, FetchError> {
        let mut request = self.client.get(self.url.clone()).header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let mut response = request.send().await.map_err(|error| self.name.broken(error))?;
        if *response.url() != self.url {
            return Err(self.name.failed(FetchErrorKind::UnexpectedRedirect, "a redirect to another URL was followed"));
        }
        let status = response.status();
        if status != StatusCode::OK {
            let error = self.name.failed(FetchErrorKind::UnexpectedStatus, describe(status));
            return Err(match retry_after(response.headers(), None) {
                Some(delay) => error.retry_after(delay),
                None => error,
            });
        }
        if !is_unencoded(response.headers()) {
            return Err(self.name.failed(FetchErrorKind::UnexpectedEncoding, "Content-Encoding is not identity"));
        }
        // Counted while it arrives: `Content-Length` may be absent or wrong.
        let mut document = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.name.broken(error))? {
            if document.len() + chunk.len() > MAX_DOCUMENT {
                return Err(self.name.failed(FetchErrorKind::TooLarge, "more than 512 KiB"));
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

    fn location(&self) -> Option<String> {
        Some(self.name.to_string())
    }
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
