//! The bound on the memory of requests that wait for keys.

use std::{
    borrow::Cow,
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION};
use tower::Service;
use tower_clerk::{
    ClerkAuthLayer, TokenSource, Verifier,
    authenticate::{ClerkAuthService, ResponseBody, ResponseFuture},
    testing::ManualClock,
    verify::{Instance, UnavailableReason},
};
use tower_layer::Layer;

use crate::support::{
    Answer, GatedSource, Recorder, Reply, at_once, get, good, issuer, patient, poll_once, send_through, settle, token,
    within,
};

/// In bytes: what all requests that wait at one verifier may take.
const BOUND: usize = 64 * 1024 * 1024;

type Waiting = Pin<Box<ResponseFuture<Recorder, Body>>>;

fn cold(source: &GatedSource) -> ClerkAuthLayer {
    let instance = Instance::new(patient(issuer().config())).key_source(source.clone());
    Verifier::builder(instance).clock(ManualClock::new()).build().expect("a verifier").into()
}

/// A valid token of nearly 16 KiB.
fn long_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| token().claim("padding", "x".repeat(11_400)).sign())
}

fn long() -> Request<Body> {
    static BEARER: OnceLock<HeaderValue> = OnceLock::new();
    with(AUTHORIZATION, BEARER.get_or_init(|| value(&format!("Bearer {}", long_token()))))
}

fn short() -> Request<Body> {
    static BEARER: OnceLock<HeaderValue> = OnceLock::new();
    with(AUTHORIZATION, BEARER.get_or_init(|| value(&good())))
}

/// A request with a short token and a long header.
fn padded() -> Request<Body> {
    static PADDING: OnceLock<HeaderValue> = OnceLock::new();
    let mut request = short();
    request.headers_mut().insert("x-padding", PADDING.get_or_init(|| value(&"x".repeat(60_000))).clone());
    request
}

fn with(name: HeaderName, value: &HeaderValue) -> Request<Body> {
    Request::builder().header(name, value.clone()).body(Body::empty()).expect("a request")
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a header value")
}

/// Sends a request: it waits, or is rejected at once.
fn park(service: &mut ClerkAuthService<Recorder>, request: Request<Body>) -> Result<Waiting, Box<Answer>> {
    let mut future = Box::pin(service.call(request));
    match poll_once(future.as_mut()) {
        Poll::Pending => Ok(future),
        Poll::Ready(response) => Err(Box::new(answer(response.expect("a response")))),
    }
}

fn answer<B>(response: Response<ResponseBody<B>>) -> Answer
where
    B: http_body::Body<Data = bytes::Bytes>,
    B::Error: std::fmt::Debug,
{
    at_once(Answer::of(response)).expect("a body that is there")
}

/// Parks long requests until one is rejected because of the bound, then short ones.
fn fill(service: &mut ClerkAuthService<Recorder>) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    let requests: [fn() -> Request<Body>; 2] = [padded, short];
    for request in requests {
        loop {
            match park(service, request()) {
                Ok(future) => waiting.push(future),
                Err(answer) => {
                    assert_is_full(&answer);
                    break;
                }
            }
        }
    }
    waiting
}

