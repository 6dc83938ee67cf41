//! The key set of one instance over time: fetched, used, refreshed, stale, forgotten.
//!
//! Several parts work together. The [`FetchGate`] decides which request starts a fetch. A [`Flight`] runs it, within
//! the [`FetchLimits`] of the verifier. The [`KeyCache`] holds the set. The [`KeyStore`] connects them, and is the only
//! one of them that reads the clock.
//!
//! A cache hit of a token only needs to know that its generation is still current and fresh. [`Freshness`] says so
//! without a lock. All other paths read the set itself.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::Semaphore;

use super::{
    FetchError, FetchErrorKind, KeySource, KeysStatus,
    freshness::Freshness,
    gate::{Entry, FetchGate, FetchRequest, InFlight},
    key_cache::{CachedKeySet, KeyCache, RefreshPolicy},
    limits::{FetchClass, FetchLimits},
    schedule::FetchReason,
};
use crate::{
    clock::{Clock, Moment},
    instruments::{FetchLabel, KeyInstruments},
    jwt::KeySet,
    rate_limit::Throttle,
    single_flight::{Announcer, Completion, Flight, FlightWait, MAX_WAITING, WaitEnd, within},
    telemetry::{self, Span, WARNING_INTERVAL},
};

/// What the stores of all instances of a verifier share.
pub(crate) struct KeyResources {
    pub(crate) cache: KeyCache,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: FetchLimits,
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
    /// Whether the waiter gives up before the fetch does.
    is_brief: bool,
}

/// How a fetch ended. A success carries no set: waiters read the newest one, which may be newer still.
pub(super) type Outcome = Result<(), FetchErrorKind>;

struct Shared {
    source: Arc<dyn KeySource>,
    policy: RefreshPolicy,
    resources: Arc<KeyResources>,
    /// The number of the store, its key in the cache.
    number: u64,
    gate: FetchGate<Flight<Outcome>>,
    /// One permit for each request that may wait.
    waiters: Arc<Semaphore>,
    freshness: Freshness,
    /// Whether the source has failed since the last success. Only a set whose refresh has not failed makes tokens wait.
    has_failed: AtomicBool,
    history: Mutex<History>,
    instruments: KeyInstruments,
}

/// Past fetches, for status and log.
struct History {
    /// Why the last fetch was started, and when.
    started: (FetchLabel, Duration),
    last_error: Option<FetchErrorKind>,
    last_success: Option<Duration>,
    /// Replaced by a new one after a success, so that the first failure of the next outage is logged at once.
    warnings: Throttle,
}

