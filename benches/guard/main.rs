//! Repeats one case a given number of times. `.ci/guard` counts its instructions.
//!
//! The clock does not advance, and key and tokens are test fixtures, so the same binary executes the same instructions
//! in every run. The private key of the fixtures was not stored.
//!
//! ```text
//! cargo bench --bench guard -- hit 1000
//! ```

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
#[path = "../support/tokens.rs"]
mod support;

use std::{
    convert::Infallible,
    env, future,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rsa::PublicKeyComponents,
    signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::Empty;
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use tower::{Service, service_fn};
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Verifier,
    jwks::FetchError,
    verify::{Clock, Instance, VerifierBuilder, VerifyErrorKind},
};
use tower_layer::Layer;

use self::support::ready;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match arguments.as_slice() {
        [case, times] => {
            let times = times.parse().expect("a number of times");
            let (_, run) = CASES.iter().find(|(name, _)| name == case).expect("a known case");
            run(times);
        }
        // `cargo bench` without arguments runs every case only to see that none fails.
        _ => CASES.iter().for_each(|(_, run)| run(16)),
    }
}

type Case = fn(usize);

const CASES: [(&str, Case); 13] = [
    ("digest", digests),
    ("raw", raw),
    ("bare_call", |times| call(times, None, tokens().first().map(String::as_str), 200)),
    ("hit", |times| verify(verifier(), times, tokens, |outcome| outcome == Ok(()))),
    ("hit_fetched", |times| verify(fetched(), times, tokens, |outcome| outcome == Ok(()))),
    ("first_sight", |times| verify(forgetful(), times, tokens, |outcome| outcome == Ok(()))),
    ("first_sight_remembered", |times| verify(full(verifier()), times, tokens, |outcome| outcome == Ok(()))),
    ("first_sight_fetched", |times| verify(full(fetched()), times, tokens, |outcome| outcome == Ok(()))),
    ("rejected_algorithm", |times| {
        verify(verifier(), times, without_algorithm, is(VerifyErrorKind::UnsupportedAlgorithm));
    }),
    ("rejected_no_token", |times| verify(verifier(), times, words, is(VerifyErrorKind::Malformed))),
    ("layer_hit", |times| call(times, Some(verifier()), tokens().first().map(String::as_str), 200)),
    ("layer_rejected", |times| call(times, Some(verifier()), None, 401)),
    // The last one: its recorder is that of the process.
    ("layer_hit_metrics", with_metrics),
];

fn is(kind: VerifyErrorKind) -> impl Fn(Result<(), VerifyErrorKind>) -> bool {
    move |outcome| outcome == Err(kind)
}

/// Only the digest by which the cache confirms a token: that of the signature without its last 32 characters.
fn digests(times: usize) {
    let tokens = tokens();
    let signatures = tokens.iter().filter_map(|token| token.rsplit('.').next());
    let digested: Vec<&[u8]> = signatures.map(|signature| &signature.as_bytes()[..signature.len() - 32]).collect();
    for part in digested.iter().cycle().take(times) {
        black_box(digest(&SHA256, part));
    }
}

/// Only the verification of the signature.
fn raw(times: usize) {
    let jwks: serde_json::Value = serde_json::from_str(JWKS).expect("a JWKS");
    let [n, e] = ["n", "e"].map(|name| {
        let text = jwks["keys"][0][name].as_str().expect("a component");
        BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
    });
    let key: ParsedPublicKey =
        PublicKeyComponents { n, e }.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).expect("an RSA key");
    let signed: Vec<(String, Vec<u8>)> = tokens()
        .iter()
        .map(|token| {
            let (message, signature) = token.rsplit_once('.').expect("a token");
            (message.to_owned(), BASE64_URL_SAFE_NO_PAD.decode(signature).expect("a signature"))
        })
        .collect();
    for (message, signature) in signed.iter().cycle().take(times) {
        key.verify_digest_sig(&digest(&SHA256, message.as_bytes()), signature).expect("a good signature");
    }
}

