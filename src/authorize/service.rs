use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use tower_service::Service;

use super::{Requirement, future::ResponseFuture, requirement::RequestHead};
use crate::{
    authenticate::{Holder, Principal, ResponseBody},
    instruments::DecisionInstruments,
    rejection::{Rejection, layer_missing},
    telemetry,
};

/// Middleware that forwards requests whose user meets a [`Requirement`].
///
/// See the [module docs](crate::authorize) for the responses. After a rejected call, the capacity that `poll_ready` has
/// reserved in the inner service stays reserved until the next call, or until this service is dropped. axum, hyper and
/// tonic drop it after each call, and a [`ClerkAuthService`](crate::ClerkAuthService) outside gives it back while
/// requests wait for keys.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use tower::{ServiceExt, service_fn};
/// use tower_clerk::{ClerkAuth, Requirement, authorize::RequireService};
///
/// let inner = service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
/// let service = RequireService::new(inner, Requirement::plan("org:business"));
///
/// // In production, a `ClerkAuthLayer` outside of the service inserts the user.
/// let mut request = Request::new(String::new());
/// request.extensions_mut().insert(ClerkAuth::builder().plan("o:business").build());
/// assert_eq!(service.clone().oneshot(request).await?.status(), 200);
///
/// // Without that layer, the service responds with a 500.
/// assert_eq!(service.oneshot(Request::new(String::new())).await?.status(), 500);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RequireService<S> {
    inner: S,
    rule: AccessRule,
}

/// The rule by which a service decides. Cloning it copies two pointers.
#[derive(Clone)]
pub(super) struct AccessRule {
    /// Detect the users of other authentication schemes.
    others: Arc<[HasUser]>,
    /// `None` accepts every user.
    counted: Option<Arc<CountedRequirement>>,
}

/// A requirement, and how often it was met.
struct CountedRequirement {
    requirement: Requirement,
    instruments: DecisionInstruments,
}

/// Whether the extensions of a request hold the user of some scheme.
pub(super) type HasUser = fn(&Extensions) -> bool;

impl AccessRule {
    pub(super) fn authenticated() -> Self {
        Self { others: Arc::default(), counted: None }
    }

    pub(super) fn requirement(requirement: Requirement) -> Self {
        let counted = CountedRequirement { requirement, instruments: DecisionInstruments::default() };
        Self { others: Arc::default(), counted: Some(Arc::new(counted)) }
    }

    pub(super) fn or(self, has_user: HasUser) -> Self {
        Self { others: self.others.iter().copied().chain([has_user]).collect(), ..self }
    }

    /// Returns the response to a request that does not pass, `None` for one that passes.
    fn reject<B>(&self, request: &mut Request<B>) -> Option<Response<Bytes>> {
        let extensions = request.extensions();
        let rejection = match (Principal::holder_in(extensions), &self.counted) {
            (Some(holder), Some(counted)) => {
                let head = RequestHead { method: request.method(), uri: request.uri(), headers: request.headers() };
                counted.requirement.check_at(holder, Some(head), &counted.instruments).err()?
            }
            (Some(Holder::Session(_)), None) => return None,
            _ if self.others.iter().any(|has_user| has_user(extensions)) => return None,
            // What is further in was written for users.
            (Some(holder @ Holder::Machine(_)), None) => {
                holder.responder().other_kind(request.method(), request.uri(), request.headers())
            }
            (None, _) => match extensions.get::<Rejection>() {
                Some(rejection) => rejection.clone(),
                None => {
                    telemetry::layer_missing();
                    return Some(layer_missing(request.method()));
                }
            },
        };
        Some(rejection.into_response(request))
    }
}

impl<S> RequireService<S> {
    pub(super) fn with_rule(inner: S, rule: AccessRule) -> Self {
        Self { inner, rule }
    }

    inner_service_accessors!();
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
        match self.rule.reject(&mut request) {
            Some(response) => ResponseFuture::respond(response),
            None => ResponseFuture::forward(self.inner.call(request)),
        }
    }
}

impl fmt::Debug for AccessRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requirement = self.counted.as_ref().map(|counted| &counted.requirement);
        formatter.debug_struct("AccessRule").field("requirement", &requirement).finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for RequireService<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RequireService").field("inner", &self.inner).field("rule", &self.rule).finish()
    }
}
