//! The routes and the listener.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, State},
    response::IntoResponse,
    routing::{any, get},
};
use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE};
use tokio::net::TcpListener;

use crate::{
    decision::Decider,
    http_server, keep_keys,
    metrics::{self, Metrics},
    problem,
    shutdown::Signals,
};

/// The server on its listener.
pub(crate) struct Server {
    decider: Arc<Decider>,
    listener: TcpListener,
    metrics: Metrics,
    /// From its making on, a signal waits to be obeyed; until then it ends the process.
    signals: Signals,
}

impl Server {
    pub(crate) async fn bind(address: SocketAddr, decider: Decider, metrics: Metrics) -> Result<Self, String> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| format!("PORT: {address} cannot be listened on: {error}"))?;
        Ok(Self { decider: Arc::new(decider), listener, metrics, signals: Signals::new() })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until a signal asks for the end.
    pub(crate) async fn run(self) {
        let keys = tokio::spawn(keep_keys::keep(self.decider.verifier().clone()));
        let app = routes(self.decider, self.metrics);
        let Ok(()) = self
            .signals
            .serve(async move |ended| {
                http_server::serve(self.listener, app, async { drop(ended.await) }).await;
                Ok::<_, Infallible>(())
            })
            .await;
        keys.abort();
    }
}

fn routes(decider: Arc<Decider>, metrics: Metrics) -> Router {
    let state = (decider, metrics);
    Router::new()
        .route("/verify", any(verify))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .fallback(async || problem::response::<Body>(StatusCode::NOT_FOUND, "not_found", Some(NOT_FOUND)))
        .with_state(state)
}

type App = (Arc<Decider>, Metrics);

/// The body is never read.
async fn verify(
    State((decider, _)): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response<Body> {
    decider.decide(headers, peer.ip()).await
}

async fn ready(State((decider, _)): State<App>) -> Response<Body> {
    if decider.verifier().keys_status().keys > 0 {
        return "ok\n".into_response();
    }
    problem::response(StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", Some("There are no keys yet."))
}

async fn scrape(State((decider, metrics)): State<App>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.render([decider.verifier()]))
}

const NOT_FOUND: &str = "There are /verify, /healthz, /readyz and /metrics.";

#[cfg(test)]
mod tests {
    use std::{future::pending, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::Instant,
    };

    use super::*;

    /// Serves two connections at a time.
    async fn address() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(async || "ok");
        tokio::spawn(http_server::serve_at_most(2, listener, app, pending()));
        address
    }

    async fn connect(address: SocketAddr, text: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text).await.unwrap();
        stream
    }

    /// What comes until the connection ends, and how long that takes.
    async fn rest(mut stream: TcpStream) -> (String, Duration) {
        let (started, mut bytes) = (Instant::now(), Vec::new());
        // A connection that is given up may be reset.
        let _ = stream.read_to_end(&mut bytes).await;
        (String::from_utf8(bytes).unwrap(), started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_end_is_given_up() {
        let address = address().await;
        for (text, least, most) in [("", 9, 12), ("GET / HTTP/1.1\r\nHost: a\r\n", 9, 12), (REQUEST, 70, 80)] {
            let (answer, time) = rest(connect(address, text.as_bytes()).await).await;
            assert_eq!(answer.starts_with("HTTP/1.1 200"), text == REQUEST, "{text:?} {answer}");
            let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
            assert!(least < time && time < most, "{text:?} {time:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_requests_keep_nobody_out_for_long() {
        let address = address().await;
        let _half = [connect(address, b"GET").await, connect(address, b"GET").await];
        let request = REQUEST.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
        let (answer, time) = rest(connect(address, request.as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(Duration::from_secs(9) < time && time < Duration::from_secs(12), "{time:?}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let address = address().await;
        for (length, status) in [(60 * 1024, "200"), (200 * 1024, "431")] {
            let text = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nA: {}\r\n\r\n", "a".repeat(length));
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The server may answer before it has read all.
            let _ = stream.write_all(text.as_bytes()).await;
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.unwrap();
            assert_eq!(start, *format!("HTTP/1.1 {status}").as_bytes(), "{length}");
        }
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
}
