//! Who fetches, and when: at most one fetch at once, out of budgets and after back-offs.
//!
//! Knows no key, no clock and no runtime, so that all its interleavings can be tried.

#[cfg(not(tower_clerk_loom))]
use std::sync::{Mutex, MutexGuard};
use std::{sync::PoisonError, time::Duration};

#[cfg(tower_clerk_loom)]
use loom::sync::{Mutex, MutexGuard};

use super::schedule::Schedule;

/// A fetch in flight, as far as the gate has to do with it.
pub(super) trait InFlight: Clone {
    fn abort(&self);

    /// Whether it may still bring something.
    fn is_live(&self, now: Duration) -> bool;
}

/// Lets requests through to fetch a set of keys.
///
/// Sets are numbered in the order in which they came. `set` in the arguments reads the number of the set that
/// may be used; it is called while no fetch can land.
pub(super) struct Gate<F> {
    state: Mutex<State<F>>,
}

struct State<F> {
    flight: Option<(u64, F)>,
    flights: u64,
    schedule: Schedule,
    sets: u64,
}

/// What a request lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lack {
    Keys,
    Kid,
    Signature,
}

/// What a request is to do.
pub(super) enum Entry<F> {
    /// Wait for a fetch that others started.
    Joined(F),
    /// Nothing before this long.
    Later(Duration),
    /// Look again: the set is another than the one that was looked at.
    LookAgain,
    /// Nothing: there is nowhere to fetch.
    Nowhere,
    /// Nothing: the budget is spent.
    Spent,
    /// Wait for the fetch that it started.
    Started(F),
}

impl<F: InFlight> Gate<F> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { flight: None, flights: 0, schedule: Schedule::new(), sets: 0 }) }
    }

    /// Asks for a fetch on behalf of a request that has looked at the set `seen`.
    pub(super) fn ask(
        &self,
        lack: Lack,
        seen: Option<u64>,
        now: Duration,
        set: impl FnOnce() -> Option<u64>,
        start: impl FnOnce(u64) -> Option<F>,
    ) -> Entry<F> {
        let mut state = self.lock();
        if set() != seen {
            return Entry::LookAgain;
        }
        if let Some(flight) = state.live_flight(now) {
            return Entry::Joined(flight.clone());
        }
        if !state.schedule.may_spend(lack, now) {
            return Entry::Spent;
        }
        let delay = state.schedule.delay(now, seen.is_some());
        if !delay.is_zero() {
            return Entry::Later(delay);
        }
        let Some(flight) = state.take_off(start) else { return Entry::Nowhere };
        state.schedule.spend(lack, now);
        Entry::Started(flight)
    }

    /// Whether `ask` would answer [`Entry::Spent`]. Spends nothing.
    pub(super) fn is_spent(
        &self,
        lack: Lack,
        seen: Option<u64>,
        now: Duration,
        set: impl FnOnce() -> Option<u64>,
    ) -> bool {
        let state = self.lock();
        set() == seen && state.live_flight(now).is_none() && !state.schedule.may_spend(lack, now)
    }

    /// Starts a fetch that no request waits for, unless there is one or the last one has just failed.
    pub(super) fn refresh_if_idle(&self, now: Duration, start: impl FnOnce(u64) -> Option<F>) {
        // Not worth waiting for: the next use tries again.
        let Ok(mut state) = self.state.try_lock() else { return };
        if state.live_flight(now).is_none() && state.schedule.delay(now, true).is_zero() {
            let _ = state.take_off(start);
        }
    }

    /// Fetches whatever the budgets say.
    pub(super) fn insist(&self, now: Duration, start: impl FnOnce(u64) -> Option<F>) -> Entry<F> {
        let mut state = self.lock();
        match state.live_flight(now) {
            Some(flight) => Entry::Joined(flight.clone()),
            None => state.take_off(start).map_or(Entry::Nowhere, Entry::Started),
        }
    }

    /// Ends the flight of this number; `false` if that has been done before. `keep` takes in its set under the
    /// number that it gets.
    pub(super) fn land(&self, number: u64, keep: impl FnOnce(u64)) -> bool {
        let mut state = self.lock();
        let is_current = state.end(number).is_some();
        if is_current {
            state.sets += 1;
            keep(state.sets);
            state.schedule.succeeded();
        }
        is_current
    }

    /// Ends the flight of this number without a set; `false` if that has been done before.
    pub(super) fn fail(&self, number: u64, now: Duration, retry_after: Option<Duration>) -> bool {
        let mut state = self.lock();
        let is_current = state.end(number).is_some();
        if is_current {
            state.schedule.failed(now, retry_after);
        }
        is_current
    }

    /// Ends any flight; `forget` drops the set while no fetch can land.
    pub(super) fn clear(&self, forget: impl FnOnce()) {
        let mut state = self.lock();
        if let Some((_, flight)) = state.flight.take() {
            flight.abort();
        }
        forget();
    }

    /// How long until the next attempt to fetch.
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

    fn take_off(&mut self, start: impl FnOnce(u64) -> Option<F>) -> Option<F> {
        self.flights += 1;
        let flight = start(self.flights)?;
        if let Some((_, overdue)) = self.flight.take() {
            overdue.abort();
        }
        self.flight = Some((self.flights, flight.clone()));
        Some(flight)
    }

    fn end(&mut self, number: u64) -> Option<F> {
        self.flight.take_if(|(current, _)| *current == number).map(|(_, flight)| flight)
    }
}
