//! A small cache of each thread in front of the shared one, for tokens that it sees again and again.
//!
//! A hit in the shared cache writes to a lock and to two reference counts. Threads that serve the same token, such as
//! that of a gateway, wait for each other's writes. Measured with `cargo bench --bench scale`: two cores verify one
//! token 1.75 times as often as one core without this cache, and 2.0 times with it; a hit costs 0.23 µs in place of
//! 0.27.
//!
//! What a hit here does not do is tell the shared cache that the token is in use. It may evict the token, which the
//! thread then still has; other threads verify it anew.

use std::{cell::Cell, sync::Arc, time::SystemTime};

use thread_local::ThreadLocal;

use super::cached_token::{CachedToken, TokenSuffix};
use crate::claims::VerifiedToken;

/// The caches of all threads of one verifier, which are dropped with it. That of a thread which ends stays until then,
/// and another thread takes it over.
#[derive(Default)]
pub(super) struct ThreadCaches {
    /// Boxed, because `ThreadLocal` reserves memory for many more threads than use it.
    slots: ThreadLocal<Box<Slots>>,
}

/// The slots of one thread. Aligned to two cache lines, which some processors load together, so that no other thread
/// writes to them.
#[derive(Default)]
#[repr(align(128))]
struct Slots([Slot; SLOTS]);

/// Holds at most one of the tokens whose suffix leads here.
#[derive(Default)]
struct Slot {
    held: Cell<Option<Held>>,
    /// The token that was last inserted into the shared cache, or found in either.
    last_seen: Cell<Option<TokenSuffix>>,
}

/// A token, and its claims with a reference count that only this thread writes for its hits.
struct Held {
    token: Arc<CachedToken>,
    claims: VerifiedToken,
}

impl ThreadCaches {
    /// `None` if the shared cache is so small that these could take more than it does.
    pub(super) fn beside(entries: usize, bytes: usize) -> Option<Self> {
        (entries >= MIN_ENTRIES && bytes >= MIN_BYTES).then(Self::default)
    }

    /// The claims of exactly this token, if this thread holds it and it is valid. One that is not valid any more is
    /// dropped.
    pub(super) fn get(
        &self,
        suffix: &TokenSuffix,
        token: &[u8],
        is_valid: impl FnOnce(&CachedToken) -> bool,
    ) -> Option<VerifiedToken> {
        let slot = self.slot(suffix)?;
        // Taken out meanwhile: the checks may run code of the application, which may verify another token.
        let held = slot.held.take()?;
        if held.token.is_of(token) {
            let claims = is_valid(&held.token).then(|| held.claims.clone())?;
            slot.last_seen.set(Some(*suffix));
            slot.held.set(Some(held));
            return Some(claims);
        }
        slot.held.set(Some(held));
        None
    }

    /// Notes a hit in the shared cache. The token gets its slot if it is also the last one seen there: a thread that
    /// serves many tokens in turn then copies none of them.
    pub(super) fn on_shared_hit(&self, token: &Arc<CachedToken>) {
        let Some(slot) = self.slot(token.suffix()) else { return };
        if slot.last_seen.replace(Some(*token.suffix())) == Some(*token.suffix()) {
            slot.held.set(Held::replace(slot.held.take(), token));
        }
    }

    /// Notes that a token was inserted into the shared cache. It gets its slot if that is free, or if the token there
    /// has expired.
    pub(super) fn on_insert(&self, token: &Arc<CachedToken>, now: SystemTime) {
        let Some(slot) = self.slot(token.suffix()) else { return };
        slot.last_seen.set(Some(*token.suffix()));
        let held = slot.held.take();
        slot.held.set(match held {
            Some(held) if !held.claims.has_expired_at(now) => Some(held),
            old => Held::replace(old, token),
        });
    }

    /// `None` if the thread ends: the destructor of a thread-local variable may verify a token.
    fn slot(&self, suffix: &TokenSuffix) -> Option<&Slot> {
        let is_ending = HAS_SLOTS.get() && IS_RUNNING.try_with(|_| ()).is_err();
        if is_ending {
            return None;
        }
        let slots = self.slots.get_or_default();
        if !HAS_SLOTS.replace(true) {
            IS_RUNNING.with(|_| ());
        }
        // The characters of a signature are as good as random.
        let [first, ..] = *suffix;
        slots.0.get(usize::from(first) % SLOTS)
    }
}

impl Held {
    /// The token in place of `old`, whose memory it takes over; `old` itself if the token is too long.
    fn replace(old: Option<Self>, token: &Arc<CachedToken>) -> Option<Self> {
        if token.weight() > MAX_WEIGHT {
            return old;
        }
        let claims = token.claims().alias(old.map(|old| old.claims));
        Some(Self { token: Arc::clone(token), claims })
    }
}

thread_local! {
    static HAS_SLOTS: Cell<bool> = const { Cell::new(false) };
    /// First used after `ThreadLocal`, and therefore destroyed before that, which then panics.
    static IS_RUNNING: Running = const { Running };
}

struct Running;

/// Without it, the variable would never count as destroyed.
impl Drop for Running {
    fn drop(&mut self) {}
}

/// A power of two, so that the remainder is a mask. Eight are enough for the few clients that send most requests.
const SLOTS: usize = 8;
/// In bytes. What a thread holds does not count for the limits of the shared cache, so it must be little: with 312
/// bytes of an alias and 512 of the slots at most 36 KiB a thread.
const MAX_WEIGHT: u64 = 4096;
/// The entries of the smallest shared cache that has these beside it: far more than the slots of a usual number of
/// threads.
const MIN_ENTRIES: usize = 1000;
/// The bytes of the smallest shared cache that has these beside it: as much as 29 threads hold.
const MIN_BYTES: usize = 1 << 20;
