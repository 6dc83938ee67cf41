use std::time::Duration;

use super::FetchErrorKind;

/// The state of the keys of an instance, for health endpoints and metrics.
///
/// [`Verifier::keys_status`](crate::Verifier::keys_status) returns it, and has an example. A readiness endpoint may
/// require that [`keys`](Self::keys) is not zero, if [`warm_up`](crate::Verifier::warm_up) fetches keys at start; a
/// liveness endpoint should not. A [`last_error`](Self::last_error) alone is a warning, because the last good set stays
/// in use. Times are measured with the monotonic clock.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeysStatus {
    /// The number of keys in use. Zero if there is no key set, or the set is past the
    /// [`jwks_stale_limit`](crate::ClerkConfig::jwks_stale_limit): tokens then get 503.
    pub keys: usize,
    /// The time since the key set in use was fetched; `None` without one, and for keys that are not fetched.
    pub age: Option<Duration>,
    /// The time since a fetch last succeeded; `None` if none has. It outlives the key set.
    pub last_success: Option<Duration>,
    /// The kind of error of the last fetch; `None` if it succeeded, or there was none.
    pub last_error: Option<FetchErrorKind>,
}

impl KeysStatus {
    /// The state of keys that are not fetched: they have no age and cannot fail.
    pub(crate) fn fixed(keys: usize) -> Self {
        Self { keys, age: None, last_success: None, last_error: None }
    }

    /// Whether this state is worse than the other: no keys, else a failed fetch, else older keys.
    ///
    /// `None < Some(_)`, so keys that are not fetched count as the best.
    pub(crate) fn is_worse_than(&self, other: &Self) -> bool {
        let badness = |status: &Self| (status.keys == 0, status.last_error.is_some(), status.age);
        badness(self) > badness(other)
    }
}
