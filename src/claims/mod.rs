//! What a verified token says, whichever version of Clerk's layout it was written in.
//!
//! Clerk's [session tokens](https://clerk.com/docs/guides/sessions/session-tokens) come in two layouts:
//! version 1 spreads the organization over `org_*` claims, version 2 packs it into `o`, `fea` and `pla`.
//! The accessors of [`Claims`] answer the same for both.

mod actor;
mod entitlement;
mod numeric_date;
mod organization;
mod reverification;
mod text;
mod wire;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;

pub(crate) use self::organization::decoded_weight;
pub(crate) use self::wire::{Claim, FactorAges, Version, Wire};
pub use self::{
    actor::Actor,
    entitlement::{Entitlement, Scope},
    organization::Organization,
    reverification::{Reverification, ReverificationLevel},
};
use self::{
    actor::ActorTexts,
    text::{Text, TextKeeper, Texts},
};
use crate::{config::ClerkConfig, json::Object, jwt::SignatureHolds};

/// The claims of a token that was verified; cloning them copies a pointer.
///
/// There is no way to make one but verifying a token.
#[derive(Clone)]
pub struct Claims {
    inner: Arc<Inner>,
}

struct Inner {
    act: Option<ActorTexts>,
    azp: Option<Text>,
    copies: Box<str>,
    /// In bytes, what is decoded of the payload takes at most besides its text.
    decoded_weight: usize,
    exp: i64,
    fea: Option<Text>,
    fva: Option<FactorAges>,
    iat: Option<i64>,
    instance: Arc<ClerkConfig>,
    is_session: bool,
    iss: Text,
    jti: Option<Text>,
    nbf: Option<i64>,
    organization: OnceLock<Option<Organization>>,
    payload: String,
    pla: Option<Text>,
    sid: Option<Text>,
    sts: Option<Text>,
    sub: Text,
    version: Version,
}

/// The payload has no such claims, or not of the types asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CustomClaimsError(());

impl Claims {
    /// Claims of `payload`, which the caller has checked.
    pub(crate) fn new(payload: String, decoded: Decoded, _proof: SignatureHolds) -> Self {
        let Decoded(inner) = decoded;
        Self { inner: Arc::new(Inner { payload, ..inner }) }
    }

