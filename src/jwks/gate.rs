//! Which requests may start a fetch of keys: at most one fetch at once, within budgets and back-offs.
//!
//! Many requests can miss a key at the same moment, and a fetch can end between the moment a request looks at the set
//! and the moment it asks for a fetch. The gate decides all of this under one lock:
//!
//! - Sets are numbered in the order in which they arrive: the *generation*. A request names the generation in which it
//!   missed its key. If the set has changed since, it has to look again: otherwise a herd of requests that all missed
//!   one key would start a second fetch after the first has fetched it. The numbers go on after
//!   [`reset`](FetchGate::reset), so the generation that a cached token remembers never matches a later set by
//!   accident.
//! - Flights are numbered too. Only the current flight may store a set or count as a failure. A flight that was stopped
//!   or replaced may still end, with an older document than the set in use.
//! - A fetch that is in flight is joined before budgets are looked at: it costs nothing more.
//!
//! The gate knows no key, no clock and no runtime, so that every interleaving can be model-checked with loom.

#[cfg(not(tower_clerk_loom))]
use std::sync::{Mutex, MutexGuard};
use std::{
    sync::{PoisonError, TryLockError},
    time::Duration,
};

#[cfg(tower_clerk_loom)]
use loom::sync::{Mutex, MutexGuard};

use super::schedule::{FetchReason, Schedule};

/// A fetch in flight. A trait, so that the model checker can supply one without a runtime.
pub(super) trait InFlight: Clone {
    /// Whether it may still end with an outcome.
    fn is_live(&self, now: Duration) -> bool;

    fn stop(&self);
}

/// Decides which requests start a fetch of keys; see the module docs.
///
/// The argument `current` of its methods reads the generation of the set that may be used now. It is called under the
/// lock, so no fetch can store a set between that and the decision.
pub(super) struct FetchGate<F> {
    state: Mutex<State<F>>,
}

struct State<F> {
    schedule: Schedule,
    /// The current flight with its id. It may be overdue; see [`InFlight::is_live`].
    flight: Option<(u64, F)>,
    /// The number of flights so far, which is the id of the last one.
    flights: u64,
    /// The number of sets so far, which is the generation of the last one.
    sets: u64,
}

/// A request for a fetch, for a token that was tried with the set of generation `seen`.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchRequest {
    pub(super) reason: FetchReason,
    /// `None` if there was no set.
    pub(super) seen: Option<u64>,
    pub(super) now: Duration,
    /// Whether joining a fetch in flight takes from the budget for the reason too. It bounds how many tokens wait.
    pub(super) join_takes: bool,
}

/// What a request that asked for a fetch should do.
pub(super) enum Entry<F> {
    /// The last fetch failed, and the next may start after this delay.
    Backoff(Duration),
    /// The budget for the reason is used up: no fetch, and none to wait for.
    BudgetExhausted,
    /// Wait for a fetch that was in flight.
    Joined(F),
    /// The request is outside a runtime on which to fetch.
    NoRuntime,
    /// Look again: the set has changed since the request looked at it.
    SetChanged,
    /// Wait for the fetch that was started for this request.
    Started(F),
}

