use std::{borrow::Cow, time::Duration};

use super::Claims;

/// How recently the user must have verified their factors: Clerk's
/// [reverification](https://clerk.com/docs/guides/secure/reverification).
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

/// Which factors count for a [`Reverification`].
///
/// A user without a second factor is held to the first in its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
    /// The second factor within a day.
    #[must_use]
    pub const fn lax() -> Self {
        Self { preset: Some("lax"), ..Self::after_minutes(ReverificationLevel::SecondFactor, 1440) }
    }

    /// The second factor within an hour.
    #[must_use]
    pub const fn moderate() -> Self {
        Self { preset: Some("moderate"), ..Self::after_minutes(ReverificationLevel::SecondFactor, 60) }
    }

    /// The second factor within 10 minutes.
    #[must_use]
    pub const fn strict() -> Self {
        Self { preset: Some("strict"), ..Self::after_minutes(ReverificationLevel::SecondFactor, 10) }
    }

    /// Both factors within 10 minutes.
    #[must_use]
    pub const fn strict_mfa() -> Self {
        Self { preset: Some("strict_mfa"), ..Self::after_minutes(ReverificationLevel::MultiFactor, 10) }
    }

    /// The factors of `level` less than `minutes` ago; with zero no user meets it.
    #[must_use]
    pub const fn after_minutes(level: ReverificationLevel, minutes: u32) -> Self {
        Self { level, minutes, preset: None }
    }

    /// Whether the factors were verified recently enough (`fva`), as of when the token was issued; sessions alone
    /// have factors.
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

    /// Whether any user can meet it.
    pub(crate) fn can_be_met(self) -> bool {
        self.minutes > 0
    }

    /// As Clerk's front end reads it: the name of a preset, or an object with `level` and `afterMinutes`.
    pub(crate) fn to_json(self) -> Cow<'static, str> {
        let level = match self.level {
            ReverificationLevel::FirstFactor => "first_factor",
            ReverificationLevel::MultiFactor => "multi_factor",
            ReverificationLevel::SecondFactor => "second_factor",
        };
        match self.preset {
            Some(preset) => format!("\"{preset}\"").into(),
            None => format!(r#"{{"level":"{level}","afterMinutes":{}}}"#, self.minutes).into(),
        }
    }
}
