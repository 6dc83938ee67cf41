use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use moka::{policy::EvictionPolicy, sync::Cache};

pub(crate) use super::flight::{Outcome, Wait};
use super::{
    flight::{Flight, timer},
    held::{HeldKeys, KeysStatus, RefreshPolicy},
    key_set::KeySet,
    schedule::Schedule,
    source::{FetchError, FetchErrorKind, KeySource, SourceId},
};
use crate::{clock::Clock, telemetry};

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
    cache: Cache<SourceId, Arc<HeldKeys>>,
    clock: Arc<dyn Clock>,
    id: SourceId,
    policy: RefreshPolicy,
    source: Arc<dyn KeySource>,
    state: Mutex<State>,
    waiting: AtomicUsize,
}

struct State {
    flight: Option<Flight>,
    flights: u64,
    generation: u64,
    last_error: Option<FetchErrorKind>,
    last_success: Option<Duration>,
    schedule: Schedule,
    warned_at: Option<Duration>,
}

impl KeyStore {
    /// A cache for the key sets of one verifier.
    ///
    /// It only holds: its own clock cannot be injected, so what is fresh is decided by the sets' timestamps
    /// and its expiry is a backstop.
    pub(crate) fn cache(policy: RefreshPolicy) -> Cache<SourceId, Arc<HeldKeys>> {
        Cache::builder()
            .max_capacity(SPARE_CAPACITY)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(policy.stale_limit * 2)
            .build()
    }

    pub(crate) fn new(
        cache: Cache<SourceId, Arc<HeldKeys>>,
        id: SourceId,
        source: Arc<dyn KeySource>,
        policy: RefreshPolicy,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let state = State {
            flight: None,
            flights: 0,
            generation: 0,
            last_error: None,
            last_success: None,
            schedule: Schedule::new(),
            warned_at: None,
        };
        let (state, waiting) = (Mutex::new(state), AtomicUsize::new(0));
        Self { shared: Arc::new(Shared { cache, clock, id, policy, source, state, waiting }) }
    }

    /// The set to verify with, if there is one that may still be used. Counts as use: a refresh that is due
    /// starts here.
    pub(crate) fn current(&self) -> Option<Arc<HeldKeys>> {
        let now = self.shared.clock.monotonic();
        let held = self.shared.held(now)?;
        if now >= held.refresh_at {
            Shared::refresh_in_background(&self.shared, now);
        }
        Some(held)
    }

    /// What to do about `need`.
    pub(crate) fn request(&self, need: Need<'_>) -> Answer {
        let now = self.shared.clock.monotonic();
        let mut state = self.shared.lock();
        let held = self.shared.held(now);
        let is_current = |seen: &HeldKeys| held.as_ref().is_some_and(|held| held.generation == seen.generation);
        let may_spend: fn(&mut Schedule, Duration) -> bool = match need {
            Need::Keys if held.is_some() => return Answer::LookAgain,
            Need::Kid(seen) | Need::Signature(seen) if !is_current(seen) => return Answer::LookAgain,
            Need::Signature(seen) if now.saturating_sub(seen.fetched_at) < SETTLED => return Answer::Refuse,
            Need::Keys => |_, _| true,
            Need::Kid(_) => Schedule::spend_for_unknown_kid,
            Need::Signature(_) => Schedule::spend_for_bad_signature,
        };
        if let Some(flight) = state.live_flight() {
            let flight = flight.clone();
            return Shared::wait(&self.shared, flight, false);
        }
        let delay = state.schedule.delay(now, held.is_some());
        if !delay.is_zero() {
            let cause = state.last_error.unwrap_or(FetchErrorKind::Source);
            return match need {
                Need::Signature(_) => Answer::Refuse,
                Need::Keys | Need::Kid(_) => Answer::Unavailable { cause, retry_after: delay },
            };
        }
        if !may_spend(&mut state.schedule, now) {
            return Answer::Refuse;
        }
        match Shared::start(&self.shared, &mut state) {
            Some(flight) => Shared::wait(&self.shared, flight, true),
            None => NO_RUNTIME,
        }
    }

    /// Fetches now, whatever the budgets say, or joins the fetch in flight.
    pub(crate) fn refresh(&self) -> Answer {
        let mut state = self.shared.lock();
        let flight = match state.live_flight() {
            Some(flight) => Some(flight.clone()),
            None => Shared::start(&self.shared, &mut state),
        };
        flight.map_or(NO_RUNTIME, |flight| Shared::wait(&self.shared, flight, true))
    }

    /// Drops the set, and the fetch in flight with it.
    pub(crate) fn forget(&self) {
        let mut state = self.shared.lock();
        if let Some(flight) = state.flight.take() {
            flight.abort();
        }
        self.shared.cache.invalidate(&self.shared.id);
    }

