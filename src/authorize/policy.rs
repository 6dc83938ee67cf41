use std::{fmt, marker::PhantomData, ops::Deref};

use super::Requirement;
#[cfg(feature = "axum")]
use super::requirement::RequestHead;
#[cfg(feature = "axum")]
use crate::authenticate::Holder;
use crate::{authenticate::ClerkAuth, rejection::Rejection};

/// A [`Requirement`] named by a type, for [`Authorized`].
///
/// A handler that takes `Authorized<P>` shows in its signature what it demands, and cannot run without the check.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Policy`",
    note = "implement `tower_clerk::authorize::Policy` for it: `fn requirement() -> Requirement`"
)]
pub trait Policy {
    /// Returns the requirement of the policy. It is called once per request.
    fn requirement() -> Requirement;
}

/// A verified user who meets the policy `P`.
///
/// It derefs to [`ClerkAuth`]. With the feature `axum` it is an extractor; elsewhere, [`Authorized::new`] makes one.
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::post};
/// use tower::ServiceExt;
/// use tower_clerk::{ClerkAuthLayer, Requirement, authorize::{Authorized, Policy}, testing::TestIssuer};
///
/// struct CreateInvoices;
///
/// impl Policy for CreateInvoices {
///     fn requirement() -> Requirement {
///         Requirement::permission("org:invoices:create")
///     }
/// }
///
/// async fn create(user: Authorized<CreateInvoices>) -> String {
///     format!("created by {}", user.user_id())
/// }
///
/// let issuer = TestIssuer::new();
/// let clerk = ClerkAuthLayer::from_config(issuer.config())?;
/// let app: Router = Router::new().route("/invoices", post(create)).route_layer(clerk);
///
/// let bearer = format!("Bearer {}", issuer.token("user_ada").organization("org_acme", "reader").sign());
/// let request = Request::post("/invoices").header("authorization", bearer).body(Body::empty())?;
/// assert_eq!(app.oneshot(request).await?.status(), 403);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Authorized<P> {
    policy: PhantomData<fn() -> P>,
    user: ClerkAuth,
}

impl<P: Policy> Authorized<P> {
    /// Checks the policy, for handlers outside of axum and for tests.
    ///
    /// # Errors
    ///
    /// [`Rejection`] as for [`ClerkAuth::require`] if the user does not meet the policy.
    pub fn new(user: ClerkAuth) -> Result<Self, Rejection> {
        user.require(&P::requirement())?;
        Ok(Self { policy: PhantomData, user })
    }

    /// As [`new`](Self::new), with a rejection in the form that the request asks for.
    #[cfg(feature = "axum")]
    pub(crate) fn of(user: ClerkAuth, request: &http::request::Parts) -> Result<Self, Rejection> {
        let head = RequestHead { method: &request.method, uri: &request.uri, headers: &request.headers };
        P::requirement().check(Holder::Session(&user), Some(head))?;
        Ok(Self { policy: PhantomData, user })
    }
}

impl<P> Authorized<P> {
    /// Returns the user, without the proof that the policy is met.
    #[must_use]
    pub fn into_inner(self) -> ClerkAuth {
        self.user
    }
}

impl<P> Clone for Authorized<P> {
    fn clone(&self) -> Self {
        Self { policy: PhantomData, user: self.user.clone() }
    }
}

impl<P> Deref for Authorized<P> {
    type Target = ClerkAuth;

    fn deref(&self) -> &ClerkAuth {
        &self.user
    }
}

impl<P> fmt::Debug for Authorized<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Authorized").field(&self.user).finish()
    }
}
