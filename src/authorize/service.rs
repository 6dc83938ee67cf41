use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use tower_service::Service;

use super::{future::ResponseFuture, policy::user, requirement::Requirement};
use crate::{
    authenticate::ResponseBody,
    rejection::{self, GrpcForm},
    telemetry,
};

/// Middleware that lets requests through whose user may do what is asked for.
///
/// See the [module docs](crate::authorize) for what it answers. A refused call keeps what `poll_ready` reserved in the
/// inner service until the next call, or until this service is dropped, as axum, hyper and tonic do after each.
#[derive(Clone)]
pub struct RequireService<S> {
    guard: Guard,
    inner: S,
}

/// Who passes; cloning it copies pointers.
#[derive(Clone)]
pub(super) struct Guard {
    /// Users of other schemes.
    others: Arc<[IsThere]>,
    requirement: Option<Arc<Requirement>>,
}

/// Whether a request has a user of some scheme.
pub(super) type IsThere = fn(&Extensions) -> bool;

impl Guard {
    pub(super) fn authenticated() -> Self {
        Self { others: Arc::default(), requirement: None }
    }

    pub(super) fn requirement(requirement: Requirement) -> Self {
        Self { others: Arc::default(), requirement: Some(Arc::new(requirement)) }
    }

    pub(super) fn or(self, is_there: IsThere) -> Self {
        Self { others: self.others.iter().copied().chain([is_there]).collect(), ..self }
    }

    /// The answer to a request that does not pass.
    fn refuse<B>(&self, request: &mut Request<B>) -> Option<Response<Bytes>> {
        let extensions = request.extensions();
        let rejection = match user(extensions) {
            Ok(user) => {
                let requirement = self.requirement.as_ref()?;
                let form = |refusals| GrpcForm::of(refusals, request.method(), request.headers());
                user.check(requirement, form).err()?
            }
            Err(_) if self.others.iter().any(|is_there| is_there(extensions)) => return None,
            Err(Some(rejection)) => rejection.clone(),
            Err(None) => {
                telemetry::layer_missing();
                return Some(rejection::layer_missing(request.method()));
            }
        };
        Some(rejection.answer(request))
    }
}

impl<S> RequireService<S> {
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

    pub(super) fn guarded(inner: S, guard: Guard) -> Self {
        Self { guard, inner }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.guard.refuse(&mut request) {
            Some(response) => ResponseFuture::refuse(response),
            None => ResponseFuture::forward(self.inner.call(request)),
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guard").field("requirement", &self.requirement).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for RequireService<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RequireService").field("inner", &self.inner).field("guard", &self.guard).finish()
    }
}
