//! The cost of a request should not grow with the number of keys, cached tokens, cores and concurrent requests, but only
//! with the length of the token.
//!
//! ```text
//! cargo bench --bench scale
//! cargo bench --bench scale -- --tokens 1000000    # signed first, which takes minutes
//! cargo bench --bench scale -- --test              # a few of everything
//! ```

#![expect(clippy::print_stdout, reason = "the tables are what the bench is run for")]

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
mod support;

use std::{
    convert::Infallible,
    env,
    hint::black_box,
    slice::from_ref,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, header::AUTHORIZATION};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::unconstrained};
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Verifier,
    jwks::FetchError,
    testing::TestIssuer,
    verify::{Instance, VerifierBuilder},
};
use tower_layer::Layer;

use self::support::{Operation, Tokens, at_hand, in_turn, many, medians, operation, ready};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        return;
    }
    let is_test = has("--test") || !has("--bench");
    let asked = arguments.iter().skip_while(|argument| *argument != "--tokens").nth(1);
    let tokens = asked.map_or(100_000, |count| count.parse().expect("a number of tokens"));
    let size = if is_test {
        Size { requests: 100, rounds: 3, tokens: 400, tries: 3 }
    } else {
        Size { requests: 10_000, rounds: 501, tokens, tries: 101 }
    };

    let issuer = TestIssuer::new();
    let kinds = Tokens::new(&issuer);
    keys(&issuer, &kinds, &size);
    lengths(&issuer, &kinds, &size);
    tokens_seen(&issuer, &size);
    cores(&issuer, &size);
    at_once(&issuer, &kinds, &size);
}

/// The sizes of the measurements.
struct Size {
    requests: usize,
    rounds: u32,
    tokens: u32,
    tries: u32,
}

/// The keys differ only in their `kid`, by which a key is looked up. Generating a thousand keys would take minutes.
fn keys(issuer: &TestIssuer, tokens: &Tokens, size: &Size) {
    println!("\nkeys in the set             hit ns   first sight ns");
    let counts = [1, 10, 100, 1000];
    let configs = counts.map(|count| {
        let document: Value = serde_json::from_str(&issuer.jwks()).expect("a JWKS");
        let others = (1..count).map(|number| {
            let mut key = document["keys"][0].clone();
            key["kid"] = json!(format!("ins_other_{number}"));
            key
        });
        let keys: Vec<Value> = others.chain([document["keys"][0].clone()]).collect();
        let config = ClerkConfig::from_jwks(json!({ "keys": keys }).to_string());
        config.and_then(|config| config.add_issuer(issuer.url())).expect("a configuration")
    });
    let hot = from_ref(&tokens.usual);
    let [hits, first_sights] = [true, false].map(|remembers| {
        let verifiers = configs.clone().map(|config| verifier(config, remembers));
        medians(&mut verifiers.each_ref().map(|verifier| verifies(verifier, hot)), size.rounds)
    });
    for ((count, hit), first_sight) in counts.iter().zip(hits).zip(first_sights) {
        println!("{count:>15} {hit:>18.0} {first_sight:>16.0}");
    }
}

fn lengths(issuer: &TestIssuer, tokens: &Tokens, size: &Size) {
    println!("\nbytes of the token          hit ns   first sight ns");
    let tokens = [&tokens.small, &tokens.usual, &tokens.large];
    let [hits, first_sights] = [true, false].map(|remembers| {
        let verifier = verifier(issuer.config(), remembers);
        medians(&mut tokens.map(|token| verifies(&verifier, from_ref(token))), size.rounds)
    });
    for ((token, hit), first_sight) in tokens.iter().zip(hits).zip(first_sights) {
        println!("{:>18} {hit:>15.0} {first_sight:>16.0}", token.len());
    }
}

