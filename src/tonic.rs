//! For handlers of tonic 0.14.

use tonic::{Code, Request, Status, metadata::MetadataValue};

use crate::{ClerkAuth, Rejection, telemetry};

impl ClerkAuth {
    /// The verified user of a tonic request.
    ///
    /// # Errors
    ///
    /// The layer's refusal as a [`Status`] where it let the request pass without a user; `INTERNAL` where no
    /// [`ClerkAuthLayer`](crate::ClerkAuthLayer) has seen it.
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

/// With the metadata `clerk-error-code`, and `grpc-retry-pushback-ms` while keys are unavailable.
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
