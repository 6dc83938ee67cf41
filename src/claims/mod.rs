//! The claims of verified tokens, in either version of Clerk's layout.
//!
//! Clerk's [session tokens](https://clerk.com/docs/guides/sessions/session-tokens) come in two layouts. Version 1 has
//! the active organization in `org_*` claims; version 2 packs it, with its permissions, into `o`. The accessors of
//! [`Claims`] return the same for both:
//!
//! | accessor | version 1 | version 2 |
//! |---|---|---|
//! | [`user_id`](Claims::user_id), [`session_id`](Claims::session_id), [`issuer`](Claims::issuer) | `sub`, `sid`, `iss` | the same |
//! | [`expires_at`](Claims::expires_at), [`issued_at`](Claims::issued_at), [`not_before`](Claims::not_before) | `exp`, `iat`, `nbf` | the same |
//! | [`authorized_party`](Claims::authorized_party), [`actor`](Claims::actor) | `azp`, `act` | the same |
//! | [`session_status`](Claims::session_status) | `sts` | the same |
//! | [`organization`](Claims::organization) | `org_id`, `org_slug`, `org_role`, `org_permissions` | `o.id`, `o.slg`, `o.rol`, and `o.per`, `o.fpm` with `fea` |
//! | [`features`](Claims::features), [`plans`](Claims::plans) | `fea`, `pla` | the same |
//! | [`first_factor_age`](Claims::first_factor_age), [`second_factor_age`](Claims::second_factor_age) | `fva` | the same |
//! | [`custom`](Claims::custom), [`as_json`](Claims::as_json) | the whole payload | the same |
//!
//! A claim that decides whether the token is valid must have the right type; see [`verify`](crate::verify). Any other
//! claim of the wrong type counts as absent, so it grants nothing.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use tower_clerk::{Verifier, testing::TestIssuer};
//!
//! let issuer = TestIssuer::new();
//! let verifier = Verifier::new(issuer.config())?;
//! let token = issuer.token("user_ada").organization("org_acme", "admin").permission("invoices", "create");
//!
//! for token in [token.clone(), token.v1()] {
//!     let claims = verifier.verify(&token.sign()).await?;
//!     assert_eq!(claims.user_id(), "user_ada");
//!     let organization = claims.organization().ok_or("no active organization")?;
//!     assert_eq!((organization.id(), organization.role()), ("org_acme", Some("org:admin")));
//!     assert!(organization.permissions().eq(["org:invoices:create"]));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod actor;
mod custom;
mod entitlement;
mod lists;
mod machine;
mod numeric_date;
mod organization;
mod raw;
mod reverification;
mod span;
mod verified;

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;

pub use self::{
    actor::Actor,
    custom::CustomClaimsError,
    entitlement::{Entitlement, EntitlementScope},
    organization::Organization,
    reverification::{Reverification, ReverificationLevel},
};
use self::{
    actor::ActorSpans,
    entitlement::entitlements,
    organization::OrganizationSpans,
    raw::{FactorAges, Version},
    span::{Span, SpanBuilder},
};
pub(crate) use self::{
    actor::ActorValues,
    lists::{audience, is_scope, strings},
    machine::{MachineClaims, MachineValues, SubjectKind},
    numeric_date::NumericDate,
    organization::strip_org_prefix,
    raw::{RawClaim, RawClaims},
    verified::VerifiedToken,
};
use crate::{config::InstanceInfo, jwt::VerifiedPayload};

/// The claims of a verified token.
///
/// Only [`Verifier`](crate::Verifier) makes them, after every check has passed: a function that takes `Claims` needs no
/// further check of the token. Cloning them copies a pointer. `Debug` shows no claim but the instance and the version.
#[derive(Clone)]
pub struct Claims {
    shared: Arc<Shared>,
}

