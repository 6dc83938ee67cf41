//! Users and other callers, statuses and service names for tonic 0.14.

use tonic::{Code, Request, Status, metadata::MetadataValue, server::NamedService};

use crate::{
    ApiKey, ClerkAuth, ClerkAuthService, M2mToken, OAuthToken, Principal, Rejection,
    authenticate::{Taken, take},
    authorize::RequireService,
    resource::ChallengeParameters,
    telemetry,
};

impl ClerkAuth {
    /// Returns the verified user of a tonic request.
    ///
    /// # Errors
    ///
    /// - The rejection that the [`ClerkAuthLayer`](crate::ClerkAuthLayer) has stored, if it let the request pass
    ///   without a user: `UNAUTHENTICATED`, or `UNAVAILABLE` while keys are unavailable.
    /// - `UNAUTHENTICATED` if the request has a valid token of another kind than a session.
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
        extensions.get().ok_or_else(|| status_without(take::<Self>(extensions)))
    }
}

macro_rules! from_tonic {
    ($($name:ident)*) => {
        $(impl $name {
            /// Returns it from a tonic request; see [`ClerkAuth::from_tonic`] for an example.
            ///
            /// # Errors
            ///
            /// As [`ClerkAuth::from_tonic`]: `UNAUTHENTICATED` if the request has a valid token of another kind.
            pub fn from_tonic<T>(request: &Request<T>) -> Result<&Self, Status> {
                let extensions = request.extensions();
                extensions.get().ok_or_else(|| status_without(take::<Self>(extensions)))
            }
        })*
    };
}

from_tonic!(ApiKey M2mToken OAuthToken);

impl Principal {
    /// Returns who a tonic request is from; see [`ClerkAuth::from_tonic`] for an example.
    ///
    /// It is a copy, of a few pointers: behind a layer that accepts sessions alone, no `Principal` is there to borrow.
    ///
    /// # Errors
    ///
    /// As [`ClerkAuth::from_tonic`].
    pub fn from_tonic<T>(request: &Request<T>) -> Result<Self, Status> {
        match take(request.extensions()) {
            Taken::Found(found) => Ok(found),
            missing => Err(status_without::<Self>(missing)),
        }
    }
}

/// The status of a request that has no `T`.
fn status_without<T>(taken: Taken<T>) -> Status {
    match taken {
        Taken::Rejected(rejection) => rejection.into(),
        Taken::OtherKind(responder) => {
            Rejection::other_kind(None, ChallengeParameters::default(), responder.response).into()
        }
        Taken::Found(_) | Taken::LayerMissing => {
            telemetry::layer_missing();
            Status::internal("internal error")
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
