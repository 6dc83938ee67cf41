use std::{fmt, sync::OnceLock};

use serde::Serialize;

use super::{TestIssuer, TokenBuilder, must};
use crate::{ClerkAuth, Verifier};

/// A user in the making, for testing handlers without a token.
#[derive(Clone)]
#[must_use]
pub struct ClerkAuthBuilder {
    token: TokenBuilder,
}

impl ClerkAuth {
    /// A user for tests of handlers; `user_test` in session `sess_test` unless told otherwise.
    ///
    /// ```
    /// use tower_clerk::ClerkAuth;
    ///
    /// let user = ClerkAuth::builder().user_id("user_ada").organization("org_acme", "admin").build();
    /// assert_eq!(user.organization().map(|organization| organization.id()), Some("org_acme"));
    /// ```
    pub fn builder() -> ClerkAuthBuilder {
        ClerkAuthBuilder { token: issuer().token("user_test") }
    }
}

impl ClerkAuthBuilder {
    /// With this user id.
    pub fn user_id(self, id: &str) -> Self {
        self.with(|token| token.claim("sub", id))
    }

    /// With this session id.
    pub fn session_id(self, id: &str) -> Self {
        self.with(|token| token.session_id(id))
    }

    /// With this active organization; the role without its `org:` prefix.
    pub fn organization(self, id: &str, role: &str) -> Self {
        self.with(|token| token.organization(id, role))
    }

    /// With the permission `org:<feature>:<name>` in the active organization.
    pub fn permission(self, feature: &str, name: &str) -> Self {
        self.with(|token| token.permission(feature, name))
    }

    /// With this feature, its scope before it: `o:dashboard`, `u:beta`.
    pub fn feature(self, feature: &str) -> Self {
        self.with(|token| token.feature(feature))
    }

    /// With this plan, its scope before it: `o:business`, `u:pro`.
    pub fn plan(self, plan: &str) -> Self {
        self.with(|token| token.plan(plan))
    }

    /// With this claim.
    pub fn claim(self, name: &str, value: impl Serialize) -> Self {
        self.with(|token| token.claim(name, value))
    }

    /// The finished user.
    ///
    /// # Panics
    ///
    /// If a claim was given a value with which no token would be accepted.
    #[must_use]
    pub fn build(self) -> ClerkAuth {
        let config = issuer().config().allow_pending_sessions();
        let verifier = must(Verifier::new(config), "a verifier");
        must(verifier.try_verify(&self.token.sign()), "a token that would be accepted").into()
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

/// One for the whole process: making an RSA key takes a tenth of a second.
fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(TestIssuer::new)
}