fn assert_is_full(answer: &Answer) {
    assert_eq!((answer.status(), answer.code()), (503, "keys_unavailable".to_owned()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.rejection().unavailable_reason(), Some(UnavailableReason::TooManyWaiting));
}

#[tokio::test]
async fn of_ten_thousand_long_requests_only_64_mib_wait() {
    let source = GatedSource::new();
    let mut service = cold(&source).layer(Recorder::default());
    let (mut waiting, mut rejected) = (Vec::new(), 0);
    for _ in 0..10_000 {
        match park(&mut service, long()) {
            Ok(future) => waiting.push(future),
            Err(answer) => {
                assert_is_full(&answer);
                rejected += 1;
            }
        }
    }
    let each = long_token().len();
    assert!((15 * 1024..16 * 1024).contains(&each), "{each}");
    assert_eq!(waiting.len() + rejected, 10_000);
    // Each counts with its other bytes and some overhead, of less than 4 KiB.
    assert!(waiting.len() * each <= BOUND && (waiting.len() + 1) * (each + 4096) > BOUND, "{}", waiting.len());

    // A request that need not wait needs no place.
    assert_eq!(park(&mut service, get(&[])).map(|_| ()).expect_err("no token").status(), 401);
    settle().await;
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_cancelled_request_gives_its_bytes_back() {
    let source = GatedSource::new();
    let mut service = cold(&source).layer(Recorder::default());
    let mut waiting = fill(&mut service);
    for _ in 0..3 {
        waiting.remove(0);
        waiting.push(park(&mut service, padded()).expect("a place"));
        assert_is_full(&park(&mut service, padded()).map(|_| ()).expect_err("no place is left"));
    }
    let most = waiting.len();
    drop(waiting);
    assert_eq!(fill(&mut service).len(), most);
}

#[tokio::test]
async fn an_answered_request_gives_its_bytes_back() {
    let source = GatedSource::new();
    let clerk = cold(&source);
    let mut service = clerk.layer(Recorder::default());
    let waiting = fill(&mut service);
    let most = waiting.len();
    source.once(Reply::document(issuer().jwks()));
    for future in waiting {
        let response = within(future).await.expect("a response");
        assert_eq!(answer(response).user(), Some("user_ada"));
    }
    clerk.verifier().forget_keys();
    assert_eq!(fill(&mut service).len(), most);
}

#[tokio::test]
async fn bytes_come_back_after_a_panic_of_a_key_source_or_a_token_source() {
    let source = GatedSource::new();
    let must_panic = Arc::new(AtomicBool::new(false));
    let panics = Arc::clone(&must_panic);
    let find = move |headers: &HeaderMap| -> Option<String> {
        assert!(!panics.load(Ordering::SeqCst), "a token source that panics");
        let value = headers.get("authorization")?.to_str().ok()?;
        value.strip_prefix("Bearer ").map(str::to_owned)
    };
    let clerk = cold(&source)
        .token_sources([TokenSource::custom(move |headers| find(headers).map(Cow::Owned))])
        .expect("a source");
    let mut service = clerk.layer(Recorder::default());
    let waiting = fill(&mut service);
    let most = waiting.len();

    source.once(Reply::Panic);
    for future in waiting {
        assert_eq!(within(future).await.expect("a response").status(), 503);
    }
    source.once(Reply::document(issuer().jwks()));
    clerk.verifier().refresh().await.expect("keys");
    clerk.verifier().forget_keys();

    let waiting = fill(&mut service);
    assert_eq!(waiting.len(), most);
    must_panic.store(true, Ordering::SeqCst);
    source.once(Reply::document(issuer().jwks()));
    for future in waiting {
        assert!(within(tokio::spawn(future)).await.is_err_and(|error| error.is_panic()));
    }
    must_panic.store(false, Ordering::SeqCst);
    clerk.verifier().forget_keys();
    assert_eq!(fill(&mut service).len(), most);
}

#[tokio::test]
async fn the_bound_is_shared_by_the_layers_and_clones_of_a_verifier() {
    let source = GatedSource::new();
    let clerk = cold(&source);
    let verifier = clerk.verifier().clone();
    let waiting = fill(&mut clerk.layer(Recorder::default()));
    let error = at_once(verifier.verify(long_token())).expect("an answer").expect_err("no place is left");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::TooManyWaiting));
    let other_layer = ClerkAuthLayer::from(verifier.clone());
    assert_is_full(
        &park(&mut other_layer.layer(Recorder::default()), long()).map(|_| ()).expect_err("no place is left"),
    );
    // Another verifier has its own.
    assert!(park(&mut cold(&source).layer(Recorder::default()), long()).is_ok());

    drop(waiting);
    let mut verifying: Vec<_> = Vec::new();
    loop {
        let mut future = Box::pin(verifier.verify(long_token()));
        match poll_once(future.as_mut()) {
            Poll::Pending => verifying.push(future),
            Poll::Ready(result) => {
                let reason = result.expect_err("no place is left").unavailable_reason();
                assert_eq!(reason, Some(UnavailableReason::TooManyWaiting));
                break;
            }
        }
    }
    assert!(verifying.len() * long_token().len() <= BOUND, "{}", verifying.len());
    verifying.pop();
    assert!(poll_once(Box::pin(verifier.verify(long_token())).as_mut()).is_pending());
}

#[tokio::test]
async fn a_request_for_which_no_byte_is_left_passes_without_its_credential() {
    let strict = cold(&GatedSource::new());
    let lenient = ClerkAuthLayer::from(strict.verifier().clone()).allow_unauthenticated_requests();
    let _waiting = fill(&mut strict.layer(Recorder::default()));
    for (layer, stays) in [(lenient.clone(), true), (lenient.strip_unverified_credentials(), false)] {
        let seen = send_through(&layer, get(&[("authorization", &good())])).await.passed();
        let reason = seen.rejection.expect("a rejection").unavailable_reason();
        assert_eq!(reason, Some(UnavailableReason::TooManyWaiting));
        assert_eq!(seen.authorization.is_some(), stays);
    }
}