/// What clones of [`Claims`] share.
#[expect(clippy::large_enum_variant, reason = "nearly all are `Own`, and a box would be one more allocation for each")]
enum Shared {
    Own(Inner),
    /// Other claims, behind a reference count of its own.
    Alias(Claims),
}

struct Inner {
    /// The payload as signed, followed by the values that it holds only in another form, such as with escapes.
    text: String,
    /// In bytes.
    payload_length: usize,
    instance: Arc<InstanceInfo>,
    is_session: bool,
    version: Version,
    sub: Span,
    sid: Option<Span>,
    iss: Span,
    azp: Option<Span>,
    jti: Option<Span>,
    // Converted once, since a cache hit compares them with the clock.
    exp: SystemTime,
    nbf: Option<SystemTime>,
    iat: Option<SystemTime>,
    sts: Option<Span>,
    act: Option<ActorSpans>,
    organization: Option<OrganizationSpans>,
    are_permissions_ambiguous: bool,
    fea: Option<Span>,
    pla: Option<Span>,
    fva: Option<FactorAges>,
}

/// The claims of a verified payload that passed every check: a proof type, which [`Claims::new`] demands.
pub(crate) struct CheckedClaims<'p> {
    payload: VerifiedPayload<'p>,
    raw: RawClaims<'p>,
    sub: Cow<'p, str>,
    iss: Cow<'p, str>,
    exp: NumericDate,
}

impl<'p> CheckedClaims<'p> {
    /// Asserts that `raw` are the claims of `payload` and have passed every check. Only `verify/checks.rs` may call it.
    pub(crate) fn assertion(
        payload: VerifiedPayload<'p>,
        raw: RawClaims<'p>,
        sub: Cow<'p, str>,
        iss: Cow<'p, str>,
        exp: NumericDate,
    ) -> Self {
        Self { payload, raw, sub, iss, exp }
    }
}

impl Claims {
    /// Copies the checked claims into one text of their own, so that they outlive the token.
    ///
    /// `is_template` is `true` if the header's `cat` is that of a JWT template. Such a token is no session token, even
    /// if the template adds a `sid`.
    pub(crate) fn new(checked: &CheckedClaims<'_>, is_template: bool, instance: &Arc<InstanceInfo>) -> Self {
        let CheckedClaims { payload, raw, sub, iss, exp } = checked;
        let payload = payload.payload().text;
        let spare = if raw.organization.is_some() { USUAL_PERMISSIONS } else { 0 };
        let mut builder = SpanBuilder::new(payload, spare);
        let organization = raw.organization.as_ref().map(|organization| {
            OrganizationSpans::new(organization, raw.fea.as_deref().unwrap_or_default(), &mut builder)
        });
        let act = raw.act.as_ref().map(|actor| ActorSpans::new(actor, &mut builder));
        let inner = Inner {
            payload_length: payload.len(),
            instance: Arc::clone(instance),
            is_session: !is_template && matches!(raw.sid, RawClaim::Value(_)),
            version: raw.version,
            sid: builder.optional_span(raw.sid.as_ref()),
            azp: builder.optional_span(raw.azp.as_ref()),
            jti: builder.optional_span(raw.jti.as_ref()),
            exp: exp.to_system_time(),
            nbf: raw.nbf.value().map(NumericDate::to_system_time),
            iat: raw.iat.value().map(NumericDate::to_system_time),
            sts: builder.optional_span(raw.sts.as_ref()),
            act,
            are_permissions_ambiguous: matches!(organization, Some((_, Err(_)))),
            organization: organization.map(|(spans, _)| spans),
            fea: builder.optional_span(raw.fea.as_ref()),
            pla: builder.optional_span(raw.pla.as_ref()),
            fva: raw.fva,
            sub: builder.span(sub),
            iss: builder.span(iss),
            // Last: the builder appends to the text until then.
            text: builder.finish(),
        };
        Self { shared: Arc::new(Shared::Own(inner)) }
    }

