//! Users, statuses and service names for tonic 0.14.

use tonic::{Code, Request, Status, metadata::MetadataValue, server::NamedService};

use crate::{ClerkAuth, ClerkAuthService, Rejection, authorize::RequireService, telemetry};

impl ClerkAuth {
    /// Returns the verified user of a tonic request.
    ///
    /// # Errors
    ///
    /// - The rejection that the [`ClerkAuthLayer`](crate::ClerkAuthLayer) has stored, if it let the request pass
    ///   without a user: `UNAUTHENTICATED`, or `UNAVAILABLE` while keys are unavailable.
    /// - `INTERNAL` if no such layer has seen the request.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tonic::{Request, Response, Status};
    /// use tower_clerk::{ClerkAuth, Requirement};
    ///
    /// fn create_invoice(request: Request<()>) -> Result<Response<String>, Status> {
    ///     let user = ClerkAuth::from_tonic(&request)?;
    ///     user.require(&Requirement::permission("org:invoices:create"))?;
    ///     Ok(Response::new(format!("created by {}", user.user_id())))
    /// }
    ///
    /// let mut request = Request::new(());
    /// request.extensions_mut().insert(ClerkAuth::builder().user_id("user_ada").build());
    /// assert_eq!(create_invoice(request).unwrap_err().code(), tonic::Code::PermissionDenied);
    /// # }
    /// ```
    pub fn from_tonic<T>(request: &Request<T>) -> Result<&Self, Status> {
        let extensions = request.extensions();
        match (extensions.get::<Self>(), extensions.get::<Rejection>()) {
            (Some(user), _) => Ok(user),
            (None, Some(rejection)) => Err(rejection.into()),
            (None, None) => {
                telemetry::layer_missing();
                Err(Status::internal("internal error"))
            }
        }
    }
}

/// The name of the inner service. tonic's router selects a service by its name, so a wrapped service serves the same
/// paths:
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tonic::{server::NamedService, service::Routes};
/// use tower_clerk::{ClerkAuthService, Verifier, testing::TestIssuer};
///
/// fn name<S: NamedService>(_service: &S) -> &'static str {
///     S::NAME
/// }
///
/// let verifier = Verifier::new(TestIssuer::new().config())?;
/// let (_reporter, health) = tonic_health::server::health_reporter();
/// let service = ClerkAuthService::new(health, verifier);
/// assert_eq!(name(&service), "grpc.health.v1.Health");
///
/// let routes = Routes::new(service);
/// # let _ = routes;
/// # }
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
impl<S: NamedService> NamedService for ClerkAuthService<S> {
    const NAME: &'static str = S::NAME;
}

/// The name of the inner service, by which tonic's router selects it.
impl<S: NamedService> NamedService for RequireService<S> {
    const NAME: &'static str = S::NAME;
}

/// The status of the rejection's gRPC form, with the metadata `clerk-error-code`, and `grpc-retry-pushback-ms` while
/// keys are unavailable. A handler can thus reject a call with `?`.
impl From<&Rejection> for Status {
    fn from(rejection: &Rejection) -> Self {
        let mut status = Self::new(Code::from_i32(rejection.grpc_code().into()), rejection.grpc_message());
        let metadata = status.metadata_mut();
        metadata.insert("clerk-error-code", MetadataValue::from_static(rejection.code()));
        if let Some(delay) = rejection.retry_pushback() {
            metadata.insert("grpc-retry-pushback-ms", MetadataValue::from(delay));
        }
        status
    }
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        Self::from(&rejection)
    }
}
