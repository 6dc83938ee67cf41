//! Tokens that were verified, so that the next request with the same one costs no signature.

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

use super::{instance::Trusted, keys::Voucher};
use crate::{claims::Claims, jwt::sha256};

/// How much a verifier remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    pub(super) bytes: usize,
    pub(super) entries: usize,
}

/// How many verified tokens a verifier remembers, for metrics.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TokenCacheStatus {
    /// How many bytes they take, estimated from above.
    pub bytes: u64,
    /// How many they are.
    pub entries: usize,
}

/// Verified tokens by the SHA-256 of their text; none of them is stored.
///
/// The end of a token, which is that of its signature, finds it. The digest, which takes most of the time of a hit,
/// is then made only of what may be a verified token, and not of every forgery.
pub(super) struct VerifiedTokens {
    cache: OnceLock<Cache<End, Arc<Verified>, Weight, RandomState>>,
    capacity: Capacity,
}

type End = [u8; END];

/// What was found out about a token, and who vouched for it.
pub(super) struct Verified {
    claims: Claims,
    /// Of the whole token, and as good as the token for telling it from others.
    digest: [u8; 32],
    /// The set of keys in which its key was last found.
    generation: AtomicU64,
    instance: Arc<Trusted>,
    voucher: Voucher,
    weight: u64,
}

impl Capacity {
    fn cache(self) -> Cache<End, Arc<Verified>, Weight, RandomState> {
        let Self { bytes, entries } = self;
        // Sums of weights must not overflow.
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(u64::MAX / 4);
        let count = u64::try_from(entries).unwrap_or(u64::MAX).max(1);
        // An entry weighs its bytes, or its share of them if that is more: so one bound keeps both. An entry as heavy as
        // all of them would not be admitted; few make one shard, in which shares need not divide evenly.
        let share = if entries < FEW { bytes / (count + 1) + 1 } else { bytes.div_ceil(count) };
        // What was pushed out leaves a trace, in a number that goes by this one.
        let fitting = usize::try_from(bytes).unwrap_or(usize::MAX) / (size_of::<Verified>() + OVERHEAD);
        let estimate = entries.min(fitting).max(1);
        Cache::with(estimate, bytes, Weight { share }, RandomState::default(), DefaultLifecycle::default())
    }
}

impl VerifiedTokens {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { cache: OnceLock::new(), capacity }
    }

    pub(super) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        let found = self.cache.get()?.get(token.as_bytes().last_chunk::<END>()?)?;
        (found.digest == sha256(token.as_bytes())).then_some(found)
    }

    pub(super) fn insert(&self, token: &str, verified: Verified) {
        let Some(end) = token.as_bytes().last_chunk() else { return };
        let cache = self.cache.get_or_init(|| self.capacity.cache());
        cache.insert(*end, Arc::new(verified));
    }

    pub(super) fn status(&self) -> TokenCacheStatus {
        let Some(cache) = self.cache.get() else { return TokenCacheStatus::default() };
        TokenCacheStatus { bytes: cache.iter().map(|(_, verified)| verified.weight).sum(), entries: cache.len() }
    }
}

impl Verified {
    pub(super) fn new(token: &str, claims: Claims, instance: Arc<Trusted>, voucher: Voucher, generation: u64) -> Self {
        let own = size_of::<Self>() + size_of::<End>() + OVERHEAD;
        let weight = u64::try_from(claims.weight().saturating_add(own)).unwrap_or(u64::MAX);
        Self {
            claims,
            digest: sha256(token.as_bytes()),
            generation: AtomicU64::new(generation),
            instance,
            voucher,
            weight,
        }
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    pub(super) fn instance(&self) -> &Arc<Trusted> {
        &self.instance
    }

    /// Whether its times hold by the letter; within the clock skew the checks themselves decide.
    pub(super) fn holds_at(&self, now: SystemTime) -> bool {
        self.claims.hold_at(now)
    }

    /// Whether the key that vouched may still be used. Counts as use of the keys.
    pub(super) fn is_vouched_for(&self) -> bool {
        let seen = self.generation.load(Ordering::Relaxed);
        match self.instance.keys.vouches(&self.voucher, seen) {
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

#[derive(Clone)]
struct Weight {
    share: u64,
}

impl Weighter<End, Arc<Verified>> for Weight {
    fn weight(&self, _: &End, verified: &Arc<Verified>) -> u64 {
        verified.weight.max(self.share)
    }
}

/// In bytes: what the cache itself, allocations and counts take for an entry.
const OVERHEAD: usize = 128;
/// Entries that one shard of the cache holds.
const FEW: usize = 32;
/// In base64url characters: of far more bits than there are tokens to tell apart.
const END: usize = 16;
