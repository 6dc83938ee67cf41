//! Builders of what handlers take, if it is not the user of a session.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{
    auth::issuer, backend_api::TestBackendApi, blocking::block_on, expect, opaque_token::OpaqueTokenBuilder,
    token::TokenBuilder,
};
use crate::{ApiKey, M2mToken, OAuthToken, Principal, Verifier, token_kind::TokenKind, verify::Instance};

/// Builder of an [`OAuthToken`] for tests of handlers; see [`OAuthToken::builder`].
///
/// It signs a token and verifies it, so one that no valid token could describe cannot be built.
#[derive(Clone)]
#[must_use]
pub struct OAuthTokenBuilder(TokenBuilder);

/// Builder of an [`M2mToken`] for tests of handlers; see [`M2mToken::builder`].
///
/// It signs a token and verifies it, so one that no valid token could describe cannot be built.
#[derive(Clone)]
#[must_use]
pub struct M2mTokenBuilder(TokenBuilder);

/// Builder of an [`ApiKey`] for tests of handlers; see [`ApiKey::builder`].
///
/// It verifies a key as a layer does, with a [`TestBackendApi`], so one that no answer of Clerk could describe cannot
/// be built.
#[derive(Clone)]
#[must_use]
pub struct ApiKeyBuilder {
    api: TestBackendApi,
    key: OpaqueTokenBuilder,
}

impl OAuthToken {
    /// Returns a builder of an OAuth access token for tests: `user_test` has granted it to the client `client_test`.
    ///
    /// ```
    /// use tower_clerk::{OAuthToken, Principal};
    ///
    /// fn may_read(token: &OAuthToken) -> bool {
    ///     token.has_scope("things:read")
    /// }
    ///
    /// let token = OAuthToken::builder().user_id("user_ada").scopes(["things:read"]).build();
    /// assert!(may_read(&token));
    /// assert_eq!(Principal::from(token).subject(), "user_ada");
    /// ```
    pub fn builder() -> OAuthTokenBuilder {
        OAuthTokenBuilder(issuer().oauth_token("user_test"))
    }
}

impl M2mToken {
    /// Returns a builder of an M2M token of the machine `mch_test` for tests.
    ///
    /// ```
    /// use tower_clerk::M2mToken;
    ///
    /// let token = M2mToken::builder().machine_id("mch_billing").scopes(["mch_invoices"]).build();
    /// assert_eq!(token.machine_id(), "mch_billing");
    /// ```
    pub fn builder() -> M2mTokenBuilder {
        M2mTokenBuilder(issuer().m2m_token("mch_test"))
    }
}

impl ApiKey {
    /// Returns a builder of an API key of the user `user_test` for tests.
    ///
    /// ```
    /// use tower_clerk::{ApiKey, Subject};
    ///
    /// let key = ApiKey::builder().organization_id("org_acme").name("nightly export").scopes(["things:read"]).build();
    /// assert_eq!(key.subject(), Subject::Organization("org_acme"));
    /// assert!(key.has_scope("things:read"));
    /// ```
    pub fn builder() -> ApiKeyBuilder {
        let api = TestBackendApi::new();
        ApiKeyBuilder { key: api.api_key("user_test"), api }
    }
}

impl OAuthTokenBuilder {
    /// Sets the id of the user who granted it (`sub`).
    pub fn user_id(self, id: &str) -> Self {
        Self(self.0.claim("sub", id))
    }

    /// Sets the id of the client that acts for the user.
    pub fn client_id(self, id: &str) -> Self {
        Self(self.0.client_id(id))
    }

    /// Sets the scopes that the user granted.
    pub fn scopes<I>(self, scopes: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Self(self.0.scopes(scopes))
    }

    /// Sets the services that it is for (`aud`).
    pub fn audience<I>(self, audience: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Self(self.0.audience(audience))
    }

    /// Sets the organization that it is for.
    pub fn organization_id(self, id: &str) -> Self {
        Self(self.0.organization_id(id))
    }
}

impl M2mTokenBuilder {
    /// Sets the id of the machine that calls (`mch_…`).
    pub fn machine_id(self, id: &str) -> Self {
        Self(self.0.claim("sub", id))
    }

