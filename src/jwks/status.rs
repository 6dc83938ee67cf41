use std::time::Duration;

use super::FetchErrorKind;

/// The state of the keys of a verifier, for health endpoints.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeysStatus {
    /// How many keys are in use; zero if there are none, or none that may still be used.
    pub keys: usize,
    /// How long ago the set in use was fetched; `None` without one, and for keys that are not fetched.
    pub age: Option<Duration>,
    /// How long ago a fetch last succeeded.
    pub last_success: Option<Duration>,
    /// What was wrong with the last fetch, if it failed.
    pub last_error: Option<FetchErrorKind>,
}

impl KeysStatus {
    /// Of keys that are not fetched.
    pub(crate) fn fixed(keys: usize) -> Self {
        Self { keys, age: None, last_success: None, last_error: None }
    }

    /// Whether this instance is worse off than the other: it has no keys, its last fetch failed, or its keys are older.
    pub(crate) fn is_worse_than(&self, other: &Self) -> bool {
        let badness = |status: &Self| (status.keys == 0, status.last_error.is_some(), status.age);
        badness(self) > badness(other)
    }
}
