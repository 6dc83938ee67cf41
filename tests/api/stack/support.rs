use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use tower::{Service, ServiceExt};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, Verifier,
    jwks::FetchError,
    testing::{ManualClock, TestIssuer},
};

/// A token that is bad whatever the keys.
pub(crate) const BAD: &str = "Bearer a.b.c";

/// One issuer for all tests, whose clock never moves.
pub(crate) fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(|| TestIssuer::new().clock(ManualClock::new()))
}

/// The issuer of another instance.
pub(crate) fn other_issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(|| TestIssuer::new().clock(ManualClock::new()))
}

/// The header value of a good token of `user_ada`.
pub(crate) fn good() -> String {
    format!("Bearer {}", issuer().token("user_ada").sign())
}

/// A layer that holds its key.
pub(crate) fn hot() -> ClerkAuthLayer {
    layer(issuer().config())
}

/// A layer with this configuration and a clock that stands still.
pub(crate) fn layer(config: ClerkConfig) -> ClerkAuthLayer {
    Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier").into()
}

/// A layer that has to fetch its key first, from behind a gate.
pub(crate) fn cold() -> (ClerkAuthLayer, Gate) {
    gated(vec![issuer().jwks()], issuer().config())
}

/// A layer whose every fetch waits at a gate; the first brings the first document, and so on.
pub(crate) fn gated(documents: Vec<String>, config: ClerkConfig) -> (ClerkAuthLayer, Gate) {
    let gate = Gate { arrivals: Arc::new(Semaphore::new(0)), passes: Arc::new(Semaphore::new(0)) };
    let (arrivals, passes) = (Arc::clone(&gate.arrivals), Arc::clone(&gate.passes));
    let documents = Arc::new(std::sync::Mutex::new(documents.into_iter()));
    let source = move || {
        let (arrivals, passes, documents) = (Arc::clone(&arrivals), Arc::clone(&passes), Arc::clone(&documents));
        async move {
            arrivals.add_permits(1);
            passes.acquire().await.expect("an open semaphore").forget();
            let document = documents.lock().expect("no panic").next();
            document.map(Bytes::from).ok_or_else(|| FetchError::new("out of order"))
        }
    };
    // Longer than any test takes on a busy machine.
    let config = config.jwks_timeout(Duration::from_secs(60)).expect("a timeout");
    let verifier = Verifier::builder(config).clock(ManualClock::new()).key_source(source).build();
    (verifier.expect("a verifier").into(), gate)
}

/// A layer whose keys cannot be fetched.
pub(crate) fn without_keys() -> ClerkAuthLayer {
    let (layer, gate) = gated(Vec::new(), issuer().config());
    gate.open();
    layer
}

/// A layer that holds its key and one whose first token waits for it.
pub(crate) fn arms() -> [(&'static str, ClerkAuthLayer); 2] {
    let (cold, gate) = cold();
    gate.open();
    [("hot", hot()), ("cold", cold)]
}

/// Where fetches wait until they are let through.
pub(crate) struct Gate {
    arrivals: Arc<Semaphore>,
    passes: Arc<Semaphore>,
}

impl Gate {
    /// Returns when another fetch has come to the gate.
    pub(crate) async fn reached(&self) {
        self.arrivals.acquire().await.expect("an open semaphore").forget();
    }

    /// How many fetches came to the gate, but for those that `reached` told of.
    pub(crate) fn arrivals(&self) -> usize {
        self.arrivals.available_permits()
    }

    /// Lets one fetch through, now or when it comes.
    pub(crate) fn open(&self) {
        self.passes.add_permits(1);
    }
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: Debug,
    {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Self { headers: parts.headers, status: parts.status.as_u16(), text }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// Status and text, to be compared at once.
    pub(crate) fn seen(&self) -> (u16, &str) {
        (self.status, &self.text)
    }

    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.text.contains(&format!(r#""code":"{code}""#)), "{self:?}");
    }
}

/// Sends one request through a clone of `service`.
pub(crate) async fn ask<S, B>(service: &S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: Debug,
{
    Answer::of(service.clone().oneshot(request).await.expect("an answer")).await
}

pub(crate) fn get(path: &str, authorization: Option<&str>) -> Request<Body> {
    let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    request("GET", path, &headers)
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    with_body(method, path, headers, Body::empty())
}

pub(crate) fn with_body<B>(method: &str, path: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a request")
}

/// A handler in the form of a Tower service: answers with the user's id.
#[expect(clippy::needless_pass_by_value, reason = "a service takes its request")]
pub(crate) fn whoami<B>(request: Request<B>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let user = request.extensions().get::<ClerkAuth>();
    let id = user.map_or_else(|| "nobody".to_owned(), |user| user.user_id().to_owned());
    ready(Ok(Response::new(Full::from(id))))
}

/// Polls a future once, and has no one woken.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
