//! Which key verifies a token, and when a key that is missing may be fetched.

use std::{sync::Arc, time::Duration};

use super::{
    FetchErrorKind, KeysStatus,
    schedule::FetchReason,
    store::{CachedKeySet, Fetch, FetchUnavailable, FetchWait, KeyStore},
};
use crate::{
    jwt::{Algorithm, CheckedHeader, Compact, KeySet, VerifiedPayload, VerifyingKey},
    single_flight::Lookup,
};

/// The keys of one instance.
pub(crate) enum InstanceKeys {
    /// A set that is fetched and refreshed.
    Fetched(KeyStore),
    /// One key, whatever `kid` a token names.
    One(Arc<VerifyingKey>),
    /// A set that never changes.
    Set(Arc<KeySet>),
}

/// The keys that may have signed a token.
pub(crate) enum Candidates<'k> {
    /// The set of a store as it was `looked_at` that time.
    Fetched {
        store: &'k KeyStore,
        set: Option<Arc<CachedKeySet>>,
        looked_at: Duration,
    },
    Keys(&'k [VerifyingKey]),
}

/// A payload whose signature was verified, and the key that did it.
pub(crate) struct SignedPayload<'p> {
    pub(crate) payload: VerifiedPayload<'p>,
    pub(crate) signed_by: SignedBy,
}

/// The key that signed a token.
#[derive(Debug)]
pub(crate) struct SignedBy {
    kid: Arc<str>,
    algorithm: Algorithm,
    thumbprint: [u8; 32],
    /// The set in which the key was found.
    pub(crate) generation: u64,
}

/// Why no key verifies a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyError {
    AlgorithmMismatch,
    InvalidKeyId,
    InvalidSignature,
    /// Nothing is known of the token.
    Unavailable(FetchUnavailable),
    UnknownKid,
}

/// Waiting for a fetch that may bring the key of a token.
pub(crate) struct KeyWait {
    reason: FetchReason,
    wait: FetchWait,
}

/// What was tried for one token so far.
#[derive(Default)]
pub(crate) struct LookupAttempts {
    /// The thumbprints of the keys that did not verify its signature.
    rejected_keys: Vec<[u8; 32]>,
    /// Fetches that ended without its key.
    fetches: u32,
    /// No further fetch can bring its key: one that started after the token came has succeeded.
    is_exhausted: bool,
}

impl InstanceKeys {
    /// Looks for the keys that a header names. Starts no refresh; an error is one that no payload could avert.
    pub(crate) fn candidates(&self, header: &CheckedHeader<'_>) -> Result<Candidates<'_>, KeyError> {
        let kid = || header.key_id().ok_or(KeyError::InvalidKeyId);
        match self {
            Self::Fetched(store) => {
                let kid = kid()?;
                let (set, looked_at) = store.peek();
                let is_unknown = |set: &Arc<CachedKeySet>| set.keys.get(kid).is_none();
                match &set {
                    Some(set) if is_unknown(set) && store.is_unknown_kid_final(set, looked_at) => {
                        Err(KeyError::UnknownKid)
                    }
                    _ => Ok(Candidates::Fetched { store, set, looked_at }),
                }
            }
            Self::One(key) => Ok(Candidates::Keys(std::slice::from_ref(key))),
            Self::Set(keys) => keys.get(kid()?).map(Candidates::Keys).ok_or(KeyError::UnknownKid),
        }
    }

    /// Whether the key that signed a token may still be used, and in which generation of the set it now is. Starts a
    /// refresh that is due.
    pub(crate) fn current_generation(&self, signed_by: &SignedBy, seen: u64) -> Option<u64> {
        let Self::Fetched(store) = self else { return Some(seen) };
        if store.is_fresh(seen) {
            return Some(seen);
        }
        let set = store.current()?;
        let keys = set.keys.get(&signed_by.kid)?;
        let is_there = keys.iter().any(|key| key.is_same(&signed_by.thumbprint, signed_by.algorithm));
        is_there.then_some(set.generation)
    }

    /// Waits for the key of a token; afterwards its signature is worth another try.
    pub(crate) async fn wait(&self, wait: KeyWait, attempts: &mut LookupAttempts) -> Result<(), KeyError> {
        let KeyWait { reason, wait } = wait;
        let is_own = wait.is_own();
        match wait.end().await {
            Some(Ok(())) => {
                attempts.fetches += 1;
                attempts.is_exhausted = is_own || attempts.fetches >= MAX_FETCHES;
                Ok(())
            }
            Some(Err(_)) if reason == FetchReason::BadSignature => Err(KeyError::InvalidSignature),
            Some(Err(kind)) => Err(self.fetch_failed(kind)),
            None if attempts.fetches < MAX_FETCHES => {
                attempts.fetches += 1;
                Ok(())
            }
            None => Err(self.fetch_failed(FetchErrorKind::Transport)),
        }
    }

    /// Fetches the keys unless they are there.
    pub(crate) async fn warm_up(&self) -> Result<(), KeyError> {
        match self {
            Self::Fetched(store) if store.current().is_none() => {
                self.fetched(store.request(FetchReason::NoKeys, None)).await
            }
            _ => Ok(()),
        }
    }

    /// Fetches the keys, whatever their age and the budgets.
    pub(crate) async fn refresh(&self) -> Result<(), KeyError> {
        let Self::Fetched(store) = self else { return Ok(()) };
        let fetch = store.force();
        let has_joined = matches!(&fetch, Fetch::Wait(wait) if !wait.is_own());
        let fetched = self.fetched(fetch).await;
        // A fetch that was under way may have been answered before whatever the caller knows of.
        if has_joined { self.fetched(store.force()).await } else { fetched }
    }

    pub(crate) fn forget(&self) {
        if let Self::Fetched(store) = self {
            store.forget();
        }
    }

    pub(crate) fn status(&self) -> KeysStatus {
        match self {
            Self::Fetched(store) => store.status(),
            Self::One(_) => KeysStatus::fixed(1),
            Self::Set(keys) => KeysStatus::fixed(keys.len()),
        }
    }

    async fn fetched(&self, fetch: Fetch) -> Result<(), KeyError> {
        match fetch {
            Fetch::Denied | Fetch::SetChanged => Ok(()),
            Fetch::Unavailable(unavailable) => Err(KeyError::Unavailable(unavailable)),
            Fetch::Wait(wait) => match wait.end().await {
                Some(Ok(())) => Ok(()),
                Some(Err(kind)) => Err(self.fetch_failed(kind)),
                None => Err(self.fetch_failed(FetchErrorKind::Transport)),
            },
        }
    }

    fn fetch_failed(&self, kind: FetchErrorKind) -> KeyError {
        let retry_after = match self {
            Self::Fetched(store) => store.retry_after(),
            Self::One(_) | Self::Set(_) => Duration::ZERO,
        };
        KeyError::Unavailable(FetchUnavailable::Failed { kind, retry_after })
    }
}

impl Candidates<'_> {
    /// Verifies the token's signature, or says what is missing.
    pub(crate) fn verify<'p>(
        self,
        token: Compact<'p>,
        header: &CheckedHeader<'_>,
        attempts: &mut LookupAttempts,
    ) -> Lookup<SignedPayload<'p>, KeyError, KeyWait> {
        match self {
            Self::Fetched { store, set, looked_at } => {
                if let Some(set) = &set {
                    store.refresh_if_due(set, looked_at);
                }
                verify_with_store(store, set, token, header, attempts)
            }
            Self::Keys(keys) => match verify_with(keys, UNCHANGING, token, header.algorithm) {
                Ok(signed) => Lookup::Found(signed),
                Err((error, _)) => Lookup::Failed(error),
            },
        }
    }
}

