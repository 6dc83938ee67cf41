//! What one replica takes: memory, and the time until its first 200. Printed with `--one`, in a process that has done
//! nothing else.

use std::{
    convert::Infallible,
    fs, future,
    time::{Duration, Instant},
};

use http::{Request, Response, header::AUTHORIZATION};
use tower::{ServiceExt, service_fn};
use tower_clerk::{ClerkAuthLayer, ClerkConfig, Verifier, testing::TestIssuer};
use tower_layer::Layer;

use super::support::many;

pub(crate) fn table() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    // The client for https, with the certificates of the system.
    let config = ClerkConfig::from_frontend_api_url("https://clerk.example.com").expect("a configuration");
    let (before, start) = (resident(), Instant::now());
    let verifier = Verifier::new(config).expect("a verifier");
    row("verifier for https, built", start.elapsed(), before);
    drop(verifier);

    let issuer = TestIssuer::start().await.expect("a loopback socket");
    let tokens = many(&issuer, TOKENS);
    let (first, rest) = tokens.split_first().expect("tokens");

    let (before, start) = (resident(), Instant::now());
    let cold = ClerkAuthLayer::new(issuer.url()).expect("a layer");
    row("layer for loopback, built", start.elapsed(), before);
    let (before, start) = (resident(), Instant::now());
    assert_eq!(status(&cold, first).await, 200);
    row("first 200 without warm-up", start.elapsed(), before);

    let warm = ClerkAuthLayer::new(issuer.url()).expect("a layer");
    let (before, start) = (resident(), Instant::now());
    warm.verifier().warm_up().await.expect("keys");
    row("warm-up", start.elapsed(), before);
    let (before, start) = (resident(), Instant::now());
    assert_eq!(status(&warm, first).await, 200);
    row("first 200 after warm-up", start.elapsed(), before);
    let start = Instant::now();
    assert_eq!(status(&warm, first).await, 200);
    row("second 200", start.elapsed(), resident());

    let (before, start) = (resident(), Instant::now());
    for token in rest {
        assert_eq!(status(&warm, token).await, 200);
    }
    row("10 000 tokens cached", start.elapsed(), before);
    println!("{:?}", warm.verifier().token_cache_status());
}

async fn status(layer: &ClerkAuthLayer, token: &str) -> u16 {
    let service = layer.layer(service_fn(|_| future::ready(Ok::<_, Infallible>(Response::new(String::new())))));
    let request = Request::get("/me").header(AUTHORIZATION, format!("Bearer {token}")).body(()).expect("a request");
    service.oneshot(request).await.expect("a response").status().as_u16()
}

fn row(what: &str, time: Duration, before: u64) {
    println!("{what:28} {:>10.3} ms {:>8} KiB", time.as_secs_f64() * 1000.0, resident().saturating_sub(before));
}

/// The resident memory of this process in KiB; zero where the system does not say.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

const TOKENS: u32 = 10_000;
