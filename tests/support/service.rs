//! The inner service behind the layers.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::body::Body as AxumBody;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::Service;
use tower_clerk::{ClerkAuth, Rejection};

/// Responds with the user's id, counts its calls, and puts what it saw into the extensions of its response. Clones
/// share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    calls: Arc<AtomicUsize>,
}

/// What the inner service saw of a request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) headers: HeaderMap,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) user: Option<ClerkAuth>,
}

impl Recorder {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl<B> Service<Request<B>> for Recorder {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        whoami(request)
    }
}

/// Responds with the user's id, or `nobody`.
#[expect(clippy::needless_pass_by_value, reason = "a service takes its request")]
pub(crate) fn whoami<B>(request: Request<B>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let seen = Seen {
        authorization: request.headers().get("authorization").cloned(),
        headers: request.headers().clone(),
        rejection: request.extensions().get().cloned(),
        user: request.extensions().get().cloned(),
    };
    let id = seen.user.as_ref().map_or("nobody", |user| user.user_id()).to_owned();
    let mut response = Response::new(Full::from(id));
    response.extensions_mut().insert(seen);
    ready(Ok(response))
}

/// Panics if it is called before it is ready. Clones are not ready.
#[derive(Default)]
pub(crate) struct PanicsUnlessReady {
    is_ready: bool,
}

impl Clone for PanicsUnlessReady {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<AxumBody>> for PanicsUnlessReady {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<AxumBody>) -> Self::Future {
        assert!(mem::take(&mut self.is_ready), "called without having been made ready");
        whoami(request)
    }
}

/// An error type that implements no `Error`.
#[derive(Debug, PartialEq)]
pub(crate) struct InnerError(pub(crate) &'static str);

/// Is ready and fails as the test chooses, and counts its polls. Clones share their state.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    pub(crate) breaks_when_called: Arc<AtomicBool>,
    pub(crate) is_broken: Arc<AtomicBool>,
    pub(crate) is_busy: Arc<AtomicBool>,
    polls: Arc<AtomicUsize>,
}

impl Scripted {
    /// The number of calls of `poll_ready`.
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Ordering::SeqCst)
    }
}

impl Service<Request<AxumBody>> for Scripted {
    type Response = Response<Full<Bytes>>;
    type Error = InnerError;
    type Future = Ready<Result<Self::Response, InnerError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), InnerError>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        if self.is_broken.load(Ordering::SeqCst) {
            return Poll::Ready(Err(InnerError("when polled")));
        }
        if self.is_busy.load(Ordering::SeqCst) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<AxumBody>) -> Self::Future {
        let is_broken = self.breaks_when_called.load(Ordering::SeqCst);
        ready(if is_broken { Err(InnerError("when called")) } else { Ok(Response::default()) })
    }
}

/// An error of a body. It implements no `Error`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BodyError;

/// A body that panics when it is polled. It owns a value, which is dropped with it.
pub(crate) struct PanickingBody(pub(crate) Arc<()>);

impl Body for PanickingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        panic!("the body was polled")
    }
}