    /// Returns the user's id (`sub`), such as `user_2Kx…`.
    ///
    /// It is unique within one instance. A service that trusts several instances must identify a user by the pair of
    /// [`issuer`](Self::issuer) and this id.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.text(self.inner().sub)
    }

    /// Returns the session's id (`sid`), such as `sess_2Kx…`; `None` only if the token is made from a JWT template.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.optional(self.inner().sid)
    }

    /// Returns `true` for a session token and `false` for a token made from a JWT template, which is accepted only with
    /// [`allow_template_tokens`](crate::ClerkConfig::allow_template_tokens).
    #[must_use]
    pub fn is_session(&self) -> bool {
        self.inner().is_session
    }

    /// Returns the issuer (`iss`): the Frontend API URL of the instance, without a trailing slash.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text(self.inner().iss)
    }

    /// Returns the origin of the page that the token was issued to (`azp`), such as `https://app.example.com`. Tokens
    /// for native apps and the Backend API have none.
    #[must_use]
    pub fn authorized_party(&self) -> Option<&str> {
        self.optional(self.inner().azp)
    }

    /// Returns the token's own id (`jti`; RFC 7519, section 4.1.7).
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.optional(self.inner().jti)
    }

    /// Returns when the token expires (`exp`), without the clock skew that verification allows.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.inner().exp
    }

    /// Returns when the token was issued (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.inner().iat
    }

    /// Returns when the token becomes valid (`nbf`). Clerk sets it a few seconds before `iat`.
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.inner().nbf
    }

    /// Returns the version of the layout: 1 if `v` is absent, 2 if it is the number 2, `None` otherwise.
    ///
    /// A token of unknown version has no organization, feature or plan: guessing their layout could grant too much.
    #[must_use]
    pub fn version(&self) -> Option<u8> {
        match self.inner().version {
            Version::V1 => Some(1),
            Version::V2 => Some(2),
            Version::Unknown => None,
        }
    }

    /// Returns the status of the session (`sts`), such as `pending`; `None` while it is active, since Clerk then omits
    /// the claim.
    ///
    /// Pending sessions are accepted only with
    /// [`allow_pending_sessions`](crate::ClerkConfig::allow_pending_sessions).
    #[must_use]
    pub fn session_status(&self) -> Option<&str> {
        self.optional(self.inner().sts)
    }

    /// Returns the actor who impersonates the user (`act`), if any.
    #[must_use]
    pub fn actor(&self) -> Option<Actor<'_>> {
        self.inner().act.map(|actor| actor.resolve(&self.inner().text))
    }

    /// Returns the organization that is active in the session, if any.
    #[must_use]
    pub fn organization(&self) -> Option<Organization<'_>> {
        self.inner().organization.map(|organization| organization.resolve(&self.inner().text))
    }

    /// Returns the features of the user and of the active organization (`fea`), in the order of the claim.
    pub fn features(&self) -> impl Iterator<Item = Entitlement<'_>> {
        entitlements(self.optional(self.inner().fea).unwrap_or_default())
    }

    /// Returns the plans of the user and of the active organization (`pla`), in the order of the claim.
    pub fn plans(&self) -> impl Iterator<Item = Entitlement<'_>> {
        entitlements(self.optional(self.inner().pla).unwrap_or_default())
    }

    /// Returns how long before the token was issued the user verified their first factor (`fva[0]`).
    ///
    /// The claim counts in minutes. `None` if the factor was never verified (`-1`) or the claim is absent.
    #[must_use]
    pub fn first_factor_age(&self) -> Option<Duration> {
        self.inner().fva.and_then(|ages| ages.first)
    }

    /// As [`first_factor_age`](Self::first_factor_age), for the second factor (`fva[1]`).
    #[must_use]
    pub fn second_factor_age(&self) -> Option<Duration> {
        self.inner().fva.and_then(|ages| ages.second)
    }

    /// Deserializes the whole payload into a type of your own.
    ///
    /// It parses the payload at each call. [`with_custom_claims`](crate::ClerkAuthLayer::with_custom_claims) does so
    /// once per request.
    ///
    /// # Errors
    ///
    /// [`CustomClaimsError`] if the payload does not deserialize into `T`; its source names the claim and what `T`
    /// expects there. This includes numbers out of the range of `T`, even if `T` is `serde_json::Value`;
    /// [`as_json`](Self::as_json) returns them as they were signed.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::ClerkAuth;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Profile {
    ///     email: String,
    /// }
    ///
    /// let user = ClerkAuth::builder().claim("email", "ada@example.com").build();
    /// let profile: Profile = user.custom()?;
    /// assert_eq!(profile.email, "ada@example.com");
    /// # }
    /// # Ok::<(), tower_clerk::claims::CustomClaimsError>(())
    /// ```
    pub fn custom<T: DeserializeOwned>(&self) -> Result<T, CustomClaimsError> {
        serde_json::from_str(self.as_json()).map_err(|_| CustomClaimsError::of::<T>(self.as_json()))
    }

    /// Returns the payload exactly as it was signed: a JSON object in UTF-8 with unique members.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.inner().text.get(..self.inner().payload_length).unwrap_or_default()
    }

    /// Returns the name of the instance whose key verified the token:
    /// [`ClerkConfig::instance_name`](crate::ClerkConfig::instance_name), or its first issuer.
    ///
    /// The name comes from the configuration, not from the token.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.inner().instance.name
    }

    /// Whether the token is valid at `now` without any clock skew: `exp` is later, `nbf` and `iat` are not.
    ///
    /// The token cache uses it. A token that is valid only within the skew goes through all checks again.
    pub(crate) fn is_valid_at(&self, now: SystemTime) -> bool {
        let has_passed = |time: Option<SystemTime>| time.is_none_or(|time| time <= now);
        self.inner().exp > now && has_passed(self.inner().nbf) && has_passed(self.inner().iat)
    }

    /// Whether `exp` has passed at `now`, without any clock skew.
    pub(crate) fn has_expired_at(&self, now: SystemTime) -> bool {
        self.inner().exp <= now
    }

    /// Whether the permission map is ambiguous, so that no permission is granted.
    pub(crate) fn are_permissions_ambiguous(&self) -> bool {
        self.inner().are_permissions_ambiguous
    }

    /// The same claims behind a reference count of its own. Threads that clone different aliases do not wait for each
    /// other's writes to a count.
    ///
    /// It takes the memory of `old`, another alias, if nobody else holds that one.
    pub(crate) fn alias(&self, old: Option<Self>) -> Self {
        let alias = Shared::Alias(self.clone());
        if let Some(mut old) = old
            && let Some(shared) = Arc::get_mut(&mut old.shared)
        {
            *shared = alias;
            return old;
        }
        Self { shared: Arc::new(alias) }
    }

    /// Their heap size in bytes, by which the token cache limits its memory.
    pub(crate) fn heap_size(&self) -> usize {
        size_of::<Shared>() + self.inner().text.capacity()
    }

    /// The parts of the instance's configuration that are needed after verification.
    pub(crate) fn instance_info(&self) -> &InstanceInfo {
        &self.inner().instance
    }

    fn inner(&self) -> &Inner {
        match &*self.shared {
            Shared::Own(inner) => inner,
            Shared::Alias(original) => original.inner(),
        }
    }

    fn text(&self, span: Span) -> &str {
        span.resolve(&self.inner().text)
    }

    fn optional(&self, span: Option<Span>) -> Option<&str> {
        span.map(|span| self.text(span))
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Claims")
            .field("instance", &self.instance())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// In bytes: room for about seven permissions of 25 bytes, so that appending a usual role's permissions does not
/// reallocate the text. Every cached token with an organization takes as much.
const USUAL_PERMISSIONS: usize = 192;