    /// The user's id (`sub`), `user_…`.
    ///
    /// Unique within one instance only: across instances a user is the pair of [`issuer`](Self::issuer)
    /// and this.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.text(self.inner.sub)
    }

    /// The session's id (`sid`), `sess_…`; `None` only in tokens made from a JWT template.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.optional(self.inner.sid)
    }

    /// Whether it is a session's token, and not one made from a JWT template.
    #[must_use]
    pub fn is_session(&self) -> bool {
        self.inner.is_session
    }

    /// The issuer (`iss`), the Frontend API URL of the instance.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.text(self.inner.iss)
    }

    /// The origin that the token was minted for (`azp`).
    #[must_use]
    pub fn authorized_party(&self) -> Option<&str> {
        self.optional(self.inner.azp)
    }

    /// The token's own id (`jti`).
    #[must_use]
    pub fn jwt_id(&self) -> Option<&str> {
        self.optional(self.inner.jti)
    }

    /// When the token expires (`exp`), clock skew not counted.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        system_time(self.inner.exp)
    }

    /// When the token was issued (`iat`).
    #[must_use]
    pub fn issued_at(&self) -> Option<SystemTime> {
        self.inner.iat.map(system_time)
    }

    /// When the token begins to hold (`nbf`).
    #[must_use]
    pub fn not_before(&self) -> Option<SystemTime> {
        self.inner.nbf.map(system_time)
    }

    /// The version of the token's layout: 1 or 2, or `None` for one that this crate does not know, which
    /// grants no organization, feature or plan.
    #[must_use]
    pub fn version(&self) -> Option<u8> {
        match self.inner.version {
            Version::V1 => Some(1),
            Version::V2 => Some(2),
            Version::Unknown => None,
        }
    }

    /// The status of the session (`sts`), left out by Clerk while it is active.
    #[must_use]
    pub fn session_status(&self) -> Option<&str> {
        self.optional(self.inner.sts)
    }

    /// Who impersonates the user (`act`).
    #[must_use]
    pub fn actor(&self) -> Option<Actor<'_>> {
        self.inner.act.map(|actor| actor.within(self.texts()))
    }

    /// The organization that is active in the session.
    #[must_use]
    pub fn organization(&self) -> Option<&Organization> {
        let decode = || {
            let payload = Object::parse(&self.inner.payload).ok()?;
            match self.inner.version {
                Version::V1 => Organization::v1(&payload),
                Version::V2 => Organization::v2(&payload),
                Version::Unknown => None,
            }
        };
        self.inner.organization.get_or_init(decode).as_ref()
    }

    /// The features that the user and the active organization have (`fea`).
    pub fn features(&self) -> impl Iterator<Item = Entitlement<'_>> {
        entitlement::entitlements(self.optional(self.inner.fea).unwrap_or_default())
    }

    /// The plans that the user and the active organization are on (`pla`).
    pub fn plans(&self) -> impl Iterator<Item = Entitlement<'_>> {
        entitlement::entitlements(self.optional(self.inner.pla).unwrap_or_default())
    }

    /// How long before the token was issued the user's first factor was verified (`fva`), in steps of a
    /// minute; `None` if it never was or the token does not say.
    #[must_use]
    pub fn first_factor_age(&self) -> Option<Duration> {
        self.inner.fva.and_then(|ages| ages.first)
    }

    /// As [`first_factor_age`](Self::first_factor_age), for the second factor.
    #[must_use]
    pub fn second_factor_age(&self) -> Option<Duration> {
        self.inner.fva.and_then(|ages| ages.second)
    }

    /// Deserializes the whole payload into a type of your own.
    ///
    /// Numbers beyond what `T` can hold fail, also where `T` is `serde_json::Value`; [`as_json`](Self::as_json) has
    /// them as they were signed.
    ///
    /// # Errors
    ///
    /// [`CustomClaimsError`] if `T` cannot be made of it.
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
        serde_json::from_str(&self.inner.payload).map_err(|_| CustomClaimsError(()))
    }

    /// The whole payload, the JSON object that was signed.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.inner.payload
    }

    pub(crate) fn instance(&self) -> &str {
        self.inner.instance.name()
    }

    /// Whether `exp` has not come, and `nbf` and `iat` have, by the letter.
    pub(crate) fn hold_at(&self, now: SystemTime) -> bool {
        let now = unix_millis(now);
        let has_come = |time: Option<i64>| time.is_none_or(|time| time <= now);
        self.inner.exp > now && has_come(self.inner.nbf) && has_come(self.inner.iat)
    }

    /// In bytes, with what may be decoded of them later.
    pub(crate) fn weight(&self) -> usize {
        self.inner.decoded_weight.saturating_add(size_of::<Inner>() + self.inner.payload.capacity())
    }

    /// The configuration of the instance whose key verified the token.
    pub(crate) fn config(&self) -> &ClerkConfig {
        &self.inner.instance
    }

    fn texts(&self) -> Texts<'_> {
        Texts { copies: &self.inner.copies, payload: &self.inner.payload }
    }

    fn text(&self, text: Text) -> &str {
        text.within(self.texts())
    }

    fn optional(&self, text: Option<Text>) -> Option<&str> {
        text.map(|text| self.text(text))
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

impl fmt::Display for CustomClaimsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the token does not have the custom claims asked for")
    }
}

impl std::error::Error for CustomClaimsError {}

/// Claims that no longer borrow the payload, so that it can move in with them.
pub(crate) struct Decoded(Inner);

impl Decoded {
    /// Keeps what `wire` holds; `None` without a subject, an issuer or an expiry, which a caller who has
    /// checked them will not see.
    pub(crate) fn new(
        wire: Wire<'_>,
        payload: &str,
        instance: &Arc<ClerkConfig>,
        is_template: bool,
        decoded_weight: usize,
    ) -> Option<Self> {
        let mut keeper = TextKeeper::new(payload);
        let act = wire.act.value().map(|actor| ActorTexts::new(actor, &mut keeper));
        let mut keep = |text: Cow<'_, str>| keeper.keep(&text);
        Some(Self(Inner {
            act,
            azp: wire.azp.value().map(&mut keep),
            decoded_weight,
            exp: wire.exp.value()?,
            fea: wire.fea.map(&mut keep),
            fva: wire.fva,
            iat: wire.iat.value(),
            instance: Arc::clone(instance),
            is_session: !is_template && matches!(wire.sid, Claim::Value(_)),
            iss: keep(wire.iss.value()?),
            jti: wire.jti.map(&mut keep),
            nbf: wire.nbf.value(),
            organization: OnceLock::new(),
            payload: String::new(),
            pla: wire.pla.map(&mut keep),
            sid: wire.sid.value().map(&mut keep),
            sts: wire.sts.value().map(&mut keep),
            sub: keep(wire.sub.value()?),
            version: wire.version,
            // The last, when all that is copied has been.
            copies: keeper.copies.into(),
        }))
    }
}

/// Milliseconds since 1970, negative before.
pub(crate) fn unix_millis(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(error) => -millis(error.duration()),
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A time so far off that the platform has no value for it becomes the farthest that every platform has.
fn system_time(millis: i64) -> SystemTime {
    let distance = Duration::from_millis(millis.unsigned_abs());
    let time = if millis < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance).or(SystemTime::UNIX_EPOCH.checked_add(FAR))
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// About eight thousand years.
const FAR: Duration = Duration::from_secs(8_000 * 365 * 24 * 60 * 60);
