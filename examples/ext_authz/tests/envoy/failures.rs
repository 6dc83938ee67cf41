//! What happens when keys or the program itself are missing.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::{
    client::{BOTH, Http, bearer, get},
    naive,
    proxy::{Config, Envoy},
    support::{Program, dead, issuer, user},
    upstream::Upstream,
};

#[tokio::test]
#[ignore = "needs Envoy"]
async fn without_keys_clients_get_503_and_envoy_counts_an_error() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    issuer.serve_status(500);
    let program = Program::start(&issuer, &[]);
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    let token = bearer(&user(&issuer).sign());
    for http in BOTH {
        let reply = get(envoy.address, http, "/hello", &[("authorization", &token)]).await;
        assert_eq!(reply.status, 503, "{http:?}");
        assert!(reply.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0), "{reply:?}");
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert!(reply.body.contains("keys_unavailable"), "{reply:?}");
    }
    assert_eq!((envoy.count("error").await, envoy.count("denied").await), (2, 0));
    // Nothing about the keys is needed to refuse this one.
    assert_eq!(get(envoy.address, Http::One, "/hello", &[]).await.status, 401);
    assert_eq!((envoy.count("error").await, envoy.count("denied").await), (2, 1));
    assert!(upstream.take().is_empty());

    // A server that denies where it does not know: nobody's alert rings.
    let naive = Config::new(naive::start(&issuer, false).await, upstream.address).with_merged_headers();
    let naive = Envoy::start(&naive).await;
    assert_eq!(get(naive.address, Http::One, "/hello", &[("authorization", &token)]).await.status, 403);
    assert_eq!((naive.count("error").await, naive.count("denied").await), (0, 1));
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn nobody_passes_while_the_program_is_dead() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let token = bearer(&user(&issuer).sign());
    let sample = Config::new(dead(), upstream.address);
    let envoy = Envoy::start(&sample).await;
    for headers in [&[("authorization", token.as_str())][..], &[]] {
        assert_eq!(get(envoy.address, Http::One, "/hello", headers).await.status, 503);
    }
    assert_eq!(envoy.count("error").await, 2);
    assert!(upstream.take().is_empty());

    let naive = Envoy::start(&sample.with("failure_mode_allow: false", "failure_mode_allow: true")).await;
    assert_eq!(get(naive.address, Http::One, "/hello", &[]).await.status, 200, "everybody passes");
    upstream.take_one();
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn nobody_passes_while_the_program_hangs() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = listener.local_addr().unwrap();
    let keep = tokio::spawn(async move {
        let mut connections = Vec::new();
        loop {
            connections.push(listener.accept().await.unwrap());
        }
    });
    let token = bearer(&user(&issuer).sign());
    let sample = Config::new(hanging, upstream.address).with("timeout: 5s", "timeout: 0.5s");
    let envoy = Envoy::start(&sample).await;
    let started = Instant::now();
    assert_eq!(get(envoy.address, Http::One, "/hello", &[("authorization", &token)]).await.status, 503);
    // It has waited. Envoy's clock stands still while it is busy, so not to the millisecond.
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(envoy.count("error").await, 1);
    assert!(upstream.take().is_empty());
    keep.abort();
}

#[tokio::test]
#[ignore = "needs Envoy"]
async fn a_program_that_comes_back_serves_again() {
    let (issuer, upstream) = (issuer().await, Upstream::start().await);
    let program = Program::start_ready(&issuer, &[]).await;
    let port = program.address.port().to_string();
    let envoy = Envoy::start(&Config::new(program.address, upstream.address)).await;
    let token = bearer(&user(&issuer).sign());
    let status = async || get(envoy.address, Http::One, "/hello", &[("authorization", &token)]).await.status;
    assert_eq!(status().await, 200);
    drop(program);
    assert_eq!(status().await, 503);
    let again = Program::start_on(&issuer, &port);
    crate::support::eventually("a 200", async || status().await == 200).await;
    drop(again);
}
