//! Servers on sockets: the service behind the layer, and an endpoint of the attacker.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tower_clerk::ClerkAuthLayer;
use tower_layer::Layer;

use crate::support::{Recorder, sockets::listen};

/// A server on a loopback socket, stopped when dropped.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// hyper's HTTP/1 server with a buffer for heads that are longer than any limit of the layer.
    pub(crate) async fn hyper(layer: &ClerkAuthLayer, inner: &Recorder) -> Self {
        let service = TowerToHyperService::new(layer.layer(inner.clone()));
        let (listener, address) = listen().await;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut server = http1::Builder::new();
                server.max_buf_size(4 * 1024 * 1024);
                let connection = server.serve_connection(TokioIo::new(stream), service.clone());
                // The client notices a broken connection.
                tokio::spawn(async move { connection.await.ok() });
            }
        });
        Self { address, task }
    }

    /// `axum::serve`, which speaks HTTP/1 and HTTP/2.
    pub(crate) async fn axum(layer: &ClerkAuthLayer, inner: &Recorder) -> Self {
        let app = Router::new().fallback_service(inner.clone()).layer(layer.clone());
        let (listener, address) = listen().await;
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
        Self { address, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends these bytes and reads until the server closes.
    pub(crate) async fn exchange(&self, request: &[u8]) -> String {
        exchange(self.address, request).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An endpoint that replies to every request with one JWKS and counts connections.
pub(crate) struct Endpoint {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Endpoint {
    pub(crate) async fn serve(document: String) -> Self {
        let (listener, address) = listen().await;
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let length = document.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{document}");
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
                    stream.write_all(answer.as_bytes()).await.ok();
                });
            }
        });
        Self { address, connections, task }
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The number of connections before this call. Connections are accepted in order, so all of them have
    /// been counted when the call's own connection gets its response.
    pub(crate) async fn connections(&self) -> usize {
        let own = exchange(self.address, b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(own.starts_with("HTTP/1.1 200"), "{own}");
        self.connections.fetch_sub(1, Ordering::SeqCst) - 1
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let exchanged = async {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(request).await.expect("sent");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.expect("a response");
        String::from_utf8(response).expect("text")
    };
    tokio::time::timeout(PATIENCE, exchanged).await.expect("a response and the end of the connection")
}

/// Longer than any response takes. A silent server fails the test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);
