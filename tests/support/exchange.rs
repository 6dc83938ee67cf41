//! Requests, and the responses to them.

use std::fmt::Debug;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_LENGTH, response::Parts};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};
use tower_clerk::Rejection;
use tower_layer::Layer;

use super::service::{Recorder, Seen};

/// A GET of `/`.
pub(crate) fn get(headers: &[(&str, &str)]) -> Request<Body> {
    request("GET", "/", headers)
}

/// A GET of `path`.
pub(crate) fn get_path(path: &str, authorization: Option<&str>) -> Request<Body> {
    let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    request("GET", path, &headers)
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    with_body(method, path, headers, Body::empty())
}

/// Header values are bytes: each character is one byte in Latin-1.
pub(crate) fn with_body<B>(method: &str, path: &str, headers: &[(&str, &str)], body: B) -> Request<B> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        let bytes: Vec<u8> = value.chars().map(|char| u8::try_from(u32::from(char)).expect("Latin-1")).collect();
        request = request.header(*name, HeaderValue::from_bytes(&bytes).expect("a header value"));
    }
    request.body(body).expect("a request")
}

/// Sends one request through a clone of `service`.
pub(crate) async fn send<S, ReqBody, ResBody>(service: &S, request: Request<ReqBody>) -> Answer
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    S::Error: Debug,
    ResBody: http_body::Body<Data = Bytes>,
    ResBody::Error: Debug,
{
    Answer::of(service.clone().oneshot(request).await.expect("a response")).await
}

/// Sends one request through the layer to a [`Recorder`].
pub(crate) async fn send_through<L, ReqBody, ResBody>(layer: &L, request: Request<ReqBody>) -> Answer
where
    L: Layer<Recorder>,
    L::Service: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    <L::Service as Service<Request<ReqBody>>>::Error: Debug,
    ResBody: http_body::Body<Data = Bytes>,
    ResBody::Error: Debug,
{
    send(&layer.layer(Recorder::default()), request).await
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) parts: Parts,
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
        Self { parts, text: String::from_utf8(bytes.to_vec()).expect("UTF-8") }
    }

    pub(crate) fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// The headers as the server sends them: it adds the length of a body.
    pub(crate) fn headers_with_length(&self) -> HeaderMap {
        let mut headers = self.parts.headers.clone();
        headers.insert(CONTENT_LENGTH, self.text.len().into());
        headers
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    /// Status and body.
    pub(crate) fn outcome(&self) -> (u16, &str) {
        (self.status(), &self.text)
    }

    /// The code of the problem document or of the gRPC status.
    pub(crate) fn code(&self) -> String {
        if let Some(code) = self.header("clerk-error-code") {
            return code.to_owned();
        }
        let problem: serde_json::Value = serde_json::from_str(&self.text).expect("a problem document");
        problem["code"].as_str().expect("a code").to_owned()
    }

    /// The rejection in the extensions of the response.
    #[track_caller]
    pub(crate) fn rejection(&self) -> &Rejection {
        self.parts.extensions.get().expect("a rejection in the extensions")
    }

    /// What the [`Recorder`](super::Recorder) saw, if the request reached it.
    pub(crate) fn seen(&self) -> Option<&Seen> {
        self.parts.extensions.get()
    }

    /// What the [`Recorder`](super::Recorder) saw.
    #[track_caller]
    pub(crate) fn passed(&self) -> Seen {
        self.seen().cloned().expect("the request reached the inner service")
    }

    /// The user that the [`Recorder`](super::Recorder) saw.
    pub(crate) fn user(&self) -> Option<&str> {
        self.seen()?.user.as_ref().map(|user| user.user_id())
    }

    /// Rejected in the HTTP form, by a layer in this process.
    #[track_caller]
    pub(crate) fn assert_rejected(&self, status: u16, code: &str) {
        self.assert_rejected_over_socket(status, code);
        assert_eq!(self.rejection().code(), code);
    }

    /// Rejected in the HTTP form. A socket carries no extensions.
    #[track_caller]
    pub(crate) fn assert_rejected_over_socket(&self, status: u16, code: &str) {
        assert_eq!(self.status(), status, "{self:?}");
        assert!(self.text.contains(&format!(r#""code":"{code}""#)), "{self:?}");
    }

    /// Rejected in the gRPC form.
    #[track_caller]
    pub(crate) fn assert_rejected_grpc(&self, status: &str, code: &str) {
        assert_eq!(self.outcome(), (200, ""), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/grpc"));
        assert_eq!((self.header("grpc-status"), self.header("clerk-error-code")), (Some(status), Some(code)));
        assert_eq!(self.rejection().code(), code);
    }
}
