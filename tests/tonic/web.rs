use std::net::SocketAddr;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderMap, Request, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tonic::{Code, transport::Server};
use tonic_web::{GrpcWebClientLayer, GrpcWebLayer};
use tower::ServiceBuilder;
use tower_clerk::ClerkAuthLayer;

use crate::{
    echo::{Text, echo_client::EchoClient},
    harness::{Probe, cold_layer, connect, echo, good, layer, layer_without_keys, listen, text},
    support::{
        BAD,
        grpc::{call, codes},
    },
};

/// A gRPC-Web server on HTTP/1 and HTTP/2, with the layer within or around the translation.
async fn serve(clerk: ClerkAuthLayer, place: Place) -> (SocketAddr, Probe) {
    let probe = Probe::default();
    let (incoming, address) = listen().await;
    let server = Server::builder().accept_http1(true);
    match place {
        Place::Within => {
            let router = server.layer(GrpcWebLayer::new()).layer(clerk).add_service(echo(&probe));
            tokio::spawn(router.serve_with_incoming(incoming));
        }
        Place::Around => {
            let router = server.layer(clerk).layer(GrpcWebLayer::new()).add_service(echo(&probe));
            tokio::spawn(router.serve_with_incoming(incoming));
        }
    }
    (address, probe)
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Around,
    Within,
}

const PLACES: [Place; 2] = [Place::Around, Place::Within];

/// Five bytes of framing, then the field `text` with the value `a`.
const MESSAGE: &[u8] = &[0, 0, 0, 0, 3, 10, 1, b'a'];

/// One call over HTTP/1.1, as browsers send it.
async fn post(address: SocketAddr, media_type: &str, body: Bytes, token: Option<&str>) -> (u16, HeaderMap, Bytes) {
    let mut request = Request::post(format!("http://{address}/echo.v1.Echo/Unary"));
    request = request.header("content-type", media_type).header("accept", media_type);
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Full::new(body)).expect("a request")).await.expect("a response");
    assert_eq!(response.version(), Version::HTTP_11);
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body");
    assert!(body.trailers().is_none(), "browsers do not see trailers");
    (parts.status.as_u16(), parts.headers, body.to_bytes())
}

#[tokio::test]
async fn a_web_call_with_a_token_is_served() {
    for place in PLACES {
        let (cold, gate) = cold_layer();
        gate.open();
        for clerk in [layer(), cold] {
            let (address, probe) = serve(clerk, place).await;
            let body = Bytes::from_static(MESSAGE);
            let (status, headers, body) = post(address, "application/grpc-web+proto", body, Some(&good())).await;
            assert_eq!((status, &headers["content-type"]), (200, &"application/grpc-web+proto".parse().unwrap()));
            assert!(body.starts_with(&[0, 0, 0, 0, 13, 10, 11]), "{place:?}: {body:?}");
            assert!(body[7..].starts_with(b"user_ada: a\x80"), "{place:?}: {body:?}");
            assert!(body.ends_with(b"grpc-status:0\r\n"), "{place:?}: {body:?}");
            assert_eq!(probe.calls(), 1);
        }
    }
}

#[tokio::test]
async fn a_web_call_in_base64_is_served() {
    for place in PLACES {
        let (address, _probe) = serve(layer(), place).await;
        let body = Bytes::from(BASE64_STANDARD.encode(MESSAGE));
        let (status, headers, body) = post(address, "application/grpc-web-text", body, Some(&good())).await;
        assert_eq!((status, &headers["content-type"]), (200, &"application/grpc-web-text+proto".parse().unwrap()));
        let expected = BASE64_STANDARD.encode([&[0, 0, 0, 0, 13, 10, 11][..], b"user_ada: a"].concat());
        assert!(body.starts_with(expected.as_bytes()), "{place:?}: {body:?}");
    }
}

#[tokio::test]
async fn a_rejected_web_call_has_its_status_in_the_headers() {
    let good = good();
    for place in PLACES {
        for (clerk, token, status, code) in [
            (layer(), None, "16", "missing_token"),
            (layer(), Some(BAD), "16", "invalid_token"),
            (layer(), Some("Bearer a b"), "3", "malformed_request"),
            (layer_without_keys(), Some(good.as_str()), "14", "keys_unavailable"),
        ] {
            let (address, probe) = serve(clerk, place).await;
            for media_type in ["application/grpc-web+proto", "application/grpc-web", "application/grpc-web-text"] {
                let (http_status, headers, body) = post(address, media_type, Bytes::from_static(MESSAGE), token).await;
                assert_eq!((http_status, body.len()), (200, 0), "{place:?} {media_type}");
                assert_eq!(headers["grpc-status"], status, "{place:?} {media_type}");
                assert_eq!(headers["clerk-error-code"], code, "{place:?} {media_type}");
                assert!(headers.contains_key("grpc-message"), "{place:?} {media_type}");
                let answered = headers["content-type"].to_str().expect("ASCII");
                assert!(answered.starts_with("application/grpc-web"), "{place:?} {media_type}: {answered}");
                let is_text = answered.starts_with("application/grpc-web-text");
                assert_eq!(is_text, media_type.starts_with("application/grpc-web-text"), "{place:?}: {answered}");
            }
            assert_eq!(probe.calls(), 0);
        }
    }
}

#[tokio::test]
async fn a_grpc_web_client_reads_replies_and_rejections() {
    for place in PLACES {
        let (address, _probe) = serve(layer(), place).await;
        let origin: Uri = format!("http://{address}").parse().expect("an origin");
        let http = Client::builder(TokioExecutor::new()).build_http();
        let service = ServiceBuilder::new().layer(GrpcWebClientLayer::new()).service(http);
        let mut client = EchoClient::with_origin(service, origin);
        let reply = client.unary(call(text("a"), &[&good()])).await.expect("a reply").into_inner();
        assert_eq!(reply, text("user_ada: a"), "{place:?}");
        let replies = client.server_streaming(call(text("a b"), &[&good()])).await.expect("a stream").into_inner();
        let replies: Vec<Text> = replies.try_collect().await.expect("replies");
        assert_eq!(replies, [text("user_ada: a"), text("user_ada: b")], "{place:?}");
        for (authorization, expected) in [
            (vec![], (Code::Unauthenticated, Some("missing_token"))),
            (vec![BAD], (Code::Unauthenticated, Some("invalid_token"))),
        ] {
            let status = client.unary(call(text("a"), &authorization)).await.expect_err("a rejection");
            assert_eq!(codes(&status), expected, "{place:?}");
            let status = client.server_streaming(call(text("a"), &authorization)).await.expect_err("a rejection");
            assert_eq!(codes(&status), expected, "{place:?}");
        }
    }
}

#[tokio::test]
async fn plain_grpc_is_served_beside_grpc_web() {
    for place in PLACES {
        let (address, _probe) = serve(layer(), place).await;
        let mut client = EchoClient::new(connect(address).await);
        assert!(client.unary(call(text("a"), &[&good()])).await.is_ok(), "{place:?}");
        let status = client.unary(call(text("a"), &[])).await.expect_err("a rejection");
        assert_eq!(codes(&status), (Code::Unauthenticated, Some("missing_token")), "{place:?}");
    }
}