impl KeyStore {
    /// Makes a store without a set. `number` must be unique among the stores that share `resources`.
    pub(crate) fn new(
        resources: Arc<KeyResources>,
        number: u64,
        source: Arc<dyn KeySource>,
        policy: RefreshPolicy,
        instruments: KeyInstruments,
    ) -> Self {
        let shared = Shared {
            source,
            policy,
            resources,
            number,
            gate: FetchGate::new(),
            waiters: Arc::new(Semaphore::new(MAX_WAITING)),
            freshness: Freshness::new(),
            has_failed: AtomicBool::new(false),
            history: Mutex::new(History {
                started: (FetchLabel::First, Duration::ZERO),
                last_error: None,
                last_success: None,
                warnings: Throttle::new(WARNING_INTERVAL),
            }),
            instruments,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether `generation` is current and neither due for a refresh nor stale. Without a lock: every cache hit of a
    /// token calls it.
    ///
    /// The stale limit needs no check of its own: a set is due for a refresh before it is stale.
    pub(super) fn is_fresh(&self, generation: u64, wall: SystemTime) -> bool {
        let monotonic = self.shared.resources.clock.monotonic();
        self.shared.freshness.is_fresh(generation, Moment { monotonic, wall }.into())
    }

    /// The set to verify with, unless there is none or it is past the stale limit, and the time of this look.
    ///
    /// It starts no refresh: a token that is rejected by its header or its form must not cause a fetch.
    pub(super) fn peek(&self) -> (Option<Arc<CachedKeySet>>, Moment) {
        let now = self.shared.now();
        (self.shared.usable(now), now)
    }

    /// As [`peek`](Self::peek), and starts a refresh that is due.
    pub(super) fn current(&self) -> (Option<Arc<CachedKeySet>>, Moment) {
        let (set, now) = self.peek();
        if let Some(set) = &set {
            self.refresh_if_due(set, now);
        }
        (set, now)
    }

    /// Starts a refresh of a set in use, if it is due. A set that nobody uses is not refreshed.
    pub(super) fn refresh_if_due(&self, set: &CachedKeySet, now: Moment) {
        if set.is_refresh_due(now) {
            let now = now.monotonic;
            self.shared.gate.refresh_if_idle(now, |id| Shared::start(&self.shared, id, now, FetchLabel::Refresh));
        }
    }

    /// Whether a token must not be accepted with this set before a refresh was tried: nobody has used the set for so
    /// long that a key may have been withdrawn unnoticed.
    ///
    /// Not once a refresh has failed. During an outage each token would otherwise wait for a fetch that fails.
    pub(super) fn is_late(&self, set: &CachedKeySet, now: Moment) -> bool {
        set.longest_age(now) >= self.shared.policy.late_after() && !self.shared.has_failed.load(Ordering::Acquire)
    }

    /// Requests a fetch for a token that was tried with the set `seen`; `None` if there was no set.
    ///
    /// A bad signature is special: a key with the `kid` exists, so most such tokens are forged. It starts no fetch if
    /// the set is young, and where no fetch is possible the token is rejected (401) and not postponed (503). If the set
    /// is late, a refresh is in flight that valid tokens wait for. Then only so many bad signatures may join it as may
    /// start one, and only for [`BAD_SIGNATURE_WAIT`]: a forgery must not gain a place to wait by it.
    pub(super) fn request(&self, reason: FetchReason, seen: Option<&CachedKeySet>) -> Fetch {
        let now = self.shared.now();
        let generation = |set: &CachedKeySet| set.generation;
        let current = || self.shared.usable(now).as_deref().map(generation);
        let is_bad_signature = reason == FetchReason::BadSignature;
        if is_bad_signature && seen.is_some_and(|seen| seen.age(now) < MIN_AGE_FOR_BAD_SIGNATURE) {
            return if current() == seen.map(generation) { Fetch::Denied } else { Fetch::SetChanged };
        }
        let is_brief = is_bad_signature && seen.is_some_and(|seen| self.is_late(seen, now));
        let request = FetchRequest { reason, seen: seen.map(generation), now: now.monotonic, join_takes: is_brief };
        let may_start = || !reason.is_forgeable() || self.shared.resources.limits.try_take_forgeable(now.monotonic);
        let start = |id| Shared::start(&self.shared, id, now.monotonic, reason.label());
        let fetch = match self.shared.gate.request(request, current, may_start, start) {
            Entry::Backoff(retry_after) => {
                let kind = self.shared.history().last_error.unwrap_or(FetchErrorKind::Transport);
                Fetch::Unavailable(FetchUnavailable::Failed { kind, retry_after })
            }
            Entry::BudgetExhausted => Fetch::Denied,
            Entry::Joined(flight) if is_brief => Shared::wait_briefly(&self.shared, flight),
            Entry::Joined(flight) => Shared::wait(&self.shared, flight, false),
            Entry::NoRuntime => Fetch::Unavailable(FetchUnavailable::NoRuntime),
            Entry::SetChanged => Fetch::SetChanged,
            Entry::Started(flight) => Shared::wait(&self.shared, flight, true),
        };
        match fetch {
            // A 503 makes clients try again. A key with that `kid` exists and does not verify the token, so the token
            // is most likely forged: reject it.
            Fetch::Unavailable(_) if is_bad_signature => Fetch::Denied,
            fetch => fetch,
        }
    }

    /// Whether a token whose `kid` is not in the set `seen` can be rejected without a fetch, by its header alone.
    ///
    /// Not if a refresh is due. The token then goes through [`request`](Self::request), after the refresh has started,
    /// and joins it: the refresh may bring its key.
    pub(super) fn is_unknown_kid_final(&self, seen: &CachedKeySet, now: Moment) -> bool {
        let current = || self.shared.usable(now).map(|set| set.generation);
        !seen.is_refresh_due(now)
            && self.shared.gate.is_exhausted(FetchReason::UnknownKid, Some(seen.generation), now.monotonic, current)
    }

    /// Fetches now, whatever the budgets and the back-off say, or joins the fetch in flight.
    pub(super) fn force(&self) -> Fetch {
        let now = self.shared.now().monotonic;
        match self.shared.gate.force(now, |id| Shared::start(&self.shared, id, now, FetchLabel::Refresh)) {
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
            self.shared.freshness.clear();
            self.shared.resources.cache.remove(self.shared.number);
        });
    }

    pub(super) fn status(&self) -> KeysStatus {
        let now = self.shared.now();
        let set = self.shared.usable(now);
        let history = self.shared.history();
        KeysStatus {
            keys: set.as_ref().map_or(0, |set| set.keys.len()),
            age: set.map(|set| set.age(now)),
            last_success: history.last_success.map(|at| now.monotonic.saturating_sub(at)),
            last_error: history.last_error,
        }
    }

    /// How long until the next attempt to fetch, for `Retry-After`.
    pub(super) fn retry_after(&self) -> Duration {
        let now = self.shared.now();
        self.shared.gate.delay(now.monotonic, self.shared.usable(now).is_some())
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
            WaitEnd::TimedOut if self.is_brief => Some(Err(FetchErrorKind::Timeout)),
            WaitEnd::TimedOut => {
                let flight = self.wait.flight();
                self.shared.fail(flight.id(), &FetchError::of_kind(FetchErrorKind::Timeout), |_| flight.stop());
                Some(Err(FetchErrorKind::Timeout))
            }
        }
    }
}

