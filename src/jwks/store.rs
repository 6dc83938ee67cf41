//! The key set of one instance over time.

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
    single_flight::{Announcer, Completion, Flight, FlightWait, WaitEnd},
    telemetry::{self, Span},
};

/// The key sets of one verifier, each under the number of its store.
///
/// It only holds them: moka's clock cannot be injected, so timestamps of our own decide what is fresh, and moka's expiry
/// is a second net.
#[derive(Clone)]
pub(crate) struct KeyCache(Cache<u64, Arc<CachedKeySet>>);

/// A key set as it was fetched. Times are those of the monotonic clock.
pub(crate) struct CachedKeySet {
    pub(crate) keys: KeySet,
    /// Counts the sets of a store in the order in which they came.
    pub(crate) generation: u64,
    fetched_at: Duration,
    refresh_at: Duration,
}

/// When a set is refreshed and how long it is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshPolicy {
    pub(crate) interval: Duration,
    pub(crate) stale_limit: Duration,
    pub(crate) timeout: Duration,
}

/// The key set of one instance: held in the cache, refreshed by at most one fetch at once.
///
/// Dropping it stops the fetch in flight.
pub(crate) struct KeyStore {
    shared: Arc<Shared>,
}

/// What a request for a fetch got.
pub(super) enum Fetch {
    /// No fetch for this reason: what is missing is missing.
    Denied,
    /// The set is no longer the one that was looked at.
    SetChanged,
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

/// Waiting for the fetch in flight.
pub(crate) struct FetchWait {
    shared: Arc<Shared>,
    wait: FlightWait<Outcome>,
}

/// How a fetch ended.
pub(super) type Outcome = Result<(), FetchErrorKind>;

struct Shared {
    source: Arc<dyn KeySource>,
    policy: RefreshPolicy,
    clock: Arc<dyn Clock>,
    cache: KeyCache,
    /// The store's number in the cache.
    number: u64,
    gate: FetchGate<Flight<Outcome>>,
    /// Places for requests that wait.
    places: Arc<Semaphore>,
    /// The generation of the newest set, zero if it was dropped.
    newest: AtomicU64,
    /// When the newest set is due for a refresh, in nanoseconds.
    fresh_until: AtomicU64,
    history: Mutex<History>,
}

/// What operators are told about past fetches.
struct History {
    last_error: Option<FetchErrorKind>,
    last_success: Option<Duration>,
    warnings: Throttle,
}

impl KeyCache {
    /// For so many instances, whose sets are served for `stale_limit` at most.
    pub(crate) fn new(instances: usize, stale_limit: Duration) -> Self {
        let instances = u64::try_from(instances).unwrap_or(u64::MAX);
        let cache = Cache::builder()
            .max_capacity(instances.saturating_add(SPARE_CAPACITY))
            // moka's default policy may refuse a new set where there is no room for it.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(stale_limit * 2);
        Self(cache.build())
    }
}

impl RefreshPolicy {
    /// Nine tenths of the interval, up to a tenth of it earlier so that many processes do not fetch at once. In time,
    /// too, for a set that may not be served for as long as that.
    fn refresh_due(&self) -> Duration {
        let permille = REFRESH_AT - fastrand::u32(0..=REFRESH_JITTER);
        self.interval.min(self.stale_limit) * permille / 1000
    }
}

impl KeyStore {
    /// `number` is unique among the stores that share `cache`.
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
            places: Arc::new(Semaphore::new(MAX_WAITING)),
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

    /// Whether `generation` is current and neither due for a refresh nor stale.
    pub(super) fn is_fresh(&self, generation: u64) -> bool {
        let is_newest = || self.shared.newest.load(Ordering::Acquire) == generation;
        // Checked again after the time, which otherwise could be that of a set that has just replaced this one.
        is_newest()
            && nanos(self.shared.clock.monotonic()) < self.shared.fresh_until.load(Ordering::Acquire)
            && is_newest()
    }

    /// The set to verify with, unless there is none or it is past the stale limit, and when it was looked at.
    pub(super) fn peek(&self) -> (Option<Arc<CachedKeySet>>, Duration) {
        let now = self.shared.clock.monotonic();
        (self.shared.usable(now), now)
    }

    /// As [`peek`](Self::peek), and starts the refresh that is due.
    pub(super) fn current(&self) -> Option<Arc<CachedKeySet>> {
        let (set, now) = self.peek();
        let set = set?;
        self.refresh_if_due(&set, now);
        Some(set)
    }

    /// Starts the refresh of a set that is in use, if it is due.
    pub(super) fn refresh_if_due(&self, set: &CachedKeySet, now: Duration) {
        if now >= set.refresh_at {
            self.shared.gate.refresh_if_idle(now, |id| Shared::start(&self.shared, id, now));
        }
    }

