//! The token cache: verified tokens, so that the next request with one of them costs no signature.
//!
//! An entry is found by the last characters of the token, its suffix. It is confirmed by the header and the payload,
//! which are compared as they are in the token, and by the SHA-256 of the rest of the signature. A hit is not yet a
//! valid token: `Verifier::cached` also checks the time, the key and the instance, because each of them may change
//! while the token is cached.
//!
//! Why not another comparison: with the whole token stored, whoever reads the memory could send it. A digest of the
//! whole token of 1100 bytes takes 18 blocks of SHA-256 in place of 5. A faster digest under a key, such as GMAC or
//! Poly1305, is linear: with the key and one entry, which are in the same memory, another text with the same digest can
//! be computed.

use std::{
    sync::{Arc, OnceLock},
    time::SystemTime,
};

use foldhash::fast::RandomState;
use quick_cache::{
    Lifecycle, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::{
    cached_token::{CachedToken, SUFFIX_LENGTH, TokenSuffix},
    thread_cache::ThreadCaches,
};
use crate::{claims::VerifiedToken, instruments::UncountedEvictions};

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
    /// The number of cached tokens, without the few that each thread holds beside them. Expired tokens count until they
    /// are evicted, or until the next request with them.
    pub entries: usize,
    /// The bytes of the heap that they take, as an upper estimate.
    pub bytes: u64,
}

/// Verified tokens by their suffix. Of the signature only the suffix and a digest of the rest are stored, so no token
/// can be rebuilt.
///
/// The suffix is part of the signature. A forgery with a signature of its own therefore finds no entry and costs no
/// digest.
///
/// Both parts of the comparison are needed. If only the signature were compared, a token with another payload would
/// pass, and a service further in that reads the header again would trust that payload. If only the header and the
/// payload were compared, no secret would be needed: logs often keep them.
///
/// Only verified tokens are inserted, and the hash has a random seed, so clients cannot make tokens whose suffixes
/// collide, and a fast hash is safe: foldhash saves 8 % of a hit in this cache. Whoever supplies the keys of an
/// instance can make a token with the suffix of another one. It then takes the place of that entry, but never passes
/// for it.
pub(super) struct TokenCache {
    /// Made with the first verified token: a verifier that verifies none allocates no shards.
    cache: OnceLock<SharedCache>,
    /// Those that [`take_evictions`](Self::take_evictions) has not returned yet.
    evictions: UncountedEvictions,
    limits: TokenCacheLimits,
    threads: Option<ThreadCaches>,
}

type SharedCache = Cache<TokenSuffix, Arc<CachedToken>, TokenWeight, RandomState, CountEvictions>;

impl TokenCacheLimits {
    /// Makes a cache that keeps both limits, although quick_cache has only one: the total weight.
    fn cache(self, evictions: UncountedEvictions) -> SharedCache {
        let Self { entries, bytes } = self;
        // quick_cache adds up weights in `u64`: a quarter of its range keeps the sums below the maximum.
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(u64::MAX / 4);
        let count = u64::try_from(entries).unwrap_or(u64::MAX).max(1);
        // An entry weighs its bytes or an equal share of the limit, whichever is more: the total weight then limits the
        // bytes and the number of entries. quick_cache does not admit an entry as heavy as the whole limit, so with few
        // entries the share is a little smaller. That is exact only in a single shard, which few entries get.
        let share = if entries < SINGLE_SHARD_BELOW { bytes / (count + 1) + 1 } else { bytes.div_ceil(count) };
        // quick_cache sizes its list of evicted keys by this estimate, so it must not exceed what fits into the bytes.
        let fitting = usize::try_from(bytes).unwrap_or(usize::MAX) / CachedToken::MIN_WEIGHT;
        let estimate = entries.min(fitting).max(1);
        let lifecycle = CountEvictions { evictions, drops: DefaultLifecycle::default() };
        Cache::with(estimate, bytes, TokenWeight { share }, RandomState::default(), lifecycle)
    }
}

impl TokenCache {
    pub(super) fn new(limits: TokenCacheLimits) -> Self {
        let threads = ThreadCaches::beside(limits.entries, limits.bytes);
        Self { cache: OnceLock::new(), evictions: UncountedEvictions::default(), limits, threads }
    }

    /// Returns the claims of exactly this token, if `is_valid` says that its entry is still valid.
    ///
    /// The comparison need not take constant time: the sender of a token already knows what it is compared with.
    pub(super) fn get(&self, token: &[u8], mut is_valid: impl FnMut(&CachedToken) -> bool) -> Option<VerifiedToken> {
        let cache = self.cache.get()?;
        let suffix = token.last_chunk()?;
        if let Some(claims) = self.threads.as_ref().and_then(|threads| threads.get(suffix, token, &mut is_valid)) {
            return Some(claims);
        }
        let found = cache.get(suffix).filter(|found| found.is_of(token) && is_valid(found))?;
        if let Some(threads) = &self.threads {
            threads.on_shared_hit(&found);
        }
        Some(found.claims().clone())
    }

    /// Removes the entry of a token if it has expired.
    pub(super) fn remove_expired(&self, token: &[u8], now: SystemTime) {
        if let (Some(cache), Some(suffix)) = (self.cache.get(), token.last_chunk::<SUFFIX_LENGTH>()) {
            cache.remove_if(suffix, |current| current.claims().has_expired_at(now));
        }
    }

    /// Inserts a verified token.
    pub(super) fn insert(&self, token: CachedToken, now: SystemTime) {
        let (suffix, token) = (*token.suffix(), Arc::new(token));
        if let Some(threads) = &self.threads {
            threads.on_insert(&token, now);
        }
        self.cache.get_or_init(|| self.limits.cache(self.evictions.clone())).insert(suffix, token);
    }

    /// How many tokens were evicted since the last call, for metrics.
    pub(super) fn take_evictions(&self) -> u64 {
        self.evictions.take()
    }

    pub(super) fn status(&self) -> TokenCacheStatus {
        let Some(cache) = self.cache.get() else { return TokenCacheStatus::default() };
        TokenCacheStatus { entries: cache.len(), bytes: cache.iter().map(|(_, cached)| cached.weight()).sum() }
    }
}

/// Counts evictions. quick_cache reports them while it holds a lock, so this runs no other code.
#[derive(Clone)]
struct CountEvictions {
    evictions: UncountedEvictions,
    drops: DefaultLifecycle<TokenSuffix, Arc<CachedToken>>,
}

impl Lifecycle<TokenSuffix, Arc<CachedToken>> for CountEvictions {
    type RequestState =
        <DefaultLifecycle<TokenSuffix, Arc<CachedToken>> as Lifecycle<TokenSuffix, Arc<CachedToken>>>::RequestState;

    fn on_evict(&self, state: &mut Self::RequestState, suffix: TokenSuffix, token: Arc<CachedToken>) {
        self.evictions.add_one();
        self.drops.on_evict(state, suffix, token);
    }
}

/// Weighs an entry for quick_cache; see [`TokenCacheLimits::cache`].
#[derive(Clone)]
struct TokenWeight {
    share: u64,
}

impl Weighter<TokenSuffix, Arc<CachedToken>> for TokenWeight {
    fn weight(&self, _: &TokenSuffix, cached: &Arc<CachedToken>) -> u64 {
        cached.weight().max(self.share)
    }
}

/// quick_cache makes a second shard only if each then holds at least 32 entries, so fewer are always in one shard.
const SINGLE_SHARD_BELOW: usize = 32;
