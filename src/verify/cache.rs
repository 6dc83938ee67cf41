//! The token cache: verified tokens, so that the next request with one of them costs no signature.
//!
//! An entry is found by the last characters of the token. It is confirmed by the header and the payload, which are
//! compared as they stand in the token, and by the SHA-256 of the signature before that end. A hit is not yet a valid token:
//! `Verifier::cached` also checks the time, the key and the instance, because each of them may change while the token is
//! cached.
//!
//! Why not another comparison: with the whole token stored, whoever reads the memory could send it. A digest of the whole
//! token costs three times as much. A faster digest under a key, such as GMAC or Poly1305, is linear: with the key and
//! one entry, which are in the same memory, another text with the same digest can be computed.

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use foldhash::fast::RandomState;
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::{
    cached_token::{CachedToken, TOKEN_END, TokenEnd},
    recent::{RecentTokens, Slot},
};
use crate::claims::Claims;

/// The two limits of a token cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenCacheLimits {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// The size of a verifier's token cache, for metrics.
///
/// [`Verifier::token_cache_status`](crate::Verifier::token_cache_status) returns it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenCacheStatus {
    /// The number of cached tokens. Expired tokens count until they are evicted, or until the next request with them.
    pub entries: usize,
    /// The bytes of the heap that they take, as an upper estimate.
    pub bytes: u64,
}

/// Verified tokens by their last characters. No signature is stored, so no token can be rebuilt.
///
/// The last characters are the end of the signature. A forgery with a signature of its own therefore finds no entry and
/// costs no digest.
///
/// Both parts of the comparison are needed. By the signature alone, another payload would pass as that of the owner, and
/// a service further in that reads the header again would see it. Who supplies the keys of an instance can also make a
/// second token with the same signature. By the header and the payload alone, anybody could make the token: logs often
/// keep them.
///
/// Only verified tokens are inserted, and the hash has a random seed, so clients cannot choose keys that collide, and a
/// fast hash is safe: foldhash saves 8 % of a hit that no thread has at hand.
pub(super) struct TokenCache {
    /// Made with the first verified token: a verifier that verifies none allocates no shards.
    cache: OnceLock<Cache<TokenEnd, Arc<CachedToken>, TokenWeight, RandomState>>,
    limits: TokenCacheLimits,
    /// `None` if the limits are so low that what the threads keep would be much beside it.
    recent: Option<RecentTokens>,
}

impl TokenCacheLimits {
    /// Makes a cache that keeps both limits, although quick_cache has only one: the total weight.
    fn cache(self) -> Cache<TokenEnd, Arc<CachedToken>, TokenWeight, RandomState> {
        let Self { entries, bytes } = self;
        // quick_cache adds up weights in `u64`: a quarter of its range keeps the sums below the maximum.
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(u64::MAX / 4);
        let count = u64::try_from(entries).unwrap_or(u64::MAX).max(1);
        // An entry weighs its bytes or an equal share of the limit, whichever is more: the total weight then limits the
        // bytes and the number of entries. quick_cache does not admit an entry as heavy as the whole limit, so with few
        // entries the share is a little smaller. That is exact only in a single shard, which few entries get.
        let share = if entries < SINGLE_SHARD_BELOW { bytes / (count + 1) + 1 } else { bytes.div_ceil(count) };
        // quick_cache sizes its list of evicted keys by this estimate, so it must not exceed what fits into the bytes.
        let fitting = usize::try_from(bytes).unwrap_or(usize::MAX) / CachedToken::LEAST_WEIGHT;
        let estimate = entries.min(fitting).max(1);
        Cache::with(estimate, bytes, TokenWeight { share }, RandomState::default(), DefaultLifecycle::default())
    }
}

impl TokenCache {
    pub(super) fn new(limits: TokenCacheLimits) -> Self {
        let has_room = limits.entries >= MIN_ENTRIES_FOR_RECENT && limits.bytes >= MIN_BYTES_FOR_RECENT;
        Self { cache: OnceLock::new(), limits, recent: has_room.then(RecentTokens::default) }
    }

    /// Returns the claims of exactly this token, if `is_valid` says that its entry is still valid.
    ///
    /// The comparison need not take constant time: the sender of a token already knows what it is compared with.
    pub(super) fn get(&self, token: &[u8], is_valid: impl FnOnce(&CachedToken) -> bool) -> Option<Claims> {
        let cache = self.cache.get()?;
        let end = token.last_chunk()?;
        let slot = self.slot(end);
        if let Some((slot, recent)) = slot.and_then(|slot| Some((slot, slot.take(token)?))) {
            let claims = is_valid(&recent.token).then(|| recent.claims.clone())?;
            slot.put_back(recent);
            return Some(claims);
        }
        let found = cache.get(end).filter(|found| found.is_of(token) && is_valid(found))?;
        if let Some(slot) = slot {
            slot.found(&found);
        }
        Some(found.claims().clone())
    }

    /// Removes the entry of a token if it has expired.
    pub(super) fn remove_expired(&self, token: &[u8], now: SystemTime) {
        if let (Some(cache), Some(end)) = (self.cache.get(), token.last_chunk::<TOKEN_END>()) {
            cache.remove_if(end, |current| current.claims().has_expired_at(now));
        }
    }

    pub(super) fn insert(&self, cached: CachedToken) {
        let (end, cached) = (*cached.end(), Arc::new(cached));
        if let Some(slot) = self.slot(&end) {
            slot.inserted(&cached);
        }
        self.cache.get_or_init(|| self.limits.cache()).insert(end, cached);
    }

    pub(super) fn status(&self) -> TokenCacheStatus {
        let Some(cache) = self.cache.get() else { return TokenCacheStatus::default() };
        TokenCacheStatus { entries: cache.len(), bytes: cache.iter().map(|(_, cached)| cached.weight()).sum() }
    }

    fn slot(&self, end: &TokenEnd) -> Option<&Slot> {
        self.recent.as_ref()?.slot(end)
    }
}

/// Weighs an entry for quick_cache; see [`TokenCacheLimits::cache`].
#[derive(Clone)]
struct TokenWeight {
    share: u64,
}

impl Weighter<TokenEnd, Arc<CachedToken>> for TokenWeight {
    fn weight(&self, _: &TokenEnd, cached: &Arc<CachedToken>) -> u64 {
        cached.weight().max(self.share)
    }
}

/// quick_cache makes a second shard only if each then holds at least 32 entries, so fewer are always in one shard.
const SINGLE_SHARD_BELOW: usize = 32;
/// With fewer entries, or fewer bytes, what the threads keep could take more than the cache.
const MIN_ENTRIES_FOR_RECENT: usize = 1000;
/// See [`MIN_ENTRIES_FOR_RECENT`]. It is 16 times what one thread keeps at most.
const MIN_BYTES_FOR_RECENT: usize = 1 << 20;
