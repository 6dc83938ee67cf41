//! The inner service behind the layers.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Full;
use tower::Service;
use tower_clerk::{ClerkAuth, Rejection};

/// Answers with the user's id, counts its calls, and puts what it saw into the extensions of its response. Clones
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

/// Answers with the user's id, or `nobody`.
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
