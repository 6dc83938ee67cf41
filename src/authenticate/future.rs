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
    authenticator::{Authenticator, Decision, ParkingPermit},
    body::ResponseBody,
};
use crate::credentials::PendingCredential;

pin_project! {
    /// Response future of [`ClerkAuthService`](super::ClerkAuthService).
    ///
    /// Dropping it cancels the request. A fetch of keys goes on, since other requests may be waiting for it.
    ///
    /// # Panics
    ///
    /// If it is polled after completion.
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
        // Polls the inner service's future.
        Forward { #[pin] future: S::Future },
        // Responds without the inner service.
        Respond { response: Option<Response<Bytes>> },
        // Waits for keys or for the resolver, then reads the token from the request again. The request is boxed so that
        // it does not enlarge the future of every other request.
        Waiting {
            pending: PendingCredential,
            authenticator: Arc<Authenticator>,
            parked: Option<Box<Parked<S, ReqBody>>>,
        },
        // Polls the parked service until it is ready for the parked request.
        Readying { parked: Option<Box<Parked<S, ReqBody>>> },
    }
}

/// A waiting request, and the clone of the inner service that will be polled ready and called for it.
struct Parked<S, ReqBody> {
    request: Request<ReqBody>,
    service: S,
    permit: ParkingPermit,
}

impl<S, ReqBody> ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    /// The request was authenticated, and the inner service called.
    pub(super) fn forward(future: S::Future) -> Self {
        Self { state: State::Forward { future } }
    }

    /// The request was rejected, or was for the resource metadata.
    pub(super) fn respond(response: Response<Bytes>) -> Self {
        Self { state: State::Respond { response: Some(response) } }
    }

    /// The request waits for keys; `service` need not be ready.
    pub(super) fn wait(
        (pending, permit): (PendingCredential, ParkingPermit),
        authenticator: Arc<Authenticator>,
        service: S,
        request: Request<ReqBody>,
    ) -> Self {
        let parked = Box::new(Parked { request, service, permit });
        Self { state: State::Waiting { pending, authenticator, parked: Some(parked) } }
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
                    return future.poll(context).map_ok(|response| response.map(ResponseBody::inner));
                }
                StateProj::Respond { response } => {
                    let response = response.take().unwrap_or_else(|| polled_after_completion());
                    return Poll::Ready(Ok(response.map(ResponseBody::rejected)));
                }
                StateProj::Waiting { pending, authenticator, parked } => {
                    ready!(pending.poll(context));
                    // Taken first: if a closure of the application panics, the request is dropped at once.
                    let mut parked = parked.take().unwrap_or_else(|| polled_after_completion());
                    let Parked { request, permit, .. } = &mut *parked;
                    match authenticator.resume(pending, request, permit) {
                        Decision::Forward => State::Readying { parked: Some(parked) },
                        Decision::Respond(response) => State::Respond { response: Some(response) },
                        Decision::Wait(next) => {
                            let authenticator = Arc::clone(authenticator);
                            State::Waiting { pending: next, authenticator, parked: Some(parked) }
                        }
                    }
                }
                StateProj::Readying { parked } => {
                    let Some(waiting) = parked.as_mut() else { polled_after_completion() };
                    if let Err(error) = ready!(waiting.service.poll_ready(context)) {
                        *parked = None;
                        return Poll::Ready(Err(error));
                    }
                    let Parked { request, mut service, permit: _permit } =
                        *parked.take().unwrap_or_else(|| polled_after_completion());
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

/// A future that returned `Pending` here instead would never be woken.
#[expect(clippy::panic, reason = "as the futures of tower-http do: a future that is silent instead hangs its caller")]
pub(crate) fn polled_after_completion() -> ! {
    panic!("`ResponseFuture` polled after completion")
}
