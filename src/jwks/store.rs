//! The key set of one instance over time: fetched, used, refreshed, stale, forgotten.
//!
//! Three parts work together. The [`FetchGate`] decides which request starts a fetch. A [`Flight`] runs it. The
//! [`KeyCache`] holds the set. The [`KeyStore`] connects them, and is the only one of them that reads the clock.
//!
//! A cache hit of a token only needs to know that its generation is still current and fresh. Two atomics say so without
//! a lock; see [`KeyStore::is_fresh`]. All other paths read the set itself.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::sync::Semaphore;

use super::{
    FetchError, FetchErrorKind, KeySource, KeysStatus,
    gate::{Entry, FetchGate, InFlight},
    schedule::FetchReason,
};
use crate::{
    clock::{Clock, nanos},
    jwt::KeySet,
    rate_limit::Throttle,
    single_flight::{Announcer, Completion, Flight, FlightWait, MAX_WAITING, WaitEnd},
    telemetry::{self, Span, WARNING_INTERVAL},
};

/// The key sets of one verifier, each under the number of its store. One cache bounds the memory of all of them.
///
/// It decides nothing about age: the clock of moka cannot be injected, so the timestamps of a set say whether it may be
/// used. The expiry of moka only frees memory, at twice the stale limit.
#[derive(Clone)]
pub(crate) struct KeyCache(Cache<u64, Arc<CachedKeySet>>);

/// A key set as it was fetched. All times are monotonic.
pub(crate) struct CachedKeySet {
    pub(crate) keys: KeySet,
    /// The number of the set among the sets of its store, from 1.
    pub(crate) generation: u64,
    fetched_at: Duration,
    /// Fixed when the set is stored, so that its jitter is drawn once.
    refresh_at: Duration,
}

/// When a set is refreshed, how long it may be used, and how long a fetch may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshPolicy {
    pub(crate) interval: Duration,
    pub(crate) stale_limit: Duration,
    pub(crate) timeout: Duration,
}

/// The key set of one instance: held in the cache, refreshed by at most one fetch at once.
///
/// Dropping it stops the fetch in flight, unless a request still waits for it.
pub(crate) struct KeyStore {
    shared: Arc<Shared>,
}

/// The result of a request for a fetch.
pub(super) enum Fetch {
    /// No fetch is allowed for this reason. The token is rejected: its key counts as unknown, or its signature as bad.
    Denied,
    /// The set has changed since it was looked at: look again.
    SetChanged,
    /// No fetch is possible now, which says nothing about the token.
    Unavailable(FetchUnavailable),
    Wait(FetchWait),
}

/// Why there is no fetch to wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FetchUnavailable {
    /// The last fetch failed, and the next attempt is not due.
    Failed {
        kind: FetchErrorKind,
        retry_after: Duration,
    },
    InProgress,
    NoRuntime,
    TooManyWaiting,
}

/// A request that waits for the fetch in flight. It keeps the store alive, and with it the fetch.
pub(crate) struct FetchWait {
    shared: Arc<Shared>,
    wait: FlightWait<Outcome>,
    is_own: bool,
}

/// How a fetch ended. A success carries no set: waiters read the newest one, which may be newer still.
pub(super) type Outcome = Result<(), FetchErrorKind>;

struct Shared {
    source: Arc<dyn KeySource>,
    policy: RefreshPolicy,
    clock: Arc<dyn Clock>,
    cache: KeyCache,
    /// The number of the store, its key in the cache.
    number: u64,
    gate: FetchGate<Flight<Outcome>>,
    /// One permit for each request that may wait.
    waiters: Arc<Semaphore>,
    /// The generation of the newest set; zero if it was dropped or is being replaced.
    newest: AtomicU64,
    /// When the newest set is due for a refresh, in nanoseconds of the monotonic clock.
    fresh_until: AtomicU64,
    history: Mutex<History>,
}

/// Past fetches, for status and log.
struct History {
    last_error: Option<FetchErrorKind>,
    last_success: Option<Duration>,
    /// Replaced by a new one after a success, so that the first failure of the next outage is logged at once.
    warnings: Throttle,
}

impl KeyCache {
    /// Makes a cache for so many instances, whose sets may be used for `stale_limit` at most.
    pub(crate) fn new(instances: usize, stale_limit: Duration) -> Self {
        let instances = u64::try_from(instances).unwrap_or(u64::MAX);
        let cache = Cache::builder()
            .max_capacity(instances.saturating_add(SPARE_CAPACITY))
            // The default policy of moka may not admit a new entry to a full cache. A fetched set must be stored.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(stale_limit * 2);
        Self(cache.build())
    }
}

