//! What the Backend API has said about opaque tokens, by the SHA-256 of the token.
//!
//! Two caches, so that made-up tokens cannot push out good ones: one for tokens that were seen valid, one for all
//! others. A third holds only which tokens were seen valid, that no client has made up: far more of them than answers
//! fit. All are read without a lock of their owner. Their owner writes to them under one.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use foldhash::fast::RandomState;
use quick_cache::{
    UnitWeighter, Weighter,
    sync::{Cache, DefaultLifecycle},
};

use super::answer::OpaqueRejection;
use crate::{claims::MachineClaims, clock::Moment, config::ClerkConfig, jwks::FetchErrorKind};

/// The SHA-256 of a token, in place of the token: whoever reads the memory cannot send it.
pub(super) type Digest = [u8; 32];

/// Why an opaque token is not accepted now. Only [`Rejected`](Self::Rejected) says something about the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OpaqueFailure {
    Failed { kind: FetchErrorKind, retry_after: Duration },
    NoRuntime,
    Rejected(OpaqueRejection),
    TooManyTokens { retry_after: Duration },
    TooManyWaiting,
}

impl OpaqueFailure {
    /// The call was stopped, or its runtime has ended. The next request starts another.
    pub(crate) const LOST: Self = Self::Failed { kind: FetchErrorKind::Timeout, retry_after: Duration::from_secs(1) };
}

/// The answers of a verifier.
pub(super) struct Answers {
    // Made with the first answer: a verifier that asks nothing allocates no shards.
    good: OnceLock<Cache<Digest, GoodAnswer, AnswerWeight, RandomState>>,
    refused: OnceLock<Cache<Digest, Refusal, UnitWeighter, RandomState>>,
    known: OnceLock<Cache<Digest, Known, UnitWeighter, RandomState>>,
}

/// What is kept about a token.
pub(super) enum Kept {
    /// The Backend API has to be asked.
    Nothing {
        /// For the case that the call fails.
        remembered: Option<MachineClaims>,
        /// Whether the token was seen valid before, so that no client has made it up.
        is_known: bool,
    },
    Refused(OpaqueFailure),
    Valid(Accepted),
}

/// The claims of a token that is accepted.
#[derive(Clone)]
pub(super) struct Accepted {
    pub(super) claims: MachineClaims,
    /// Whether the answer is older than it may be while the Backend API answers.
    pub(super) is_stale: bool,
}

/// How long good answers of an instance are used.
#[derive(Clone, Copy)]
pub(super) struct AnswerRules {
    skew: Duration,
    stale: Duration,
    ttl: Duration,
}

#[derive(Clone)]
struct GoodAnswer {
    claims: MachineClaims,
    /// When the request was sent: the token may have been revoked as soon as the server had read it.
    asked_at: Moment,
    rules: AnswerRules,
    /// The last call, if it failed.
    failure: Option<Failure>,
}

/// A token that was seen valid.
#[derive(Clone, Copy)]
struct Known {
    asked_at: Moment,
    known_for: Duration,
}

/// Why a token needs no call now.
#[derive(Clone, Copy)]
enum Refusal {
    Failed(Failure),
    Rejected { at: Moment, why: OpaqueRejection },
}

/// The calls for a token that have failed since the last one that did not.
#[derive(Clone, Copy)]
struct Failure {
    at: Moment,
    count: u32,
    kind: FetchErrorKind,
    /// What the server asked for; zero if nothing.
    retry_after: Duration,
}

impl Answers {
    pub(super) const fn new() -> Self {
        Self { good: OnceLock::new(), refused: OnceLock::new(), known: OnceLock::new() }
    }

    /// What is kept about a token.
    pub(super) fn find(&self, digest: &Digest, now: Moment) -> Kept {
        if let Some(good) = self.good.get().and_then(|cache| cache.get(digest)) {
            return good.kept(now, || self.is_known(digest, now));
        }
        let refusal = self.refused.get().and_then(|cache| cache.get(digest));
        match refusal.and_then(|refusal| refusal.at(now)) {
            Some(failure) => Kept::Refused(failure),
            None => Kept::Nothing { remembered: None, is_known: self.is_known(digest, now) },
        }
    }

    /// Keeps the claims of a valid token.
    pub(super) fn accept(&self, digest: Digest, claims: MachineClaims, rules: AnswerRules, asked_at: Moment) {
        if let Some(cache) = self.refused.get() {
            cache.remove(&digest);
        }
        self.known().insert(digest, Known { asked_at, known_for: rules.known_for() });
        self.good().insert(digest, GoodAnswer { claims, asked_at, rules, failure: None });
    }

