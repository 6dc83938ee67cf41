//! Which key verifies a token, and what to do if it is missing.
//!
//! A missing key does not yet make a token invalid: it may have been published a moment ago. So a token may cause a
//! fetch and is then tried again. Three things bound how often:
//!
//! - The gate bounds how many fetches all tokens cause together.
//! - [`LookupAttempts`] bounds how many fetches one token waits for: one that was started for it, or two that it
//!   joined. A fetch that was in flight may have read the document before the key was published; the second of two
//!   started after the token arrived, so it did not.
//! - [`MAX_LOOKS`] bounds how often a token looks again because the set changed under it.
//!
//! A token whose signature holds waits only if the set is late, see [`KeyStore::is_late`], and only once. The signature
//! comes first, so that a forged token cannot make itself wait.
//!
//! A token with a bad signature remembers the thumbprints of the keys of its `kid`. After a fetch it is verified
//! again only if the keys of its `kid` have changed, so a forgery costs no second verification.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    FetchErrorKind, KeysStatus,
    key_cache::CachedKeySet,
    schedule::FetchReason,
    store::{Fetch, FetchUnavailable, FetchWait, KeyStore},
};
use crate::{
    clock::Moment,
    config::ClerkConfig,
    jwt::{Algorithm, CheckedHeader, Compact, KeySet, VerifiedPayload, VerifyingKey},
    single_flight::Lookup,
};

/// The keys of one instance.
pub(crate) enum InstanceKeys {
    /// A set that is fetched and refreshed.
    Fetched(KeyStore),
    /// One key, from a PEM. It verifies tokens with any `kid`, because a PEM has none.
    One(Arc<VerifyingKey>),
    /// A set from a document in the configuration. It never changes.
    Set(Arc<KeySet>),
}

/// The keys that may have signed a token, before its signature is looked at.
pub(crate) enum CandidateKeys<'k> {
    /// The set of a store, or `None` without one, at the time of the look. That time decides whether a refresh is due.
    Fetched { store: &'k KeyStore, set: Option<Arc<CachedKeySet>>, looked_at: Moment },
    /// Keys that never change.
    Keys(&'k [VerifyingKey]),
}

/// A payload whose signature was verified, with the key that verified it.
pub(crate) struct SignedPayload<'p> {
    pub(crate) payload: VerifiedPayload<'p>,
    pub(crate) signed_by: SignedBy,
}

/// The key that signed a token, to find it again in a later set.
///
/// `kid` alone is not enough: a rotation may put another key under it. The thumbprint identifies the key (RFC 7638).
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
    /// No fetch is possible now, which says nothing about the token.
    Unavailable(FetchUnavailable),
    UnknownKid,
}

/// A token that waits for a fetch which may bring its key, or withdraw it.
pub(crate) struct KeyWait {
    /// Why it waits, which decides what a failed fetch means for it.
    reason: FetchReason,
    /// `None` if the set has changed meanwhile: there is nothing to wait for.
    wait: Option<FetchWait>,
}

/// The fetches and verifications that one token has caused so far.
#[derive(Default)]
pub(crate) struct LookupAttempts {
    /// The thumbprints of the keys of its `kid`, none of which verified its signature.
    rejected_keys: Vec<[u8; 32]>,
    /// Fetches that it waited for: at most [`MAX_FETCHES`], and one more if the last of them was stopped.
    fetches: u32,
    /// Whether no further fetch can bring its key: one that started after the token arrived has succeeded.
    is_exhausted: bool,
    /// Whether it has waited because the set was late. It then takes the set that there is.
    has_waited_for_late_set: bool,
    /// Whether the fetch that it waited for because of that was stopped.
    has_lost_late_fetch: bool,
}

