use std::time::Duration;

use super::{key_set::KeySet, source::FetchErrorKind};

/// How the keys of a verifier are, for health endpoints.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeysStatus {
    /// How long ago the set in use was fetched; `None` without one, and for keys that are not fetched.
    pub age: Option<Duration>,
    /// How many keys are in use; zero if there are none, or none that may still be used.
    pub keys: usize,
    /// What was wrong with the last fetch, if it failed.
    pub last_error: Option<FetchErrorKind>,
    /// How long ago a fetch last succeeded.
    pub last_success: Option<Duration>,
}

/// A set of keys as it was fetched. Times are those of the monotonic clock.
pub(crate) struct HeldKeys {
    pub(crate) set: KeySet,
    pub(super) fetched_at: Duration,
    pub(crate) generation: u64,
    pub(super) refresh_at: Duration,
}

/// When a set is refreshed and how long it is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshPolicy {
    pub(crate) interval: Duration,
    pub(crate) stale_limit: Duration,
    pub(crate) timeout: Duration,
}

impl KeysStatus {
    /// Of the keys of two instances, the worse in each respect.
    pub(crate) fn worse(&self, other: &Self) -> Self {
        Self {
            age: self.age.max(other.age),
            keys: self.keys.min(other.keys),
            last_error: self.last_error.or(other.last_error),
            last_success: self.last_success.max(other.last_success),
        }
    }

    /// Of keys that are not fetched.
    pub(crate) fn fixed(keys: usize) -> Self {
        Self { age: None, keys, last_error: None, last_success: None }
    }
}

impl RefreshPolicy {
    /// Nine tenths of the interval, up to a tenth of it earlier so that many processes do not ask at once. In time, too,
    /// for a set that may not be served as long as that.
    pub(super) fn refresh_due(&self) -> Duration {
        self.interval.min(self.stale_limit) * (900 - fastrand::u32(0..=100)) / 1000
    }
}
