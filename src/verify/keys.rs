use std::{sync::Arc, time::Duration};

use super::{
    checks::CheckedHeader,
    error::{VerifyError, VerifyErrorKind},
};
use crate::{
    jwks::{Answer, FetchErrorKind, HeldKeys, KeySet, KeyStore, KeysStatus, Need, Outcome, Wait},
    jwt::{Algorithm, Compact, MAX_KID, SignatureHolds, VerifyingKey},
};

/// The keys that a verifier trusts.
pub(super) enum Keys {
    /// One key, whatever `kid` a token names.
    Pem(VerifyingKey),
    Set(KeySet),
    Store(KeyStore),
}

/// What keeps a signature from being proven.
pub(super) enum Halt {
    Refused(VerifyError),
    Waiting(Pending),
}

/// Where the key of a token is to be, if it is there.
pub(super) enum Candidates<'a> {
    /// The set that was in the store at that time.
    Held {
        held: Option<Arc<HeldKeys>>,
        now: Duration,
        store: &'a KeyStore,
    },
    Keys(&'a [VerifyingKey]),
}

/// A key that a token waits for.
pub(crate) struct Pending {
    need: Lack,
    wait: Wait,
}

/// A signature that holds, and whose it is.
pub(super) struct Vouched {
    /// The number of the set that the key stands in.
    pub(super) generation: u64,
    pub(super) proof: SignatureHolds,
    pub(super) voucher: Voucher,
}

/// The key that made a token's signature, for as long as that is remembered.
pub(super) struct Voucher {
    algorithm: Algorithm,
    kid: Arc<str>,
    thumbprint: [u8; 32],
}

