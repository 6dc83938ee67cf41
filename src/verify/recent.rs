//! The tokens that a thread verifies again and again, for that thread alone.
//!
//! All threads share the token cache. Each hit there writes to a lock and to reference counts, and threads that serve the
//! same token, such as that of a gateway, wait for each other's writes: two cores did 1.75 times as many hits as one.
//! What is found here is written by its own thread only.

use std::{cell::Cell, sync::Arc};

use thread_local::ThreadLocal;

use super::cached_token::{CachedToken, TokenEnd};
use crate::claims::Claims;

/// A few tokens of the cache for each thread. They are dropped with the cache, or when others take their place.
#[derive(Default)]
pub(super) struct RecentTokens {
    threads: ThreadLocal<Slots>,
}

/// The slots of one thread. Aligned, since those of several threads lie side by side: 128 bytes are two cache lines, which
/// some processors load together.
#[derive(Default)]
#[repr(align(128))]
struct Slots([Slot; SLOTS]);

/// The place for one token of a thread.
#[derive(Default)]
pub(super) struct Slot {
    recent: Cell<Option<Recent>>,
    /// The end of the token that was inserted or found last.
    last: Cell<TokenEnd>,
}

/// A token, and its claims with a reference count that no other thread writes.
pub(super) struct Recent {
    pub(super) token: Arc<CachedToken>,
    pub(super) claims: Claims,
}

impl RecentTokens {
    /// The slot for tokens with this end.
    pub(super) fn slot(&self, end: &TokenEnd) -> Option<&Slot> {
        let Slots(slots) = self.threads.get_or_default();
        // The characters of a signature are as good as random.
        let [first, ..] = *end;
        slots.get(usize::from(first) % SLOTS)
    }
}

impl Slot {
    /// Takes out exactly this token, if it is here.
    ///
    /// The caller puts it back if it is still valid. It is taken out because the checks of a hit may run code of the
    /// application, which may verify another token.
    pub(super) fn take(&self, token: &[u8]) -> Option<Recent> {
        let recent = self.recent.take()?;
        if recent.token.is_of(token) {
            return Some(recent);
        }
        self.recent.set(Some(recent));
        None
    }

    /// Puts back a token that was found here.
    pub(super) fn put_back(&self, recent: Recent) {
        self.last.set(*recent.token.end());
        self.recent.set(Some(recent));
    }

    /// Notes that a token was found in the cache. It gets the slot if it is the last one that was inserted or found: a
    /// thread that serves many tokens in turn need not make room for each of them.
    pub(super) fn found(&self, token: &Arc<CachedToken>) {
        if self.last.replace(*token.end()) == *token.end()
            && let Some(recent) = Recent::new(token)
        {
            self.recent.set(Some(recent));
        }
    }

    /// Notes that a token was inserted into the cache. It gets the slot if that is free: its hits then allocate nothing.
    pub(super) fn inserted(&self, token: &Arc<CachedToken>) {
        self.last.set(*token.end());
        let recent = self.recent.take().or_else(|| Recent::new(token));
        self.recent.set(recent);
    }
}

impl Recent {
    /// `None` if the token is too long.
    fn new(token: &Arc<CachedToken>) -> Option<Self> {
        let claims = (token.weight() <= MAX_WEIGHT).then(|| token.claims().alias())?;
        Some(Self { token: Arc::clone(token), claims })
    }
}

/// A power of two. With few more tokens than that, none has a place for long, and the cache is fast enough.
const SLOTS: usize = 8;
/// In bytes. The tokens of a thread do not count for the limits of the cache, so they must not take much: together 64 KiB
/// at most.
const MAX_WEIGHT: u64 = 8192;
