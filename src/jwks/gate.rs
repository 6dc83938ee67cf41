//! Whether a request may start a fetch of keys: at most one at once, within budgets and back-offs.
//!
//! Knows no key, no clock and no runtime, so that every interleaving can be model-checked.

#[cfg(not(tower_clerk_loom))]
use std::sync::{Mutex, MutexGuard};
use std::{sync::PoisonError, time::Duration};

#[cfg(tower_clerk_loom)]
use loom::sync::{Mutex, MutexGuard};

use super::schedule::{FetchReason, Schedule};

/// A fetch in flight, as far as the gate is concerned.
pub(super) trait InFlight: Clone {
    /// Whether it may still bring something.
    fn is_live(&self, now: Duration) -> bool;

    fn stop(&self);
}

/// Decides which requests start a fetch of keys.
///
/// Sets are numbered in the order in which they came: their *generation*. The argument `current` reads the generation
/// of the set that may be used now; it is called while no fetch can land.
pub(super) struct FetchGate<F> {
    state: Mutex<State<F>>,
}

struct State<F> {
    schedule: Schedule,
    flight: Option<(u64, F)>,
    /// The id of the last flight.
    flights: u64,
    /// The generation of the last set.
    sets: u64,
}

/// What a request is to do.
pub(super) enum Entry<F> {
    /// Nothing before this long: the last fetch failed.
    Backoff(Duration),
    /// Nothing: the budget for its reason is used up.
    BudgetExhausted,
    /// Wait for a fetch that another request started.
    Joined(F),
    /// Nothing: there is no runtime to fetch on.
    NoRuntime,
    /// Look again: the set is no longer the one that it looked at.
    SetChanged,
    /// Wait for the fetch that it started.
    Started(F),
}

impl<F: InFlight> FetchGate<F> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { schedule: Schedule::new(), flight: None, flights: 0, sets: 0 }) }
    }

    /// Requests a fetch on behalf of a token that was looked for in the set of generation `seen`.
    pub(super) fn request(
        &self,
        reason: FetchReason,
        seen: Option<u64>,
        now: Duration,
        current: impl FnOnce() -> Option<u64>,
        start: impl FnOnce(u64) -> Option<F>,
    ) -> Entry<F> {
        let mut state = self.lock();
        if current() != seen {
            return Entry::SetChanged;
        }
        if let Some(flight) = state.live_flight(now) {
            return Entry::Joined(flight.clone());
        }
        if !state.schedule.has_capacity(reason, now) {
            return Entry::BudgetExhausted;
        }
        let delay = state.schedule.delay(now, seen.is_some());
        if !delay.is_zero() {
            return Entry::Backoff(delay);
        }
        let Some(flight) = state.start(start) else { return Entry::NoRuntime };
        state.schedule.take(reason, now);
        Entry::Started(flight)
    }

    /// Whether [`request`](Self::request) would return [`Entry::BudgetExhausted`]. Takes nothing from the budget.
    pub(super) fn is_exhausted(
        &self,
        reason: FetchReason,
        seen: Option<u64>,
        now: Duration,
        current: impl FnOnce() -> Option<u64>,
    ) -> bool {
        let state = self.lock();
        current() == seen && state.live_flight(now).is_none() && !state.schedule.has_capacity(reason, now)
    }

    /// Starts a fetch that no request waits for, unless one is in flight or the last one has just failed.
    pub(super) fn refresh_if_idle(&self, now: Duration, start: impl FnOnce(u64) -> Option<F>) {
        // Not worth waiting for the lock: the next use tries again.
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.live_flight(now).is_none() && state.schedule.delay(now, true).is_zero() {
            let _ = state.start(start);
        }
    }

    /// Starts a fetch whatever the budgets and the back-off say, or joins the one in flight.
    pub(super) fn force(&self, now: Duration, start: impl FnOnce(u64) -> Option<F>) -> Entry<F> {
        let mut state = self.lock();
        match state.live_flight(now) {
            Some(flight) => Entry::Joined(flight.clone()),
            None => state.start(start).map_or(Entry::NoRuntime, Entry::Started),
        }
    }

    /// Ends the flight of this id with a set, which `keep` stores under its generation; `false` if the flight was ended
    /// before.
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

    /// Ends the flight of this id without a set; `false` if it was ended before.
    pub(super) fn fail(&self, flight: u64, now: Duration, retry_after: Option<Duration>) -> bool {
        let mut state = self.lock();
        let is_current = state.end(flight);
        if is_current {
            state.schedule.failed(now, retry_after);
        }
        is_current
    }

    /// Stops any flight; `forget` drops the set while no fetch can land.
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

    fn start(&mut self, start: impl FnOnce(u64) -> Option<F>) -> Option<F> {
        self.flights += 1;
        let flight = start(self.flights)?;
        if let Some((_, overdue)) = self.flight.take() {
            overdue.stop();
        }
        self.flight = Some((self.flights, flight.clone()));
        Some(flight)
    }

    fn end(&mut self, id: u64) -> bool {
        self.flight.take_if(|(current, _)| *current == id).is_some()
    }
}
