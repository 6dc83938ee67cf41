use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    authenticator::{Authenticator, Decision},
    body::ResponseBody,
    future::ResponseFuture,
};

/// Middleware that authenticates requests by their Clerk session token, or by a token of
/// [another kind](crate::authenticate#kinds-of-tokens).
///
/// The inner service must be `Clone`, because a request that waits for keys is later forwarded to a clone. Errors are
/// the inner service's: a rejection is a response. See the [module docs](crate::authenticate) for details.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use tower::{ServiceExt, service_fn};
/// use tower_clerk::{ClerkAuthService, Verifier, testing::TestIssuer};
///
/// let inner = service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
///
/// let issuer = TestIssuer::new();
/// let service = ClerkAuthService::new(inner, Verifier::new(issuer.config())?);
///
/// let bearer = format!("Bearer {}", issuer.token("user_ada").expired().sign());
/// let request = Request::builder().header("authorization", bearer).body(String::new())?;
/// let response = service.oneshot(request).await?;
/// assert_eq!(response.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClerkAuthService<S> {
    inner: S,
    authenticator: Arc<Authenticator>,
}

/// A service that [`ClerkAuthService`] can wrap: every type that is [`Clone`].
///
/// The trait exists for its error message. Without it, the compiler would only report that `ClerkAuthService<S>` is not
/// a `Service`:
///
/// ```compile_fail,E0277
/// use tower_clerk::authenticate::CloneService;
///
/// struct Connection;
///
/// fn is_service<S: CloneService>() {}
/// is_service::<Connection>();
/// ```
///
/// The services of axum, tonic and `ServiceBuilder::service_fn` are `Clone`. Box others with
/// `tower::util::BoxCloneService` or `BoxCloneSyncService`, or put `tower::buffer::Buffer` around one that cannot be
/// cloned.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be wrapped by `ClerkAuthService`: it is not `Clone`",
    label = "not `Clone`",
    note = "a request that waits for keys waits with a clone of the service; derive `Clone`, or put `tower::buffer::Buffer` around it"
)]
pub trait CloneService: Clone {}

#[diagnostic::do_not_recommend]
impl<S: Clone> CloneService for S {}

impl<S> ClerkAuthService<S> {
    pub(super) fn with_authenticator(inner: S, authenticator: Arc<Authenticator>) -> Self {
        Self { inner, authenticator }
    }

    inner_service_accessors!();
}

impl<S: Clone> ClerkAuthService<S> {
    /// Releases the capacity that `poll_ready` reserved in the inner service, for example the permit of a
    /// `ConcurrencyLimit`, by replacing the service with a clone.
    ///
    /// The clone is not ready, and neither is a clone that a waiting request takes. Each must be polled ready before it
    /// is called:
    /// <https://docs.rs/tower-service/latest/tower_service/trait.Service.html#be-careful-when-cloning-inner-services>.
    fn release_reservation(&mut self) {
        let fresh = self.inner.clone();
        drop(mem::replace(&mut self.inner, fresh));
    }

    /// Releases what a call that was rejected has left reserved, if a waiting request may need it.
    ///
    /// With a limit of one, and an outer `Buffer` that keeps this service without calling it, that request would
    /// otherwise wait for ever. If none waits, the reservation serves the next call.
    fn release_unused_reservation(&mut self) {
        if self.authenticator.has_parked_requests() {
            self.release_reservation();
        }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for ClerkAuthService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + CloneService,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        match self.authenticator.authenticate(&mut request) {
            Decision::Forward => {
                let response = self.inner.call(request);
                // A `RequireService` further in may have rejected the request.
                self.release_unused_reservation();
                ResponseFuture::forward(response)
            }
            Decision::Respond(response) => {
                self.release_unused_reservation();
                ResponseFuture::respond(response)
            }
            Decision::Wait(pending) => {
                self.release_reservation();
                ResponseFuture::wait(pending, Arc::clone(&self.authenticator), self.inner.clone(), request)
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ClerkAuthService<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClerkAuthService")
            .field("inner", &self.inner)
            .field("authenticator", &self.authenticator)
            .finish()
    }
}
