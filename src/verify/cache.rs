//! The token cache: verified tokens, so that the next request with one of them costs no signature.
//!
//! An entry is found by the last characters of the token and confirmed by the SHA-256 of the whole token. A hit is not
//! yet a valid token: `Verifier::cached` also checks the time, the key and the instance, because each of them may
//! change while the token is cached.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use foldhash::fast::RandomState;
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::{claims::Claims, instance::TrustedInstance, jwks::SignedBy, jwt::sha256};

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

/// Verified tokens by their last characters, confirmed by the SHA-256 of the text. No token is stored.
///
/// The last characters are the end of the signature. A forgery with a signature of its own therefore finds no entry and
/// costs no digest. One that copies a signature finds an entry, but the digest covers the header and the payload too.
///
/// Only verified tokens are inserted, so clients cannot choose keys that collide, and a fast hash is safe: foldhash
/// saves 2.2 % of a hit.
pub(super) struct TokenCache {
    /// Made with the first verified token: a verifier that verifies none allocates no shards.
    cache: OnceLock<Cache<TokenEnd, Arc<CachedToken>, TokenWeight, RandomState>>,
    limits: TokenCacheLimits,
}

type TokenEnd = [u8; TOKEN_END];

/// The claims of a verified token, with what a hit has to check again.
pub(super) struct CachedToken {
    claims: Claims,
    /// The instance that verified it. A resolver may have replaced or removed it since.
    instance: Arc<TrustedInstance>,
    signed_by: SignedBy,
    /// The generation of the key set in which the key was last found. A hit updates it, so that only the first hit
    /// after a refresh searches the new set.
    generation: AtomicU64,
    /// The SHA-256 of the whole token.
    digest: [u8; 32],
    /// In bytes of the heap.
    weight: u64,
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
        let fitting = usize::try_from(bytes).unwrap_or(usize::MAX) / (size_of::<CachedToken>() + OVERHEAD);
        let estimate = entries.min(fitting).max(1);
        Cache::with(estimate, bytes, TokenWeight { share }, RandomState::default(), DefaultLifecycle::default())
    }
}

impl TokenCache {
    pub(super) fn new(limits: TokenCacheLimits) -> Self {
        Self { cache: OnceLock::new(), limits }
    }

    /// Returns the entry of exactly this token.
    ///
    /// The comparison need not take constant time: the sender of a token already knows its digest.
    pub(super) fn get(&self, token: &str) -> Option<Arc<CachedToken>> {
        let found = self.cache.get()?.get(token.as_bytes().last_chunk::<TOKEN_END>()?)?;
        (found.digest == sha256(token.as_bytes())).then_some(found)
    }

    /// Removes this entry, if it is still there.
    pub(super) fn remove(&self, token: &str, cached: &Arc<CachedToken>) {
        if let (Some(cache), Some(end)) = (self.cache.get(), token.as_bytes().last_chunk::<TOKEN_END>()) {
            cache.remove_if(end, |current| Arc::ptr_eq(current, cached));
        }
    }

    pub(super) fn insert(&self, token: &str, cached: CachedToken) {
        let Some(end) = token.as_bytes().last_chunk() else { return };
        let cache = self.cache.get_or_init(|| self.limits.cache());
        cache.insert(*end, Arc::new(cached));
    }

    pub(super) fn status(&self) -> TokenCacheStatus {
        let Some(cache) = self.cache.get() else { return TokenCacheStatus::default() };
        TokenCacheStatus { entries: cache.len(), bytes: cache.iter().map(|(_, cached)| cached.weight).sum() }
    }
}

impl CachedToken {
    pub(super) fn new(token: &str, claims: Claims, instance: Arc<TrustedInstance>, signed_by: SignedBy) -> Self {
        let own = size_of::<Self>() + size_of::<TokenEnd>() + OVERHEAD;
        let weight = u64::try_from(claims.heap_size().saturating_add(own)).unwrap_or(u64::MAX);
        Self {
            claims,
            instance,
            generation: AtomicU64::new(signed_by.generation),
            signed_by,
            digest: sha256(token.as_bytes()),
            weight,
        }
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(super) fn instance(&self) -> &Arc<TrustedInstance> {
        &self.instance
    }

    /// Whether the key that signed the token is still in the current set, and the set is not late. Starts a refresh that
    /// is due. `now` is the time of the wall clock, which the caller has read already.
    ///
    /// Without this check a withdrawn key would verify tokens until their `exp`, and a service whose requests are all
    /// hits would never refresh its keys.
    pub(super) fn is_key_current(&self, now: SystemTime) -> bool {
        let seen = self.generation.load(Ordering::Relaxed);
        match self.instance.keys.current_generation(&self.signed_by, seen, now) {
            Some(generation) => {
                if generation != seen {
                    self.generation.store(generation, Ordering::Relaxed);
                }
                true
            }
            None => false,
        }
    }
}

/// Weighs an entry for quick_cache; see [`TokenCacheLimits::cache`].
#[derive(Clone)]
struct TokenWeight {
    share: u64,
}

impl Weighter<TokenEnd, Arc<CachedToken>> for TokenWeight {
    fn weight(&self, _: &TokenEnd, cached: &Arc<CachedToken>) -> u64 {
        cached.weight.max(self.share)
    }
}

/// In bytes per entry: an upper estimate of what the table, the allocator and the reference counts add.
const OVERHEAD: usize = 128;
/// quick_cache makes a second shard only if each then holds at least 32 entries, so fewer are always in one shard.
const SINGLE_SHARD_BELOW: usize = 32;
/// 16 base64url characters hold at least 92 bits of a signature, so no two of a billion tokens share them by chance.
const TOKEN_END: usize = 16;