    pub(crate) fn status(&self) -> KeysStatus {
        let now = self.shared.clock.monotonic();
        let state = self.shared.lock();
        let held = self.shared.held(now);
        KeysStatus {
            age: held.as_ref().map(|held| now.saturating_sub(held.fetched_at)),
            keys: held.map_or(0, |held| held.set.len()),
            last_error: state.last_error,
            last_success: state.last_success.map(|at| now.saturating_sub(at)),
        }
    }

    /// How long until the next attempt to fetch.
    pub(crate) fn retry_after(&self) -> Duration {
        let now = self.shared.clock.monotonic();
        let state = self.shared.lock();
        state.schedule.delay(now, self.shared.held(now).is_some())
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

    /// Takes in what a fetch brought and ends its flight; `None` if that was given up before.
    pub(super) fn finish(&self, flight: u64, result: Result<KeySet, FetchError>) -> Option<Result<(), FetchErrorKind>> {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        state.flight.take_if(|current| current.number() == flight)?;
        Some(match result {
            Ok(set) => {
                telemetry::keys_fetched(set.len(), set.skipped());
                state.generation += 1;
                let held = HeldKeys {
                    set,
                    fetched_at: now,
                    generation: state.generation,
                    refresh_at: now + self.policy.refresh_due(),
                };
                self.cache.insert(self.id.clone(), Arc::new(held));
                state.schedule.succeeded();
                (state.last_error, state.last_success, state.warned_at) = (None, Some(now), None);
                Ok(())
            }
            Err(error) => {
                self.record_failure(&mut state, now, &error);
                Err(error.kind())
            }
        })
    }

    /// Ends a flight whose task panicked. The panic may have come while the state was locked, so it does not
    /// wait for the lock.
    pub(super) fn finish_panicked(&self, flight: u64) {
        let now = self.clock.monotonic();
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if state.flight.take_if(|current| current.number() == flight).is_some() {
            self.record_failure(&mut state, now, &FetchError::of_kind(FetchErrorKind::Panicked));
        }
    }

    /// Ends a flight that has neither brought nor failed in time, on a runtime that no one drives.
    pub(super) fn give_up(&self, flight: &Flight) {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        if state.flight.take_if(|current| current.number() == flight.number()).is_some() {
            flight.abort();
            self.record_failure(&mut state, now, &FetchError::of_kind(FetchErrorKind::Timeout));
        }
    }

    pub(super) fn stop_waiting(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn held(&self, now: Duration) -> Option<Arc<HeldKeys>> {
        let held = self.cache.get(&self.id)?;
        (now.saturating_sub(held.fetched_at) < self.policy.stale_limit).then_some(held)
    }

    fn refresh_in_background(shared: &Arc<Self>, now: Duration) {
        // Whoever holds the lock is about to do the same.
        let Ok(mut state) = shared.state.try_lock() else { return };
        if state.live_flight().is_none() && state.schedule.delay(now, true).is_zero() {
            let _ = Self::start(shared, &mut state);
        }
    }

    fn start(shared: &Arc<Self>, state: &mut State) -> Option<Flight> {
        state.flights += 1;
        let flight = Flight::start(shared, state.flights, Arc::clone(&shared.source), shared.policy.timeout)?;
        state.flight = Some(flight.clone());
        Some(flight)
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

    fn record_failure(&self, state: &mut State, now: Duration, error: &FetchError) {
        state.schedule.failed(now, error.delay());
        state.last_error = Some(error.kind());
        let age = self.held(now).map(|held| now.saturating_sub(held.fetched_at));
        let is_quiet = state.warned_at.is_some_and(|at| now.saturating_sub(at) < Duration::from_secs(60));
        if telemetry::fetch_failed(error, age, is_quiet) {
            state.warned_at = Some(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(flight) = self.lock().flight.take() {
            flight.abort();
        }
    }
}

impl State {
    fn live_flight(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.is_live())
    }
}

const NO_RUNTIME: Answer =
    Answer::Unavailable { cause: FetchErrorKind::NoRuntime, retry_after: Duration::from_secs(1) };
/// Above the number of instances of any verifier.
const SPARE_CAPACITY: u64 = 64;
/// Requests waiting for keys at once.
const MAX_WAITING: usize = 16_384;
/// A key set younger than this is not asked for again because of a bad signature.
const SETTLED: Duration = Duration::from_secs(30);
/// How much longer than a fetch may take a request waits for it: the fetch's own deadline comes first
/// wherever its runtime is driven.
const GRACE: Duration = Duration::from_millis(500);
