//! A verified token as it is cached.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use crate::{
    claims::VerifiedToken,
    instance::TrustedInstance,
    jwks::SignedBy,
    jwt::{Segments, sha256},
};

/// The last characters of a token, which are part of its signature.
pub(super) type TokenSuffix = [u8; SUFFIX_LENGTH];

/// The claims of a verified token, with what a hit has to check again.
pub(super) struct CachedToken {
    claims: VerifiedToken,
    /// The instance that verified it. A resolver may have replaced or removed it since.
    instance: Arc<TrustedInstance>,
    signed_by: SignedBy,
    /// The generation of the key set in which the key was last found. A hit updates it, so that only the first hit
    /// after a refresh searches the new set.
    generation: AtomicU64,
    /// The header and the payload with their dot, as they are in the token (RFC 7515, section 5.2).
    signing_input: Box<[u8]>,
    /// The SHA-256 of the signature as it is in the token, without its suffix.
    signature_digest: [u8; 32],
    suffix: TokenSuffix,
    /// In bytes of the heap.
    weight: u64,
}

impl CachedToken {
    /// In bytes: without the texts of the token.
    pub(super) const MIN_WEIGHT: usize = size_of::<Self>() + OVERHEAD;

    /// `None` if the signature is shorter than the suffix, as no key makes it.
    pub(super) fn new(
        segments: &Segments<'_, '_>,
        claims: VerifiedToken,
        instance: Arc<TrustedInstance>,
        signed_by: SignedBy,
    ) -> Option<Self> {
        let (rest, suffix) = segments.signature().split_last_chunk()?;
        let signing_input = segments.signing_input();
        let bytes = claims.heap_size().saturating_add(signing_input.len()).saturating_add(Self::MIN_WEIGHT);
        Some(Self {
            claims,
            instance,
            generation: AtomicU64::new(signed_by.generation),
            signed_by,
            signing_input: signing_input.into(),
            signature_digest: sha256(rest),
            suffix: *suffix,
            weight: u64::try_from(bytes).unwrap_or(u64::MAX),
        })
    }

    /// Whether this is the entry of exactly this token.
    ///
    /// All that follows the signing input and its dot is compared, so nothing can be inserted or left out there.
    pub(super) fn is_of(&self, token: &[u8]) -> bool {
        let token = token.strip_suffix(&self.suffix).and_then(|rest| rest.strip_prefix(&*self.signing_input));
        let signature = token.and_then(|rest| rest.strip_prefix(b"."));
        signature.is_some_and(|signature| sha256(signature) == self.signature_digest)
    }

    /// In bytes of the heap.
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    pub(super) fn claims(&self) -> &VerifiedToken {
        &self.claims
    }

    pub(super) fn suffix(&self) -> &TokenSuffix {
        &self.suffix
    }

    pub(super) fn instance(&self) -> &Arc<TrustedInstance> {
        &self.instance
    }

    /// Whether the key that signed the token is still in the current set, and the set is not late. Starts a refresh
    /// that is due. `now` is the time of the wall clock, which the caller has read already.
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

/// In bytes: an upper estimate of what the table with its key, the allocator and the reference counts add.
const OVERHEAD: usize = 160;
/// 32 base64url characters hold at least 188 bits of a signature, so no two tokens share them by chance. 16 would do,
/// but what is compared need not be hashed: the rest of a signature of 2048 bits fills five blocks of SHA-256 instead
/// of six, which saves 8 % of a hit through the layer (`cargo bench --bench layer`).
pub(super) const SUFFIX_LENGTH: usize = 32;