/// A verifier that gets more and more tokens, each of them new.
fn tokens_seen(issuer: &TestIssuer, size: &Size) {
    let start = Instant::now();
    let tokens = many(issuer, size.tokens);
    println!("\n{} tokens signed in {:.0} s", tokens.len(), start.elapsed().as_secs_f64());
    println!("\ntokens seen   first sight ns     kept   heap bytes   of an entry   as counted   resident KB");
    let verifier = ready(at_hand(issuer));
    let before = measure(|| drop(ready(at_hand(issuer)))).bytes_current;
    let (mut seen, mut held) = (0, -before);
    for until in [1, 1000, 10_000, 20_000, 50_000, 100_000, 300_000, 1_000_000] {
        let Some(new) = tokens.get(seen..until.min(tokens.len())).filter(|new| !new.is_empty()) else { break };
        let mut turns = Vec::new();
        for slice in new.chunks(32) {
            let mut time = Duration::ZERO;
            let info = measure(|| {
                let start = Instant::now();
                slice.iter().for_each(|token| drop(black_box(verifier.try_verify(token)).expect("a good token")));
                time = start.elapsed();
            });
            held += info.bytes_current;
            turns.push(time.as_secs_f64() * 1e9 / f64::from(u32::try_from(slice.len()).unwrap_or(1)));
        }
        turns.sort_unstable_by(f64::total_cmp);
        seen += new.len();
        let status = verifier.token_cache_status();
        let entries = i64::try_from(status.entries).unwrap_or(1).max(1);
        println!(
            "{seen:>11} {:>16.0} {entries:>8} {held:>12} {:>13} {:>12} {:>13}",
            turns.get(turns.len() / 2).copied().unwrap_or_default(),
            held / entries,
            i64::try_from(status.bytes).unwrap_or_default() / entries,
            resident_kilobytes(),
        );
    }
}

/// Several threads that verify at the same time.
fn cores(issuer: &TestIssuer, size: &Size) {
    println!("\nthreads   hits/s, one token   hits/s, each its own   first sights/s    best of {} tries", size.tries);
    let all = thread::available_parallelism().map_or(1, usize::from);
    let live = many(issuer, 256);
    let (one, shares) = ([from_ref(&live[0])], live.chunks(live.len().div_ceil(all)).collect::<Vec<_>>());
    let (remembering, forgetful) = (verifier(issuer.config(), true), verifier(issuer.config(), false));
    for threads in (0..).map(|power| 1 << power).take_while(|threads| *threads < all).chain([all]) {
        let hits = best_rate(&remembering, &one, threads, size.requests / 2, size.tries);
        let own = best_rate(&remembering, &shares, threads, size.requests / 2, size.tries);
        let first_sights = best_rate(&forgetful, &shares, threads, size.requests / 40, size.tries);
        println!("{threads:>7} {hits:>19.0} {own:>22.0} {first_sights:>16.0}");
    }
}

/// Verifications per second of all threads, each with a share of the tokens. The best of many tries, because other
/// processes on the same cores slow down some of them.
fn best_rate(verifier: &Verifier, shares: &[&[String]], threads: usize, times: usize, tries: u32) -> f64 {
    let barrier = Barrier::new(threads);
    let work = |share: &[String]| {
        barrier.wait();
        let start = Instant::now();
        share.iter().cycle().take(times).for_each(|token| drop(black_box(verifier.try_verify(token))));
        start.elapsed()
    };
    let slowest = |_| {
        thread::scope(|scope| {
            let shares = shares.iter().copied().cycle().take(threads);
            let working: Vec<_> = shares.map(|share| scope.spawn(|| work(share))).collect();
            working.into_iter().map(|thread| thread.join().expect("a time")).max().unwrap_or_default()
        })
    };
    let best = (0..tries).map(slowest).min().unwrap_or_default();
    f64::from(u32::try_from(times * threads).unwrap_or_default()) / best.as_secs_f64()
}

/// Requests that are in the inner service at the same time, or wait for keys at the same time.
fn at_once(issuer: &TestIssuer, tokens: &Tokens, size: &Size) {
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

fn verifier(config: ClerkConfig, remembers: bool) -> Verifier {
    let builder = Verifier::builder(config);
    ready(if remembers { builder } else { builder.without_token_cache() })
}

fn verifies<'a>(verifier: &'a Verifier, tokens: &'a [String]) -> Box<dyn Operation + 'a> {
    operation(in_turn(tokens, String::as_bytes), |token| verifier.try_verify(token).expect("a good token"))
}

/// Resident memory as the operating system reports it; zero if it does not.
fn resident_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
