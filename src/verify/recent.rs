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

/// The places of one thread. Aligned, since those of several threads lie side by side: 128 bytes are two cache lines, which
/// some processors load together.
#[derive(Default)]
#[repr(align(128))]
struct Slots([Cell<Slot>; SLOTS]);

/// The place for one token of a thread.
#[derive(Default)]
pub(super) struct Slot {
    recent: Option<Recent>,
    /// The end of the token that was inserted or found last.
    last: TokenEnd,
}

/// A token, and its claims with a reference count that no other thread writes.
struct Recent {
    token: Arc<CachedToken>,
    claims: Claims,
}

impl RecentTokens {
    /// The place for tokens with this end.
    ///
    /// The caller takes the slot out and puts it back: the checks of a hit may run code of the application, and that may
    /// verify another token.
    pub(super) fn place(&self, end: &TokenEnd) -> Option<&Cell<Slot>> {
        // The characters of a signature are as good as random.
        let [first, ..] = *end;
        let Slots(slots) = self.threads.get_or_default();
        slots.get(usize::from(first) % SLOTS)
    }
}

impl Slot {
    /// The token that has this place, and its claims, if it is exactly this one.
    pub(super) fn find(&self, token: &[u8]) -> Option<(&CachedToken, &Claims)> {
        let Recent { token, claims } = self.recent.as_ref().filter(|recent| recent.token.is_of(token))?;
        Some((token, claims))
    }

    /// Notes that a token was inserted into the cache. It takes the place if that is free: its hits then allocate nothing.
    pub(super) fn inserted(self, token: &Arc<CachedToken>) -> Self {
        Self { recent: self.recent.or_else(|| Recent::new(token)), last: *token.end() }
    }

    /// Notes that the token which has this place was found.
    pub(super) fn found_here(mut self) -> Self {
        if let Some(recent) = &self.recent {
            self.last = *recent.token.end();
        }
        self
    }

    /// Notes that a token was found in the cache. It takes the place if it is the last one that was inserted or found: a
    /// thread that serves many tokens in turn need not make room for each of them.
    pub(super) fn found_in_cache(self, token: &Arc<CachedToken>) -> Self {
        let last = *token.end();
        let new = if self.last == last { Recent::new(token) } else { None };
        Self { recent: new.or(self.recent), last }
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