    /// Keeps that a token is not valid. If it was, it has been revoked, and is not known any more.
    pub(super) fn reject(&self, digest: Digest, why: OpaqueRejection, now: Moment) {
        if let Some(cache) = self.good.get() {
            cache.remove(&digest);
        }
        if let Some(cache) = self.known.get() {
            cache.remove(&digest);
        }
        self.refused().insert(digest, Refusal::Rejected { at: now, why });
    }

    /// Keeps that a call has failed, and returns what its token gets.
    pub(super) fn fail(
        &self,
        digest: Digest,
        kind: FetchErrorKind,
        retry_after: Duration,
        now: Moment,
    ) -> Result<Accepted, OpaqueFailure> {
        let failure = Failure { at: now, count: 1, kind, retry_after: retry_after.min(MAX_RETRY_AFTER) };
        let Some(good) = self.good.get().and_then(|cache| cache.get(&digest)) else {
            self.refused().insert(digest, Refusal::Failed(failure));
            return Err(failure.refused(now));
        };
        let count = good.failure.map_or(0, |last| last.count).saturating_add(1);
        let failure = Failure { count, ..failure };
        let outcome = if good.is_usable(now) {
            Ok(Accepted::stale(good.claims.clone()))
        } else {
            Err(good.refused(failure, now))
        };
        self.good().insert(digest, GoodAnswer { failure: Some(failure), ..good });
        outcome
    }

    /// Forgets the answer about one token. It stays known.
    pub(super) fn withdraw(&self, digest: &Digest) {
        if let Some(cache) = self.good.get() {
            cache.remove(digest);
        }
    }

    /// Forgets the answers about the tokens with this id, which stay known, and returns their digests.
    pub(super) fn forget_id(&self, id: &str) -> Vec<Digest> {
        let Some(cache) = self.good.get() else { return Vec::new() };
        let of_id = cache.iter().filter(|(_, good)| good.claims.id() == Some(id));
        let digests: Vec<_> = of_id.map(|(digest, _)| digest).collect();
        for digest in &digests {
            cache.remove(digest);
        }
        digests
    }

    /// Forgets all answers. Tokens that were seen valid stay known, or a flood could lock them out.
    pub(super) fn forget(&self) {
        if let Some(cache) = self.good.get() {
            cache.clear();
        }
        if let Some(cache) = self.refused.get() {
            cache.clear();
        }
    }

    /// Whether a token was seen valid before.
    ///
    /// The monotonic clock alone counts: a wall clock that jumps must not make strangers of all callers in the middle
    /// of a flood. A token that is known is still asked about, so this accepts nothing.
    fn is_known(&self, digest: &Digest, now: Moment) -> bool {
        let known = self.known.get().and_then(|cache| cache.get(digest));
        known.is_some_and(|known| now.running_since(known.asked_at) < known.known_for)
    }

    fn good(&self) -> &Cache<Digest, GoodAnswer, AnswerWeight, RandomState> {
        self.good.get_or_init(|| {
            Cache::with(MAX_ANSWERS, MAX_BYTES, AnswerWeight, RandomState::default(), DefaultLifecycle::default())
        })
    }

    fn refused(&self) -> &Cache<Digest, Refusal, UnitWeighter, RandomState> {
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        self.refused.get_or_init(|| Cache::with(MAX_ANSWERS, MAX_REFUSALS, UnitWeighter, hasher, lifecycle))
    }

    fn known(&self) -> &Cache<Digest, Known, UnitWeighter, RandomState> {
        let (hasher, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        self.known.get_or_init(|| Cache::with(MAX_ANSWERS, MAX_KNOWN, UnitWeighter, hasher, lifecycle))
    }
}

impl Accepted {
    pub(super) fn fresh(claims: MachineClaims) -> Self {
        Self { claims, is_stale: false }
    }

    pub(super) fn stale(claims: MachineClaims) -> Self {
        Self { claims, is_stale: true }
    }
}

impl AnswerRules {
    pub(super) fn of(config: &ClerkConfig) -> Self {
        Self { skew: config.clock_skew, stale: config.opaque_token_stale, ttl: config.opaque_token_ttl }
    }

    /// For how long after an answer its token counts as known: an hour, but not less than the answer is used, so that a
    /// token in use is known when its answer ends.
    fn known_for(self) -> Duration {
        KNOWN_FOR.max(self.ttl.saturating_mul(2)).max(self.ttl.saturating_add(self.stale))
    }

    /// Whether a token with this expiry has expired for certain, so with the clock skew. The expiry is exclusive, as
    /// the `exp` of a JWT.
    fn has_expired(self, expires_at: Option<SystemTime>, now: SystemTime) -> bool {
        expires_at.and_then(|time| time.checked_add(self.skew)).is_some_and(|end| end <= now)
    }
}

impl GoodAnswer {
    fn kept(self, now: Moment, is_known: impl FnOnce() -> bool) -> Kept {
        if self.is_within(now, self.rules.ttl) {
            return Kept::Valid(Accepted::fresh(self.claims));
        }
        let is_usable = self.is_usable(now);
        match self.failure.filter(|failure| failure.is_holding(now, is_usable)) {
            Some(failure) if !is_usable => Kept::Refused(self.refused(failure, now)),
            Some(_) => Kept::Valid(Accepted::stale(self.claims)),
            None => Kept::Nothing { remembered: is_usable.then_some(self.claims), is_known: is_known() },
        }
    }

