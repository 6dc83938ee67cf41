use std::{net::SocketAddr, time::Duration};

use axum::{Router, routing::get as route};
use tonic::{
    Code, Request, Status,
    service::{LayerExt, Routes, interceptor::InterceptedService},
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{pb::health_server::HealthServer, server::health_reporter};
use tower::ServiceBuilder;
use tower_clerk::{ClerkAuth, ClerkAuthLayer};
use tower_layer::Layer;

use super::arms;
use super::grpc::{call, connect, raw, serving};
use crate::support::sockets::{listen, serve_axum};
use crate::support::{BAD, cold_layer, get_path, good, layer, send};

const CHECK: &str = "/grpc.health.v1.Health/Check";

/// One guarded service among tonic's routes, beside one that is not.
async fn serve_routes(clerk: ClerkAuthLayer) -> SocketAddr {
    let (listener, address) = listen().await;
    let (_, health) = health_reporter();
    let routes = Routes::new(clerk.named_layer(health));
    let router = Server::builder().add_routes(routes);
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

/// One guarded service in axum, beside a route that is not.
async fn serve_in_axum(clerk: ClerkAuthLayer) -> SocketAddr {
    let (_, health) = health_reporter();
    let app = Router::new()
        .route_service("/grpc.health.v1.Health/{*method}", ServiceBuilder::new().layer(clerk).service(health))
        .route("/open", route(|| async { "open" }));
    serve_axum(app).await
}

/// A whole tonic router within axum, guarded as a route.
async fn serve_merged(clerk: ClerkAuthLayer) -> SocketAddr {
    let (_, health) = health_reporter();
    serve_axum(Routes::new(health).into_axum_router().route_layer(clerk)).await
}

async fn assert_guarded(address: SocketAddr, case: &str) {
    let mut client = connect(address).await;
    assert_eq!(client.check(call(&[&good()])).await.expect(case).into_inner().status, serving(), "{case}");
    let mut stream = client.watch(call(&[&good()])).await.expect(case).into_inner();
    assert_eq!(stream.message().await.expect(case).map(|reply| reply.status), Some(serving()), "{case}");
    for (authorization, code) in [(vec![], "missing_token"), (vec![BAD], "invalid_token")] {
        let status = client.check(call(&authorization)).await.expect_err(case);
        assert_eq!(status.code(), Code::Unauthenticated, "{case}");
        assert_eq!(status.metadata().get("clerk-error-code").map(|value| value.as_bytes()), Some(code.as_bytes()));
    }
}

#[tokio::test]
async fn one_service_is_guarded_wherever_it_is_mounted() {
    for arm in [0, 1] {
        let (name, clerk) = arms()[arm].clone();
        assert_guarded(serve_routes(clerk).await, name).await;
        let (name, clerk) = arms()[arm].clone();
        assert_guarded(serve_in_axum(clerk).await, name).await;
        let (name, clerk) = arms()[arm].clone();
        assert_guarded(serve_merged(clerk).await, name).await;
    }
}

#[tokio::test]
async fn services_beside_a_guarded_service_are_open() {
    let routes = serve_routes(layer()).await;
    assert_eq!(raw(routes, "/no.such.Service/Call", &[]).await.headers()["grpc-status"], "12");
    let (_, health) = health_reporter();
    let service = layer().layer(health);
    let app = Router::new()
        .route_service("/grpc.health.v1.Health/{*method}", service)
        .route("/open", route(|| async { "open" }));
    assert_eq!(send(&app, get_path("/open", None)).await.outcome(), (200, "open"));
    send(&app, get_path(CHECK, None)).await.assert_rejected(401, "missing_token");
}

#[tokio::test]
async fn the_inner_service_gets_the_user() {
    let name_user = |request: Request<()>| match request.extensions().get::<ClerkAuth>() {
        Some(user) if user.user_id() == "user_ada" => Err(Status::already_exists(user.user_id())),
        _ => Err(Status::internal("no user")),
    };
    for (arm, clerk) in arms() {
        let (listener, address) = listen().await;
        let (_, health) = health_reporter();
        let health: InterceptedService<HealthServer<_>, _> = InterceptedService::new(health, name_user);
        let router = Server::builder().layer(clerk).add_service(health);
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
        let status = connect(address).await.check(call(&[&good()])).await.expect_err("the interceptor's");
        assert_eq!((status.code(), status.message()), (Code::AlreadyExists, "user_ada"), "{arm}");
    }
}

#[tokio::test]
async fn a_service_that_waits_for_keys_keeps_its_deadline() {
    let (clerk, gate) = cold_layer();
    let address = serve_routes(clerk).await;
    let bearer = good();
    let headers = [("authorization", bearer.as_str()), ("grpc-timeout", "100m")];
    let status = raw(address, CHECK, &headers).await.headers()["grpc-status"].to_str().expect("ASCII").to_owned();
    assert!(["1", "4"].contains(&status.as_str()), "{status}");
    gate.open();
    let mut request = call(&[&bearer]);
    request.set_timeout(Duration::from_secs(60));
    assert_eq!(connect(address).await.check(request).await.expect("a reply").into_inner().status, serving());
    assert_eq!(gate.arrivals(), 1);
}

#[tokio::test]
async fn the_layer_works_with_limits_and_load_shedding_of_the_server() {
    for (arm, clerk) in arms() {
        let (listener, address) = listen().await;
        let (_, health) = health_reporter();
        let router =
            Server::builder().concurrency_limit_per_connection(1).load_shed(true).layer(clerk).add_service(health);
        tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
        let mut client = connect(address).await;
        for _ in 0..3 {
            assert_eq!(client.check(call(&[])).await.expect_err("a rejection").code(), Code::Unauthenticated, "{arm}");
            assert_eq!(client.check(call(&[&good()])).await.expect(arm).into_inner().status, serving(), "{arm}");
        }
    }
}
