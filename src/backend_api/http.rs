//! Sending requests to the Backend API with `reqwest`.

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};

use super::{
    BackendApi,
    answer::{MAX_ANSWER, has_verdict_in_body},
};
use crate::{
    config::ConfigError,
    jwks::{Connections, FetchError, FetchErrorKind, HttpClients, RequestName, noting_new_connections},
    single_flight::within,
};

/// Sends requests to the Backend API over HTTP.
pub(crate) struct HttpBackendApi {
    client: reqwest::Client,
    /// For a second attempt: that of the first has kept more connections, which may all have died in the same night.
    fresh: reqwest::Client,
    /// Whether there was a response, without which no connection was kept.
    has_answered: AtomicBool,
}

impl HttpBackendApi {
    /// Makes a client for the Backend API at this URL. It sends no request.
    pub(crate) fn new(base: &str, clients: &HttpClients) -> Result<Self, ConfigError> {
        let url: reqwest::Url = base.parse().map_err(|_| ConfigError::invalid("api_url", "is not a URL"))?;
        let client = clients.client(&url, Connections::Kept)?;
        let fresh = clients.client(&url, Connections::Closed)?;
        Ok(Self { client, fresh, has_answered: AtomicBool::new(false) })
    }

    /// Sends the request. The caller limits the time, from the connection to the last byte.
    async fn response(&self, request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        let request = reqwest::Request::try_from(request).map_err(|error| FetchError::new(error.without_url()))?;
        let name = RequestName::new(request.method(), request.url());
        let url = request.url().clone();
        let mut response = self.head(request).await.map_err(|error| name.broken(error))?;
        self.has_answered.store(true, Ordering::Relaxed);
        if *response.url() != url {
            let cause = "a redirect to another URL was followed, with the token";
            return Err(name.failed(FetchErrorKind::UnexpectedRedirect, cause));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = BytesMut::new();
        if has_verdict_in_body(status) {
            // Counted while it arrives: `Content-Length` may be absent or wrong.
            while let Some(chunk) = response.chunk().await.map_err(|error| name.broken(error))? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Err(name.failed(FetchErrorKind::TooLarge, "more than 64 KiB"));
                }
                body.extend_from_slice(&chunk);
            }
        } else {
            // The status says all. But a connection is kept only if its response was read to the end.
            let _ = within(DRAIN_TIMEOUT, drain(&mut response)).await;
        }
        let mut response = Response::new(body.freeze());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Sends the request until its response begins.
    ///
    /// A connection that was kept may have died without a sign. The request then fails although the API is up, so it is
    /// sent once more. Asking about a token changes nothing, so it may even have arrived before.
    async fn head(&self, request: reqwest::Request) -> Result<reqwest::Response, reqwest::Error> {
        let again = request.try_clone();
        let (result, is_new) = noting_new_connections(self.client.execute(request)).await;
        match (result, again) {
            (Err(error), Some(again))
                if !is_new && self.has_answered.load(Ordering::Relaxed) && may_be_dead(&error) =>
            {
                self.fresh.execute(again).await
            }
            (result, _) => result,
        }
    }
}

/// Whether the connection may have been dead before the request was sent. A server that takes its time, and one that
/// cannot be reached, would not be better the second time.
fn may_be_dead(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout() && !error.is_redirect()
}

/// Reads a body that nobody needs, if it is short.
async fn drain(response: &mut reqwest::Response) {
    let mut length = 0_usize;
    while let Ok(Some(chunk)) = response.chunk().await {
        length = length.saturating_add(chunk.len());
        if length > MAX_ANSWER {
            return;
        }
    }
}

impl BackendApi for HttpBackendApi {
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + '_>> {
        Box::pin(self.response(request))
    }
}

/// How long a body that nobody needs may take: less than a new connection with TLS.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
