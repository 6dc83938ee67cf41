use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    body::ResponseBody,
    decide::{Decision, Settings, Wait},
};

pin_project! {
    /// Response future of [`ClerkAuthService`](super::ClerkAuthService).
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        // Polling the inner service's future.
        Forward { #[pin] future: S::Future },
        // Answered without the inner service.
        Refuse { response: Option<Response<Bytes>> },
        // Polling the wait for keys.
        Waiting { wait: Wait, settings: Arc<Settings>, parked: Option<Box<Parked<S, ReqBody>>> },
        // Polling the parked service until it is ready for the parked request.
        Readying { parked: Option<Box<Parked<S, ReqBody>>> },
    }
}

/// A request put aside, and the service that will be made ready for it.
struct Parked<S, ReqBody> {
    request: Request<ReqBody>,
    service: S,
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn forward(future: S::Future) -> Self {
        Self { state: State::Forward { future } }
    }

    pub(super) fn refuse(response: Response<Bytes>) -> Self {
        Self { state: State::Refuse { response: Some(response) } }
    }

    pub(super) fn wait(wait: Wait, settings: Arc<Settings>, service: S, request: Request<ReqBody>) -> Self {
        Self { state: State::Waiting { wait, settings, parked: Some(Box::new(Parked { request, service })) } }
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project().state.project() {
                StateProj::Forward { future } => {
                    return future.poll(context).map_ok(|response| response.map(ResponseBody::forwarded));
                }
                StateProj::Refuse { response } => {
                    // Polling a future again after it has completed is the caller's mistake and gets no answer.
                    let Some(response) = response.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(response.map(ResponseBody::refused)));
                }
                StateProj::Waiting { wait, settings, parked } => {
                    let verified = ready!(wait.verified.as_mut().poll(context));
                    let Some(mut parked) = parked.take() else { return Poll::Pending };
                    match settings.decide_after_wait(verified, wait.place, &mut parked.request) {
                        Decision::Refuse(response) => State::Refuse { response: Some(response) },
                        Decision::Forward => State::Readying { parked: Some(parked) },
                    }
                }
                StateProj::Readying { parked } => {
                    let Some(waiting) = parked.as_mut() else { return Poll::Pending };
                    if let Err(error) = ready!(waiting.service.poll_ready(context)) {
                        return Poll::Ready(Err(error));
                    }
                    let Some(ready) = parked.take() else { return Poll::Pending };
                    let Parked { request, mut service } = *ready;
                    State::Forward { future: service.call(request) }
                }
            };
            self.as_mut().project().state.set(next);
        }
    }
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
