use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use pin_project_lite::pin_project;

use crate::authenticate::{ResponseBody, polled_after_completion};

pin_project! {
    /// Response future of [`RequireService`](super::RequireService).
    ///
    /// # Panics
    ///
    /// If it is polled after completion.
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // Polls the inner service's future.
        Forward { #[pin] future: F },
        // Responds without the inner service.
        Respond { response: Option<Response<Bytes>> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn forward(future: F) -> Self {
        Self { state: State::Forward { future } }
    }

    pub(super) fn respond(response: Response<Bytes>) -> Self {
        Self { state: State::Respond { response: Some(response) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Forward { future } => future.poll(context).map_ok(|response| response.map(ResponseBody::inner)),
            StateProj::Respond { response } => {
                let response = response.take().unwrap_or_else(|| polled_after_completion());
                Poll::Ready(Ok(response.map(ResponseBody::rejected)))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
