use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_check_response, health_client::HealthClient},
    server::{HealthReporter, health_reporter},
};
use tower_clerk::ClerkAuthLayer;

use super::arms;
use crate::support::sockets::{connect_http2, listen};
use crate::support::{
    BAD, cold_layer, good,
    grpc::{self, codes},
    layer, layer_without_keys, with_body,
};

/// The health service behind the layer, over a socket.
async fn serve(clerk: ClerkAuthLayer) -> (SocketAddr, HealthReporter) {
    serve_with(Server::builder(), clerk).await
}

async fn serve_with(server: Server, clerk: ClerkAuthLayer) -> (SocketAddr, HealthReporter) {
    let (listener, address) = listen().await;
    let (reporter, health) = health_reporter();
    let router = server.layer(clerk).add_service(health);
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    (address, reporter)
}

pub(crate) async fn connect(address: SocketAddr) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    HealthClient::new(endpoint.connect().await.expect("a connection"))
}

/// A health check with these `authorization` entries.
pub(crate) fn call(authorization: &[&str]) -> Request<HealthCheckRequest> {
    grpc::call(HealthCheckRequest { service: String::new() }, authorization)
}

pub(crate) fn serving() -> i32 {
    health_check_response::ServingStatus::Serving.into()
}

#[tokio::test]
async fn a_unary_call_with_a_token_is_served() {
    for (arm, clerk) in arms() {
        let (address, _reporter) = serve(clerk).await;
        let mut client = connect(address).await;
        for _ in 0..2 {
            let reply = client.check(call(&[&good()])).await.expect(arm).into_inner();
            assert_eq!(reply.status, serving(), "{arm}");
        }
    }
}

#[tokio::test]
async fn a_response_stream_continues_after_its_call_was_admitted() {
    for (arm, clerk) in arms() {
        let (address, reporter) = serve(clerk).await;
        let mut stream = connect(address).await.watch(call(&[&good()])).await.expect(arm).into_inner();
        assert_eq!(stream.message().await.expect("a reply").map(|reply| reply.status), Some(serving()), "{arm}");
        reporter.set_service_status("", ServingStatus::NotServing).await;
        let changed: i32 = health_check_response::ServingStatus::NotServing.into();
        assert_eq!(stream.message().await.expect("a reply").map(|reply| reply.status), Some(changed), "{arm}");
    }
}

#[tokio::test]
async fn each_rejection_is_a_status_that_the_client_reads() {
    let bearer = good();
    for (clerk, authorization, expected) in [
        (layer(), vec![], (Code::Unauthenticated, Some("missing_token"))),
        (layer(), vec!["Basic eDp5"], (Code::Unauthenticated, Some("missing_token"))),
        (layer(), vec![BAD], (Code::Unauthenticated, Some("invalid_token"))),
        (layer(), vec![bearer.as_str(), &bearer], (Code::InvalidArgument, Some("malformed_request"))),
        (layer(), vec!["Bearer a b"], (Code::InvalidArgument, Some("malformed_request"))),
        (layer_without_keys(), vec![&bearer], (Code::Unavailable, Some("keys_unavailable"))),
    ] {
        let (address, _reporter) = serve(clerk).await;
        let mut client = connect(address).await;
        let unary = client.check(call(&authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&unary), expected);
        assert!(!unary.message().is_empty());
        let pushback = unary.metadata().get("grpc-retry-pushback-ms").map(|value| value.to_str().expect("ASCII"));
        assert_eq!(pushback, (expected.0 == Code::Unavailable).then_some("1000"));
        let streaming = client.watch(call(&authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&streaming), expected);
    }
}

#[tokio::test]
async fn a_channel_stays_usable_after_rejections_while_a_call_waits() {
    let (clerk, gate) = cold_layer();
    let (address, _reporter) = serve(clerk).await;
    let client = connect(address).await;
    let mut waiting_client = client.clone();
    let waiting = tokio::spawn(async move { waiting_client.check(call(&[&good()])).await });
    gate.reached().await;
    for _ in 0..3 {
        let status = client.clone().check(call(&[BAD])).await.expect_err("a rejection");
        assert_eq!(codes(&status), (Code::Unauthenticated, Some("invalid_token")));
    }
    assert!(!waiting.is_finished());
    gate.open();
    assert_eq!(waiting.await.expect("no panic").expect("a reply").into_inner().status, serving());
    assert_eq!(client.clone().check(call(&[&good()])).await.expect("a reply").into_inner().status, serving());
}

