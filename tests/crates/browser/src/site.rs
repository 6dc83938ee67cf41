//! A server on loopback that notes what a browser sends.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header::COOKIE},
    middleware::{Next, from_fn},
    response::Html,
    routing::get,
};
use tokio::net::TcpListener;

use crate::tls;

/// The server. Its name decides which origin and which site a page of it has: `localhost`, `127.0.0.1`, and names below
/// `.localhost`, all of which browsers treat as trustworthy without TLS.
pub(crate) struct Site {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it arrived, and the status of the response, which a page cannot always read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) status: StatusCode,
    headers: HeaderMap,
}

impl Site {
    /// Binds first, for apps that must know their origin.
    pub(crate) async fn bind() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        (listener, port)
    }

    /// A site with an empty page at `/`.
    pub(crate) async fn start(app: Router) -> Self {
        let (listener, port) = Self::bind().await;
        Self::serve(listener, port, app)
    }

    pub(crate) fn serve(listener: TcpListener, port: u16, app: Router) -> Self {
        let (app, seen) = noted(app);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, seen }
    }

    /// Over TLS, with a certificate that nobody has signed.
    pub(crate) fn serve_tls(listener: TcpListener, port: u16, name: &str, app: Router) -> Self {
        let (app, seen) = noted(app);
        let listener = tls::Listener::new(listener, name);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, seen }
    }

    pub(crate) fn origin(&self, name: &str) -> String {
        format!("http://{name}:{}", self.port)
    }

    /// The requests since the last call, without those for icons.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.retain(|request| request.path != "/favicon.ico");
        seen
    }

    /// The last request for a path.
    pub(crate) fn last(&self, path: &str) -> Seen {
        let seen = self.seen();
        seen.iter().rfind(|request| request.path == path).unwrap_or_else(|| panic!("no {path}: {seen:?}")).clone()
    }
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What tells sites apart: `Origin` and `Sec-Fetch-Site`, and whether the session cookie came along.
    pub(crate) fn provenance(&self) -> (Option<&str>, Option<&str>, bool) {
        let has_cookie = self.headers.get_all(COOKIE).iter().any(|cookie| contains(cookie, "__session="));
        (self.header("origin"), self.header("sec-fetch-site"), has_cookie)
    }
}

fn contains(value: &HeaderValue, text: &str) -> bool {
    value.to_str().is_ok_and(|value| value.contains(text))
}

fn noted(app: Router) -> (Router, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let note = from_fn(move |request: Request, next: Next| {
        let (method, path, headers) =
            (request.method().clone(), request.uri().path().to_owned(), request.headers().clone());
        let notes = Arc::clone(&notes);
        async move {
            let response = next.run(request).await;
            let seen = Seen { method, path, status: response.status(), headers };
            notes.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
            response
        }
    });
    (app.route("/", get(|| async { Html("<!doctype html><title>page</title>") })).layer(note), seen)
}
