use std::{
    convert::Infallible,
    fmt::Debug,
    future::{Ready, ready},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, response::Parts};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Service, ServiceExt};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, Rejection, Requirement, Verifier,
    jwks::FetchError,
    testing::{ManualClock, TestIssuer, TokenBuilder},
};

/// One issuer for all tests, whose clock never moves.
pub(crate) fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(|| TestIssuer::new().clock(ManualClock::new()))
}

pub(crate) fn token() -> TokenBuilder {
    issuer().token("user_123")
}

/// The user of a version 1 session token with these claims besides those that every token has.
pub(crate) fn v1(claims: &Value) -> ClerkAuth {
    user(&with(token().v1(), claims))
}

/// As [`v1`], of a version 2 token.
pub(crate) fn v2(claims: &Value) -> ClerkAuth {
    user(&with(token(), claims))
}

pub(crate) fn with(token: TokenBuilder, claims: &Value) -> TokenBuilder {
    let claims = claims.as_object().expect("an object");
    claims.iter().fold(token, |token, (name, value)| token.claim(name, value))
}

#[track_caller]
pub(crate) fn user(token: &TokenBuilder) -> ClerkAuth {
    user_by(issuer().config(), token)
}

#[track_caller]
pub(crate) fn user_by(config: ClerkConfig, token: &TokenBuilder) -> ClerkAuth {
    let claims = verifier(config).try_verify(&token.sign());
    claims.unwrap_or_else(|error| panic!("{error}: {}", token.payload())).into()
}

pub(crate) fn verifier(config: ClerkConfig) -> Verifier {
    Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier")
}

/// A layer that holds its key.
pub(crate) fn layer() -> ClerkAuthLayer {
    verifier(issuer().config()).into()
}

/// A layer whose keys cannot be fetched.
pub(crate) fn layer_without_keys() -> ClerkAuthLayer {
    let source = || async { Err(FetchError::new("out of order")) };
    let verifier = Verifier::builder(issuer().config()).clock(ManualClock::new()).key_source(source).build();
    verifier.expect("a verifier").into()
}

/// A layer whose first token has to wait for its key.
pub(crate) fn layer_that_waits() -> ClerkAuthLayer {
    let source = || async {
        tokio::task::yield_now().await;
        Ok(Bytes::from(issuer().jwks()))
    };
    let verifier = Verifier::builder(issuer().config()).clock(ManualClock::new()).key_source(source).build();
    verifier.expect("a verifier").into()
}

/// What the routes of the tests ask for; [`reader`] has it and [`member`] has not.
pub(crate) fn may_read() -> Requirement {
    Requirement::permission("org:invoices:read")
}

pub(crate) fn reader() -> TokenBuilder {
    token().organization("org_acme", "admin").permission("invoices", "read")
}

pub(crate) fn member() -> TokenBuilder {
    token().organization("org_acme", "member")
}

pub(crate) fn bearer(token: &TokenBuilder) -> String {
    format!("Bearer {}", token.sign())
}

pub(crate) fn get(headers: &[(&str, &str)]) -> Request<axum::body::Body> {
    request("GET", "/", headers)
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<axum::body::Body> {
    with_body(method, path, headers, axum::body::Body::empty())
}

pub(crate) fn with_body<B>(method: &str, path: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(body).expect("a request")
}

/// A request that has been through a layer, with this user.
pub(crate) fn of<B>(token: &TokenBuilder, body: B) -> Request<B> {
    let mut request = with_body("POST", "/", &[], body);
    request.extensions_mut().insert(user(token));
    request
}

/// Makes a service ready and begins a call of it.
pub(crate) async fn call<S, R>(service: &mut S, request: R) -> S::Future
where
    S: Service<R>,
    S::Error: Debug,
{
    service.ready().await.expect("a service that is ready").call(request)
}

/// A service that answers with the user's id, and counts.
#[derive(Clone, Default)]
pub(crate) struct Inner {
    calls: Arc<AtomicUsize>,
}

impl Inner {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let user = request.extensions().get::<ClerkAuth>();
        let id = user.map_or_else(|| "nobody".to_owned(), |user| user.user_id().to_owned());
        ready(Ok(Response::new(Full::from(id))))
    }
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) parts: Parts,
    pub(crate) text: String,
}

pub(crate) async fn send<S, ReqBody, ResBody>(service: S, request: Request<ReqBody>) -> Answer
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Debug,
    ResBody: http_body::Body<Data = Bytes>,
    ResBody::Error: Debug,
{
    let (parts, body) = service.oneshot(request).await.expect("an answer").into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer { parts, text: String::from_utf8(bytes.to_vec()).expect("UTF-8") }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// Status and text, to be compared at once.
    pub(crate) fn seen(&self) -> (u16, &str) {
        (self.status(), &self.text)
    }

    /// The refusal that lies in the extensions.
    #[track_caller]
    pub(crate) fn rejection(&self) -> &Rejection {
        self.parts.extensions.get().expect("a rejection in the extensions")
    }

    /// Refused in the HTTP form with this status and code.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!(self.status(), status, "{self:?}");
        assert!(self.text.contains(&format!(r#""code":"{code}""#)), "{self:?}");
        assert_eq!(self.rejection().code(), code);
    }

    /// Refused in the gRPC form with this status and code.
    #[track_caller]
    pub(crate) fn assert_refused_grpc(&self, status: &str, code: &str) {
        assert_eq!(self.seen(), (200, ""), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/grpc"));
        assert_eq!((self.header("grpc-status"), self.header("clerk-error-code")), (Some(status), Some(code)));
        assert_eq!(self.rejection().code(), code);
    }
}
