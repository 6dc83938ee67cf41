//! The bound on the memory of everything that waits for keys or for the resolver.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bytes of all that waits at one verifier. The number of waiters is bounded per instance, but 16 384 of them with
/// long tokens would take half a gibibyte, and a resolver multiplies the instances.
#[derive(Default)]
pub(super) struct WaitingBytes {
    taken: Arc<AtomicUsize>,
}

/// The right to keep so many bytes while waiting. Dropping it gives the bytes back, also if the waiter is cancelled or
/// panics.
pub(crate) struct WaitingPermit {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

impl WaitingBytes {
    /// Takes `bytes` and [`OVERHEAD`]; `None` if less is left.
    pub(super) fn take(&self, bytes: usize) -> Option<WaitingPermit> {
        let bytes = bytes.checked_add(OVERHEAD)?;
        let add = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= MAX_WAITING_BYTES);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).ok()?;
        Some(WaitingPermit { bytes, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for WaitingPermit {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// What a small container can spare: 8 000 waiting requests with the 3 KiB of headers that browsers send.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// For the wait itself: its future, its timer, and its place in the list of waiters.
const OVERHEAD: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_up_to_the_bound_and_given_back() {
        let bytes = WaitingBytes::default();
        let most = bytes.take(MAX_WAITING_BYTES - OVERHEAD).expect("as many as there are");
        assert!(bytes.take(0).is_none());
        drop(most);
        let all_but_one_permit = bytes.take(MAX_WAITING_BYTES - 2 * OVERHEAD).expect("enough are left");
        let last = bytes.take(0).expect("exactly the rest");
        assert!(bytes.take(0).is_none());
        drop((all_but_one_permit, last));
        assert_eq!(bytes.taken.load(Ordering::Acquire), 0);
        assert!(bytes.take(usize::MAX).is_none());
        assert!(bytes.take(MAX_WAITING_BYTES).is_none());
        assert_eq!(bytes.taken.load(Ordering::Acquire), 0);
    }
}
