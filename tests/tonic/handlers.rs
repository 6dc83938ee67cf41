use futures_util::{StreamExt, stream};
use tonic::{Code, Request, Status, service::Routes};
use tower_clerk::{ClerkAuth, ClerkAuthLayer, Rejection, Requirement};

use crate::{
    echo::echo_client::EchoClient,
    harness::{Probe, connect, echo, echo_behind, good, layer, layer_without_keys, serve, text, token},
    support::{
        BAD, bearer,
        grpc::{call, codes},
    },
};

/// The code, message and metadata of a status.
fn contents(status: &Status) -> (Code, String, Vec<(String, String)>) {
    let metadata = status.metadata().clone().into_headers();
    let ours = metadata.iter().filter(|(name, _)| !["content-type", "date"].contains(&name.as_str()));
    let text = |value: &http::HeaderValue| value.to_str().expect("ASCII").to_owned();
    let mut entries: Vec<_> = ours.map(|(name, value)| (name.to_string(), text(value))).collect();
    entries.sort();
    (status.code(), status.message().to_owned(), entries)
}

#[test]
fn from_tonic_returns_the_user() {
    let mut request = Request::new(());
    request.extensions_mut().insert(ClerkAuth::builder().user_id("user_bob").build());
    assert_eq!(ClerkAuth::from_tonic(&request).expect("a user").user_id(), "user_bob");
}

#[test]
fn a_request_without_a_layer_is_an_internal_error() {
    let status = ClerkAuth::from_tonic(&Request::new(())).expect_err("no user");
    assert_eq!(contents(&status), (Code::Internal, "internal error".to_owned(), vec![]));
}

#[tokio::test]
async fn a_service_without_a_layer_admits_no_call() {
    let address = serve(Routes::new(echo(&Probe::default()))).await;
    let mut client = EchoClient::new(connect(address).await);
    for authorization in [vec![], vec![good()], vec![BAD.to_owned()]] {
        let authorization: Vec<&str> = authorization.iter().map(String::as_str).collect();
        let status = client.unary(call(text("a"), &authorization)).await.expect_err("no user");
        assert_eq!(contents(&status), (Code::Internal, "internal error".to_owned(), vec![]));
        let status = client.server_streaming(call(text("a"), &authorization)).await.expect_err("no user");
        assert_eq!(status.code(), Code::Internal);
    }
}

type Make = fn() -> ClerkAuthLayer;

#[tokio::test]
async fn a_handler_rejects_with_the_layers_status() {
    let (good, expired) = (good(), bearer(&token().expired()));
    let cases: [(Make, Option<&str>, Code, &str); 5] = [
        (layer, None, Code::Unauthenticated, "missing_token"),
        (layer, Some("Basic eDp5"), Code::Unauthenticated, "missing_token"),
        (layer, Some(BAD), Code::Unauthenticated, "invalid_token"),
        (layer, Some(expired.as_str()), Code::Unauthenticated, "token_expired"),
        (layer_without_keys, Some(good.as_str()), Code::Unavailable, "keys_unavailable"),
    ];
    for (make, authorization, code, clerk_code) in cases {
        let authorization: Vec<&str> = authorization.into_iter().collect();
        let (mut strict, at_strict) = echo_behind(make()).await;
        let (mut lenient, at_lenient) = echo_behind(make().allow_unauthenticated_requests()).await;
        let by_layer = strict.unary(call(text("a"), &authorization)).await.expect_err("a rejection");
        let by_handler = lenient.unary(call(text("a"), &authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&by_handler), (code, Some(clerk_code)));
        assert_eq!(contents(&by_handler), contents(&by_layer));
        let endless = stream::iter([text("a")]).chain(stream::pending());
        let by_handler = lenient.bidirectional(call(endless, &authorization)).await.expect_err("a rejection");
        assert_eq!(contents(&by_handler), contents(&by_layer));
        assert_eq!((at_strict.calls(), at_lenient.calls()), (0, 2));
        let pushback = by_handler.metadata().get("grpc-retry-pushback-ms").map(|value| value.as_bytes());
        assert_eq!(pushback, (code == Code::Unavailable).then_some(&b"1000"[..]));
    }
}

#[tokio::test]
async fn a_lenient_layer_admits_users_and_rejects_malformed_calls() {
    let (mut client, probe) = echo_behind(layer().allow_unauthenticated_requests()).await;
    let reply = client.unary(call(text("a"), &[&good()])).await.expect("a reply").into_inner();
    assert_eq!(reply, text("user_ada: a"));
    let status = client.unary(call(text("a"), &[&good(), &good()])).await.expect_err("a rejection");
    assert_eq!(codes(&status), (Code::InvalidArgument, Some("malformed_request")));
    assert_eq!(probe.calls(), 1);
}

#[tokio::test]
async fn an_anonymous_layer_admits_calls_without_a_token() {
    let (mut client, probe) = echo_behind(layer().allow_missing_token()).await;
    let status = client.unary(call(text("a"), &[])).await.expect_err("a rejection");
    assert_eq!((codes(&status), probe.calls()), ((Code::Unauthenticated, Some("missing_token")), 1));
    let status = client.unary(call(text("a"), &[BAD])).await.expect_err("a rejection");
    assert_eq!((codes(&status), probe.calls()), ((Code::Unauthenticated, Some("invalid_token")), 1));
}

#[test]
fn the_user_has_precedence_over_a_rejection() {
    // No layer leaves both, but a request built by hand can have both.
    let mut request = Request::new(());
    let user = ClerkAuth::builder().build();
    let rejection: Rejection = user.require(&Requirement::role("org:admin")).expect_err("no organization");
    request.extensions_mut().insert(rejection);
    assert_eq!(ClerkAuth::from_tonic(&request).expect_err("a rejection").code(), Code::PermissionDenied);
    request.extensions_mut().insert(user);
    assert!(ClerkAuth::from_tonic(&request).is_ok());
}