impl<F: InFlight> FetchGate<F> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { schedule: Schedule::new(), flight: None, flights: 0, sets: 0 }) }
    }

    /// Requests a fetch for a token whose key was missing from the set of generation `seen`.
    ///
    /// The budget comes before the back-off. A token without a budget is then rejected (401) during an outage as well:
    /// even if fetches worked, none would start for it. With a budget, a back-off makes it 503, because a fetch that
    /// failed says nothing about the token.
    ///
    /// `may_start` takes from the budget that all instances of a verifier share. It is asked last, so that nothing is
    /// taken for a fetch that does not start for another reason.
    pub(super) fn request(
        &self,
        request: FetchRequest,
        current: impl FnOnce() -> Option<u64>,
        may_start: impl FnOnce() -> bool,
        start: impl FnOnce(u64) -> Option<F>,
    ) -> Entry<F> {
        let FetchRequest { reason, seen, now, join_takes } = request;
        let mut state = self.lock();
        if current() != seen {
            return Entry::SetChanged;
        }
        if let Some(flight) = state.live_flight(now).cloned() {
            if join_takes {
                if !state.schedule.has_capacity(reason, now) {
                    return Entry::BudgetExhausted;
                }
                state.schedule.take(reason, now);
            }
            return Entry::Joined(flight);
        }
        if !state.schedule.has_capacity(reason, now) {
            return Entry::BudgetExhausted;
        }
        let delay = state.schedule.delay(now, seen.is_some());
        if !delay.is_zero() {
            return Entry::Backoff(delay);
        }
        if !may_start() {
            return Entry::BudgetExhausted;
        }
        let Some(flight) = state.start(start) else { return Entry::NoRuntime };
        state.schedule.take(reason, now);
        Entry::Started(flight)
    }

    /// Whether [`request`](Self::request) would return [`Entry::BudgetExhausted`]. It starts nothing, so a token can be
    /// rejected by its header alone.
    pub(super) fn is_exhausted(
        &self,
        reason: FetchReason,
        seen: Option<u64>,
        now: Duration,
        current: impl FnOnce() -> Option<u64>,
    ) -> bool {
        let mut state = self.lock();
        current() == seen && state.live_flight(now).is_none() && !state.schedule.has_capacity(reason, now)
    }

    /// Starts a fetch that no request waits for, unless one is in flight or a back-off forbids it.
    ///
    /// It takes nothing from the budgets: clients cannot cause more refreshes than the interval allows.
    pub(super) fn refresh_if_idle(&self, now: Duration, start: impl FnOnce(u64) -> Option<F>) {
        // Valid tokens come this way, and must not wait for the lock. The next one tries again.
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if state.live_flight(now).is_none() && state.schedule.delay(now, true).is_zero() {
            let _ = state.start(start);
        }
    }

    /// Starts a fetch whatever the budgets and the back-off say, or joins the one in flight. For operators, not for
    /// tokens.
    pub(super) fn force(&self, now: Duration, start: impl FnOnce(u64) -> Option<F>) -> Entry<F> {
        let mut state = self.lock();
        match state.live_flight(now) {
            Some(flight) => Entry::Joined(flight.clone()),
            None => state.start(start).map_or(Entry::NoRuntime, Entry::Started),
        }
    }

    /// Ends the flight with this id with a set, which `keep` stores under its generation; `false` if it is not the
    /// current flight.
    ///
    /// `keep` runs under the lock: a request then never sees the flight ended and the set not yet stored, which would
    /// make it start another fetch.
    pub(super) fn succeed(&self, flight: u64, keep: impl FnOnce(u64)) -> bool {
        let mut state = self.lock();
        let is_current = state.end(flight);
        if is_current {
            state.sets += 1;
            keep(state.sets);
            state.schedule.succeeded();
        }
        is_current
    }

    /// Ends the flight with this id without a set, and runs `note` under the lock; `false` if it is not the current
    /// flight. `failure` is the time and the delay that the server asked for, or `None` if the server was not reached
    /// for a reason of our own: then there is no back-off.
    pub(super) fn fail(&self, flight: u64, failure: Option<(Duration, Option<Duration>)>, note: impl FnOnce()) -> bool {
        let mut state = self.lock();
        let is_current = state.end(flight);
        if is_current {
            if let Some((now, retry_after)) = failure {
                state.schedule.failed(now, retry_after);
            }
            note();
        }
        is_current
    }

    /// Stops the flight, if any, and drops the set with `forget`, under the lock so that no flight stores a set in
    /// between. The back-off and the budgets stay: dropping keys must not be a way around them.
    pub(super) fn reset(&self, forget: impl FnOnce()) {
        let mut state = self.lock();
        if let Some((_, flight)) = state.flight.take() {
            flight.stop();
        }
        forget();
    }

    /// How long until the next attempt to fetch; zero if it may start now.
    pub(super) fn delay(&self, now: Duration, has_keys: bool) -> Duration {
        self.lock().schedule.delay(now, has_keys)
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: InFlight> State<F> {
    fn live_flight(&self, now: Duration) -> Option<&F> {
        self.flight.as_ref().map(|(_, flight)| flight).filter(|flight| flight.is_live(now))
    }

    /// Starts a flight in place of an overdue one. Callers have checked that none is live.
    fn start(&mut self, start: impl FnOnce(u64) -> Option<F>) -> Option<F> {
        self.flights += 1;
        // If none can be started, the overdue flight stays: its runtime may be polled again, and its set is welcome.
        let flight = start(self.flights)?;
        if let Some((_, overdue)) = self.flight.take() {
            overdue.stop();
        }
        self.flight = Some((self.flights, flight.clone()));
        Some(flight)
    }

    /// Ends the flight with this id; `false` if it was stopped or replaced, so that its outcome does not count.
    fn end(&mut self, id: u64) -> bool {
        self.flight.take_if(|(current, _)| *current == id).is_some()
    }
}
