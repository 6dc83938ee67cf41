//! The checks of a requirement by the types that meet it.

use super::Requirement;
use crate::{
    authenticate::{ApiKey, ClerkAuth, Holder, M2mToken, OAuthToken, Principal},
    rejection::Rejection,
};

/// # Authorization
impl ClerkAuth {
    /// Returns `true` if the user meets `requirement`.
    ///
    /// It makes no rejection and no event: use it to choose what to show, and [`require`](Self::require) to protect.
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
        requirement.is_met_by(Holder::Session(self))
    }

    /// Rejects a user who does not meet `requirement`.
    ///
    /// Handlers can use `?`: the error is a response in axum (feature `axum`) and converts to a `Status` in tonic
    /// (feature `tonic`). The response is the default one, because a
    /// [`RejectionResponse`](crate::rejection::RejectionResponse) needs the request, which this method does not have.
    ///
    /// # Errors
    ///
    /// - [`InsufficientScope`](crate::rejection::RejectionKind::InsufficientScope) if the user does not meet it.
    /// - [`Reverification`](crate::rejection::RejectionKind::Reverification) if the user would meet it after verifying
    ///   their factors again.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::{ClerkAuth, Rejection, Requirement};
    ///
    /// fn delete(user: &ClerkAuth, organization: &str) -> Result<(), Rejection> {
    ///     let id = organization.to_owned();
    ///     let is_own = move |user: &ClerkAuth| user.organization().is_some_and(|own| own.id() == id);
    ///     user.require(&Requirement::role("org:admin").and(Requirement::predicate(is_own)))
    /// }
    ///
    /// let user = ClerkAuth::builder().organization("org_acme", "admin").build();
    /// assert!(delete(&user, "org_acme").is_ok());
    /// assert_eq!(delete(&user, "org_other").unwrap_err().code(), "insufficient_scope");
    /// # }
    /// ```
    pub fn require(&self, requirement: &Requirement) -> Result<(), Rejection> {
        requirement.check(Holder::Session(self), None)
    }
}

/// # Authorization
impl Principal {
    /// Returns `true` if the token meets `requirement`.
    ///
    /// It makes no rejection and no event: use it to choose what to show, and [`require`](Self::require) to protect.
    #[must_use]
    pub fn has(&self, requirement: &Requirement) -> bool {
        requirement.is_met_by(self.holder())
    }

    /// Rejects a token that does not meet `requirement`, as [`ClerkAuth::require`] does.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::{Principal, Rejection, Requirement, TokenKind, Verifier, testing::TestIssuer};
    ///
    /// fn create(caller: &Principal) -> Result<(), Rejection> {
    ///     caller.require(&Requirement::role("org:admin").or(Requirement::scope("things:write")))
    /// }
    ///
    /// let issuer = TestIssuer::new();
    /// let verifier = Verifier::new(issuer.config().accept([TokenKind::Session, TokenKind::OAuth])?)?;
    /// let admin = issuer.token("user_ada").organization("org_acme", "admin");
    /// let agent = issuer.oauth_token("user_ada").claim("scope", "things:write");
    /// for token in [admin, agent] {
    ///     assert!(create(&verifier.try_verify_principal(&token.sign())?).is_ok());
    /// }
    /// let reader = verifier.try_verify_principal(&issuer.oauth_token("user_ada").sign())?;
    /// assert_eq!(create(&reader).unwrap_err().status(), 403);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ClerkAuth::require`].
    pub fn require(&self, requirement: &Requirement) -> Result<(), Rejection> {
        requirement.check(self.holder(), None)
    }
}

macro_rules! authorized_by_scope {
    ($($name:ident)*) => {
        $(
            /// # Authorization
            impl $name {
                /// Returns `true` if the token meets `requirement`; see [`Principal::has`].
                #[must_use]
                pub fn has(&self, requirement: &Requirement) -> bool {
                    requirement.is_met_by(Holder::Machine(self.machine()))
                }

                /// Rejects a token that does not meet `requirement`; see [`Principal::require`].
                ///
                /// # Errors
                ///
                /// [`InsufficientScope`](crate::rejection::RejectionKind::InsufficientScope) if it does not meet it.
                /// The challenge names the scopes that are asked for.
                pub fn require(&self, requirement: &Requirement) -> Result<(), Rejection> {
                    requirement.check(Holder::Machine(self.machine()), None)
                }
            }
        )*
    };
}

authorized_by_scope!(ApiKey M2mToken OAuthToken);