    /// What its token gets if it may not be used, and the call has failed. That the token has expired is certain
    /// without a call.
    fn refused(&self, failure: Failure, now: Moment) -> OpaqueFailure {
        if self.rules.has_expired(self.claims.expires_at(), now.wall) {
            OpaqueFailure::Rejected(OpaqueRejection::Inactive)
        } else {
            failure.refused(now)
        }
    }

    /// Whether it may be used while the Backend API fails.
    fn is_usable(&self, now: Moment) -> bool {
        self.is_within(now, self.rules.ttl.saturating_add(self.rules.stale))
    }

    /// Whether it is younger than `limit`, and its token has not expired: without the clock skew, because the Backend
    /// API can be asked, and knows.
    ///
    /// Both clocks count: a machine that was suspended must not keep a revoked token alive.
    fn is_within(&self, now: Moment, limit: Duration) -> bool {
        let is_over = self.claims.expires_at().is_some_and(|end| end <= now.wall);
        !is_over && now.elapsed_since(self.asked_at) < limit
    }
}

impl Refusal {
    /// What the token gets; `None` if it has to be asked about again.
    fn at(self, now: Moment) -> Option<OpaqueFailure> {
        match self {
            Self::Failed(failure) => failure.is_holding(now, false).then(|| failure.refused(now)),
            Self::Rejected { at, why } => {
                (now.elapsed_since(at) < REJECTED_FOR).then_some(OpaqueFailure::Rejected(why))
            }
        }
    }
}

impl Failure {
    /// The rest of the back-off, which is longer if the token has a remembered answer: then no request suffers.
    fn rest(self, now: Moment, is_remembered: bool) -> Duration {
        let longest = if is_remembered { MAX_BACK_OFF_REMEMBERED } else { MAX_BACK_OFF };
        let doubled = FIRST_BACK_OFF.saturating_mul(1 << self.count.saturating_sub(1).min(MAX_DOUBLINGS));
        let delay = doubled.min(longest).max(self.retry_after);
        delay.saturating_sub(now.elapsed_since(self.at))
    }

    fn is_holding(self, now: Moment, is_remembered: bool) -> bool {
        !self.rest(now, is_remembered).is_zero()
    }

    /// What a token without a remembered answer gets.
    fn refused(self, now: Moment) -> OpaqueFailure {
        OpaqueFailure::Failed { kind: self.kind, retry_after: self.rest(now, false) }
    }
}

/// Weighs an answer so that the total weight limits both the bytes and the number of answers: it weighs its bytes or an
/// equal share of the limit, whichever is more.
#[derive(Clone)]
struct AnswerWeight;

impl Weighter<Digest, GoodAnswer> for AnswerWeight {
    fn weight(&self, _: &Digest, good: &GoodAnswer) -> u64 {
        u64::try_from(good.claims.heap_size()).unwrap_or(u64::MAX).saturating_add(ENTRY).max(SHARE)
    }
}

/// As many as tokens in the token cache: a service with more keys in use asks about some of them more often.
const MAX_ANSWERS: usize = 10_000;
/// Of the heap, as the token cache.
const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// [`MAX_BYTES`] by [`MAX_ANSWERS`].
const SHARE: u64 = MAX_BYTES / 10_000;
/// The budget for made-up tokens allows far fewer in the minute for which they are kept.
const MAX_REFUSALS: u64 = 10_000;
/// In bytes: an upper estimate of an entry with its digest, and of what the table and the allocator add.
const ENTRY: u64 = 400;
/// A hundred thousand callers in an hour, in about 10 MB at most.
const MAX_KNOWN: u64 = 100_000;
/// How long a token that is not valid is rejected without a call. A key that was just made waits no longer than this.
const REJECTED_FOR: Duration = Duration::from_secs(60);
/// A caller that pauses for less is no stranger.
const KNOWN_FOR: Duration = Duration::from_secs(60 * 60);
/// The first delay after a failure. `Retry-After` counts whole seconds.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
/// Without a remembered answer requests get 503, so the service has to recover within a second of Clerk.
const MAX_BACK_OFF: Duration = Duration::from_secs(1);
/// With one no request suffers, so a server that fails gets time to recover.
const MAX_BACK_OFF_REMEMBERED: Duration = Duration::from_secs(30);
/// Enough to reach the longest back-off.
const MAX_DOUBLINGS: u32 = 5;
/// A server that asks for a minute gets it. Longer delays would end a service because of one header.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
