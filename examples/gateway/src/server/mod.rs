//! Connections of clients.

mod observed;
mod parser;
mod requests;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header::COOKIE};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;

use self::{observed::Observed, requests::Requests};
use crate::{dispatch::Dispatcher, shutdown::Shutdown};

/// Accepts connections until the program drains. A client that takes nothing of its response for `write_timeout` is cut
/// off; zero is no limit.
pub(crate) async fn serve(
    listener: TcpListener,
    dispatcher: Arc<Dispatcher>,
    shutdown: Shutdown,
    write_timeout: Duration,
) {
    let server = server();
    let write_timeout = Some(write_timeout).filter(|limit| !limit.is_zero());
    loop {
        let (stream, peer) = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = shutdown.draining() => return,
        };
        let connection =
            Connection { peer, server: server.clone(), dispatcher: Arc::clone(&dispatcher), write_timeout };
        shutdown.spawn(connection.run(stream, shutdown.clone()));
    }
}

/// Waits for the next connection. A failure concerns one connection, which is gone, or the want of descriptors, in
/// which only waiting helps.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if OF_ONE_CONNECTION.contains(&error.kind()) => {}
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

struct Connection {
    peer: SocketAddr,
    server: Builder<TokioExecutor>,
    dispatcher: Arc<Dispatcher>,
    write_timeout: Option<Duration>,
}

impl Connection {
    async fn run(self, mut stream: TcpStream, shutdown: Shutdown) {
        let Self { peer, server, dispatcher, write_timeout } = self;
        // Answers are written at once; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let mut beginning = Vec::with_capacity(HTTP2_PREFACE.len());
        tokio::select! {
            read = timeout(HEAD_TIMEOUT, read_beginning(&mut stream, &mut beginning)) => match read {
                Ok(Ok(())) => {}
                _ => return,
            },
            () = shutdown.draining() => return,
        }
        let server = if beginning == HTTP2_PREFACE { server.http2_only() } else { server.http1_only() };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(write_timeout);
        let requests = Arc::new(Requests::default());
        let stream = TokioIo::new(Observed::new(Box::pin(stream), beginning, Arc::clone(&requests)));
        let service = service_fn(move |mut request: Request<Incoming>| {
            let is_ambiguous = requests.next_is_ambiguous();
            if request.version() == Version::HTTP_2 {
                join_cookies(request.headers_mut());
            }
            let (dispatcher, requests) = (Arc::clone(&dispatcher), Arc::clone(&requests));
            let request = request.map(Body::new);
            async move {
                let response = dispatcher.respond(request, peer.ip(), is_ambiguous).await;
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    requests.end();
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = server.serve_connection_with_upgrades(stream, service);
        tokio::pin!(connection);
        // A connection that breaks is the client's affair, and in the access log.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = shutdown.draining() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

fn server() -> Builder<TokioExecutor> {
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let list_size = u32::try_from(MAX_HEAD).unwrap_or(u32::MAX);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .max_header_list_size(list_size)
        .max_concurrent_streams(STREAMS);
    server
}

/// Reads until it is clear which protocol the client speaks. hyper-util would do so too, but without a time limit.
async fn read_beginning(stream: &mut TcpStream, beginning: &mut Vec<u8>) -> io::Result<()> {
    let mut missing = HTTP2_PREFACE.len();
    while missing > 0 && HTTP2_PREFACE.starts_with(beginning) {
        let limit = u64::try_from(missing).unwrap_or(u64::MAX);
        if (&mut *stream).take(limit).read_buf(beginning).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        missing = HTTP2_PREFACE.len().saturating_sub(beginning.len());
    }
    Ok(())
}

/// Makes one line of the parts into which HTTP/2 may cut `Cookie`: a server of HTTP/1.1 expects one (RFC 9113, section
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.nth(1).is_none() {
        return;
    }
    let parts = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if let Ok(mut joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        joined.set_sensitive(true);
        headers.insert(COOKIE, joined);
    }
}

/// For the head of a request, idle time of a connection included. Load balancers in front keep a connection for up to
/// 60 seconds; if this side closed it first, they would send a request into the void.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// In bytes, of the head of a request. Other servers stop at 8 to 32 KiB; a token alone may take 16.
const MAX_HEAD: usize = 64 * 1024;
/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// HTTP/2 has no head to wait for: a ping finds clients that are gone.
const HTTP2_PING: Duration = Duration::from_secs(30);
const OF_ONE_CONNECTION: [io::ErrorKind; 3] =
    [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset];
/// Requests at once on one connection: what RFC 9113, section 6.5.2, asks servers for at least. Each may hold a
/// connection to an upstream.
const STREAMS: u32 = 100;
/// Long enough not to spin, short enough that nobody notices.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
