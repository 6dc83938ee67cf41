//! The token cache.

#[cfg(feature = "metrics")]
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    handles::Counter,
    table::{TOKEN_CACHE_EVICTIONS, TOKEN_CACHE_HITS, TOKEN_CACHE_MISSES},
};
#[cfg(feature = "metrics")]
use super::{
    handles::set,
    table::{TOKEN_CACHE_BYTES, TOKEN_CACHE_ENTRIES},
};

/// The lookups in one token cache.
#[derive(Default)]
pub(crate) struct CacheInstruments {
    hits: Counter,
    misses: Counter,
    evictions: Counter,
}

/// The evictions of a token cache that are not counted yet: it reports them while it holds a lock, under which no
/// recorder may run. Clones share the number. Without the feature `metrics` it stays zero.
#[derive(Clone, Default)]
pub(crate) struct UncountedEvictions {
    #[cfg(feature = "metrics")]
    number: Arc<AtomicU64>,
}

impl CacheInstruments {
    pub(crate) fn looked_up(&self, is_hit: bool) {
        if is_hit {
            self.hits.add(&TOKEN_CACHE_HITS, 1, Vec::new);
        } else {
            self.misses.add(&TOKEN_CACHE_MISSES, 1, Vec::new);
        }
    }

    /// Counts evictions, also when there are none: a rate needs a series that begins before the first.
    pub(crate) fn evicted(&self, count: u64) {
        self.evictions.add(&TOKEN_CACHE_EVICTIONS, count, Vec::new);
    }

    /// Sets the gauges.
    #[cfg(feature = "metrics")]
    pub(crate) fn set_gauges(&self, entries: usize, bytes: u64) {
        set(&TOKEN_CACHE_ENTRIES, approximate(u64::try_from(entries).unwrap_or(u64::MAX)), Vec::new);
        set(&TOKEN_CACHE_BYTES, approximate(bytes), Vec::new);
    }
}

impl UncountedEvictions {
    pub(crate) fn add_one(&self) {
        #[cfg(feature = "metrics")]
        self.number.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> u64 {
        // Most insertions evict nothing, and need not write.
        #[cfg(feature = "metrics")]
        return if self.number.load(Ordering::Relaxed) == 0 { 0 } else { self.number.swap(0, Ordering::Relaxed) };
        #[cfg(not(feature = "metrics"))]
        0
    }
}

#[cfg(feature = "metrics")]
#[expect(clippy::as_conversions, reason = "gauges are `f64`, which has no other conversion; past 2^53 it rounds")]
pub(super) fn approximate(count: u64) -> f64 {
    count as f64
}
