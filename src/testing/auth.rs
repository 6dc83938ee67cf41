use std::{fmt, sync::OnceLock};

use serde::Serialize;

use super::{TestIssuer, TokenBuilder, expect};
use crate::{ClerkAuth, Verifier};

/// Builder of a [`ClerkAuth`] for tests of handlers; see [`ClerkAuth::builder`].
///
/// It signs a token and verifies it, so a user that no valid token could describe cannot be built.
#[derive(Clone)]
#[must_use]
pub struct ClerkAuthBuilder {
    token: TokenBuilder,
}

impl ClerkAuth {
    /// Returns a builder of a user for tests, `user_test` in the session `sess_test` by default.
    ///
    /// A handler is tested as a function, without a layer and without a request:
    ///
    /// ```
    /// use tower_clerk::{ClerkAuth, Rejection, Requirement};
    ///
    /// fn delete_invoice(user: &ClerkAuth) -> Result<&'static str, Rejection> {
    ///     user.require(&Requirement::role("org:admin"))?;
    ///     Ok("deleted")
    /// }
    ///
    /// let admin = ClerkAuth::builder().user_id("user_ada").organization("org_acme", "admin").build();
    /// assert_eq!(delete_invoice(&admin).ok(), Some("deleted"));
    ///
    /// let member = ClerkAuth::builder().organization("org_acme", "member").build();
    /// assert_eq!(delete_invoice(&member).unwrap_err().status(), 403);
    /// ```
    pub fn builder() -> ClerkAuthBuilder {
        ClerkAuthBuilder { token: issuer().token("user_test") }
    }
}

impl ClerkAuthBuilder {
    /// Sets the user id (`sub`).
    pub fn user_id(self, id: &str) -> Self {
        self.with(|token| token.claim("sub", id))
    }

    /// Sets the session id (`sid`).
    pub fn session_id(self, id: &str) -> Self {
        self.with(|token| token.session_id(id))
    }

    /// Sets the active organization, and the user's role in it without the prefix `org:`.
    pub fn organization(self, id: &str, role: &str) -> Self {
        self.with(|token| token.organization(id, role))
    }

    /// Adds the permission `org:<feature>:<name>` in the active organization, which
    /// [`organization`](Self::organization) must set.
    pub fn permission(self, feature: &str, name: &str) -> Self {
        self.with(|token| token.permission(feature, name))
    }

    /// Adds a feature with its scope: `o:dashboard` of the organization, `u:beta` of the user.
    pub fn feature(self, feature: &str) -> Self {
        self.with(|token| token.feature(feature))
    }

    /// Adds a plan with its scope: `o:business` of the organization, `u:pro` of the user.
    pub fn plan(self, plan: &str) -> Self {
        self.with(|token| token.plan(plan))
    }

    /// Sets a claim of the payload, in place of the one that the other methods would make.
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized to JSON.
    pub fn claim(self, name: &str, value: impl Serialize) -> Self {
        self.with(|token| token.claim(name, value))
    }

    /// Makes the user. A pending session (`sts`) is accepted.
    ///
    /// # Panics
    ///
    /// If the claims are such that every verifier would reject the token, such as an empty `sub`.
    #[must_use]
    pub fn build(self) -> ClerkAuth {
        let config = issuer().config().allow_pending_sessions();
        let verifier = expect(Verifier::new(config), "a verifier");
        expect(verifier.try_verify(&self.token.sign()), "a token that would be accepted").into()
    }

    fn with(self, change: impl FnOnce(TokenBuilder) -> TokenBuilder) -> Self {
        Self { token: change(self.token) }
    }
}

impl fmt::Debug for ClerkAuthBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClerkAuthBuilder").finish_non_exhaustive()
    }
}

/// The issuer of all tokens that the builders of a process sign: generating an RSA key takes about a tenth of a second.
pub(super) fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(TestIssuer::new)
}
