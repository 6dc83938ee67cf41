//! What the program shows without any argument: an issuer, an upstream and the two files, all of its own.

use std::{convert::Infallible, fs, net::SocketAddr, path::Path, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower_clerk::testing::TestIssuer;

use crate::server;

/// The parts of the demonstration. They end with it.
#[derive(Debug)]
pub(crate) struct Demonstration {
    folder: TempDir,
    issuer: TestIssuer,
    upstream: SocketAddr,
}

impl Demonstration {
    /// Writes the files into a temporary folder, and starts the issuer and the upstream.
    ///
    /// # Errors
    ///
    /// What could not be written or started.
    pub(crate) async fn start() -> Result<Self, String> {
        let issuer = TestIssuer::start().await.map_err(|error| format!("the embedded issuer: {error}"))?;
        let listener =
            TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("the embedded upstream: {error}"))?;
        let upstream = listener.local_addr().map_err(|error| format!("the embedded upstream: {error}"))?;
        tokio::spawn(serve(listener));
        let folder = tempfile::Builder::new().prefix("gateway-").tempdir();
        let folder = folder.map_err(|error| format!("a temporary folder: {error}"))?;
        for (name, text) in [("policies.json", POLICIES), ("routes.oas.json", ROUTES)] {
            fs::write(folder.path().join(name), text).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Self { folder, issuer, upstream })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The variables that the two files name.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        match name {
            "CLERK_FRONTEND_API_URL" => Some(self.issuer.url().to_owned()),
            "UPSTREAM_URL" => Some(format!("http://{}", self.upstream)),
            _ => None,
        }
    }

    /// The text that tells what to try, with a token that is good for an hour.
    pub(crate) fn instructions(&self, address: SocketAddr) -> String {
        let token = self
            .issuer
            .token("user_ada")
            .organization("org_acme", "admin")
            .organization_slug("acme")
            .lifetime(Duration::from_secs(60 * 60))
            .sign();
        let (folder, issuer, upstream) = (self.folder().display(), self.issuer.url(), self.upstream);
        format!(
            "\nThis is a demonstration: it trusts an issuer of its own, {issuer}, and its upstream is http://{upstream}.\n\
             Serve your own files with --config DIR.\n\n\
             == {folder}/policies.json\n{POLICIES}\n== {folder}/routes.oas.json\n{ROUTES}\n\
             without a token, 401:\n  curl -i http://{address}/todos/1\n\n\
             with a token that is good for an hour, 200:\n  \
             curl -i http://{address}/todos/1 -H 'Authorization: Bearer {token}'\n\n\
             an open route, 200:\n  curl -i http://{address}/health\n\n\
             a route for both, 200 with or without a token:\n  curl -i http://{address}/greeting\n\n\
             a route that a page of another origin may use, 200 with CORS headers:\n  \
             curl -i -X OPTIONS http://{address}/todos -H 'Origin: https://app.example.com' \
             -H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: authorization'\n\n\
             no such route, 404:\n  curl -i http://{address}/missing"
        )
    }
}

/// An upstream that tells what reached it. It leaves out the token, which nobody should see on a screen.
async fn serve(listener: TcpListener) {
    loop {
        let (stream, _) = server::accept(&listener).await;
        tokio::spawn(async move {
            let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(answer(&request)));
            // A client that goes away is no failure of the demonstration.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(request: &Request<Incoming>) -> Response<Body> {
    let mut text = format!("the upstream got {} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        let value = match name.as_str() {
            "authorization" => "(as the client sent it)".into(),
            _ => String::from_utf8_lossy(value.as_bytes()),
        };
        text.push_str(&format!("  {name}: {value}\n"));
    }
    Response::new(Body::from(text))
}

const POLICIES: &str = include_str!("../config/policies.json");
const ROUTES: &str = include_str!("../config/routes.oas.json");