impl Shared {
    /// Starts a fetch; `None` outside a Tokio runtime. The caller holds the lock of the gate.
    fn start(shared: &Arc<Self>, id: u64, now: Duration, why: FetchLabel) -> Option<Flight<Outcome>> {
        // Weak, because the task would otherwise keep the store alive, and dropping the verifier would not stop the
        // fetch.
        let store = Arc::downgrade(shared);
        let (source, resources) = (Arc::clone(&shared.source), Arc::clone(&shared.resources));
        let longest_wait = shared.policy.timeout * PLACE_WAIT / 3;
        let fetch = {
            let store = store.clone();
            async move {
                // Asked in the task, and not under the lock of the gate.
                let class = store.upgrade().map_or(FetchClass::NoKeys, |store| store.class());
                // The wait for a place is part of the work, so its time counts. So is parsing, and a document without a
                // usable key is a failed fetch.
                let Some(_place) = within(longest_wait, resources.limits.place(class)).await else {
                    return Err(FetchError::of_kind(FetchErrorKind::TooManyFetches));
                };
                let document = source.fetch().await?;
                KeySet::parse(&document).map_err(|error| FetchError::of_kind(error.into()))
            }
        };
        let on_done = move |fetched: Completion<Result<KeySet, FetchError>>, waiters: Announcer<Outcome>| {
            if let Some(store) = store.upgrade() {
                let fetched = match fetched {
                    Completion::Finished(fetched) => fetched,
                    Completion::Panicked => Err(FetchError::of_kind(FetchErrorKind::Panicked)),
                    Completion::TimedOut => Err(FetchError::of_kind(FetchErrorKind::Timeout)),
                };
                store.finish(id, fetched.map_err(|error| error.at(store.source.location())), &waiters);
            }
        };
        let flight = Flight::start(id, now, shared.policy.timeout, Span::fetch_keys, fetch, on_done)?;
        shared.history().started = (why, now);
        Some(flight)
    }

    fn wait(shared: &Arc<Self>, flight: Flight<Outcome>, is_own: bool) -> Fetch {
        match flight.wait(&shared.waiters) {
            Some(wait) => Fetch::Wait(FetchWait { shared: Arc::clone(shared), wait, is_own, is_brief: false }),
            None => Fetch::Unavailable(FetchUnavailable::TooManyWaiting),
        }
    }

    /// Joins a flight for [`BAD_SIGNATURE_WAIT`] only.
    fn wait_briefly(shared: &Arc<Self>, flight: Flight<Outcome>) -> Fetch {
        match flight.wait_for(BAD_SIGNATURE_WAIT, &shared.waiters) {
            Some(wait) => Fetch::Wait(FetchWait { shared: Arc::clone(shared), wait, is_own: false, is_brief: true }),
            None => Fetch::Unavailable(FetchUnavailable::TooManyWaiting),
        }
    }

