//! The limits on fetches that all instances of a verifier share.
//!
//! The gate of a store bounds the fetches of one instance. That is not enough with thousands of instances: a forged
//! token for each of them, or a start of the service, would cause as many fetches at once.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    places::{Place, Places},
    rate_limit::RateLimit,
};

/// The limits of one verifier.
#[derive(Debug)]
pub(crate) struct FetchLimits {
    places: Places<3>,
    /// For reasons that forged tokens can give, besides the budgets of each instance.
    forgeable: Mutex<RateLimit>,
}

/// How much a fetch matters to requests that are served now. Each class leaves places to those before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FetchClass {
    /// The instance has keys: its users are served now, and a fetch keeps it so.
    HasKeys,
    /// The instance has no keys yet.
    NoKeys,
    /// The last fetch of the instance failed: the next one may hang as long. If it has keys, they stay in use.
    AfterFailure,
}

impl FetchLimits {
    pub(crate) fn new() -> Self {
        Self {
            places: Places::new([MAX_FETCHES, MAX_FETCHES_WITHOUT_KEYS, MAX_FETCHES_AFTER_FAILURE]),
            forgeable: Mutex::new(RateLimit::new(FORGEABLE_BURST, FORGEABLE_INTERVAL)),
        }
    }

    /// Waits for a place for one fetch.
    pub(super) async fn place(&self, class: FetchClass) -> Place<'_> {
        let class = match class {
            FetchClass::HasKeys => 0,
            FetchClass::NoKeys => 1,
            FetchClass::AfterFailure => 2,
        };
        self.places.acquire(class).await
    }

    /// Takes from the budget for fetches that forged tokens can cause; `false` if it is used up.
    pub(super) fn try_take_forgeable(&self, now: Duration) -> bool {
        self.forgeable.lock().unwrap_or_else(PoisonError::into_inner).try_take(now)
    }
}

/// Fetches at once. They are small and take about 100 ms, so this is several hundred a second.
const MAX_FETCHES: usize = 32;
/// Of those 32, so that 8 are left to instances with keys.
pub(crate) const MAX_FETCHES_WITHOUT_KEYS: usize = 24;
/// Of those 24, so that 8 are left to instances whose last fetch has not failed. Servers that hang, for hundreds of
/// tenants, then keep the others neither from their first keys nor from a refresh.
const MAX_FETCHES_AFTER_FAILURE: usize = 16;
/// Enough for a rotation of the keys of many instances at once. A verifier with one instance never reaches it, because
/// the budgets of the instance are smaller.
const FORGEABLE_BURST: u32 = 64;
/// Ten more a second, from which a server of keys for thousands of tenants does not suffer.
const FORGEABLE_INTERVAL: Duration = Duration::from_millis(100);
