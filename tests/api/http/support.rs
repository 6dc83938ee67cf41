use std::{convert::Infallible, sync::OnceLock};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, ConfigError, Rejection, Verifier,
    testing::{ManualClock, TestIssuer, TokenBuilder},
};
use tower_layer::Layer;

/// One issuer for all tests, whose clock never moves.
pub(crate) fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(|| TestIssuer::new().clock(ManualClock::new()))
}

pub(crate) fn token() -> TokenBuilder {
    issuer().token("user_ada")
}

/// A strict layer over the issuer's keys.
pub(crate) fn layer() -> ClerkAuthLayer {
    layer_with(Ok)
}

/// A layer whose configuration is changed in one respect.
pub(crate) fn layer_with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> ClerkAuthLayer {
    let config = change(issuer().config()).expect("a configuration");
    Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier").into()
}

/// A layer whose keys cannot be fetched.
pub(crate) fn layer_without_keys() -> ClerkAuthLayer {
    let source = || async { Err(tower_clerk::jwks::FetchError::new("out of order")) };
    let verifier = Verifier::builder(issuer().config()).clock(ManualClock::new()).key_source(source).build();
    verifier.expect("a verifier").into()
}

/// What became of a request.
pub(crate) struct Outcome {
    pub(crate) response: Response<Bytes>,
    /// What the inner service saw, if the request reached it.
    pub(crate) seen: Option<Seen>,
}

#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) headers: HeaderMap,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) user: Option<ClerkAuth>,
}

/// Sends a request through the layer to a service that notes what it sees.
pub(crate) async fn send(layer: &ClerkAuthLayer, request: Request<Body>) -> Outcome {
    let inner = service_fn(|request: Request<Body>| async move {
        let seen = Seen {
            authorization: request.headers().get("authorization").cloned(),
            headers: request.headers().clone(),
            rejection: request.extensions().get().cloned(),
            user: request.extensions().get().cloned(),
        };
        let mut response = Response::new(Full::new(Bytes::from_static(b"inner")));
        response.extensions_mut().insert(seen);
        Ok::<_, Infallible>(response)
    });
    let response = layer.layer(inner).oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("infallible").to_bytes();
    let seen = parts.extensions.get().cloned();
    Outcome { response: Response::from_parts(parts, body), seen }
}

/// A GET with these headers.
pub(crate) fn get(headers: &[(&str, &str)]) -> Request<Body> {
    request("GET", headers)
}

/// Header values are bytes: what is not ASCII is taken as Latin-1.
pub(crate) fn request(method: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri("/path?query");
    for (name, value) in headers {
        let bytes: Vec<u8> = value.chars().map(|char| u8::try_from(u32::from(char)).expect("Latin-1")).collect();
        request = request.header(*name, HeaderValue::from_bytes(&bytes).expect("a header value"));
    }
    request.body(Body::empty()).expect("a request")
}

impl Outcome {
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// The problem document's code, or the gRPC form's.
    pub(crate) fn code(&self) -> String {
        if let Some(code) = self.header("clerk-error-code") {
            return code.to_owned();
        }
        let problem: serde_json::Value = serde_json::from_slice(self.response.body()).expect("a problem document");
        problem["code"].as_str().expect("a code").to_owned()
    }

    /// The user that the inner service saw.
    pub(crate) fn user(&self) -> Option<&str> {
        self.seen.as_ref()?.user.as_ref().map(|user| user.user_id())
    }
}
