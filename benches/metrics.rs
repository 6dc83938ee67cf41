//! What metrics add to a request through [`ClerkAuthLayer`]: with the recorder of Prometheus beside the same service
//! without a recorder, in one process and in turn.
//!
//! ```text
//! cargo bench --bench metrics
//! ```
//!
//! With `--test`, or as a test, it runs each row once and compares nothing.
//!
//! A recorder for one thread stands in for one of the process: its handles are the same, and the facade finds it in the
//! same way. Without the feature `metrics` nothing of this is compiled; compare `cargo bench --bench layer` before and
//! after for that.

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
mod support;

use std::{
    convert::Infallible,
    env, future,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::Empty;
use metrics_exporter_prometheus::PrometheusBuilder;
use tower::{ServiceExt, service_fn};
use tower_clerk::{ClerkAuthLayer, ClerkAuthService, testing::TestIssuer};
use tower_layer::Layer;

use self::support::{at_hand, fetched, ready};

fn main() {
    let has = |flag: &str| env::args().any(|argument| argument == flag);
    let is_test = has("--test") || !has("--bench");
    let (rounds, batches) = if is_test { (1, 1) } else { (ROUNDS, BATCHES) };
    let recorder = PrometheusBuilder::new().set_buckets(&[1e-6, 1e-5, 1e-4, 1e-3]).expect("buckets").build_recorder();
    let handle = recorder.handle();
    let issuer = TestIssuer::new();
    let good = format!("Bearer {}", issuer.token("user_ada").sign());
    let mut is_over = false;
    for (name, authorization, limit) in [
        ("hit", Some(good.as_str()), Some(LIMIT)),
        ("hit, keys fetched", Some(good.as_str()), Some(LIMIT)),
        ("rejected: no token", None, None),
        ("rejected: not a token", Some("Bearer not.a.token"), None),
    ] {
        let verifier = || ready(if name.ends_with("fetched") { fetched(&issuer) } else { at_hand(&issuer) });
        let (bare, counted) = (service(&verifier().into()), service(&verifier().into()));
        let (mut without, mut with) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..rounds {
            without = without.min(time(&bare, authorization, batches));
            with = with.min(metrics::with_local_recorder(&recorder, || time(&counted, authorization, batches)));
            // The exporter keeps what was recorded until it is read.
            handle.run_upkeep();
        }
        let more = with - without;
        println!("{name:<24} {without:>7.1} ns {with:>7.1} ns  {more:>+6.1} ns  x{:.2}", with / without);
        is_over |= !is_test && limit.is_some_and(|limit| more > limit);
    }
    assert!(handle.render().contains("clerk_auth_requests"), "nothing is counted");
    if is_over {
        println!("a hit costs more than {LIMIT} ns");
        std::process::exit(1);
    }
}

type Bare = fn(Request<Empty<Bytes>>) -> future::Ready<Result<Response<Empty<Bytes>>, Infallible>>;
type Service = ClerkAuthService<tower::util::ServiceFn<Bare>>;

fn service(layer: &ClerkAuthLayer) -> Service {
    let bare: Bare = |request| {
        drop(request);
        future::ready(Ok(Response::new(Empty::new())))
    };
    layer.layer(service_fn(bare))
}

/// Nanoseconds a request, in the fastest batch: other programs slow down the rest. Requests are made outside of the
/// measurement.
fn time(service: &Service, authorization: Option<&str>, batches: u32) -> f64 {
    let mut fastest = Duration::MAX;
    for _ in 0..batches {
        let request = || {
            let builder = Request::get("/me").header("host", "api.test.example");
            let builder = authorization.iter().fold(builder, |builder, value| builder.header(AUTHORIZATION, *value));
            builder.body(Empty::new()).expect("a request")
        };
        let requests: Vec<_> = (0..BATCH).map(|_| request()).collect();
        let started = Instant::now();
        for request in requests {
            drop(black_box(service.clone().oneshot(request).now_or_never().expect("a response at once")));
        }
        fastest = fastest.min(started.elapsed());
    }
    fastest.as_secs_f64() * 1e9 / f64::from(BATCH)
}

/// Of one request more, in nanoseconds.
const LIMIT: f64 = 60.0;
/// A multiple of the 64 requests of which one is timed.
const BATCH: u32 = 256;
const BATCHES: u32 = 40;
const ROUNDS: usize = 41;
