//! gRPC clients and upstreams, and clients that only say so.

use tonic::{Code, Request, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    client::{BOTH, bearer, call},
    naive,
    proxy::{Config, Envoy},
    support::{Program, admin, dead, issuer, user},
    upstream::Upstream,
};

/// Calls the upstream through Envoy.
async fn check(envoy: &Envoy, token: Option<&str>) -> Result<(), tonic::Status> {
    let channel = Channel::from_shared(format!("http://{}", envoy.address)).unwrap().connect().await.unwrap();
    let mut request = Request::new(HealthCheckRequest { service: String::new() });
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token.parse().unwrap());
    }
    HealthClient::new(channel).check(request).await.map(drop)
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_grpc_client_gets_the_status_of_its_rejection() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let sample = Config::new(program.address, upstream.address);
    let envoy = Envoy::start(&sample).await;
    let guarded = Envoy::start(&sample.with("prefix: /invoices", "prefix: /grpc.health.v1.Health/")).await;
    let (admin, user) = (bearer(&admin(&issuer).sign()), bearer(&user(&issuer).sign()));

    check(&envoy, Some(&user)).await.unwrap();
    assert_eq!(upstream.take_one().values("x-clerk-user-id"), ["user_bob"]);
    check(&guarded, Some(&admin)).await.unwrap();
    assert_eq!(upstream.take_one().values("x-clerk-user-id"), ["user_ada"]);
    for (envoy, token, code, message) in [
        (&envoy, None, Code::Unauthenticated, "missing_token"),
        (&envoy, Some("Bearer x"), Code::Unauthenticated, "invalid_token"),
        (&envoy, Some("Bearer x,y"), Code::Internal, "malformed_request"),
        (&guarded, Some(&*user), Code::PermissionDenied, "insufficient_scope"),
    ] {
        let status = check(envoy, token).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
    }
    assert!(upstream.take().is_empty());

    issuer.serve_status(500);
    let without_keys = Program::start(&issuer, &[]);
    let envoy = Envoy::start(&Config::new(without_keys.address, upstream.address)).await;
    let status = check(&envoy, Some(&user)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "keys_unavailable"));
    assert!(status.metadata().contains_key("retry-after"));
    assert_eq!(envoy.count("error").await, 1);
    let envoy = Envoy::start(&Config::new(dead(), upstream.address)).await;
    assert_eq!(check(&envoy, Some(&user)).await.unwrap_err().code(), Code::Unavailable);
    assert!(upstream.take().is_empty());
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_grpc_content_type_is_no_way_in() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    for http in BOTH {
        // Envoy's own form of a refusal. A client that takes the 200 for a yes still has no answer of the upstream.
        let reply = call(envoy.address, http, "/hello", &[]).await;
        assert_eq!((reply.status.as_u16(), reply.header("grpc-status"), reply.body.as_str()), (200, "16", ""));
        assert_eq!(reply.header("grpc-message"), "missing_token");
        assert_eq!(reply.header("content-type"), "application/grpc");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    assert!(upstream.take().is_empty());
    assert_eq!(envoy.count("denied").await, 2);

    // A server that takes the 200 of a gRPC rejection for a yes.
    let naive = Config::new(naive::start(&issuer, false).await, upstream.address).with_merged_headers();
    let naive = Envoy::start(&naive).await;
    let reply = call(naive.address, BOTH[0], "/hello", &[]).await;
    assert_eq!(reply.body, "reached\n");
    upstream.take_one();
}

/// Envoy's form for whoever says `application/grpc`, over HTTP/1.1 too: HTTP 200, and the refusal in `grpc-status`.
#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_dead_or_refusing_program_is_a_200_to_whoever_says_grpc_and_no_way_in() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let token = bearer(&user(&issuer).sign());
    let (alive, down) = (program.address, dead());
    for (name, program, path, headers, grpc_status) in [
        ("dead", down, "/hello", &[("authorization", token.as_str())][..], "14"),
        ("dead", down, "/hello", &[], "14"),
        ("refusing", alive, "/hello", &[], "16"),
        ("refusing", alive, "/hello", &[("authorization", "Bearer x")], "16"),
        ("refusing", alive, "/invoices", &[("authorization", token.as_str())], "7"),
    ] {
        let envoy = Envoy::start(&Config::new(program, upstream.address)).await;
        for http in BOTH {
            let reply = call(envoy.address, http, path, headers).await;
            let got = (reply.status.as_u16(), reply.header("grpc-status"), reply.body.as_str());
            assert_eq!(got, (200, grpc_status, ""), "{name} {http:?} {path}");
            assert_eq!(reply.header("content-type"), "application/grpc", "{name} {http:?}");
            // Those who do not say so get the status.
            let status = crate::client::get(envoy.address, http, path, headers).await.status.as_u16();
            assert!([401, 403, 503].contains(&status), "{name} {http:?} {path}: {status}");
            assert_eq!(status == 503, name == "dead", "{name} {http:?} {path}");
        }
        let (counted, not) = if name == "dead" { ("error", "denied") } else { ("denied", "error") };
        assert_eq!((envoy.count(counted).await, envoy.count(not).await), (4, 0), "{name}");
        assert!(upstream.take().is_empty(), "{name} {path}");
    }
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn other_content_types_with_grpc_in_them_get_the_http_status() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    for content_type in ["application/grpc-web", "application/grpc;x", "application/grpcx", "Application/Grpc"] {
        for http in BOTH {
            let reply = crate::client::get(envoy.address, http, "/hello", &[("content-type", content_type)]).await;
            assert_eq!(reply.status, 401, "{content_type} {http:?}");
            assert_eq!(reply.header("content-type"), "application/problem+json", "{content_type} {http:?}");
            assert!(reply.body.contains("missing_token"), "{content_type} {http:?}");
        }
    }
    // This is gRPC too.
    let reply =
        crate::client::get(envoy.address, BOTH[1], "/hello", &[("content-type", "application/grpc+json")]).await;
    assert_eq!((reply.header("grpc-status"), reply.header("content-type")), ("16", "application/grpc"));
    assert!(upstream.take().is_empty());
}
