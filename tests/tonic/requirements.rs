use axum::Router;
use tonic::{
    Code,
    service::{LayerExt, Routes},
};
use tower::ServiceBuilder;
use tower_clerk::{
    ClerkAuthService, Requirement,
    authorize::{RequireAuthenticatedLayer, RequireLayer, RequireService},
};

use crate::{
    echo::echo_client::EchoClient,
    harness::{Probe, connect, echo, layer, layer_without_keys, serve, text, token},
    support::{
        BAD, bearer,
        grpc::{call, codes},
        sockets::serve_axum,
    },
};

fn may_create() -> RequireLayer {
    RequireLayer::new(Requirement::permission("org:invoices:create"))
}

fn creator() -> String {
    bearer(&token().organization("org_acme", "admin").permission("invoices", "create"))
}

fn member() -> String {
    bearer(&token().organization("org_acme", "member"))
}

const DENIED: (Code, Option<&str>) = (Code::PermissionDenied, Some("insufficient_scope"));
const MISSING: (Code, Option<&str>) = (Code::Unauthenticated, Some("missing_token"));

#[tokio::test]
async fn a_requirement_around_one_service_rejects_other_users() {
    let probe = Probe::default();
    let layers = ServiceBuilder::new().layer(layer()).layer(may_create());
    let address = serve(Routes::new(layers.named_layer(echo(&probe)))).await;
    let mut client = EchoClient::new(connect(address).await);
    let reply = client.unary(call(text("a"), &[&creator()])).await.expect("a reply").into_inner();
    assert_eq!(reply, text("user_ada: a"));
    let denied = client.unary(call(text("a"), &[&member()])).await.expect_err("a rejection");
    assert_eq!((codes(&denied), denied.message()), (DENIED, "insufficient scope"));
    let denied = client.server_streaming(call(text("a"), &[&member()])).await.expect_err("a rejection");
    assert_eq!(codes(&denied), DENIED);
    let rejected = client.unary(call(text("a"), &[])).await.expect_err("a rejection");
    assert_eq!(codes(&rejected), MISSING);
    let rejected = client.unary(call(text("a"), &[BAD])).await.expect_err("a rejection");
    assert_eq!(codes(&rejected), (Code::Unauthenticated, Some("invalid_token")));
    assert_eq!(probe.calls(), 1);
}

#[tokio::test]
async fn a_wrapped_service_keeps_the_name_of_the_service_inside() {
    let probe = Probe::default();
    let requirement = Requirement::permission("org:invoices:create");
    let guarded = RequireService::new(echo(&probe), requirement);
    // Without `named_layer`: both services forward `NamedService`.
    let address = serve(Routes::new(ClerkAuthService::new(guarded, layer()))).await;
    let mut client = EchoClient::new(connect(address).await);
    let reply = client.unary(call(text("a"), &[&creator()])).await.expect("a reply").into_inner();
    assert_eq!(reply, text("user_ada: a"));
    assert_eq!(codes(&client.unary(call(text("a"), &[&member()])).await.expect_err("a rejection")), DENIED);
    assert_eq!(codes(&client.unary(call(text("a"), &[])).await.expect_err("a rejection")), MISSING);
    assert_eq!(probe.calls(), 1);
}

#[tokio::test]
async fn a_requirement_can_be_nested_by_name() {
    let probe = Probe::default();
    let guarded = layer().named_layer(may_create().named_layer(echo(&probe)));
    let address = serve(Routes::new(guarded)).await;
    let mut client = EchoClient::new(connect(address).await);
    assert!(client.unary(call(text("a"), &[&creator()])).await.is_ok());
    let denied = client.unary(call(text("a"), &[&member()])).await.expect_err("a rejection");
    assert_eq!((codes(&denied), probe.calls()), (DENIED, 1));
}

#[tokio::test]
async fn a_requirement_around_one_method_leaves_the_others_open_to_users() {
    let probe = Probe::default();
    let app = Router::new()
        .route_service("/echo.v1.Echo/ServerStreaming", may_create().named_layer(echo(&probe)))
        .route_service("/echo.v1.Echo/{method}", echo(&probe))
        .route_layer(layer());
    let mut client = EchoClient::new(connect(serve_axum(app).await).await);
    assert!(client.unary(call(text("a"), &[&member()])).await.is_ok());
    let denied = client.server_streaming(call(text("a"), &[&member()])).await.expect_err("a rejection");
    assert_eq!(codes(&denied), DENIED);
    let mut replies = client.server_streaming(call(text("a"), &[&creator()])).await.expect("a stream").into_inner();
    assert_eq!(replies.message().await.expect("a reply"), Some(text("user_ada: a")));
    assert_eq!(replies.message().await.expect("the end"), None);
    for authorization in [&[][..], &[BAD]] {
        assert!(client.unary(call(text("a"), authorization)).await.is_err());
        assert!(client.server_streaming(call(text("a"), authorization)).await.is_err());
    }
    assert_eq!(probe.calls(), 2);
}

#[tokio::test]
async fn behind_a_lenient_layer_a_requirement_returns_the_rejection() {
    let creator = creator();
    for (clerk, authorization, expected) in [
        (layer(), &[][..], MISSING),
        (layer(), &[BAD], (Code::Unauthenticated, Some("invalid_token"))),
        (layer_without_keys(), &[creator.as_str()], (Code::Unavailable, Some("keys_unavailable"))),
    ] {
        let probe = Probe::default();
        let clerk = clerk.allow_unauthenticated_requests();
        let strict = clerk.clone().named_layer(may_create().named_layer(echo(&probe)));
        let mut client = EchoClient::new(connect(serve(Routes::new(strict)).await).await);
        let rejected = client.unary(call(text("a"), authorization)).await.expect_err("a rejection");
        assert_eq!(codes(&rejected), expected);
        let signed_in = clerk.named_layer(RequireAuthenticatedLayer::new().named_layer(echo(&probe)));
        let mut client = EchoClient::new(connect(serve(Routes::new(signed_in)).await).await);
        let rejected = client.unary(call(text("a"), authorization)).await.expect_err("a rejection");
        assert_eq!((codes(&rejected), probe.calls()), (expected, 0));
    }
}

#[tokio::test]
async fn a_requirement_without_a_layer_admits_no_call() {
    let probe = Probe::default();
    let address = serve(Routes::new(may_create().named_layer(echo(&probe)))).await;
    let mut client = EchoClient::new(connect(address).await);
    let status = client.unary(call(text("a"), &[&creator()])).await.expect_err("no layer");
    // tonic converts an HTTP 500 to this code.
    assert_eq!((codes(&status), probe.calls()), ((Code::Internal, None), 0));
}
