//! Requests that are in the inner service at the same time, or wait for keys at the same time.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, header::AUTHORIZATION};
use tokio::{sync::Semaphore, task::unconstrained};
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuthLayer, Verifier,
    jwks::FetchError,
    testing::TestIssuer,
    verify::{Instance, VerifierBuilder},
};
use tower_layer::Layer;

use super::{
    Size,
    support::{Tokens, at_hand, ready},
};

pub(crate) fn table(issuer: &TestIssuer, tokens: &Tokens, size: &Size) {
    println!("\nrequests at once   ns each, hits   ns each, waiting for keys   fetches");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let counts = [1, 10, 100, 1000, 10_000];
    for count in counts.into_iter().filter(|count| *count <= size.requests) {
        let repeats = (20_000.min(size.requests * 2) / count).max(5);
        let mut hits = Vec::new();
        let mut waits = Vec::new();
        let mut most_fetches = 0;
        let known = ready(at_hand(issuer));
        for _ in 0..repeats {
            hits.push(runtime.block_on(wave(known.clone(), &tokens.usual, count)));
        }
        for _ in 0..repeats.min(50) {
            let fetches = Arc::new(AtomicUsize::new(0));
            let cold = counting(issuer, &fetches).build().expect("a verifier");
            waits.push(runtime.block_on(wave(cold, &tokens.usual, count)));
            most_fetches = most_fetches.max(fetches.load(Ordering::Relaxed));
        }
        let each = |mut waves: Vec<Duration>| {
            waves.sort_unstable();
            let middle = waves.get(waves.len() / 2).copied().unwrap_or_default();
            middle.as_secs_f64() * 1e9 / f64::from(u32::try_from(count).unwrap_or(1))
        };
        println!("{count:>16} {:>15.0} {:>27.0} {most_fetches:>9}", each(hits), each(waits));
    }
}

/// How long it takes to admit `count` requests, hold them in the inner service until all have arrived, and respond.
async fn wave(verifier: Verifier, token: &str, count: usize) -> Duration {
    let (arrived, released) = (Semaphore::new(0), Semaphore::new(0));
    let (arrived, released) = (&arrived, &released);
    let inner = service_fn(move |request: Request<()>| async move {
        drop(request);
        arrived.add_permits(1);
        drop(released.acquire().await);
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let service = ClerkAuthLayer::from(verifier).layer(inner);
    let value = format!("Bearer {token}");
    let requests = (0..count).map(|_| Request::get("/me").header(AUTHORIZATION, &value).body(()).expect("a request"));
    let requests: Vec<_> = requests.collect();
    let start = Instant::now();
    let responses = join_all(requests.into_iter().map(|request| service.clone().oneshot(request)));
    let all = u32::try_from(count).expect("a number of permits");
    let release = async {
        drop(arrived.acquire_many(all).await);
        released.add_permits(count);
    };
    // Without the budget of a task, which would make most of these futures yield and be polled again and again.
    let (responses, ()) = unconstrained(async { tokio::join!(responses, release) }).await;
    let time = start.elapsed();
    assert!(responses.iter().flatten().all(|response| response.status() == 200));
    time
}

/// Fetches the issuer's keys, and counts how often.
fn counting(issuer: &TestIssuer, fetches: &Arc<AtomicUsize>) -> VerifierBuilder {
    let (document, fetches) = (Bytes::from(issuer.jwks()), Arc::clone(fetches));
    Verifier::builder(Instance::new(issuer.config()).key_source(move || {
        fetches.fetch_add(1, Ordering::Relaxed);
        let document = document.clone();
        async move { Ok::<_, FetchError>(document) }
    }))
}
