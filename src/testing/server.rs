//! The JWKS endpoint of a test issuer: an HTTP server on a loopback socket, so that tests cover the HTTP client too.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tower_service::Service;

/// A running server. Dropping it closes the socket.
pub(super) struct Server {
    accepting: JoinHandle<()>,
    address: SocketAddr,
    endpoint: Endpoint,
}

/// How the endpoint responds to fetches.
#[derive(Clone)]
pub(super) enum ServedResponse {
    /// 200 with this JSON document.
    Document(String),
    /// Never.
    Nothing,
    /// This status with an empty body.
    Status(u16),
}

#[derive(Clone)]
struct Endpoint {
    state: Arc<Mutex<State>>,
}

struct State {
    response: ServedResponse,
    last_authorization: Option<String>,
    requests: usize,
}

impl Server {
    /// Listens on a free port. It responds with 503 until [`serve`](Self::serve) sets a document.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = State { response: ServedResponse::Status(503), last_authorization: None, requests: 0 };
        let endpoint = Endpoint { state: Arc::new(Mutex::new(state)) };
        let accepting = tokio::spawn(accept(listener, endpoint.clone()));
        Ok(Self { accepting, address, endpoint })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn serve(&self, response: ServedResponse) {
        self.endpoint.state().response = response;
    }

    pub(super) fn requests(&self) -> usize {
        self.endpoint.state().requests
    }

    pub(super) fn last_authorization(&self) -> Option<String> {
        self.endpoint.state().last_authorization.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, endpoint: Endpoint) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(endpoint.clone());
        tokio::spawn(async move {
            // An error means that the client has gone: it has its response, or its timeout has passed.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Endpoint {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a fetch and returns how to respond to it. Other paths are not counted.
    fn take<B>(&self, request: &Request<B>) -> ServedResponse {
        if !["/.well-known/jwks.json", "/v1/jwks"].contains(&request.uri().path()) {
            return ServedResponse::Status(404);
        }
        let mut state = self.state();
        state.requests += 1;
        state.last_authorization =
            request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        state.response.clone()
    }
}

impl<B> Service<Request<B>> for Endpoint {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let served = self.take(&request);
        Box::pin(async move {
            let mut response = Response::new(String::new());
            match served {
                ServedResponse::Document(document) => {
                    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                    *response.body_mut() = document;
                }
                ServedResponse::Nothing => pending().await,
                ServedResponse::Status(status) => {
                    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
                }
            }
            Ok(response)
        })
    }
}
