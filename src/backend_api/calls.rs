//! The calls of the Backend API in flight, and the limits on new ones.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::StatusCode;

use super::{
    answers::{Accepted, Digest, OpaqueFailure},
    health::{FlightId, Health},
};
use crate::{
    clock::Moment,
    instruments::CallVerdicts,
    jwks::{FetchError, FetchErrorKind},
    rate_limit::{RateLimit, Throttle},
    single_flight::Flight,
    token_kind::TokenKind,
};

/// What the requests get that wait for a call.
pub(super) type Outcome = Result<Accepted, OpaqueFailure>;

/// The calls of a verifier.
pub(super) struct Calls {
    state: Mutex<CallState>,
}

pub(super) struct CallState {
    in_flight: HashMap<Digest, InFlight>,
    /// Ids that the application has forgotten, each with the number of the last flight that had started by then: such a
    /// flight may have read its answer before, and which id its token has is known only from the answer.
    forgotten: Vec<(Box<str>, u64)>,
    /// The number of flights so far, which is the number of the last one.
    count: u64,
    /// The number of requests that were sent.
    made: u64,
    /// For tokens that were never seen valid.
    budget: RateLimit,
    /// For each instance.
    health: Vec<Health>,
    sweeps: Throttle,
    last_error: Option<FetchErrorKind>,
    last_success: Option<Moment>,
}

/// A flight, and what it has done so far.
struct InFlight {
    flight: Flight<Outcome>,
    /// The requests that were sent.
    sent: usize,
    /// The instance that is asked now, by its index.
    asking: Option<usize>,
}

/// One flight: the calls for one token, of one instance after the other.
pub(super) struct Call {
    pub(super) id: FlightId,
    pub(super) kind: TokenKind,
    /// Whether its token was seen valid, so that it takes nothing from the budget.
    pub(super) is_known: bool,
    /// For an unknown token, one was taken from the budget for each of them.
    pub(super) open: Open,
    pub(super) started_at: Moment,
    /// Of the instances that have said whether the token is valid, by their index. Only metrics need them.
    pub(super) verdicts: CallVerdicts,
    failures: Mutex<Vec<CallFailure>>,
}

/// The instances that may be asked about a token when its flight starts.
pub(super) struct Open {
    /// By their index.
    pub(super) indices: Vec<usize>,
    /// Why others may not be asked; `None` if there are none.
    pub(super) held: Option<OpaqueFailure>,
}

/// A failure, for the log.
pub(super) struct CallFailure {
    /// The instance, by its index.
    pub(super) index: usize,
    /// The status of the response, if there was one.
    pub(super) status: Option<StatusCode>,
    pub(super) error: FetchError,
}

