use std::{borrow::Cow, time::Duration};

use super::Claims;

/// How recently a user must have verified their factors: Clerk's
/// [reverification](https://clerk.com/docs/guides/secure/reverification).
///
/// The presets have the limits of Clerk's SDKs. Use it with
/// [`Requirement::reverification`](crate::Requirement::reverification), whose rejection makes Clerk's front end start a
/// reverification.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::{ClerkAuth, claims::{Reverification, ReverificationLevel}};
///
/// let user = ClerkAuth::builder().claim("fva", [5, -1]).build();
/// assert!(Reverification::strict().is_met_by(&user));
/// assert!(!Reverification::after_minutes(ReverificationLevel::FirstFactor, 5).is_met_by(&user));
/// # }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reverification {
    level: ReverificationLevel,
    minutes: u32,
    preset: Option<&'static str>,
}

/// Which factors a [`Reverification`] demands.
///
/// For a user without a second factor, the first factor takes its place, as in Clerk's SDKs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReverificationLevel {
    /// The first factor.
    FirstFactor,
    /// Both factors.
    MultiFactor,
    /// The second factor.
    SecondFactor,
}

impl Reverification {
    /// Requires the second factor within the last 24 hours.
    #[must_use]
    pub const fn lax() -> Self {
        Self { preset: Some("lax"), ..Self::after_minutes(ReverificationLevel::SecondFactor, 1440) }
    }

    /// Requires the second factor within the last hour.
    #[must_use]
    pub const fn moderate() -> Self {
        Self { preset: Some("moderate"), ..Self::after_minutes(ReverificationLevel::SecondFactor, 60) }
    }

    /// Requires the second factor within the last 10 minutes.
    #[must_use]
    pub const fn strict() -> Self {
        Self { preset: Some("strict"), ..Self::after_minutes(ReverificationLevel::SecondFactor, 10) }
    }

    /// Requires both factors within the last 10 minutes.
    #[must_use]
    pub const fn strict_mfa() -> Self {
        Self { preset: Some("strict_mfa"), ..Self::after_minutes(ReverificationLevel::MultiFactor, 10) }
    }

    /// Requires the factors of `level` less than `minutes` ago. With zero, no user meets it.
    #[must_use]
    pub const fn after_minutes(level: ReverificationLevel, minutes: u32) -> Self {
        Self { level, minutes, preset: None }
    }

    /// Returns `true` if the factors were verified recently enough when the token was issued (`fva`).
    ///
    /// The age of the token, 60 seconds at most by default, is not added. A token made from a JWT template never meets
    /// it.
    #[must_use]
    pub fn is_met_by(&self, claims: &Claims) -> bool {
        let limit = Duration::from_secs(60 * u64::from(self.minutes));
        let (first, second) = (claims.first_factor_age(), claims.second_factor_age());
        let is_fresh = |age: Option<Duration>| age.is_some_and(|age| age < limit);
        match (self.level, second) {
            _ if !claims.is_session() => false,
            (ReverificationLevel::FirstFactor, _) | (_, None) => is_fresh(first),
            (ReverificationLevel::SecondFactor, Some(_)) => is_fresh(second),
            (ReverificationLevel::MultiFactor, Some(_)) => is_fresh(first) && is_fresh(second),
        }
    }

    /// Whether any user can meet it. If not, asking for a reverification would loop for ever.
    pub(crate) fn can_be_met(self) -> bool {
        self.minutes > 0
    }

    /// Returns the JSON that Clerk's front end reads: the name of a preset, or an object with `level` and
    /// `afterMinutes`.
    pub(crate) fn to_json(self) -> Cow<'static, str> {
        let level = self.level.as_str();
        match self.preset {
            Some(preset) => format!("\"{preset}\"").into(),
            None => format!(r#"{{"level":"{level}","afterMinutes":{}}}"#, self.minutes).into(),
        }
    }
}

impl ReverificationLevel {
    /// Returns the level as Clerk's front end spells it, such as `first_factor`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstFactor => "first_factor",
            Self::MultiFactor => "multi_factor",
            Self::SecondFactor => "second_factor",
        }
    }
}
