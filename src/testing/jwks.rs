//! What a test issuer with a socket serves: its JWKS, and the answers of its Backend API.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response, header::AUTHORIZATION};

use super::{
    records::Records,
    server::{Endpoint, ServedResponse},
};

/// The endpoint of an issuer. It responds to fetches with 503 until [`serve`](Self::serve) sets a document.
pub(super) struct IssuerEndpoint {
    backend_api: Arc<Records>,
    state: Mutex<State>,
}

struct State {
    fetches: usize,
    last_authorization: Option<String>,
    response: ServedResponse,
}

impl IssuerEndpoint {
    pub(super) fn new(backend_api: Arc<Records>) -> Self {
        let state = State { fetches: 0, last_authorization: None, response: ServedResponse::Status(503) };
        Self { backend_api, state: Mutex::new(state) }
    }

    pub(super) fn serve(&self, response: ServedResponse) {
        self.state().response = response;
    }

    pub(super) fn fetches(&self) -> usize {
        self.state().fetches
    }

    pub(super) fn last_authorization(&self) -> Option<String> {
        self.state().last_authorization.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint for IssuerEndpoint {
    /// Records a fetch of the keys and responds to it. Other paths do not count as fetches.
    fn respond(&self, request: &Request<Bytes>) -> Option<Response<String>> {
        if !["/.well-known/jwks.json", "/v1/jwks"].contains(&request.uri().path()) {
            return self.backend_api.respond(request);
        }
        let mut state = self.state();
        state.fetches += 1;
        state.last_authorization =
            request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        state.response.response()
    }
}