impl RefreshPolicy {
    /// The age at which a set is refreshed: nine tenths of the interval, or up to a tenth of it earlier, so that many
    /// processes do not fetch at once. If the stale limit is shorter than the interval, it counts instead: the set has
    /// to be replaced before it may no longer be used.
    fn refresh_due(&self) -> Duration {
        let permille = REFRESH_AT - fastrand::u32(0..=REFRESH_JITTER);
        self.interval.min(self.stale_limit) * permille / 1000
    }
}

impl KeyStore {
    /// Makes a store without a set. `number` must be unique among the stores that share `cache`.
    pub(crate) fn new(
        cache: KeyCache,
        number: u64,
        source: Arc<dyn KeySource>,
        policy: RefreshPolicy,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let shared = Shared {
            source,
            policy,
            clock,
            cache,
            number,
            gate: FetchGate::new(),
            waiters: Arc::new(Semaphore::new(MAX_WAITING)),
            newest: AtomicU64::new(0),
            fresh_until: AtomicU64::new(0),
            history: Mutex::new(History {
                last_error: None,
                last_success: None,
                warnings: Throttle::new(WARNING_INTERVAL),
            }),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether `generation` is current and neither due for a refresh nor stale. Without a lock: every cache hit of a
    /// token calls it.
    ///
    /// The stale limit needs no check of its own: a set is due for a refresh before it is stale.
    pub(super) fn is_fresh(&self, generation: u64) -> bool {
        let is_newest = || self.shared.newest.load(Ordering::Acquire) == generation;
        // The generation is read again after the time: the time could be that of a set which has just replaced this
        // one. No generation is used twice, so equal readings mean that the set did not change in between.
        is_newest()
            && nanos(self.shared.clock.monotonic()) < self.shared.fresh_until.load(Ordering::Acquire)
            && is_newest()
    }

    /// The set to verify with, unless there is none or it is past the stale limit, and the time of this look.
    ///
    /// It starts no refresh: a token that is rejected by its header or its form must not cause a fetch.
    pub(super) fn peek(&self) -> (Option<Arc<CachedKeySet>>, Duration) {
        let now = self.shared.clock.monotonic();
        (self.shared.usable(now), now)
    }

    /// As [`peek`](Self::peek), and starts a refresh that is due.
    pub(super) fn current(&self) -> Option<Arc<CachedKeySet>> {
        let (set, now) = self.peek();
        let set = set?;
        self.refresh_if_due(&set, now);
        Some(set)
    }

    /// Starts a refresh of a set in use, if it is due. A set that nobody uses is not refreshed.
    pub(super) fn refresh_if_due(&self, set: &CachedKeySet, now: Duration) {
        if now >= set.refresh_at {
            self.shared.gate.refresh_if_idle(now, |id| Shared::start(&self.shared, id, now));
        }
    }

    /// Requests a fetch for a token whose key was missing from the set `seen`; `None` if there was no set.
    ///
    /// A bad signature is special: a key with the `kid` exists, so most such tokens are forged. It starts no fetch if
    /// the set is young, and where no fetch is possible the token is rejected (401) and not postponed (503).
    pub(super) fn request(&self, reason: FetchReason, seen: Option<&CachedKeySet>) -> Fetch {
        let now = self.shared.clock.monotonic();
        let generation = |set: &CachedKeySet| set.generation;
        let current = || self.shared.usable(now).as_deref().map(generation);
        let is_settling = |seen: &CachedKeySet| now.saturating_sub(seen.fetched_at) < MIN_AGE_FOR_BAD_SIGNATURE;
        if reason == FetchReason::BadSignature && seen.is_some_and(is_settling) {
            return if current() == seen.map(generation) { Fetch::Denied } else { Fetch::SetChanged };
        }
        let start = |id| Shared::start(&self.shared, id, now);
        let fetch = match self.shared.gate.request(reason, seen.map(generation), now, current, start) {
            Entry::Backoff(retry_after) => {
                let kind = self.shared.history().last_error.unwrap_or(FetchErrorKind::Transport);
                Fetch::Unavailable(FetchUnavailable::Failed { kind, retry_after })
            }
            Entry::BudgetExhausted => Fetch::Denied,
            Entry::Joined(flight) => Shared::wait(&self.shared, flight, false),
            Entry::NoRuntime => Fetch::Unavailable(FetchUnavailable::NoRuntime),
            Entry::SetChanged => Fetch::SetChanged,
            Entry::Started(flight) => Shared::wait(&self.shared, flight, true),
        };
        match fetch {
            // A 503 makes clients try again. A key with that `kid` exists and does not verify the token, so the token
            // is most likely forged: reject it.
            Fetch::Unavailable(_) if reason == FetchReason::BadSignature => Fetch::Denied,
            fetch => fetch,
        }
    }

    /// Whether a token whose `kid` is not in the set `seen` can be rejected without a fetch, by its header alone.
    ///
    /// Not if a refresh is due. The token then goes through [`request`](Self::request), after the refresh has started,
    /// and joins it: the refresh may bring its key.
    pub(super) fn is_unknown_kid_final(&self, seen: &CachedKeySet, now: Duration) -> bool {
        let current = || self.shared.usable(now).map(|set| set.generation);
        now < seen.refresh_at
            && self.shared.gate.is_exhausted(FetchReason::UnknownKid, Some(seen.generation), now, current)
    }

    /// Fetches now, whatever the budgets and the back-off say, or joins the fetch in flight.
    pub(super) fn force(&self) -> Fetch {
        let now = self.shared.clock.monotonic();
        match self.shared.gate.force(now, |id| Shared::start(&self.shared, id, now)) {
            Entry::Joined(flight) => Shared::wait(&self.shared, flight, false),
            Entry::Started(flight) => Shared::wait(&self.shared, flight, true),
            Entry::Backoff(_) | Entry::BudgetExhausted | Entry::NoRuntime | Entry::SetChanged => {
                Fetch::Unavailable(FetchUnavailable::NoRuntime)
            }
        }
    }

    /// Drops the set and stops the fetch in flight, which may have read its document before the caller's reason to call
    /// this. Requests that wait for it start another.
    pub(super) fn forget(&self) {
        self.shared.gate.reset(|| {
            self.shared.newest.store(0, Ordering::Release);
            self.shared.cache.0.invalidate(&self.shared.number);
        });
    }

    pub(super) fn status(&self) -> KeysStatus {
        let now = self.shared.clock.monotonic();
        let set = self.shared.usable(now);
        let history = self.shared.history();
        KeysStatus {
            keys: set.as_ref().map_or(0, |set| set.keys.len()),
            age: set.map(|set| now.saturating_sub(set.fetched_at)),
            last_success: history.last_success.map(|at| now.saturating_sub(at)),
            last_error: history.last_error,
        }
    }

    /// How long until the next attempt to fetch, for `Retry-After`.
    pub(super) fn retry_after(&self) -> Duration {
        let now = self.shared.clock.monotonic();
        self.shared.gate.delay(now, self.shared.usable(now).is_some())
    }
}

impl FetchWait {
    /// Whether the fetch was started for this request.
    ///
    /// One that was joined may have read the document before the key existed that the request needs, so it may be
    /// worth another. One that was started for the request read it after the token was made.
    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Waits for the outcome; `None` if the fetch was stopped or its runtime ended.
    ///
    /// A waiter that times out ends the flight as failed: its runtime is not polled. The next request is then not made
    /// to wait for the same flight.
    pub(super) async fn end(mut self) -> Option<Outcome> {
        match self.wait.end().await {
            WaitEnd::Announced(outcome) => Some(outcome),
            WaitEnd::Lost => None,
            WaitEnd::TimedOut => {
                let flight = self.wait.flight();
                self.shared.fail(flight.id(), &FetchError::of_kind(FetchErrorKind::Timeout), |_| flight.stop());
                Some(Err(FetchErrorKind::Timeout))
            }
        }
    }
}

impl Shared {
    /// Starts a fetch; `None` outside a Tokio runtime.
    fn start(shared: &Arc<Self>, id: u64, now: Duration) -> Option<Flight<Outcome>> {
        let source = Arc::clone(&shared.source);
        // Parsing is part of the work: its time counts, and a document without a usable key is a failed fetch.
        let fetch = async move {
            let document = source.fetch().await?;
            KeySet::parse(&document).map_err(|error| FetchError::of_kind(error.into()))
        };
        // Weak, because the task would otherwise keep the store alive, and dropping the verifier would not stop the
        // fetch.
        let store = Arc::downgrade(shared);
        let on_done = move |fetched: Completion<Result<KeySet, FetchError>>, waiters: Announcer<Outcome>| {
            if let Some(store) = store.upgrade() {
                store.finish(id, fetched, &waiters);
            }
        };
        Flight::start(id, now, shared.policy.timeout, Span::fetch_keys, fetch, on_done)
    }

    fn wait(shared: &Arc<Self>, flight: Flight<Outcome>, is_own: bool) -> Fetch {
        match flight.wait(&shared.waiters) {
            Some(wait) => Fetch::Wait(FetchWait { shared: Arc::clone(shared), wait, is_own }),
            None => Fetch::Unavailable(FetchUnavailable::TooManyWaiting),
        }
    }

    /// Stores the set that a fetch returned, unless the flight was stopped or replaced, and announces the outcome.
    ///
    /// The set is stored before the announcement, so that every waiter finds it. The announcement comes before the log:
    /// a subscriber is user code, and if it panics or blocks, the waiters have their outcome all the same.
    fn finish(&self, flight: u64, fetched: Completion<Result<KeySet, FetchError>>, waiters: &Announcer<Outcome>) {
        let fetched = match fetched {
            Completion::Finished(fetched) => fetched,
            Completion::Panicked => Err(FetchError::of_kind(FetchErrorKind::Panicked)),
            Completion::TimedOut => Err(FetchError::of_kind(FetchErrorKind::Timeout)),
        };
        let keys = match fetched {
            Ok(keys) => keys,
            Err(error) => return self.fail(flight, &error, |kind| waiters.announce(Err(kind))),
        };
        let now = self.clock.monotonic();
        let (count, skipped) = (keys.len(), keys.skipped());
        let keep = |generation| {
            let refresh_at = now.saturating_add(self.policy.refresh_due());
            let set = CachedKeySet { keys, generation, fetched_at: now, refresh_at };
            self.cache.0.insert(self.number, Arc::new(set));
            // Zero in between: `is_fresh` must not combine the old generation with the new time.
            self.newest.store(0, Ordering::Release);
            self.fresh_until.store(nanos(refresh_at), Ordering::Release);
            self.newest.store(generation, Ordering::Release);
        };
        if self.gate.succeed(flight, keep) {
            {
                let mut history = self.history();
                history.last_error = None;
                history.last_success = Some(now);
                history.warnings = Throttle::new(WARNING_INTERVAL);
            }
            waiters.announce(Ok(()));
            telemetry::keys_fetched(count, skipped);
        }
    }

    /// Ends a flight without a set, unless it was stopped or replaced. The set in use stays.
    fn fail(&self, flight: u64, error: &FetchError, announce: impl FnOnce(FetchErrorKind)) {
        let now = self.clock.monotonic();
        if !self.gate.fail(flight, now, error.delay()) {
            return;
        }
        let age = self.usable(now).map(|set| now.saturating_sub(set.fetched_at));
        // The throttle is asked last, and under the lock: a failure that is no warning must not use up the interval.
        let is_due = {
            let mut history = self.history();
            history.last_error = Some(error.kind());
            telemetry::is_worth_a_warning(age) && history.warnings.is_due(now)
        };
        announce(error.kind());
        telemetry::fetch_failed(error, age, is_due);
    }

    /// The set, unless there is none or it is past the stale limit. A stale set is never used, whatever the outage.
    fn usable(&self, now: Duration) -> Option<Arc<CachedKeySet>> {
        let set = self.cache.0.get(&self.number)?;
        (now.saturating_sub(set.fetched_at) < self.policy.stale_limit).then_some(set)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// Stops the fetch in flight, and frees the set at once: in a verifier with a resolver, stores come and go.
    fn drop(&mut self) {
        self.gate.reset(|| self.cache.0.invalidate(&self.number));
    }
}

impl InFlight for Flight<Outcome> {
    fn is_live(&self, now: Duration) -> bool {
        Self::is_live(self, now)
    }

    fn stop(&self) {
        Self::stop(self);
    }
}

/// In thousandths of the refresh interval. A tenth remains for the fetch and its retries before the interval is over.
const REFRESH_AT: u32 = 900;
/// In thousandths of the refresh interval: replicas that started together spread their fetches over this much of it.
const REFRESH_JITTER: u32 = 100;
/// Sets of dropped stores count until the next maintenance of moka, which comes after 64 operations at the latest.
/// Without room for them, moka would evict a set that is in use. Stores of replaced instances count too while cached
/// tokens hold them; an eviction that they cause costs one fetch.
const SPARE_CAPACITY: u64 = 64;
/// A bad signature starts no fetch while the set is younger: Clerk has just been asked, so another key is unlikely.
const MIN_AGE_FOR_BAD_SIGNATURE: Duration = Duration::from_secs(30);