impl InstanceKeys {
    /// Looks up the keys that a header names, and starts no refresh.
    ///
    /// An error is final: no payload could make the token valid, and no fetch is allowed that could. A pipeline that
    /// knows the instance early can therefore reject the token before it decodes the payload.
    pub(crate) fn candidates(&self, header: &CheckedHeader<'_>) -> Result<CandidateKeys<'_>, KeyError> {
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
                    _ => Ok(CandidateKeys::Fetched { store, set, looked_at }),
                }
            }
            Self::One(key) => Ok(CandidateKeys::Keys(std::slice::from_ref(key))),
            Self::Set(keys) => keys.get(kid()?).map(CandidateKeys::Keys).ok_or(KeyError::UnknownKid),
        }
    }

    /// The generation in which the key that signed a token is found now; `None` if it was withdrawn, or if the set is
    /// late or missing. Starts a refresh that is due.
    ///
    /// While the generation `seen` is fresh, this costs four atomic loads and a reading of the monotonic clock; `now`
    /// is the time of the wall clock. Otherwise it searches the set for the same key under the same `kid`.
    pub(crate) fn current_generation(&self, signed_by: &SignedBy, seen: u64, now: SystemTime) -> Option<u64> {
        let Self::Fetched(store) = self else { return Some(seen) };
        if store.is_fresh(seen, now) {
            return Some(seen);
        }
        let (set, now) = store.current();
        let set = set.filter(|set| !store.is_late(set, now))?;
        let keys = set.keys.get(&signed_by.kid)?;
        let is_there = keys.iter().any(|key| key.is_same(&signed_by.thumbprint, signed_by.algorithm));
        is_there.then_some(set.generation)
    }

    /// Waits for a fetch that may bring the key of a token, or withdraw it. After `Ok` the token is tried again.
    ///
    /// If the fetch fails, a token with a bad signature is rejected: a key with its `kid` exists. One whose signature
    /// holds under a late set is tried again with that set. All others are unavailable, since a key that nobody could
    /// fetch may exist. If the fetch was stopped, for example because keys were forgotten, the token may start another.
    pub(crate) async fn wait(&self, wait: KeyWait, attempts: &mut LookupAttempts) -> Result<(), KeyError> {
        let KeyWait { reason, wait } = wait;
        let Some(wait) = wait else { return Ok(()) };
        let is_own = wait.is_own();
        let outcome = wait.end().await;
        if reason == FetchReason::LateSet {
            // A fetch that was stopped, or whose runtime ended, says nothing: the token waits for one more.
            attempts.has_waited_for_late_set = outcome.is_some() || attempts.has_lost_late_fetch;
            attempts.has_lost_late_fetch = outcome.is_none();
            // The token is older than its key set. If the new set lacks its key, no further one will have it.
            attempts.is_exhausted = outcome == Some(Ok(()));
            return Ok(());
        }
        match outcome {
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

    /// Fetches the keys if there is no set.
    pub(crate) async fn warm_up(&self) -> Result<(), KeyError> {
        match self {
            Self::Fetched(store) if store.current().0.is_none() => {
                self.fetched(store.request(FetchReason::NoKeys, None)).await
            }
            _ => Ok(()),
        }
    }

    /// Fetches the keys, whatever their age, the budgets and the back-off.
    pub(crate) async fn refresh(&self) -> Result<(), KeyError> {
        let Self::Fetched(store) = self else { return Ok(()) };
        let fetch = store.force();
        let has_joined = matches!(&fetch, Fetch::Wait(wait) if !wait.is_own());
        let fetched = self.fetched(fetch).await;
        // A fetch that was in flight may have read the document before the change that the caller knows of.
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

    /// Waits for a fetch that serves no token, for warm-up and refresh.
    async fn fetched(&self, fetch: Fetch) -> Result<(), KeyError> {
        match fetch {
            // The set that was missing has been fetched meanwhile.
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

impl CandidateKeys<'_> {
    /// Verifies the signature of the token, or returns the fetch to wait for.
    ///
    /// A refresh that is due starts here and not in [`InstanceKeys::candidates`]: by now the token is well-formed, so a
    /// flood of garbage does not keep an unused set fresh.
    pub(crate) fn verify<'p>(
        self,
        token: Compact<'p>,
        header: &CheckedHeader<'_>,
        config: &ClerkConfig,
        attempts: &mut LookupAttempts,
    ) -> Lookup<SignedPayload<'p>, KeyError, KeyWait> {
        match self {
            Self::Fetched { store, set, looked_at } => {
                if let Some(set) = &set {
                    store.refresh_if_due(set, looked_at);
                }
                verify_with_store(store, (set, looked_at), token, header, config, attempts)
            }
            Self::Keys(keys) => match verify_with(keys, UNCHANGING, token, header.algorithm) {
                Ok(signed) => Lookup::Found(signed),
                Err((error, _)) => Lookup::Failed(error),
            },
        }
    }
}

/// Verifies the signature with the set of a store, and requests a fetch if a key is missing or the set is late.
///
/// It looks again if the set changed between the look and the request: the new set may have the key. `kid` is
/// present here, since [`InstanceKeys::candidates`] has rejected headers without one.
fn verify_with_store<'p>(
    store: &KeyStore,
    (mut set, mut looked_at): (Option<Arc<CachedKeySet>>, Moment),
    mut token: Compact<'p>,
    header: &CheckedHeader<'_>,
    config: &ClerkConfig,
    attempts: &mut LookupAttempts,
) -> Lookup<SignedPayload<'p>, KeyError, KeyWait> {
    let kid = header.key_id().unwrap_or_default();
    let mut last = KeyError::UnknownKid;
    for _ in 0..MAX_LOOKS {
        let keys = set.as_ref().and_then(|set| set.keys.get(kid));
        let (reason, error) = match (&set, keys) {
            (None, _) => (FetchReason::NoKeys, KeyError::Unavailable(FetchUnavailable::InProgress)),
            // No fetch can make a token of another issuer valid. Its sender, such as a client of another environment,
            // must not spend the budget that a rotation needs.
            (Some(_), None) if is_foreign(&token, config) => return Lookup::Failed(KeyError::UnknownKid),
            (Some(_), None) => (FetchReason::UnknownKid, KeyError::UnknownKid),
            (Some(set), Some(keys)) => {
                if attempts.have_rejected(keys) {
                    return Lookup::Failed(KeyError::InvalidSignature);
                }
                match verify_with(keys, set.generation, token, header.algorithm) {
                    Ok(signed) => {
                        return match refresh_of_late_set(store, set, looked_at, attempts) {
                            Some(wait) => Lookup::Wait(wait),
                            None => Lookup::Found(signed),
                        };
                    }
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
                (set, looked_at) = store.current();
            }
            Fetch::Unavailable(unavailable) => return Lookup::Failed(KeyError::Unavailable(unavailable)),
            Fetch::Wait(wait) => return Lookup::Wait(KeyWait { reason, wait: Some(wait) }),
        }
    }
    Lookup::Failed(last)
}

/// The refresh that a token has to wait for whose signature holds under `set`; `None` if it has to wait for none.
///
/// Where no refresh is possible the set is used as it is: an outage must not reject the tokens of its keys.
fn refresh_of_late_set(
    store: &KeyStore,
    set: &CachedKeySet,
    looked_at: Moment,
    attempts: &LookupAttempts,
) -> Option<KeyWait> {
    if attempts.has_waited_for_late_set || !store.is_late(set, looked_at) {
        return None;
    }
    let reason = FetchReason::LateSet;
    match store.request(reason, Some(set)) {
        Fetch::Wait(wait) => Some(KeyWait { reason, wait: Some(wait) }),
        // The key may not be in the new set: the token is verified again.
        Fetch::SetChanged => Some(KeyWait { reason, wait: None }),
        Fetch::Denied | Fetch::Unavailable(_) => None,
    }
}

/// Whether the token claims an issuer that the instance does not have. The claim is not verified, and need not be: a
/// token that lies here is rejected all the same.
fn is_foreign(token: &Compact<'_>, config: &ClerkConfig) -> bool {
    !token.claimed_issuer().is_some_and(|issuer| config.accepts_issuer(&issuer))
}

/// Tries the keys of one `kid` in turn; hands the token back if none verifies it.
///
/// Keys of another algorithm are not tried: `alg` must be the one algorithm of the key (RFC 8725, section 3.1). The
/// error is a bad signature if at least one key was tried, since a mismatch of `alg` is worth no fetch.
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

impl KeyWait {
    /// Whether the token is valid with the set in use, and waits only because the set is late.
    pub(crate) fn is_late(&self) -> bool {
        self.reason == FetchReason::LateSet
    }
}

impl LookupAttempts {
    /// Those of a token that takes a late set as it is.
    pub(crate) fn late() -> Self {
        Self { has_waited_for_late_set: true, ..Self::default() }
    }

    /// The attempts of another token of the same request, whose keys are of the same instance: the fetches that this
    /// one waited for started after the other one arrived too, so they count for both.
    pub(crate) fn for_another_token(&self) -> Self {
        Self { rejected_keys: Vec::new(), ..*self }
    }

    /// Whether these were the keys of the `kid` at the last attempt: then they would fail again.
    fn have_rejected(&self, keys: &[VerifyingKey]) -> bool {
        self.rejected_keys.len() == keys.len()
            && self.rejected_keys.iter().zip(keys).all(|(rejected, key)| rejected == key.thumbprint())
    }
}

/// The generation of keys that never change. Fetched sets are numbered from 1.
const UNCHANGING: u64 = 0;
/// Two fetches that a token joined are as good as one of its own: the second started after the token arrived.
const MAX_FETCHES: u32 = 2;
/// Sets are minutes apart. Three looks allow for a fetch and a concurrent refresh; more would serve no real token.
const MAX_LOOKS: u32 = 3;
