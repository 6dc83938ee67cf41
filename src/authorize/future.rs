use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use pin_project_lite::pin_project;

use crate::authenticate::ResponseBody;

pin_project! {
    /// Response future of [`RequireService`](super::RequireService).
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // Polling the inner service's future.
        Forward { #[pin] future: F },
        // Answered without the inner service.
        Refuse { response: Option<Response<Bytes>> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn forward(future: F) -> Self {
        Self { state: State::Forward { future } }
    }

    pub(super) fn refuse(response: Response<Bytes>) -> Self {
        Self { state: State::Refuse { response: Some(response) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Forward { future } => {
                future.poll(context).map_ok(|response| response.map(ResponseBody::forwarded))
            }
            // Polling a future again after it has completed is the caller's mistake and gets no answer.
            StateProj::Refuse { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(ResponseBody::refused))),
                None => Poll::Pending,
            },
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