/// What was tried for one token so far.
#[derive(Default)]
pub(super) struct Tried {
    /// The keys that did not make its signature.
    failed: Vec<[u8; 32]>,
    /// Fetches that ended without bringing its key.
    fruitless: u32,
    /// Whether a fetch that started after the token came has brought a set.
    is_settled: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Lack {
    Key,
    Signature,
}

impl Keys {
    /// Looks for the key that a header names, which does not yet count as use. An error is one that no payload could
    /// mend.
    pub(super) fn find(&self, header: &CheckedHeader<'_>) -> Result<Candidates<'_>, VerifyErrorKind> {
        let kid = || match header.kid.as_deref() {
            Some(kid) if !kid.is_empty() && kid.len() <= MAX_KID => Ok(kid),
            _ => Err(VerifyErrorKind::InvalidKeyId),
        };
        match self {
            Self::Pem(key) => Ok(Candidates::Keys(std::slice::from_ref(key))),
            Self::Set(set) => set.keys(kid()?).map(Candidates::Keys).ok_or(VerifyErrorKind::UnknownKey),
            Self::Store(store) => {
                let kid = kid()?;
                let (held, now) = store.peek();
                let is_missing = |held: &Arc<HeldKeys>| held.set.keys(kid).is_none() && store.is_spent(held, now);
                if held.as_ref().is_some_and(is_missing) {
                    return Err(VerifyErrorKind::UnknownKey);
                }
                Ok(Candidates::Held { held, now, store })
            }
        }
    }

    /// Whether the key that vouched in the set of number `seen` may still be used, and the number of the set that it
    /// stands in now. Counts as use.
    pub(super) fn vouches(&self, voucher: &Voucher, seen: u64) -> Option<u64> {
        let Self::Store(store) = self else { return Some(seen) };
        if store.is_fresh(seen) {
            return Some(seen);
        }
        let held = store.current()?;
        let is_voucher =
            |key: &VerifyingKey| *key.thumbprint() == voucher.thumbprint && key.algorithm() == voucher.algorithm;
        held.set.keys(&voucher.kid)?.iter().any(is_voucher).then_some(held.generation)
    }

    /// Waits for what a token lacks.
    pub(super) async fn wait(&self, pending: Pending, tried: &mut Tried) -> Result<(), VerifyError> {
        let is_own = pending.wait.is_own();
        match (pending.wait.ended().await, pending.need) {
            (Outcome::Fetched, _) => {
                tried.fruitless += 1;
                tried.is_settled = is_own || tried.fruitless >= MAX_FRUITLESS;
                Ok(())
            }
            (Outcome::Failed(_), Lack::Signature) => Err(VerifyErrorKind::InvalidSignature.into()),
            (Outcome::Failed(cause), Lack::Key) => Err(self.unavailable(cause)),
            (Outcome::Lost, _) if tried.fruitless < MAX_FRUITLESS => {
                tried.fruitless += 1;
                Ok(())
            }
            (Outcome::Lost, _) => Err(self.unavailable(FetchErrorKind::Source)),
        }
    }

    pub(super) async fn warm_up(&self) -> Result<(), VerifyError> {
        match self {
            Self::Store(store) if store.current().is_none() => self.settle(store.request(Need::Keys)).await,
            _ => Ok(()),
        }
    }

    pub(super) async fn refresh(&self) -> Result<(), VerifyError> {
        match self {
            Self::Store(store) => {
                let answer = store.refresh();
                let joined = matches!(&answer, Answer::Wait(wait) if !wait.is_own());
                let settled = self.settle(answer).await;
                // A fetch that was under way may have been answered before whatever the caller knows of.
                if joined { self.settle(store.refresh()).await } else { settled }
            }
            Self::Pem(_) | Self::Set(_) => Ok(()),
        }
    }

    pub(super) fn forget(&self) {
        if let Self::Store(store) = self {
            store.forget();
        }
    }

    pub(super) fn status(&self) -> KeysStatus {
        match self {
            Self::Pem(_) => KeysStatus::fixed(1),
            Self::Set(set) => KeysStatus::fixed(set.len()),
            Self::Store(store) => store.status(),
        }
    }

    async fn settle(&self, answer: Answer) -> Result<(), VerifyError> {
        match answer {
            Answer::LookAgain | Answer::Refuse => Ok(()),
            Answer::Unavailable { cause, retry_after } => Err(VerifyError::keys_unavailable(cause, retry_after)),
            Answer::Wait(wait) => match wait.ended().await {
                Outcome::Fetched => Ok(()),
                Outcome::Failed(cause) => Err(self.unavailable(cause)),
                Outcome::Lost => Err(self.unavailable(FetchErrorKind::Source)),
            },
        }
    }

    fn unavailable(&self, cause: FetchErrorKind) -> VerifyError {
        let delay = match self {
            Self::Store(store) => store.retry_after(),
            Self::Pem(_) | Self::Set(_) => Duration::ZERO,
        };
        VerifyError::keys_unavailable(cause, delay)
    }
}

impl Candidates<'_> {
    /// Proves the token's signature, or says what is missing.
    pub(super) fn verify(
        self,
        token: &Compact<'_, '_>,
        header: &CheckedHeader<'_>,
        tried: &mut Tried,
    ) -> Result<Vouched, Halt> {
        match self {
            Self::Held { held, now, store } => {
                if let Some(held) = &held {
                    store.count_use(held, now);
                }
                verify_with_store(store, held, token, header, tried)
            }
            Self::Keys(keys) => Ok(verify_with(keys, UNCHANGING, token, header.algorithm)?),
        }
    }
}

fn verify_with_store(
    store: &KeyStore,
    mut held: Option<Arc<HeldKeys>>,
    token: &Compact<'_, '_>,
    header: &CheckedHeader<'_>,
    tried: &mut Tried,
) -> Result<Vouched, Halt> {
    let kid = header.kid.as_deref().unwrap_or_default();
    let mut last = VerifyErrorKind::UnknownKey;
    // The set is replaced rarely; a token that keeps finding another one is not worth a fourth look.
    for _ in 0..3 {
        let keys = held.as_ref().and_then(|held| held.set.keys(kid));
        let (need, refusal) = match (&held, keys) {
            (None, _) => (Need::Keys, VerifyErrorKind::KeysUnavailable),
            (Some(held), None) => (Need::Kid(held), VerifyErrorKind::UnknownKey),
            (Some(held), Some(keys)) => {
                if tried.has_failed_with(keys) {
                    return Err(VerifyErrorKind::InvalidSignature.into());
                }
                match verify_with(keys, held.generation, token, header.algorithm) {
                    Err(VerifyErrorKind::InvalidSignature) => {}
                    decided => return Ok(decided?),
                }
                tried.failed = keys.iter().map(|key| *key.thumbprint()).collect();
                (Need::Signature(held), VerifyErrorKind::InvalidSignature)
            }
        };
        if tried.is_settled {
            return Err(refuse(refusal));
        }
        match store.request(need) {
            Answer::LookAgain => {
                last = refusal;
                held = store.current();
            }
            Answer::Refuse => return Err(refuse(refusal)),
            Answer::Unavailable { cause, retry_after } => {
                return Err(Halt::Refused(VerifyError::keys_unavailable(cause, retry_after)));
            }
            Answer::Wait(wait) => {
                let need = if matches!(need, Need::Signature(_)) { Lack::Signature } else { Lack::Key };
                return Err(Halt::Waiting(Pending { need, wait }));
            }
        }
    }
    Err(refuse(last))
}

fn refuse(kind: VerifyErrorKind) -> Halt {
    Halt::Refused(match kind {
        VerifyErrorKind::KeysUnavailable => VerifyError::keys_unavailable(FetchErrorKind::InFlight, Duration::ZERO),
        kind => kind.into(),
    })
}

/// Tries the keys of one `kid`, of the set of that number, in turn.
fn verify_with(
    keys: &[VerifyingKey],
    generation: u64,
    token: &Compact<'_, '_>,
    algorithm: Algorithm,
) -> Result<Vouched, VerifyErrorKind> {
    let mut fitting = keys.iter().filter(|key| key.algorithm() == algorithm).peekable();
    if fitting.peek().is_none() {
        return Err(VerifyErrorKind::AlgorithmMismatch);
    }
    let vouched =
        fitting.find_map(|key| Some(Vouched { generation, proof: key.verify(token)?, voucher: Voucher::of(key) }));
    vouched.ok_or(VerifyErrorKind::InvalidSignature)
}

impl Voucher {
    fn of(key: &VerifyingKey) -> Self {
        Self { algorithm: key.algorithm(), kid: Arc::clone(key.kid()), thumbprint: *key.thumbprint() }
    }
}

impl From<VerifyErrorKind> for Halt {
    fn from(kind: VerifyErrorKind) -> Self {
        Self::Refused(kind.into())
    }
}

impl Tried {
    /// Whether these are the keys that did not make the signature before.
    fn has_failed_with(&self, keys: &[VerifyingKey]) -> bool {
        self.failed.len() == keys.len() && self.failed.iter().zip(keys).all(|(failed, key)| failed == key.thumbprint())
    }
}

/// The number of a set that no other comes after.
const UNCHANGING: u64 = 0;
/// Two fetches that were joined, or one of its own, and what is missing is missing.
const MAX_FRUITLESS: u32 = 2;