fn verify_with_store<'p>(
    store: &KeyStore,
    mut set: Option<Arc<CachedKeySet>>,
    mut token: Compact<'p>,
    header: &CheckedHeader<'_>,
    attempts: &mut LookupAttempts,
) -> Lookup<SignedPayload<'p>, KeyError, KeyWait> {
    let kid = header.key_id().unwrap_or_default();
    let mut last = KeyError::UnknownKid;
    for _ in 0..MAX_LOOKS {
        let keys = set.as_ref().and_then(|set| set.keys.get(kid));
        let (reason, error) = match (&set, keys) {
            (None, _) => (FetchReason::NoKeys, KeyError::Unavailable(FetchUnavailable::InProgress)),
            (Some(_), None) => (FetchReason::UnknownKid, KeyError::UnknownKid),
            (Some(set), Some(keys)) => {
                if attempts.have_rejected(keys) {
                    return Lookup::Failed(KeyError::InvalidSignature);
                }
                match verify_with(keys, set.generation, token, header.algorithm) {
                    Ok(signed) => return Lookup::Found(signed),
                    Err((KeyError::InvalidSignature, returned)) => token = returned,
                    Err((error, _)) => return Lookup::Failed(error),
                }
                attempts.rejected_keys = keys.iter().map(|key| *key.thumbprint()).collect();
                (FetchReason::BadSignature, KeyError::InvalidSignature)
            }
        };
        if attempts.is_exhausted {
            return Lookup::Failed(error);
        }
        match store.request(reason, set.as_deref()) {
            Fetch::Denied => return Lookup::Failed(error),
            Fetch::SetChanged => {
                last = error;
                set = store.current();
            }
            Fetch::Unavailable(unavailable) => return Lookup::Failed(KeyError::Unavailable(unavailable)),
            Fetch::Wait(wait) => return Lookup::Wait(KeyWait { reason, wait }),
        }
    }
    Lookup::Failed(last)
}

/// Tries the keys of one `kid` in turn; hands the token back if none verifies it.
#[expect(clippy::result_large_err, reason = "the token is handed back, it is no error to carry")]
fn verify_with<'p>(
    keys: &[VerifyingKey],
    generation: u64,
    mut token: Compact<'p>,
    algorithm: Algorithm,
) -> Result<SignedPayload<'p>, (KeyError, Compact<'p>)> {
    let mut error = KeyError::AlgorithmMismatch;
    for key in keys.iter().filter(|key| key.algorithm() == algorithm) {
        match key.verify(token) {
            Ok(payload) => return Ok(SignedPayload { payload, signed_by: SignedBy::new(key, generation) }),
            Err(returned) => token = returned,
        }
        error = KeyError::InvalidSignature;
    }
    Err((error, token))
}

impl SignedBy {
    fn new(key: &VerifyingKey, generation: u64) -> Self {
        Self { kid: Arc::clone(key.kid()), algorithm: key.algorithm(), thumbprint: *key.thumbprint(), generation }
    }
}

impl LookupAttempts {
    /// Whether exactly these keys did not verify the signature before.
    fn have_rejected(&self, keys: &[VerifyingKey]) -> bool {
        self.rejected_keys.len() == keys.len()
            && self.rejected_keys.iter().zip(keys).all(|(rejected, key)| rejected == key.thumbprint())
    }
}

/// The generation of a set that no other comes after.
const UNCHANGING: u64 = 0;
/// Two fetches that a token joined, or one of its own: the second of two started after the token came.
const MAX_FETCHES: u32 = 2;
/// A set is replaced rarely; a token that finds another one at each look is not worth a fourth.
const MAX_LOOKS: u32 = 3;