#[tokio::test]
async fn an_unknown_service_is_guarded() {
    let (address, _reporter) = serve(layer()).await;
    for (authorization, expected) in [(None, "16"), (Some(good()), "12")] {
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let response = raw(address, "/no.such.Service/Call", &headers).await;
        assert_eq!(response.headers()["grpc-status"], expected);
    }
}

#[tokio::test]
async fn a_wait_for_keys_ends_at_the_deadline_of_the_server() {
    let (clerk, gate) = cold_layer();
    let server = Server::builder().timeout(Duration::from_millis(100));
    let (address, _reporter) = serve_with(server, clerk.clone()).await;
    let mut client = connect(address).await;
    let status = client.check(call(&[&good()])).await.expect_err("the deadline");
    assert!([Code::Cancelled, Code::DeadlineExceeded].contains(&status.code()), "{status:?}");
    gate.open();
    clerk.verifier().warm_up().await.expect("keys");
    assert_eq!(gate.arrivals(), 1);
}

#[tokio::test]
async fn a_wait_for_keys_ends_at_the_deadline_of_the_call() {
    let (clerk, _gate) = cold_layer();
    let (address, _reporter) = serve(clerk).await;
    let bearer = good();
    let headers = [("authorization", bearer.as_str()), ("grpc-timeout", "100m")];
    let response = raw(address, "/grpc.health.v1.Health/Check", &headers).await;
    assert_eq!(response.status(), 200);
    // CANCELLED or DEADLINE_EXCEEDED.
    let status = response.headers()["grpc-status"].to_str().expect("ASCII");
    assert!(["1", "4"].contains(&status), "{status}");
}

#[tokio::test]
async fn a_deadline_that_is_not_reached_changes_nothing() {
    for (arm, clerk) in arms() {
        let (address, _reporter) = serve(clerk).await;
        let mut request = call(&[&good()]);
        request.set_timeout(Duration::from_secs(60));
        assert_eq!(connect(address).await.check(request).await.expect(arm).into_inner().status, serving());
    }
}

/// A call of an empty message, without a gRPC client.
pub(crate) async fn raw(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
    let mut all = vec![("content-type", "application/grpc"), ("te", "trailers")];
    all.extend(headers);
    let message = Full::new(Bytes::from_static(&[0; 5]));
    let request = with_body("POST", &format!("http://{address}{path}"), &all, message);
    connect_http2(address).await.send_request(request).await.expect("a response")
}

#[tokio::test]
async fn a_rejection_is_trailers_only_on_the_wire() {
    let bearer = good();
    for (clerk, authorization, status) in [
        (layer(), None, "16"),
        (layer(), Some(BAD), "16"),
        (layer(), Some("Bearer a b"), "3"),
        (layer_without_keys(), Some(bearer.as_str()), "14"),
    ] {
        let (address, _reporter) = serve(clerk).await;
        let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let response = raw(address, "/grpc.health.v1.Health/Check", &headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert_eq!(response.headers()["grpc-status"], status);
        assert!(response.headers().contains_key("grpc-message"));
        assert!(!response.headers().contains_key("www-authenticate"));
        assert!(response.body().is_end_stream(), "the stream did not end with its headers");
        let rest = response.into_body().collect().await.expect("a body");
        assert!(rest.trailers().is_none());
        assert!(rest.to_bytes().is_empty());
    }
}

#[tokio::test]
async fn an_admitted_call_has_its_trailers_at_its_end() {
    for (arm, clerk) in arms() {
        let (address, _reporter) = serve(clerk).await;
        let bearer = good();
        let response = raw(address, "/grpc.health.v1.Health/Check", &[("authorization", &bearer)]).await;
        assert_eq!(response.status(), 200, "{arm}");
        assert!(!response.headers().contains_key("grpc-status"), "{arm}");
        let rest = response.into_body().collect().await.expect("a body");
        assert_eq!(rest.trailers().and_then(|trailers| trailers.get("grpc-status")).expect("a status"), "0", "{arm}");
        // Five bytes of framing, then the field `status` with the value 1.
        assert_eq!(&rest.to_bytes()[..], [0, 0, 0, 0, 2, 8, 1], "{arm}");
    }
}
