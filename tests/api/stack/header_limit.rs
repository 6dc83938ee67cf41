//! Tokens that are longer than the headers that hyper takes over HTTP/2.

use std::net::SocketAddr;

use axum::{Router, routing::get as route};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tower_clerk::{ClerkAuth, ClerkAuthLayer};

use crate::support::sockets::{connect_http1, connect_http2, listen, serve_axum};
use crate::support::{Answer, layer, layer_with, token, with_body};

fn app(clerk: ClerkAuthLayer) -> Router {
    Router::new().route("/", route(async |user: ClerkAuth| user.user_id().to_owned())).route_layer(clerk)
}

/// Serves HTTP/1 and HTTP/2 with up to 64 KiB of headers, as the guide does.
async fn serve_with_raised_limit(app: Router) -> SocketAddr {
    let (listener, address) = listen().await;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_header_list_size(64 * 1024);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (builder, service) = (builder.clone(), TowerToHyperService::new(app.clone()));
            tokio::spawn(async move {
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// A header value with a valid token of at least this length.
fn long(length: usize) -> String {
    // base64url writes three bytes as four characters.
    let bearer = format!("Bearer {}", token().claim("notes", "x".repeat(length * 3 / 4)).sign());
    assert!((length..length + 2048).contains(&bearer.len()), "{}", bearer.len());
    bearer
}

fn ask(address: SocketAddr, authorization: &str) -> Request<Full<Bytes>> {
    with_body("GET", &format!("http://{address}/"), &[("authorization", authorization)], Full::default())
}

async fn status_over_http2(address: SocketAddr, authorization: &str) -> u16 {
    let response = connect_http2(address).await.send_request(ask(address, authorization)).await;
    Answer::of(response.expect("a response")).await.status()
}

fn lenient() -> ClerkAuthLayer {
    layer_with(|config| config.max_token_length(32 * 1024))
}

#[tokio::test]
async fn headers_of_20_kb_never_reach_the_layer_over_http2() {
    let address = serve_axum(app(lenient())).await;
    assert_eq!(status_over_http2(address, &long(20_000)).await, 431);
    assert_eq!(status_over_http2(address, &long(8_000)).await, 200);
}

#[tokio::test]
async fn headers_of_20_kb_pass_over_http2_with_a_raised_limit() {
    let address = serve_with_raised_limit(app(lenient())).await;
    assert_eq!(status_over_http2(address, &long(20_000)).await, 200);
    assert_eq!(status_over_http2(address, &format!("{}x", long(20_000))).await, 401);
}

#[tokio::test]
async fn a_raised_limit_of_the_server_does_not_raise_that_of_tokens() {
    let address = serve_with_raised_limit(app(layer())).await;
    assert_eq!(status_over_http2(address, &long(20_000)).await, 400);
}

#[tokio::test]
async fn headers_of_20_kb_pass_over_http1() {
    let address = serve_axum(app(lenient())).await;
    let mut client = connect_http1(address).await;
    let response = client.send_request(ask(address, &long(20_000))).await.expect("a response");
    assert_eq!(Answer::of(response).await.outcome(), (200, "user_ada"));
}