/// Verifies the tokens in turn.
fn verify(
    builder: VerifierBuilder,
    times: usize,
    tokens: fn() -> Vec<String>,
    is_right: impl Fn(Result<(), VerifyErrorKind>) -> bool,
) {
    let verifier = ready(builder);
    for token in tokens().iter().cycle().take(times) {
        let outcome = black_box(verifier.try_verify(black_box(token)));
        assert!(is_right(outcome.map(drop).map_err(|error| error.kind())));
    }
}

/// Sends requests to a service that does nothing, through the layer if there is a verifier.
fn call(times: usize, verifier: Option<VerifierBuilder>, token: Option<&str>, status: u16) {
    let bare = service_fn(|request: Request<()>| {
        drop(request);
        future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    match verifier {
        Some(verifier) => requests(times, ClerkAuthLayer::from(ready(verifier)).layer(bare), token, status),
        None => requests(times, bare, token, status),
    }
}

/// As `layer_hit`, with a recorder. That of Prometheus calibrates its clock, which takes as long as it takes: this one
/// costs the same in each run. One request in 64 is timed, so `times` is a multiple of that.
fn with_metrics(times: usize) {
    let requests = Arc::new(AtomicU64::new(0));
    metrics::set_global_recorder(Recorder { requests: Arc::clone(&requests) }).expect("the first recorder");
    call(times, Some(verifier()), tokens().first().map(String::as_str), 200);
    assert_eq!(requests.load(Ordering::Relaxed), u64::try_from(times).expect("a number"), "the requests are counted");
}

fn requests<B>(
    times: usize,
    mut service: impl Service<Request<()>, Response = Response<B>, Error = Infallible>,
    token: Option<&str>,
    status: u16,
) {
    for _ in 0..times {
        let mut request = Request::new(());
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let response = service.call(request).now_or_never().expect("a response at once");
        assert_eq!(response.map(|response| response.status().as_u16()), Ok(status));
    }
}

fn verifier() -> VerifierBuilder {
    Verifier::builder(config()).clock(FixedClock)
}

fn config() -> ClerkConfig {
    let config = ClerkConfig::from_jwks(JWKS).and_then(|config| config.add_issuer("https://clerk.test.example"));
    config.expect("a configuration")
}

fn forgetful() -> VerifierBuilder {
    verifier().without_token_cache()
}

/// With a cache so small that each token has been evicted when its turn comes again.
fn full(verifier: VerifierBuilder) -> VerifierBuilder {
    verifier.token_cache_entries(3).token_cache_bytes(1 << 16)
}

fn fetched() -> VerifierBuilder {
    let source = || async { Ok::<_, FetchError>(Bytes::from_static(JWKS.as_bytes())) };
    Verifier::builder(Instance::new(config()).key_source(source)).clock(FixedClock)
}

/// Always a few seconds after the tokens were issued.
struct FixedClock;

impl Clock for FixedClock {
    fn monotonic(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_005)
    }
}

fn tokens() -> Vec<String> {
    TOKENS.lines().map(str::to_owned).collect()
}

/// The tokens with `alg: none` and their unchanged signatures.
fn without_algorithm() -> Vec<String> {
    let change = |token: &String| {
        let (header, rest) = token.split_once('.').expect("a token");
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).expect("base64url");
        let header = String::from_utf8(header).expect("text").replace("RS256", "none");
        format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header))
    };
    tokens().iter().map(change).collect()
}

fn words() -> Vec<String> {
    vec!["not.a.token".to_owned()]
}

const JWKS: &str = include_str!("test_only_jwks.json");
const TOKENS: &str = include_str!("test_only_tokens.txt");

/// Counts requests, and takes everything else.
struct Recorder {
    requests: Arc<AtomicU64>,
}

struct LastValue(AtomicU64);

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match key.name() {
            "clerk_auth_requests" => Counter::from_arc(Arc::clone(&self.requests)),
            _ => Counter::from_arc(Arc::new(AtomicU64::new(0))),
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(AtomicU64::new(0)))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(LastValue(AtomicU64::new(0))))
    }
}

impl HistogramFn for LastValue {
    fn record(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}
