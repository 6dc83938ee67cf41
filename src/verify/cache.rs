//! Tokens that were verified, so that the next request with the same one costs no signature.

use std::{
    hash::{BuildHasher, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::{instance::Trusted, keys::Voucher};
use crate::claims::Claims;

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
pub(super) struct VerifiedTokens {
    cache: OnceLock<Cache<Digest, Arc<Verified>, Weight, DigestHasher>>,
    capacity: Capacity,
}

/// A digest of a token, as good as the token for telling it from others.
pub(super) type Digest = [u8; 32];

/// What was found out about a token, and who vouched for it.
pub(super) struct Verified {
    claims: Claims,
    /// The set of keys in which its key was last found.
    generation: AtomicU64,
    instance: Arc<Trusted>,
    voucher: Voucher,
    weight: u64,
}

impl VerifiedTokens {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self { cache: OnceLock::new(), capacity }
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Verified>> {
        self.cache.get()?.get(digest)
    }

    pub(super) fn insert(&self, digest: Digest, verified: Verified) {
        let Capacity { bytes, entries } = self.capacity;
        // An entry weighs its bytes, or its share of them if that is more: so one bound keeps both.
        let [bytes, share] =
            [bytes, bytes.div_ceil(entries.max(1))].map(|size| u64::try_from(size).unwrap_or(u64::MAX));
        let cache = self
            .cache
            .get_or_init(|| Cache::with(entries, bytes, Weight { share }, DigestHasher, DefaultLifecycle::default()));
        cache.insert(digest, Arc::new(verified));
    }

    pub(super) fn status(&self) -> TokenCacheStatus {
        let Some(cache) = self.cache.get() else { return TokenCacheStatus::default() };
        TokenCacheStatus { bytes: cache.iter().map(|(_, verified)| verified.weight).sum(), entries: cache.len() }
    }
}

impl Verified {
    pub(super) fn new(claims: Claims, instance: Arc<Trusted>, voucher: Voucher, generation: u64) -> Self {
        let own = size_of::<Self>() + size_of::<Digest>() + OVERHEAD;
        let weight = u64::try_from(own + claims.weight()).unwrap_or(u64::MAX);
        Self { claims, generation: AtomicU64::new(generation), instance, voucher, weight }
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

impl Weighter<Digest, Arc<Verified>> for Weight {
    fn weight(&self, _: &Digest, verified: &Arc<Verified>) -> u64 {
        verified.weight.max(self.share)
    }
}

/// A digest is as random as any hash of it.
#[derive(Clone, Default)]
struct DigestHasher;

struct Prefix(u64);

impl BuildHasher for DigestHasher {
    type Hasher = Prefix;

    fn build_hasher(&self) -> Prefix {
        Prefix(0)
    }
}

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*prefix);
        }
    }

    /// The length that precedes an array's bytes says nothing.
    fn write_usize(&mut self, _: usize) {}
}

/// In bytes: what the cache itself, allocations and counts take for an entry.
const OVERHEAD: usize = 128;
