use std::{fmt, time::SystemTime};

use serde::de::DeserializeOwned;

use super::machine::{Machine, custom_claims, machine_token};
use crate::claims::CustomClaimsError;

/// A valid M2M token: one machine calls another.
///
/// As [`OAuthToken`](super::OAuthToken), for [`TokenKind::M2m`](crate::TokenKind::M2m). There is no user.
///
/// Set [`ClerkConfig::machine_id`](crate::ClerkConfig::machine_id) to the id of this service: without it, a token that
/// a machine got for another service is accepted too.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::{M2mToken, Principal, TokenKind, Verifier, testing::TestIssuer, verify::VerifyErrorKind};
///
/// #[derive(serde::Deserialize)]
/// struct Custom {
///     region: String,
/// }
///
/// let issuer = TestIssuer::new();
/// let verifier = Verifier::new(issuer.config().accept([TokenKind::M2m])?.machine_id("mch_billing")?)?;
///
/// let token = issuer.m2m_token("mch_orders").claim("scopes", "mch_billing mch_mail").claim("region", "eu").sign();
/// let Principal::M2m(token) = verifier.try_verify_principal(&token)? else { unreachable!() };
/// assert_eq!(token.machine_id(), "mch_orders");
/// assert_eq!(token.custom::<Custom>()?.region, "eu");
///
/// let error = verifier.try_verify_principal(&issuer.m2m_token("mch_orders").sign()).unwrap_err();
/// assert_eq!(error.kind(), VerifyErrorKind::MachineNotInScope);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct M2mToken(pub(super) Machine);

impl M2mToken {
    /// Returns the id of the machine that calls (`sub`, `mch_…`).
    #[must_use]
    pub fn machine_id(&self) -> &str {
        self.0.claims.subject()
    }

    /// Returns the ids of the machines that the token may be shown to: those of `scopes`, or else of `aud`.
    ///
    /// They are no scopes of OAuth, and meet no [`Requirement::scope`](crate::Requirement::scope).
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.claims.scopes()
    }

    /// Returns the id of the token, `mt_…` (`jti` of a JWT). It starts like an opaque token, but is no secret.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.claims.id()
    }
}

machine_token!(M2mToken);
custom_claims! {
    /// Deserializes the custom claims: the members of the payload but `exp`, `iat`, `iss`, `jti`, `nbf` and `sub`, or
    /// the `claims` of an opaque token.
    M2mToken
}
