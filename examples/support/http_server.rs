//! Serves HTTP/1.1 with limits. `axum::serve` has none: who opens connections and says little on them would keep the
//! others out.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tower::ServiceExt;

/// Serves until `end`, and then those whose request has begun.
pub(crate) async fn serve(listener: TcpListener, app: Router, end: impl Future<Output = ()>) {
    serve_at_most(MOST_CONNECTIONS, listener, app, end).await;
}

/// Serves so many connections at a time: the next ones wait.
pub(crate) async fn serve_at_most(most: usize, listener: TcpListener, app: Router, end: impl Future<Output = ()>) {
    let connections = Arc::new(Semaphore::new(most));
    let shutdown = GracefulShutdown::new();
    let next = async || {
        // Nobody closes it.
        let permit = Arc::clone(&connections).acquire_owned().await.ok();
        (permit, accept(&listener).await)
    };
    tokio::pin!(end);
    loop {
        let (permit, (stream, peer)) = tokio::select! {
            next = next() => next,
            () = &mut end => break,
        };
        // Answers are written at once; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let (app, has_asked) = (app.clone(), Arc::new(AtomicBool::new(false)));
        let asked = Arc::clone(&has_asked);
        let service = service_fn(move |request: http::Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            app.clone().oneshot(request)
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(MOST_OF_A_HEAD);
        let connection = shutdown.watch(server.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _permit = permit;
            tokio::pin!(connection);
            tokio::select! {
                _ = &mut connection => return,
                () = sleep(FIRST_HEAD) => {}
            }
            // A connection that breaks is the client's affair.
            if has_asked.load(Ordering::Relaxed) {
                let _ = connection.await;
            }
        });
    }
    drop(listener);
    shutdown.shutdown().await;
}

/// A failure concerns one connection, which is gone, or the want of descriptors, in which only waiting helps.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if OF_ONE_CONNECTION.contains(&error.kind()) => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const OF_ONE_CONNECTION: [io::ErrorKind; 3] =
    [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset];
/// For the first head on a connection.
const FIRST_HEAD: Duration = Duration::from_secs(10);
/// For the next ones, the time between requests included. Proxies keep a connection for up to a minute.
const IDLE: Duration = Duration::from_secs(75);
/// Below the 1024 descriptors that a process often has. With heads of full size, they take 60 MB.
const MOST_CONNECTIONS: usize = 950;
/// In bytes.
const MOST_OF_A_HEAD: usize = 64 * 1024;