    /// Stores the set that a fetch returned, unless the flight was stopped or replaced, and announces the outcome.
    ///
    /// The set is stored before the announcement, so that every waiter finds it. The announcement comes before the log:
    /// a subscriber is user code, and if it panics or blocks, the waiters have their outcome all the same.
    fn finish(&self, flight: u64, fetched: Result<KeySet, FetchError>, waiters: &Announcer<Outcome>) {
        let keys = match fetched {
            Ok(keys) => keys,
            Err(error) => return self.fail(flight, &error, |kind| waiters.announce(Err(kind))),
        };
        let now = self.now();
        let (count, skipped) = (keys.len(), keys.skipped());
        let mut started = (FetchLabel::First, Duration::ZERO);
        let keep = |generation| {
            let set = CachedKeySet::new(keys, generation, now, self.policy);
            let fresh_until = set.fresh_until();
            self.resources.cache.insert(self.number, set);
            self.has_failed.store(false, Ordering::Release);
            self.freshness.publish(generation, fresh_until);
            let mut history = self.history();
            started = history.started;
            history.last_error = None;
            history.last_success = Some(now.monotonic);
            history.warnings = Throttle::new(WARNING_INTERVAL);
        };
        if self.gate.succeed(flight, keep) {
            waiters.announce(Ok(()));
            telemetry::keys_fetched(count, skipped);
            self.instruments.fetched("ok", started.0, now.monotonic.saturating_sub(started.1));
        }
    }

    /// Ends a flight without a set, unless it was stopped or replaced. The set in use stays.
    fn fail(&self, flight: u64, error: &FetchError, announce: impl FnOnce(FetchErrorKind)) {
        let now = self.now();
        let age = self.usable(now).map(|set| set.age(now));
        let (mut is_due, mut started) = (false, (FetchLabel::First, Duration::ZERO));
        // Under the lock of the gate, so that the failure of one flight cannot be noted after the success of the next.
        // A fetch that found no place says nothing about the source: it neither delays the next one, nor makes a late
        // set usable without it.
        let is_of_source = error.kind() != FetchErrorKind::TooManyFetches;
        let note = || {
            if is_of_source {
                self.has_failed.store(true, Ordering::Release);
            }
            let mut history = self.history();
            started = history.started;
            history.last_error = Some(error.kind());
            // The throttle is asked last: a failure that is no warning must not use up the interval.
            is_due = telemetry::is_worth_a_warning(age) && history.warnings.is_due(now.monotonic);
        };
        let failure = is_of_source.then(|| (now.monotonic, error.delay()));
        if !self.gate.fail(flight, failure, note) {
            return;
        }
        announce(error.kind());
        telemetry::fetch_failed(error, age, is_due);
        self.instruments.fetched(error.kind().as_str(), started.0, now.monotonic.saturating_sub(started.1));
    }

    /// How much a fetch that starts now matters.
    fn class(&self) -> FetchClass {
        if self.has_failed.load(Ordering::Acquire) {
            return FetchClass::AfterFailure;
        }
        if self.usable(self.now()).is_some() { FetchClass::HasKeys } else { FetchClass::NoKeys }
    }

    /// The set, unless there is none or it is past the stale limit. A stale set is never used, whatever the outage.
    ///
    /// The monotonic clock alone decides: a wall clock that was set years ahead must not end the service.
    fn usable(&self, now: Moment) -> Option<Arc<CachedKeySet>> {
        self.resources.cache.get(self.number).filter(|set| set.age(now) < self.policy.stale_limit)
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.resources.clock)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    /// Stops the fetch in flight, and frees the set at once: in a verifier with a resolver, stores come and go.
    fn drop(&mut self) {
        self.gate.reset(|| self.resources.cache.remove(self.number));
    }
}

impl FetchReason {
    /// As metrics count it.
    fn label(self) -> FetchLabel {
        match self {
            Self::BadSignature => FetchLabel::BadSignature,
            Self::LateSet => FetchLabel::Refresh,
            Self::NoKeys => FetchLabel::First,
            Self::UnknownKid => FetchLabel::UnknownKid,
        }
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

/// A bad signature starts no fetch while the set is younger: Clerk has just been asked, so another key is unlikely.
const MIN_AGE_FOR_BAD_SIGNATURE: Duration = Duration::from_secs(30);
/// In thirds of the timeout: how long a fetch waits for a place. With less than a third left it would not end in time,
/// and its source would be blamed for it.
const PLACE_WAIT: u32 = 2;
/// How long a bad signature waits for the refresh of a late set: long enough for a usual fetch, so that a key which was
/// replaced under its own `kid` is found.
const BAD_SIGNATURE_WAIT: Duration = Duration::from_millis(250);
