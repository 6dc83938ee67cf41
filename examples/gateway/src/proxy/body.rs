use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{BoxError, body::Body};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    UpstreamFailure,
    expect::{Gate, Refused, Verdict, Waiting},
    headers::{ReservedHeaders, clean_trailers},
    progress::{IdleTimer, Progress},
};

/// The body of a request on its way to the upstream. If it ends with an error, the upstream sees an aborted message.
pub(super) struct RequestBody(Option<Box<Upload>>);

impl RequestBody {
    pub(super) fn empty() -> Self {
        Self(None)
    }

    pub(super) fn new(mut upload: Upload, gate: Option<Gate>) -> Self {
        upload.waiting = gate.map(Waiting::new);
        Self(Some(Box::new(upload)))
    }
}

/// A [`RequestBody`] that is not empty.
pub(super) struct Upload {
    /// `None` if the upstream does not want it.
    body: Option<Body>,
    waiting: Option<Waiting>,
    progress: Arc<Progress>,
    reserved: ReservedHeaders,
    idle: IdleTimer,
}

impl Upload {
    pub(super) fn new(body: Body, progress: Arc<Progress>, reserved: ReservedHeaders, idle_timeout: Duration) -> Self {
        Self { body: Some(body), waiting: None, progress, reserved, idle: IdleTimer::new(idle_timeout) }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Some(waiting) = &mut self.waiting {
            match waiting.poll_verdict(context) {
                Poll::Ready(Verdict::Open) => {
                    self.waiting = None;
                    self.progress.moved();
                }
                // The server need not wait for the client's body any more.
                Poll::Ready(Verdict::Refused) => self.body = None,
                Poll::Ready(Verdict::Over) => return Poll::Ready(Some(Err("the body is not wanted".into()))),
                Poll::Ready(Verdict::Undecided) | Poll::Pending => return Poll::Pending,
            }
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(context) else {
            self.progress.wait_for_client();
            return self.idle.poll_expired(context).map(|()| {
                self.progress.fail(UpstreamFailure::RequestBodyTimeout);
                Some(Err("the client sends no more of the body".into()))
            });
        };
        self.progress.moved();
        self.idle.reset();
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(without_reserved_trailers(frame, &self.reserved))),
            Some(Err(error)) => {
                self.progress.fail(UpstreamFailure::RequestBody);
                Some(Err(error.into()))
            }
            None => None,
        })
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |upload| upload.poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|upload| upload.body.as_ref().is_some_and(http_body::Body::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.as_ref().and_then(|upload| upload.body.as_ref());
        body.map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

/// The body of a response on its way to the client. If it ends with an error, the client sees an aborted message.
pub(super) struct ResponseBody {
    body: Incoming,
    reserved: ReservedHeaders,
    idle: IdleTimer,
    refused: Option<Refused>,
}

impl ResponseBody {
    pub(super) fn new(
        body: Incoming,
        reserved: ReservedHeaders,
        idle_timeout: Duration,
        refused: Option<Refused>,
    ) -> Self {
        Self { body, reserved, idle: IdleTimer::new(idle_timeout), refused }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            return this
                .idle
                .poll_expired(context)
                .map(|()| Some(Err("the upstream sends no more of the body".into())));
        };
        this.idle.reset();
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(without_reserved_trailers(frame, &this.reserved))),
            Some(Err(error)) => Some(Err(error.into())),
            None => {
                this.refused = None;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn without_reserved_trailers(mut frame: Frame<Bytes>, reserved: &ReservedHeaders) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        clean_trailers(trailers, reserved);
    }
    frame
}
