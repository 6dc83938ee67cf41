use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use foldhash::fast::RandomState;
use moka::{policy::EvictionPolicy, sync::Cache};

pub(crate) use super::flight::{Outcome, Wait};
use super::{
    flight::{Flight, timer},
    gate::{Entry, Gate, InFlight, Lack},
    held::{HeldKeys, KeysStatus, RefreshPolicy},
    key_set::KeySet,
    source::{FetchError, FetchErrorKind, KeySource, SourceId},
};
use crate::{
    clock::{Clock, nanos},
    telemetry,
};

/// The key sets of one verifier.
///
/// It only holds: its own clock cannot be injected, so what is fresh is decided by the sets' timestamps and
/// its expiry is a backstop. Only configured sources are inserted, so a fast hash will do.
#[derive(Clone)]
pub(crate) struct KeyCache(Cache<SourceId, Arc<HeldKeys>, RandomState>);

/// The key set of one instance over time: held in the cache, refreshed by at most one fetch at once.
///
/// Dropping it stops the fetch in flight.
pub(crate) struct KeyStore {
    shared: Arc<Shared>,
}

/// What a token lacks to be verified.
#[derive(Clone, Copy)]
pub(crate) enum Need<'a> {
    /// There are no keys at all.
    Keys,
    /// Not this one's: its `kid` is not in the set.
    Kid(&'a HeldKeys),
    /// The key under its `kid` did not make its signature.
    Signature(&'a HeldKeys),
}

pub(crate) enum Answer {
    /// The set has changed since it was looked at.
    LookAgain,
    /// No fetch for this need; what is missing is missing.
    Refuse,
    /// No fetch now.
    Unavailable {
        cause: FetchErrorKind,
        retry_after: Duration,
    },
    Wait(Wait),
}

pub(super) struct Shared {
    cache: KeyCache,
    clock: Arc<dyn Clock>,
    /// When the newest set is due for a refresh, in nanoseconds.
    fresh_until: AtomicU64,
    gate: Gate<Flight>,
    id: SourceId,
    /// The number of the newest set, zero if it was dropped.
    newest: AtomicU64,
    policy: RefreshPolicy,
    record: Mutex<Record>,
    source: Arc<dyn KeySource>,
    waiting: AtomicUsize,
}

/// What is told to operators about fetches.
#[derive(Default)]
struct Record {
    last_error: Option<FetchErrorKind>,
    last_success: Option<Duration>,
    warned_at: Option<Duration>,
}

impl KeyCache {
    /// For so many instances, whose sets are served for `stale_limit` at most.
    pub(crate) fn new(instances: usize, stale_limit: Duration) -> Self {
        let instances = u64::try_from(instances).unwrap_or(u64::MAX);
        let cache = Cache::builder()
            .max_capacity(instances.saturating_add(SPARE_CAPACITY))
            // The default policy may refuse a new set where there is no room for it.
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(stale_limit * 2);
        Self(cache.build_with_hasher(RandomState::default()))
    }
}

impl KeyStore {
    pub(crate) fn new(
        cache: KeyCache,
        id: SourceId,
        source: Arc<dyn KeySource>,
        policy: RefreshPolicy,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let shared = Shared {
            cache,
            clock,
            fresh_until: AtomicU64::new(0),
            gate: Gate::new(),
            id,
            newest: AtomicU64::new(0),
            policy,
            record: Mutex::default(),
            source,
            waiting: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether the set of this number is the newest and neither due for a refresh nor too old: all that has to be
    /// known of it where its keys were looked at before.
    pub(crate) fn is_fresh(&self, generation: u64) -> bool {
        let is_newest = || self.shared.newest.load(Ordering::Acquire) == generation;
        // Asked again after, so that the time is the set's own and not that of the one that has just come.
        is_newest()
            && nanos(self.shared.clock.monotonic()) < self.shared.fresh_until.load(Ordering::Acquire)
            && is_newest()
    }

    /// The set to verify with, if there is one that may still be used, and when it was looked at.
    pub(crate) fn peek(&self) -> (Option<Arc<HeldKeys>>, Duration) {
        let now = self.shared.clock.monotonic();
        (self.shared.held(now), now)
    }

    /// As [`peek`](Self::peek), and counts as use.
    pub(crate) fn current(&self) -> Option<Arc<HeldKeys>> {
        let (held, now) = self.peek();
        let held = held?;
        self.count_use(&held, now);
        Some(held)
    }

    /// Starts the refresh of a set that is used, if it is due.
    pub(crate) fn count_use(&self, held: &HeldKeys, now: Duration) {
        if now >= held.refresh_at {
            self.shared.gate.refresh_if_idle(now, |number| Shared::start(&self.shared, number, now));
        }
    }

    /// What to do about `need`.
    pub(crate) fn request(&self, need: Need<'_>) -> Answer {
        let now = self.shared.clock.monotonic();
        let (lack, seen) = match need {
            Need::Keys => (Lack::Keys, None),
            Need::Kid(seen) => (Lack::Kid, Some(seen)),
            Need::Signature(seen) => (Lack::Signature, Some(seen)),
        };
        let generation = |held: &HeldKeys| held.generation;
        let current = || self.shared.held(now).as_deref().map(generation);
        let is_settling = |seen: &HeldKeys| now.saturating_sub(seen.fetched_at) < SETTLED;
        if lack == Lack::Signature && seen.is_some_and(is_settling) {
            return if current() == seen.map(generation) { Answer::Refuse } else { Answer::LookAgain };
        }
        let start = |number| Shared::start(&self.shared, number, now);
        let answer = match self.shared.gate.ask(lack, seen.map(generation), now, current, start) {
            Entry::Joined(flight) => Shared::wait(&self.shared, flight, false),
            Entry::Later(retry_after) => {
                let cause = self.shared.record().last_error.unwrap_or(FetchErrorKind::Source);
                Answer::Unavailable { cause, retry_after }
            }
            Entry::LookAgain => Answer::LookAgain,
            Entry::Nowhere => NO_RUNTIME,
            Entry::Spent => Answer::Refuse,
            Entry::Started(flight) => Shared::wait(&self.shared, flight, true),
        };
        match answer {
            // The key is there and says no: only another key under its kid could say otherwise.
            Answer::Unavailable { .. } if lack == Lack::Signature => Answer::Refuse,
            answer => answer,
        }
    }

    /// Whether a token whose `kid` is not in the set `seen` is refused without a fetch.
    pub(crate) fn is_spent(&self, seen: &HeldKeys, now: Duration) -> bool {
        let current = || self.shared.held(now).map(|held| held.generation);
        now < seen.refresh_at && self.shared.gate.is_spent(Lack::Kid, Some(seen.generation), now, current)
    }

    /// Fetches now, whatever the budgets say, or joins the fetch in flight.
    pub(crate) fn refresh(&self) -> Answer {
        let now = self.shared.clock.monotonic();
        match self.shared.gate.insist(now, |number| Shared::start(&self.shared, number, now)) {
            Entry::Joined(flight) => Shared::wait(&self.shared, flight, false),
            Entry::Started(flight) => Shared::wait(&self.shared, flight, true),
            _ => NO_RUNTIME,
        }
    }

    /// Drops the set, and the fetch in flight with it.
    pub(crate) fn forget(&self) {
        self.shared.gate.clear(|| {
            self.shared.newest.store(0, Ordering::Release);
            self.shared.cache.0.invalidate(&self.shared.id);
        });
    }

    pub(crate) fn status(&self) -> KeysStatus {
        let now = self.shared.clock.monotonic();
        let held = self.shared.held(now);
        let record = self.shared.record();
        KeysStatus {
            age: held.as_ref().map(|held| now.saturating_sub(held.fetched_at)),
            keys: held.map_or(0, |held| held.set.len()),
            last_error: record.last_error,
            last_success: record.last_success.map(|at| now.saturating_sub(at)),
        }
    }

    /// How long until the next attempt to fetch.
    pub(crate) fn retry_after(&self) -> Duration {
        let now = self.shared.clock.monotonic();
        self.shared.gate.delay(now, self.shared.held(now).is_some())
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyStore").field("url", &self.shared.id.url).finish_non_exhaustive()
    }
}

impl Shared {
    /// The fetch itself, run in its own task.
    pub(super) async fn fetch(source: &dyn KeySource, timeout: Duration) -> Result<KeySet, FetchError> {
        let document: Bytes = match tokio::time::timeout(timeout, source.fetch()).await {
            Ok(result) => result?,
            Err(_) => return Err(FetchError::of_kind(FetchErrorKind::Timeout)),
        };
        KeySet::parse(&document).map_err(FetchError::of_kind)
    }

    /// Takes in what a fetch brought and ends its flight, unless that was given up before.
    ///
    /// Those who wait are told by `announce` before anything is logged: a subscriber that panics is no reason
    /// for them to go without.
    pub(super) fn finish(
        &self,
        flight: u64,
        result: Result<KeySet, FetchError>,
        announce: impl FnOnce(Result<(), FetchErrorKind>),
    ) {
        let set = match result {
            Ok(set) => set,
            Err(error) => return self.fail(flight, &error, || announce(Err(error.kind()))),
        };
        let now = self.clock.monotonic();
        let (keys, skipped) = (set.len(), set.skipped());
        let keep = |generation| {
            let refresh_at = now.saturating_add(self.policy.refresh_due());
            let held = HeldKeys { set, fetched_at: now, generation, refresh_at };
            self.cache.0.insert(self.id.clone(), Arc::new(held));
            self.newest.store(0, Ordering::Release);
            self.fresh_until.store(nanos(refresh_at), Ordering::Release);
            self.newest.store(generation, Ordering::Release);
        };
        if self.gate.land(flight, keep) {
            *self.record() = Record { last_success: Some(now), ..Record::default() };
            announce(Ok(()));
            telemetry::keys_fetched(keys, skipped);
        }
    }

    /// Ends a flight that brought nothing, unless it was given up before.
    pub(super) fn fail(&self, flight: u64, error: &FetchError, announce: impl FnOnce()) {
        let now = self.clock.monotonic();
        if !self.gate.fail(flight, now, error.delay()) {
            return;
        }
        let age = self.held(now).map(|held| now.saturating_sub(held.fetched_at));
        let is_due = {
            let mut record = self.record();
            record.last_error = Some(error.kind());
            let is_quiet = record.warned_at.is_some_and(|at| now.saturating_sub(at) < Duration::from_secs(60));
            let is_due = telemetry::is_for_operators(age) && !is_quiet;
            if is_due {
                record.warned_at = Some(now);
            }
            is_due
        };
        announce();
        telemetry::fetch_failed(error, age, is_due);
    }

    /// Ends a flight that has neither brought nor failed in time, on a runtime that no one drives.
    pub(super) fn give_up(&self, flight: &Flight) {
        self.fail(flight.number(), &FetchError::of_kind(FetchErrorKind::Timeout), || flight.abort());
    }

    pub(super) fn stop_waiting(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn held(&self, now: Duration) -> Option<Arc<HeldKeys>> {
        let held = self.cache.0.get(&self.id)?;
        (now.saturating_sub(held.fetched_at) < self.policy.stale_limit).then_some(held)
    }

    fn start(shared: &Arc<Self>, number: u64, now: Duration) -> Option<Flight> {
        let timeout = shared.policy.timeout;
        Flight::start(shared, number, Arc::clone(&shared.source), timeout, now.saturating_add(timeout + GRACE))
    }

    fn wait(shared: &Arc<Self>, flight: Flight, is_own: bool) -> Answer {
        let Some(timer) = timer(shared.policy.timeout + GRACE) else { return NO_RUNTIME };
        if shared.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            shared.stop_waiting();
            let cause = FetchErrorKind::TooManyWaiting;
            return Answer::Unavailable { cause, retry_after: Duration::from_secs(1) };
        }
        Answer::Wait(Wait::new(Arc::clone(shared), flight, timer, is_own))
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.gate.clear(|| self.cache.0.invalidate(&self.id));
    }
}

const NO_RUNTIME: Answer =
    Answer::Unavailable { cause: FetchErrorKind::NoRuntime, retry_after: Duration::from_secs(1) };
/// More than instances are replaced by at once.
const SPARE_CAPACITY: u64 = 64;
/// Requests waiting for keys at once.
const MAX_WAITING: usize = 16_384;
/// A key set younger than this is not asked for again because of a bad signature.
const SETTLED: Duration = Duration::from_secs(30);
/// How much longer than a fetch may take a request waits for it: the fetch's own deadline comes first
/// wherever its runtime is driven.
const GRACE: Duration = Duration::from_millis(500);
