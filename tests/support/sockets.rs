use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tower::{BoxError, Service};

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Serves as `axum::serve` does: HTTP/1 with upgrades, and HTTP/2.
pub(crate) async fn serve_axum(app: Router) -> SocketAddr {
    let (listener, address) = listen().await;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// Serves HTTP/1 on plain hyper.
pub(crate) async fn serve_http1<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    serve(service, |stream, service| http1::Builder::new().serve_connection(stream, service)).await
}

/// Serves HTTP/2 with prior knowledge on plain hyper.
pub(crate) async fn serve_http2<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    serve(service, |stream, service| http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service)).await
}

/// One connection of HTTP/1.
pub(crate) async fn connect_http1<B>(address: SocketAddr) -> conn::http1::SendRequest<B>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (sender, connection) = conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

/// One connection of HTTP/2.
pub(crate) async fn connect_http2<B>(address: SocketAddr) -> conn::http2::SendRequest<B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let stream = TcpStream::connect(address).await.expect("a connection");
    let handshake = conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.expect("a handshake");
    tokio::spawn(connection);
    sender
}

/// Serves each connection in a task of its own.
async fn serve<S, C>(
    service: S,
    connection: impl Fn(TokioIo<TcpStream>, TowerToHyperService<S>) -> C + Send + 'static,
) -> SocketAddr
where
    S: Clone + Send + 'static,
    C: Future<Output: Send> + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(connection(TokioIo::new(stream), TowerToHyperService::new(service.clone())));
        }
    });
    address
}