    /// Requests a fetch on behalf of a token that was looked for in the set `seen`.
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
            // A key with that `kid` is there and rejects the token: only another key could accept it.
            Fetch::Unavailable(_) if reason == FetchReason::BadSignature => Fetch::Denied,
            fetch => fetch,
        }
    }

    /// Whether a token whose `kid` is not in the set `seen` is rejected without a fetch.
    pub(super) fn is_unknown_kid_final(&self, seen: &CachedKeySet, now: Duration) -> bool {
        let current = || self.shared.usable(now).map(|set| set.generation);
        now < seen.refresh_at
            && self.shared.gate.is_exhausted(FetchReason::UnknownKid, Some(seen.generation), now, current)
    }

    /// Fetches now, whatever the budgets say, or joins the fetch in flight.
    pub(super) fn force(&self) -> Fetch {
        let now = self.shared.clock.monotonic();
        match self.shared.gate.force(now, |id| Shared::start(&self.shared, id, now)) {
            Entry::Joined(flight) => Shared::wait(&self.shared, flight, false),
            Entry::Started(flight) => Shared::wait(&self.shared, flight, true),
            _ => Fetch::Unavailable(FetchUnavailable::NoRuntime),
        }
    }

    /// Drops the set, and the fetch in flight with it.
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

    /// How long until the next attempt to fetch.
    pub(super) fn retry_after(&self) -> Duration {
        let now = self.shared.clock.monotonic();
        self.shared.gate.delay(now, self.shared.usable(now).is_some())
    }
}

impl FetchWait {
    /// Whether the fetch was started for this request.
    pub(super) fn is_own(&self) -> bool {
        self.wait.is_own()
    }

    /// Waits for the end; `None` if the fetch was stopped.
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
    /// Starts a fetch; `None` without a runtime.
    fn start(shared: &Arc<Self>, id: u64, now: Duration) -> Option<Flight<Outcome>> {
        let source = Arc::clone(&shared.source);
        let fetch = async move {
            let document = source.fetch().await?;
            KeySet::parse(&document).map_err(|error| FetchError::of_kind(error.into()))
        };
        // Weak, so that the last handle to a verifier stops its fetch.
        let store = Arc::downgrade(shared);
        let on_done = move |fetched: Completion<Result<KeySet, FetchError>>, waiters: Announcer<Outcome>| {
            if let Some(store) = store.upgrade() {
                store.finish(id, fetched, &waiters);
            }
        };
        Flight::start(id, now, shared.policy.timeout, Span::fetch_keys, fetch, on_done)
    }

    fn wait(shared: &Arc<Self>, flight: Flight<Outcome>, is_own: bool) -> Fetch {
        match flight.wait(&shared.places, is_own) {
            Some(wait) => Fetch::Wait(FetchWait { shared: Arc::clone(shared), wait }),
            None => Fetch::Unavailable(FetchUnavailable::TooManyWaiting),
        }
    }

    /// Takes in what a fetch brought, unless it was given up before.
    ///
    /// Whoever waits is told before anything is logged: a subscriber that panics is no reason for them to go without.
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

    /// Ends a flight that brought nothing, unless it was given up before.
    fn fail(&self, flight: u64, error: &FetchError, announce: impl FnOnce(FetchErrorKind)) {
        let now = self.clock.monotonic();
        if !self.gate.fail(flight, now, error.delay()) {
            return;
        }
        let age = self.usable(now).map(|set| now.saturating_sub(set.fetched_at));
        let is_due = {
            let mut history = self.history();
            history.last_error = Some(error.kind());
            telemetry::is_worth_a_warning(age) && history.warnings.is_due(now)
        };
        announce(error.kind());
        telemetry::fetch_failed(error, age, is_due);
    }

    /// The set, unless there is none or it is past the stale limit.
    fn usable(&self, now: Duration) -> Option<Arc<CachedKeySet>> {
        let set = self.cache.0.get(&self.number)?;
        (now.saturating_sub(set.fetched_at) < self.policy.stale_limit).then_some(set)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
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

/// In thousandths of the refresh interval. A tenth is left for the fetch and its retries before the interval is over.
const REFRESH_AT: u32 = 900;
/// In thousandths of the refresh interval: replicas that were started together spread their fetches over this much.
const REFRESH_JITTER: u32 = 100;
/// Sets of stores that were dropped count until moka's next maintenance, which comes after 64 operations at the latest.
const SPARE_CAPACITY: u64 = 64;
/// Requests that wait for the keys of one instance: a burst that a server could hold anyway, a bound on what a herd holds
/// in memory.
const MAX_WAITING: usize = 16_384;
/// A younger set is not fetched anew because of a bad signature: Clerk was asked just now.
const MIN_AGE_FOR_BAD_SIGNATURE: Duration = Duration::from_secs(30);
/// A failure that repeats is logged as a warning once a minute.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