/// Counts its clones.
struct Counted(Arc<AtomicUsize>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(&self.0))
    }
}

impl Service<Request<Body>> for Counted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Body::empty())))
    }
}

#[tokio::test]
async fn a_request_for_which_no_byte_was_left_does_not_count_as_waiting() {
    let clerk = cold(&GatedSource::new());
    let clones = Arc::new(AtomicUsize::new(0));
    let mut service = ClerkAuthLayer::from(clerk.verifier().clone()).layer(Counted(Arc::clone(&clones)));
    let mut rejected = |request| at_once(service.call(request)).expect("an answer").expect("a response").status();
    let waiting = fill(&mut clerk.layer(Recorder::default()));
    assert_eq!(rejected(get(&[("authorization", &good())])), 503);
    drop(waiting);
    // While a request waits, each rejection gives the capacity of the inner service back, by a clone.
    assert_eq!(rejected(get(&[])), 401);
    assert_eq!(clones.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_whole_head_of_a_waiting_request_counts() {
    let source = GatedSource::new();
    let clerk = cold(&source);
    let with_target = || {
        let mut request = short();
        *request.uri_mut() = format!("/?{}", "x".repeat(60_000)).parse().expect("a URI");
        request
    };
    let with_authority = || {
        let mut request = short();
        *request.uri_mut() = format!("http://{}/", "x".repeat(60_000)).parse().expect("a URI");
        request
    };
    let requests: [fn() -> Request<Body>; 3] = [padded, with_target, with_authority];
    for request in requests {
        let mut service = clerk.layer(Recorder::default());
        let mut waiting = Vec::new();
        while let Ok(future) = park(&mut service, request()) {
            waiting.push(future);
        }
        assert!((1_000..=BOUND / 60_000).contains(&waiting.len()), "{}", waiting.len());
    }
}

#[tokio::test]
async fn valid_tokens_under_a_late_set_pass_while_no_byte_is_left() {
    let (source, clock) = (GatedSource::new(), ManualClock::new());
    source.once(Reply::document(issuer().jwks()));
    let instance = Instance::new(patient(issuer().config())).key_source(source.clone());
    let verifier = Verifier::builder(instance).clock(clock.clone()).build().expect("a verifier");
    verifier.warm_up().await.expect("keys");
    let hour = std::time::Duration::from_secs(3600);
    let clerk = ClerkAuthLayer::from(verifier.clone());
    let mut service = clerk.layer(Recorder::default());
    clock.advance(hour);
    let unknown = |padding: usize| {
        let token = token().lifetime(2 * hour).header("kid", "ins_new").claim("padding", "x".repeat(padding));
        value(&format!("Bearer {}", token.sign()))
    };
    let [long, short] = [11_400, 0].map(unknown);
    let mut waiting = Vec::new();
    for unknown in [&long, &short] {
        while let Ok(future) = park(&mut service, with(AUTHORIZATION, unknown)) {
            waiting.push(future);
        }
    }
    // While one byte is left, a token that is valid waits for the refresh. Now it takes the set that there is.
    let valid = token().lifetime(2 * hour);
    let bearer = value(&format!("Bearer {}", valid.sign()));
    assert_eq!(park(&mut service, with(AUTHORIZATION, &bearer)).map(|_| ()).expect_err("an answer").status(), 200);
    assert!(at_once(verifier.verify(&valid.sign())).expect("no wait").is_ok());
    assert_is_full(&park(&mut service, with(AUTHORIZATION, &short)).map(|_| ()).expect_err("no place"));
}

#[tokio::test]
async fn requests_whose_key_is_known_pass_while_no_byte_is_left() {
    let source = GatedSource::new();
    source.once(Reply::document(issuer().jwks()));
    let clerk = cold(&source);
    clerk.verifier().warm_up().await.expect("keys");
    let mut service = clerk.layer(Recorder::default());
    let unknown = token().header("kid", "ins_new").claim("padding", "x".repeat(11_400)).sign();
    let unknown = value(&format!("Bearer {unknown}"));
    let mut waiting = Vec::new();
    let full = loop {
        match park(&mut service, with(AUTHORIZATION, &unknown)) {
            Ok(future) => waiting.push(future),
            Err(answer) => break answer,
        }
    };
    assert_is_full(&full);
    let known = park(&mut service, short()).map(|_| ()).expect_err("an answer");
    assert_eq!(known.user(), Some("user_ada"));
}