impl Calls {
    pub(super) fn new(instances: usize, budget: RateLimit) -> Self {
        let state = CallState {
            in_flight: HashMap::new(),
            forgotten: Vec::new(),
            count: 0,
            made: 0,
            budget,
            health: (0..instances).map(|_| Health::new()).collect(),
            sweeps: Throttle::new(SWEEP_INTERVAL),
            last_error: None,
            last_success: None,
        };
        Self { state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a flight ask an instance, unless that does not answer now.
    ///
    /// The instance was looked at when the flight started, but since then it may have waited for its place.
    pub(super) fn admit(&self, call: &Call, index: usize, now: Moment) -> Result<(), OpaqueFailure> {
        let mut state = self.lock();
        if let Some(held) = state.hold(index, call.is_known, now, Some(call.id)) {
            return Err(held);
        }
        // Another flight has taken its place, or it is being stopped: nobody waits for it.
        let Some(current) = state.current(call.id) else { return Err(OpaqueFailure::LOST) };
        current.sent += 1;
        current.asking = Some(index);
        state.made += 1;
        state.probe(index, call);
        Ok(())
    }

    /// Notes how an instance has answered: with something about the token, or with a failure.
    pub(super) fn note(&self, call: &Call, index: usize, answer: Result<(), (FetchErrorKind, Duration)>, now: Moment) {
        self.lock().note(call, index, answer, now);
    }
}

impl CallState {
    /// The flight of a token.
    pub(super) fn flight(&self, digest: &Digest, now: Moment) -> Option<&Flight<Outcome>> {
        self.in_flight.get(digest).map(|current| &current.flight).filter(|flight| flight.is_live(now.monotonic))
    }

    /// Why an instance may not be asked now about a token that is known, or is not; `None` if it may.
    pub(super) fn hold(
        &self,
        index: usize,
        is_known: bool,
        now: Moment,
        asker: Option<FlightId>,
    ) -> Option<OpaqueFailure> {
        let is_live =
            |probe: FlightId| self.flight(&probe.digest, now).is_some_and(|flight| flight.id() == probe.number);
        self.health.get(index).and_then(|health| health.hold(is_known, now, asker, is_live))
    }

    /// Whether the limits allow so many calls for a token that was never seen valid.
    pub(super) fn check_budget(&mut self, calls: usize, now: Moment) -> Result<(), OpaqueFailure> {
        let retry_after = self.budget.delay(u32::try_from(calls).unwrap_or(u32::MAX), now.monotonic);
        if !retry_after.is_zero() {
            return Err(OpaqueFailure::TooManyTokens { retry_after });
        }
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return Err(OpaqueFailure::TooManyWaiting);
        }
        Ok(())
    }

    /// Stops flights whose runtime is not polled.
    pub(super) fn sweep(&mut self, now: Moment) {
        if self.sweeps.is_due(now.monotonic) {
            let is_overdue = |_: &Digest, current: &mut InFlight| !current.flight.is_live(now.monotonic);
            self.in_flight.extract_if(is_overdue).for_each(|(_, overdue)| overdue.flight.stop());
        }
    }

    /// The id of the next flight.
    pub(super) fn next_id(&mut self, digest: Digest) -> FlightId {
        self.count = self.count.saturating_add(1);
        FlightId { digest, number: self.count }
    }

    /// Notes a flight that has started. It replaces one that is overdue.
    pub(super) fn started(&mut self, call: &Call, flight: Flight<Outcome>) {
        (0..call.taken()).for_each(|_| self.budget.take(call.started_at.monotonic));
        call.open.indices.iter().for_each(|index| self.probe(*index, call));
        let current = InFlight { flight, sent: 0, asking: None };
        if let Some(overdue) = self.in_flight.insert(call.id.digest, current) {
            overdue.flight.stop();
        }
    }

    /// Notes that a flight has ended without a word of the instance that it was asking. Returns that instance, by its
    /// index.
    pub(super) fn broke_off(&mut self, call: &Call, kind: FetchErrorKind, now: Moment) -> Option<usize> {
        let index = self.current(call.id)?.asking?;
        self.note(call, index, Err((kind, Duration::ZERO)), now);
        Some(index)
    }

    /// Takes a flight out; false if it is not the one of its token any more. The outcome of such a one is dropped.
    ///
    /// What it has taken from the budget for requests that it has not sent is given back; all of it if its token was
    /// valid.
    pub(super) fn end(&mut self, call: &Call, is_valid: bool) -> bool {
        let Some(ended) = self.remove(call.id) else { return false };
        let spent = if is_valid { 0 } else { ended.sent };
        (0..call.taken().saturating_sub(spent)).for_each(|_| self.budget.give_back());
        true
    }

    /// Stops a flight, if it is still the one of its token.
    pub(super) fn give_up(&mut self, id: FlightId) {
        if let Some(current) = self.remove(id) {
            current.flight.stop();
        }
    }

    /// Stops the flight of a token, if there is one.
    pub(super) fn stop_one(&mut self, digest: &Digest) {
        if let Some(current) = self.in_flight.remove(digest) {
            current.flight.stop();
        }
    }

    /// Drops what the flights so far will say about a token with this id.
    pub(super) fn forget_id(&mut self, id: &str) {
        let oldest = self.in_flight.values().map(|current| current.flight.id()).min();
        self.forgotten.retain(|(other, last)| oldest.is_some_and(|oldest| oldest <= *last) && **other != *id);
        if self.forgotten.len() >= MAX_FORGOTTEN {
            self.forgotten.clear();
            self.stop();
        } else if oldest.is_some() {
            self.forgotten.push((id.into(), self.count));
        }
    }

    /// Whether the application has forgotten this id since the flight started.
    pub(super) fn is_forgotten(&self, flight: FlightId, id: &str) -> bool {
        self.forgotten.iter().any(|(forgotten, last)| flight.number <= *last && **forgotten == *id)
    }

    /// Stops all flights.
    pub(super) fn stop(&mut self) {
        self.in_flight.drain().for_each(|(_, current)| current.flight.stop());
    }

    /// Whether the failure of an instance is to be logged for the operator. `setting` has the key that it was sent.
    pub(super) fn is_event_due(&mut self, failure: &CallFailure, setting: &'static str, now: Moment) -> bool {
        self.health.get_mut(failure.index).is_some_and(|health| match failure.error.kind() {
            FetchErrorKind::Unauthorized => health.is_refusal_due(setting, now),
            _ => health.warnings.is_due(now.monotonic),
        })
    }

    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Why the last call failed, and when one last did not.
    pub(super) fn last(&self) -> (Option<FetchErrorKind>, Option<Moment>) {
        (self.last_error, self.last_success)
    }

    fn note(&mut self, call: &Call, index: usize, answer: Result<(), (FetchErrorKind, Duration)>, now: Moment) {
        if let Some(current) = self.current(call.id) {
            current.asking = None;
        }
        self.last_error = answer.err().map(|(kind, _)| kind);
        if answer.is_ok() {
            self.last_success = Some(now);
        }
        if let Some(health) = self.health.get_mut(index) {
            match answer {
                // A server that refuses our key is there, and may have another key for another token.
                Ok(()) | Err((FetchErrorKind::Unauthorized, _)) => health.answered(),
                Err((kind, retry_after)) => health.failed(call.is_known, call.id.digest, kind, retry_after, now),
            }
        }
    }

    /// Notes that a flight may ask an instance.
    fn probe(&mut self, index: usize, call: &Call) {
        if let Some(health) = self.health.get_mut(index) {
            health.admit(call.is_known, call.id);
        }
    }

    fn current(&mut self, id: FlightId) -> Option<&mut InFlight> {
        self.in_flight.get_mut(&id.digest).filter(|current| current.flight.id() == id.number)
    }

    fn remove(&mut self, id: FlightId) -> Option<InFlight> {
        self.current(id)?;
        self.in_flight.remove(&id.digest)
    }
}

impl Call {
    pub(super) fn new(id: FlightId, kind: TokenKind, is_known: bool, open: Open, now: Moment) -> Self {
        Self {
            id,
            kind,
            is_known,
            open,
            started_at: now,
            verdicts: CallVerdicts::default(),
            failures: Mutex::default(),
        }
    }

    /// Keeps a failure for the log and for metrics.
    pub(super) fn failed(&self, index: usize, status: Option<StatusCode>, error: FetchError) {
        self.failures().push(CallFailure { index, status, error });
    }

    pub(super) fn take_failures(&self) -> Vec<CallFailure> {
        mem::take(&mut self.failures())
    }

    fn failures(&self) -> MutexGuard<'_, Vec<CallFailure>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it has taken from the budget.
    fn taken(&self) -> usize {
        if self.is_known { 0 } else { self.open.indices.len() }
    }
}

/// Flights that unknown tokens may add to, waiting for a place or running: a bound on memory, which only raised limits
/// can reach.
const MAX_IN_FLIGHT: usize = 16_384;
/// Ids that may be forgotten while calls are in flight, a bound on memory. With more of them the calls start anew.
const MAX_FORGOTTEN: usize = 1024;
/// How often flights are looked for whose runtime is not polled. Each look visits all of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
