use std::{fmt, marker::PhantomData, ops::Deref};

use http::Extensions;

use super::requirement::{Requirement, Verdict};
use crate::{
    authenticate::ClerkAuth,
    rejection::{GrpcForm, Refusals, Rejection},
    telemetry,
};

/// A [`Requirement`] with a name, for [`Authorized`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Policy`",
    note = "implement `tower_clerk::authorize::Policy` for it: `fn requirement() -> Requirement`"
)]
pub trait Policy {
    /// What the policy asks of a user.
    fn requirement() -> Requirement;
}

/// A verified user who meets the policy `P`; an extractor in axum.
///
/// Derefs to [`ClerkAuth`].
///
/// ```
/// use tower_clerk::{Requirement, authorize::{Authorized, Policy}};
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
/// # let _ = create;
/// ```
pub struct Authorized<P> {
    policy: PhantomData<fn() -> P>,
    user: ClerkAuth,
}

impl<P: Policy> Authorized<P> {
    /// The user as one who meets the policy.
    ///
    /// # Errors
    ///
    /// [`Rejection`] if the user does not.
    pub fn new(user: ClerkAuth) -> Result<Self, Rejection> {
        user.require(&P::requirement())?;
        Ok(Self { policy: PhantomData, user })
    }

    /// As [`new`](Self::new), refusing in the form that the request asks for.
    #[cfg(feature = "axum")]
    pub(crate) fn of(user: ClerkAuth, request: &http::request::Parts) -> Result<Self, Rejection> {
        let form = |refusals| GrpcForm::of(refusals, &request.method, &request.headers);
        user.check(&P::requirement(), form)?;
        Ok(Self { policy: PhantomData, user })
    }
}

impl<P> Authorized<P> {
    /// The user.
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

impl ClerkAuth {
    /// Whether the user meets `requirement`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::{ClerkAuth, Requirement};
    ///
    /// let user = ClerkAuth::builder().organization("org_acme", "admin").build();
    /// assert!(user.has(&Requirement::role("org:admin")));
    /// assert!(!user.has(&Requirement::role("org:member")));
    /// # }
    /// ```
    #[must_use]
    pub fn has(&self, requirement: &Requirement) -> bool {
        requirement.verdict(self) == Verdict::Holds
    }

    /// Refuses a user who does not meet `requirement`.
    ///
    /// # Errors
    ///
    /// [`Rejection`] of kind [`InsufficientScope`](crate::rejection::RejectionKind::InsufficientScope), or
    /// [`Reverification`](crate::rejection::RejectionKind::Reverification) if the user would meet it after verifying
    /// their factors again. It is a response in axum, in the layer's own words only where a layer or an extractor
    /// answers: a hook needs the request.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::{ClerkAuth, Rejection, Requirement};
    ///
    /// fn delete(user: &ClerkAuth, organization: &str) -> Result<(), Rejection> {
    ///     let id = organization.to_owned();
    ///     let is_own = move |user: &ClerkAuth| user.organization().is_some_and(|organization| organization.id() == id);
    ///     user.require(&Requirement::role("org:admin").and(Requirement::predicate(is_own)))
    /// }
    ///
    /// let user = ClerkAuth::builder().organization("org_acme", "admin").build();
    /// assert!(delete(&user, "org_acme").is_ok());
    /// assert_eq!(delete(&user, "org_other").unwrap_err().code(), "insufficient_scope");
    /// # }
    /// ```
    pub fn require(&self, requirement: &Requirement) -> Result<(), Rejection> {
        let form = |refusals| (refusals == Refusals::Grpc).then_some(GrpcForm::Grpc);
        self.check(requirement, form)
    }

    pub(super) fn check(
        &self,
        requirement: &Requirement,
        form: impl FnOnce(Refusals) -> Option<GrpcForm>,
    ) -> Result<(), Rejection> {
        let reverification = match requirement.verdict(self) {
            Verdict::Holds => return Ok(()),
            Verdict::Fails => None,
            Verdict::Reverify(reverification) => Some(reverification),
        };
        let answers = self.answers();
        let rejection = Rejection::forbidden(reverification, form(answers.refusals), answers.on_rejection);
        telemetry::refused(&rejection.kind(), false);
        Err(rejection)
    }
}

/// The user of a request, or what stands there in place of one.
pub(super) fn user(extensions: &Extensions) -> Result<&ClerkAuth, Option<&Rejection>> {
    extensions.get::<ClerkAuth>().ok_or_else(|| extensions.get::<Rejection>())
}
