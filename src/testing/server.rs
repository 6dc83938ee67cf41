//! The HTTP server of the test kit, on a loopback socket, so that tests cover the HTTP client too.

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body;
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
}

/// What a server responds with.
pub(super) trait Endpoint: Send + Sync {
    /// Returns the response; `None` if there is never one.
    fn respond(&self, request: &Request<Bytes>) -> Option<Response<String>>;
}

/// How an endpoint responds, whatever it is asked.
#[derive(Clone)]
pub(super) enum ServedResponse {
    /// 200 with this JSON document.
    Document(String),
    /// Never.
    Nothing,
    /// This status and this `Retry-After`, with an empty body.
    RetryAfter(u16, String),
    /// This status with an empty body.
    Status(u16),
}

impl Server {
    /// Listens on a free port.
    pub(super) async fn start(endpoint: Arc<dyn Endpoint>) -> io::Result<Self> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, Connection(endpoint)));
        Ok(Self { accepting, address })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl ServedResponse {
    pub(super) fn response(&self) -> Option<Response<String>> {
        match self {
            Self::Document(document) => Some(json(StatusCode::OK, document.clone())),
            Self::Nothing => None,
            Self::RetryAfter(status, delay) => {
                let mut response = empty(*status);
                if let Ok(delay) = HeaderValue::from_str(delay) {
                    response.headers_mut().insert(RETRY_AFTER, delay);
                }
                Some(response)
            }
            Self::Status(status) => Some(empty(*status)),
        }
    }
}

/// A response with a JSON document.
pub(super) fn json(status: StatusCode, document: String) -> Response<String> {
    let mut response = Response::new(document);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A response without a body.
pub(super) fn empty(status: u16) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    response
}

async fn accept(listener: TcpListener, connection: Connection) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = TowerToHyperService::new(connection.clone());
        tokio::spawn(async move {
            // An error means that the client has gone: it has its response, or its timeout has passed.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// The body of a request; `None` if it does not arrive.
async fn collect<B: Body<Data = Bytes>>(body: B) -> Option<Bytes> {
    let mut body = pin!(body);
    let mut collected = BytesMut::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        if let Ok(data) = frame.ok()?.into_data() {
            collected.extend_from_slice(&data);
        }
    }
    Some(collected.freeze())
}

#[derive(Clone)]
struct Connection(Arc<dyn Endpoint>);

impl<B> Service<Request<B>> for Connection
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = Arc::clone(&self.0);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let Some(body) = collect(body).await else { return pending().await };
            match endpoint.respond(&Request::from_parts(head, body)) {
                Some(response) => Ok(response),
                None => pending().await,
            }
        })
    }
}
