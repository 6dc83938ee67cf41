//! The cached key sets of a verifier.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::freshness::FreshnessTime;
use crate::{
    clock::{Moment, nanos},
    jwt::KeySet,
};

/// The key sets of one verifier, each under the number of its store. One cache bounds the memory of all of them.
///
/// It decides nothing about age: the clock of moka cannot be injected, so the timestamps of a set say whether it may be
/// used. The expiry of moka only frees memory, at twice the stale limit.
#[derive(Clone)]
pub(crate) struct KeyCache(Cache<u64, Arc<CachedKeySet>>);

/// A key set as it was fetched.
pub(crate) struct CachedKeySet {
    pub(crate) keys: KeySet,
    /// The number of the set among the sets of its store, from 1.
    pub(crate) generation: u64,
    fetched_at: Moment,
    /// The age at which a refresh is due. Fixed when the set is stored, so that its jitter is drawn once.
    refresh_after: Duration,
}

/// When a set is refreshed, how long it may be used, and how long a fetch may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshPolicy {
    pub(crate) interval: Duration,
    pub(crate) stale_limit: Duration,
    pub(crate) timeout: Duration,
}

impl KeyCache {
    /// Makes a cache for so many instances, whose sets may be used for `stale_limit` at most.
    pub(crate) fn new(instances: usize, stale_limit: Duration) -> Self {
        let instances = u64::try_from(instances).unwrap_or(u64::MAX);
        let cache = Cache::builder()
            .max_capacity(instances.saturating_add(SPARE_CAPACITY))
            // The default policy of moka may not admit a new entry to a full cache. A fetched set must be stored.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(stale_limit * 2);
        Self(cache.build())
    }

    pub(super) fn get(&self, store: u64) -> Option<Arc<CachedKeySet>> {
        self.0.get(&store)
    }

    pub(super) fn insert(&self, store: u64, set: CachedKeySet) {
        self.0.insert(store, Arc::new(set));
    }

    pub(super) fn remove(&self, store: u64) {
        self.0.invalidate(&store);
    }
}

impl CachedKeySet {
    pub(super) fn new(keys: KeySet, generation: u64, fetched_at: Moment, policy: RefreshPolicy) -> Self {
        Self { keys, generation, fetched_at, refresh_after: policy.refresh_due() }
    }

    /// The age by the monotonic clock, which decides whether the set may still be used.
    pub(super) fn age(&self, now: Moment) -> Duration {
        now.running_since(self.fetched_at)
    }

    /// The age by the clock that says more, which decides whether a refresh is due.
    pub(super) fn longest_age(&self, now: Moment) -> Duration {
        now.elapsed_since(self.fetched_at)
    }

    pub(super) fn is_refresh_due(&self, now: Moment) -> bool {
        self.longest_age(now) >= self.refresh_after
    }

    /// Until when no refresh is due. The wall clock, which is needed only after a suspension, is rounded up to seconds.
    pub(super) fn fresh_until(&self) -> FreshnessTime {
        let Moment { monotonic, wall } = self.fetched_at;
        let wall = wall.checked_add(self.refresh_after).unwrap_or(wall);
        let until = FreshnessTime::from(Moment { monotonic: monotonic.saturating_add(self.refresh_after), wall });
        FreshnessTime { wall: until.wall.saturating_add(1), ..until }
    }
}

impl RefreshPolicy {
    /// The age from which a set is late: its refresh is due for so long that nobody can have used the set.
    pub(super) fn late_after(&self) -> Duration {
        self.interval * LATE_INTERVALS
    }

    /// The age at which a set is refreshed: nine tenths of the interval, or up to a tenth of it earlier, so that many
    /// processes do not fetch at once. If the stale limit is shorter than the interval, it counts instead: the set has
    /// to be replaced before it may no longer be used.
    fn refresh_due(&self) -> Duration {
        let permille = REFRESH_AT - fastrand::u32(0..=REFRESH_JITTER);
        self.interval.min(self.stale_limit) * permille / 1000
    }
}

impl From<Moment> for FreshnessTime {
    fn from(moment: Moment) -> Self {
        let since_1970 = moment.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { monotonic: nanos(moment.monotonic), wall: since_1970.as_secs() }
    }
}

/// In thousandths of the refresh interval. A tenth remains for the fetch and its retries before the interval is over.
const REFRESH_AT: u32 = 900;
/// In thousandths of the refresh interval: replicas that started together spread their fetches over this much of it.
const REFRESH_JITTER: u32 = 100;
/// In refresh intervals. A set in use is refreshed within the first, so at the end of the second it was not in use, or
/// the machine was suspended.
const LATE_INTERVALS: u32 = 2;
/// Sets of dropped stores count until the next maintenance of moka, which comes after 64 operations at the latest.
/// Without room for them, moka would evict a set that is in use. Stores of replaced instances count too while cached
/// tokens hold them; an eviction that they cause costs one fetch.
const SPARE_CAPACITY: u64 = 64;
