//! The requests of one connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The requests of one connection, counted on both sides of hyper: as bytes, and as calls of the service.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The number of the first request with ambiguous framing, counted from 1; 0 if there was none.
    ambiguous: AtomicU64,
    /// How many the service has been called with.
    called: AtomicU64,
    /// What follows is no HTTP any more.
    is_tunnel: AtomicBool,
}

impl Requests {
    /// Marks this request and all after it as ambiguous.
    pub(super) fn mark(&self, number: u64) {
        self.ambiguous.store(number, Ordering::Release);
    }

    /// Called when the connection has become a tunnel: its bytes are no requests.
    pub(super) fn end(&self) {
        self.is_tunnel.store(true, Ordering::Release);
    }

    /// Whether the request that the service is called with now has ambiguous framing. Every request after it on the
    /// connection counts as ambiguous too: nobody knows where it begins.
    pub(super) fn next_is_ambiguous(&self) -> bool {
        let number = self.called.fetch_add(1, Ordering::Relaxed) + 1;
        let ambiguous = self.ambiguous.load(Ordering::Acquire);
        ambiguous != 0 && ambiguous <= number
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.load(Ordering::Acquire)
    }

    /// The number of the first ambiguous request; 0 if there is none.
    #[cfg(test)]
    pub(super) fn first_ambiguous(&self) -> u64 {
        self.ambiguous.load(Ordering::Acquire)
    }
}