    /// Sets the ids of the machines that it may be shown to.
    pub fn scopes<I>(self, scopes: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Self(self.0.scopes(scopes))
    }
}

/// What the builders of JWTs have; the doc comment says when `build` panics.
macro_rules! jwt_builder {
    ($(#[$panics:meta])+ $builder:ident, $token:ident, $kind:ident) => {
        impl $builder {
            /// Sets a claim of the payload, in place of the one that the other methods would make.
            ///
            /// # Panics
            ///
            /// If `value` cannot be serialized to JSON.
            pub fn claim(self, name: &str, value: impl Serialize) -> Self {
                Self(self.0.claim(name, value))
            }

            /// Makes the token.
            ///
            /// # Panics
            ///
            $(#[$panics])+
            #[must_use]
            pub fn build(self) -> $token {
                match verified(TokenKind::$kind, &self.0) {
                    Principal::$kind(token) => token,
                    other => unexpected(&other),
                }
            }
        }
    };
}

jwt_builder! {
    /// If the claims are such that every verifier would reject it, such as an empty user id.
    OAuthTokenBuilder, OAuthToken, OAuth
}
jwt_builder! {
    /// If the claims are such that every verifier would reject it, such as a machine id without `mch_`.
    M2mTokenBuilder, M2mToken, M2m
}

impl ApiKeyBuilder {
    /// Makes it the key of this user (`user_…`).
    pub fn user_id(self, id: &str) -> Self {
        self.with(|key| key.subject(id))
    }

    /// Makes it the key of this organization (`org_…`).
    pub fn organization_id(self, id: &str) -> Self {
        self.with(|key| key.subject(id))
    }

    /// Makes it the key of this machine (`mch_…`).
    pub fn machine_id(self, id: &str) -> Self {
        self.with(|key| key.subject(id))
    }

    /// Sets the id of the key.
    pub fn id(self, id: &str) -> Self {
        self.with(|key| key.id(id))
    }

    /// Sets the name of the key.
    pub fn name(self, name: &str) -> Self {
        self.with(|key| key.name(name))
    }

    /// Sets the scopes of the key.
    pub fn scopes<I>(self, scopes: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.with(|key| key.scopes(scopes))
    }

    /// Makes the key expire `lifetime` after [`ApiKey::builder`] was called. By default it does not expire.
    pub fn lifetime(self, lifetime: Duration) -> Self {
        self.with(|key| key.lifetime(lifetime))
    }

    /// Sets a custom claim of the key.
    ///
    /// # Panics
    ///
    /// If `value` cannot be serialized to JSON.
    pub fn claim(self, name: &str, value: impl Serialize) -> Self {
        self.with(|key| key.claim(name, value))
    }

    /// Makes the key. It may be called inside of a Tokio runtime and outside.
    ///
    /// # Panics
    ///
    /// If every verifier would reject the key, such as one of a subject of no known kind.
    #[must_use]
    pub fn build(self) -> ApiKey {
        let config = expect(issuer().config().accept([TokenKind::ApiKey]), "a configuration");
        let verifier = expect(Verifier::builder(Instance::new(config).backend_api(self.api)).build(), "a verifier");
        let key = self.key.issue();
        match expect(block_on(verifier.verify_principal(&key)), "a key that would be accepted") {
            Principal::ApiKey(key) => key,
            other => unexpected(&other),
        }
    }

    fn with(self, change: impl FnOnce(OpaqueTokenBuilder) -> OpaqueTokenBuilder) -> Self {
        Self { key: change(self.key), ..self }
    }
}

/// What a verifier makes of the token.
fn verified(kind: TokenKind, token: &TokenBuilder) -> Principal {
    let config = expect(issuer().config().accept([kind]), "a configuration");
    let verifier = expect(Verifier::new(config), "a verifier");
    expect(verifier.try_verify_principal(&token.sign()), "a token that would be accepted")
}

/// For a token that is of another kind by its claims.
fn unexpected<T>(principal: &Principal) -> T {
    expect(Err(principal.kind()), "a token of the kind of its builder")
}

macro_rules! opaque_debug {
    ($($name:ident)*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        })*
    };
}

opaque_debug!(OAuthTokenBuilder M2mTokenBuilder ApiKeyBuilder);
