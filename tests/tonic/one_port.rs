use std::net::SocketAddr;

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tonic::{Code, service::Routes};
use tower_clerk::ClerkAuth;

use crate::{
    echo::echo_client::EchoClient,
    harness::{Probe, cold_layer, connect, echo, good, layer, text},
    support::{
        BAD,
        grpc::{call, codes},
        sockets::serve_axum,
    },
};

/// An API in HTTP and one in gRPC.
fn both(probe: &Probe) -> Router {
    let api = Router::new().route("/me", get(|user: ClerkAuth| async move { user.user_id().to_owned() }));
    api.merge(Routes::new(echo(probe)).into_axum_router())
}

async fn ask(
    address: SocketAddr,
    version: Version,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (Response<()>, Bytes) {
    let mut request = Request::builder().version(version).method(method).uri(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).http2_only(version == Version::HTTP_2).build_http();
    let response = client.request(request.body(Full::<Bytes>::default()).expect("a request")).await;
    let (parts, body) = response.expect("a response").into_parts();
    assert_eq!(parts.version, version);
    (Response::from_parts(parts, ()), body.collect().await.expect("a body").to_bytes())
}

fn code(body: &[u8]) -> Value {
    let problem: Value = serde_json::from_slice(body).expect("a problem document");
    problem["code"].clone()
}

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[tokio::test]
async fn one_layer_guards_both_on_one_port() {
    let (cold, gate) = cold_layer();
    gate.open();
    let bearer = good();
    for clerk in [layer(), cold] {
        let probe = Probe::default();
        let address = serve_axum(both(&probe).layer(clerk)).await;
        let mut client = EchoClient::new(connect(address).await);
        let reply = client.unary(call(text("a"), &[&bearer])).await.expect("a reply").into_inner();
        assert_eq!(reply, text("user_ada: a"));
        for version in VERSIONS {
            let (response, body) = ask(address, version, "GET", "/me", &[("authorization", &bearer)]).await;
            assert_eq!((response.status().as_u16(), &body[..]), (200, &b"user_ada"[..]), "{version:?}");
        }
    }
}

#[tokio::test]
async fn each_client_is_rejected_in_its_own_format() {
    let probe = Probe::default();
    let address = serve_axum(both(&probe).layer(layer())).await;
    let mut client = EchoClient::new(connect(address).await);
    for (authorization, code) in [(vec![], "missing_token"), (vec![BAD], "invalid_token")] {
        let status = client.unary(call(text("a"), &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&status), (Code::Unauthenticated, Some(code)));
        let status = client.server_streaming(call(text("a"), &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&status), (Code::Unauthenticated, Some(code)));
    }
    for version in VERSIONS {
        for path in ["/me", "/echo.v1.Echo/Unary", "/no/such/path"] {
            for (headers, expected) in [(&[][..], "missing_token"), (&[("authorization", BAD)], "invalid_token")] {
                let (response, body) = ask(address, version, "GET", path, headers).await;
                assert_eq!((response.status().as_u16(), code(&body)), (401, expected.into()), "{version:?} {path}");
                assert!(response.headers().contains_key("www-authenticate"));
            }
        }
    }
    assert_eq!(probe.calls(), 0);
}

#[tokio::test]
async fn a_layer_around_the_routes_alone_leaves_unknown_paths_to_tonic() {
    let address = serve_axum(both(&Probe::default()).route_layer(layer())).await;
    let mut client = EchoClient::new(connect(address).await);
    assert!(client.unary(call(text("a"), &[&good()])).await.is_ok());
    let status = client.unary(call(text("a"), &[])).await.expect_err("a rejection");
    assert_eq!(codes(&status), (Code::Unauthenticated, Some("missing_token")));
    for version in VERSIONS {
        let (response, body) = ask(address, version, "GET", "/me", &[]).await;
        assert_eq!((response.status().as_u16(), code(&body)), (401, "missing_token".into()));
        // tonic's own response to unknown paths.
        let (response, _) = ask(address, version, "GET", "/no/such/path", &[]).await;
        assert_eq!((response.status().as_u16(), &response.headers()["grpc-status"]), (200, &"12".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_layer_around_one_api_leaves_the_other_open() {
    let probe = Probe::default();
    let open = Router::new().route("/open", get(|| async { "open" }));
    let guarded = Routes::new(echo(&probe)).into_axum_router().route_layer(layer());
    let address = serve_axum(open.merge(guarded)).await;
    for version in VERSIONS {
        let (response, body) = ask(address, version, "GET", "/open", &[]).await;
        assert_eq!((response.status().as_u16(), &body[..]), (200, &b"open"[..]));
    }
    let mut client = EchoClient::new(connect(address).await);
    let status = client.unary(call(text("a"), &[])).await.expect_err("a rejection");
    assert_eq!(codes(&status), (Code::Unauthenticated, Some("missing_token")));
    assert_eq!(probe.calls(), 0);
    assert!(client.unary(call(text("a"), &[&good()])).await.is_ok());
}
