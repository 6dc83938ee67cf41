//! Whether a generation of keys is current and fresh, without a lock.
//!
//! No set and no clock here, so that every interleaving can be model-checked with loom.

#[cfg(not(tower_clerk_loom))]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(tower_clerk_loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

/// The generation of the current set, and until when it is fresh. Every cache hit of a token reads it.
///
/// One thread writes at a time, under the lock of the gate; any number read.
#[derive(Debug)]
pub(super) struct Freshness {
    /// Zero while there is no set, or while the other two change.
    generation: AtomicU64,
    until: AtomicU64,
    until_wall: AtomicU64,
}

/// The times until which a set is fresh, or a time to compare them with: in units that fit into an atomic.
#[derive(Clone, Copy, Debug)]
pub(super) struct FreshnessTime {
    /// Nanoseconds of the monotonic clock.
    pub(super) monotonic: u64,
    /// Seconds of the wall clock since 1970.
    pub(super) wall: u64,
}

impl Freshness {
    pub(super) fn new() -> Self {
        Self { generation: AtomicU64::new(0), until: AtomicU64::new(0), until_wall: AtomicU64::new(0) }
    }

    /// Publishes a set. No generation may be used twice.
    pub(super) fn publish(&self, generation: u64, until: FreshnessTime) {
        // Zero in between: a reader must not combine the old generation with the new times.
        self.clear();
        self.until.store(until.monotonic, Ordering::Release);
        self.until_wall.store(until.wall, Ordering::Release);
        self.generation.store(generation, Ordering::Release);
    }

    /// Withdraws the set.
    pub(super) fn clear(&self) {
        self.generation.store(0, Ordering::Release);
    }

    /// Whether `generation` is current and neither clock has reached the end of its time.
    pub(super) fn is_fresh(&self, generation: u64, now: FreshnessTime) -> bool {
        let is_current = || self.generation.load(Ordering::Acquire) == generation;
        // The generation is read again after the times: they could be those of a set which has just replaced this one.
        // No generation is used twice, so equal readings mean that the set did not change in between.
        is_current()
            && now.monotonic < self.until.load(Ordering::Acquire)
            && now.wall < self.until_wall.load(Ordering::Acquire)
            && is_current()
    }
}
