use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    ClerkAuthLayer,
    body::ResponseBody,
    decide::{Decision, FirstDecision, Settings},
    future::ResponseFuture,
};

/// Middleware that lets requests through with a valid Clerk token.
///
/// See the [module docs](crate::authenticate) for what it does.
#[derive(Clone)]
pub struct ClerkAuthService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> ClerkAuthService<S> {
    /// Wraps `inner` as `layer` does.
    pub fn new(inner: S, layer: &ClerkAuthLayer) -> Self {
        layer.layer(inner)
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the inner service back.
    pub fn into_inner(self) -> S {
        self.inner
    }

    pub(super) fn with_settings(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S: Clone> ClerkAuthService<S> {
    /// Lets go of what `poll_ready` reserved in the inner service for a call that does not come now: others, requests
    /// that have waited for a key among them, may be in need of it.
    ///
    /// The service that was made ready is the one to be called, so whoever gets a clone makes that ready:
    /// https://docs.rs/tower-service/latest/tower_service/trait.Service.html#be-careful-when-cloning-inner-services
    fn give_reservation_back(&mut self) {
        let fresh = self.inner.clone();
        drop(mem::replace(&mut self.inner, fresh));
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ClerkAuthService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.settings.decide(&mut request) {
            FirstDecision::Decided(Decision::Forward) => ResponseFuture::forward(self.inner.call(request)),
            FirstDecision::Decided(Decision::Refuse(response)) => {
                self.give_reservation_back();
                ResponseFuture::refuse(response)
            }
            FirstDecision::Wait(wait) => {
                self.give_reservation_back();
                ResponseFuture::wait(wait, Arc::clone(&self.settings), self.inner.clone(), request)
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ClerkAuthService<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClerkAuthService")
            .field("inner", &self.inner)
            .field("settings", &self.settings)
            .finish()
    }
}
