//! The opaque tokens of a verifier: what is known about them, and the calls that find it out.
//!
//! A client can send any number of made-up tokens, and each call costs money. Every rule of this folder keeps them from
//! harming callers whose tokens are valid; the [module docs](super) list them.
//!
//! One mutex guards the calls in flight, the limits, and the writes to the answers. Under it a request finds a call
//! either in flight or with its outcome among the answers, so no second call starts in between. No user code runs under
//! it: the Backend API is asked in a task, clocks are read before, and the log is written after the lock is released.

use std::{error::Error, sync::Arc, time::Duration};

use http::StatusCode;
use tokio::sync::Semaphore;

use super::{
    OpaqueInstance, OpaqueTokenLimits, OpaqueTokensStatus,
    answer::OpaqueRejection,
    answers::{Accepted, AnswerRules, Answers, Digest, Kept, OpaqueFailure},
    ask::{Asker, Said, TIMEOUT},
    calls::{Call, CallFailure, CallState, Calls, Open, Outcome},
    health::FlightId,
    status::Counters,
};
#[cfg(feature = "metrics")]
use crate::instruments::begin_backend_calls;
use crate::{
    claims::MachineClaims,
    clock::{Clock, Moment},
    instruments::{CallResult, Instruments, backend_called},
    jwks::{FetchError, FetchErrorKind},
    jwt::sha256,
    places::Places,
    single_flight::{Announcer, Completion, Flight, FlightWait, Lookup, MAX_WAITING, WaitEnd, within},
    telemetry::{self, Span},
    token_kind::{TokenKind, TokenKinds},
};

/// The opaque tokens of a verifier. Dropping it stops the calls.
pub(crate) struct OpaqueTokens {
    shared: Arc<Shared>,
}

/// A request that waits for a call of the Backend API.
pub(crate) struct OpaqueWait {
    shared: Arc<Shared>,
    id: FlightId,
    wait: FlightWait<Outcome>,
}

struct Shared {
    instances: Arc<[OpaqueInstance]>,
    /// The kinds about which any instance is asked.
    kinds: TokenKinds,
    clock: Arc<dyn Clock>,
    answers: Answers,
    calls: Arc<Calls>,
    places: Arc<Places<2>>,
    /// One permit for each request that may wait.
    waiters: Arc<Semaphore>,
    counters: Counters,
    instruments: Arc<Instruments>,
}

impl OpaqueTokens {
    pub(crate) fn new(
        instances: Vec<OpaqueInstance>,
        clock: Arc<dyn Clock>,
        limits: OpaqueTokenLimits,
        instruments: Arc<Instruments>,
    ) -> Self {
        let is_asked = |kind: &TokenKind| instances.iter().any(|instance| instance.is_asked(*kind));
        let shared = Shared {
            kinds: TokenKind::all().filter(is_asked).collect(),
            clock,
            answers: Answers::new(),
            calls: Arc::new(Calls::new(instances.len(), limits.rate())),
            instances: instances.into(),
            places: Arc::new(limits.places()),
            waiters: Arc::new(Semaphore::new(MAX_WAITING)),
            counters: Counters::default(),
            instruments,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Looks up a token of this kind, whose text is well formed.
    ///
    /// An answer that is kept is returned at once. Otherwise the request waits for the call, one of its own or one in
    /// flight.
    pub(crate) fn find(&self, kind: TokenKind, token: &str) -> Lookup<MachineClaims, OpaqueFailure, OpaqueWait> {
        let shared = &self.shared;
        if !shared.kinds.contains(kind) {
            return Lookup::Failed(OpaqueFailure::Rejected(OpaqueRejection::KindNotAsked));
        }
        let (digest, now) = (sha256(token.as_bytes()), shared.now());
        let found = match shared.answers.find(&digest, now) {
            Kept::Nothing { .. } => Shared::call(shared, digest, kind, token, now),
            Kept::Refused(failure) => Lookup::Failed(failure),
            Kept::Valid(accepted) => Lookup::Found(accepted),
        };
        match found {
            Lookup::Failed(failure) => {
                shared.counters.refused(failure);
                if matches!(failure, OpaqueFailure::Rejected(_)) {
                    shared.instruments.verifications.answered_from_memory(kind, false);
                }
                Lookup::Failed(failure)
            }
            Lookup::Found(Accepted { claims, is_stale }) => {
                shared.counters.accepted(is_stale);
                shared.instruments.verifications.answered_from_memory(kind, true);
                Lookup::Found(claims)
            }
            Lookup::Wait(flight) => {
                let id = FlightId { digest, number: flight.id() };
                match flight.wait(&shared.waiters) {
                    Some(wait) => Lookup::Wait(OpaqueWait { shared: Arc::clone(shared), id, wait }),
                    None => {
                        shared.counters.refused(OpaqueFailure::TooManyWaiting);
                        Lookup::Failed(OpaqueFailure::TooManyWaiting)
                    }
                }
            }
        }
    }

    /// Forgets the good answers about tokens with this id, and stops their calls in flight.
    pub(crate) fn forget_id(&self, id: &str) {
        let mut state = self.shared.calls.lock();
        for digest in self.shared.answers.forget_id(id) {
            state.stop_one(&digest);
        }
        // Of others in flight nobody knows the id before their answers come.
        state.forget_id(id);
    }

    /// Forgets what is known about all tokens, and stops the calls in flight, which may have read their answer before
    /// the caller's reason to call this.
    pub(crate) fn forget(&self) {
        let mut state = self.shared.calls.lock();
        state.stop();
        self.shared.answers.forget();
    }

    /// Begins the series of the calls that this verifier may make.
    #[cfg(feature = "metrics")]
    pub(crate) fn begin_series(&self) {
        for instance in &*self.shared.instances {
            let kinds = TokenKind::all().filter(|kind| instance.is_asked(*kind));
            kinds.for_each(|kind| begin_backend_calls(instance.metrics_name(), kind));
        }
    }

    pub(crate) fn status(&self) -> OpaqueTokensStatus {
        let (shared, now) = (&self.shared, self.shared.now());
        let state = shared.calls.lock();
        let (last_error, last_success) = state.last();
        OpaqueTokensStatus {
            calls: state.made(),
            last_error,
            last_success: last_success.map(|then| now.elapsed_since(then)),
            ..shared.counters.status()
        }
    }
}

impl Drop for OpaqueTokens {
    fn drop(&mut self) {
        self.shared.calls.lock().stop();
    }
}

impl OpaqueWait {
    /// Waits for the outcome of the call; `None` if the call was stopped or its runtime has ended. Then another call
    /// may succeed.
    pub(crate) async fn end(mut self) -> Option<Result<MachineClaims, OpaqueFailure>> {
        let outcome = match self.wait.end().await {
            WaitEnd::Announced(outcome) => outcome,
            WaitEnd::Lost => return None,
            WaitEnd::TimedOut => self.shared.give_up(self.id),
        };
        match &outcome {
            Ok(accepted) if accepted.is_stale => {
                self.shared.counters.accepted(true);
                self.shared.instruments.verifications.answered_from_memory(accepted.claims.kind(), true);
            }
            // A call of this request, or of another, for which it has waited.
            Ok(_) | Err(OpaqueFailure::Rejected(_)) => {}
            Err(failure) => self.shared.counters.refused(*failure),
        }
        Some(outcome.map(|accepted| accepted.claims))
    }
}

impl Shared {
    /// Joins the flight of a token, or starts one if the limits allow it.
    ///
    /// While calls fail, a token with a remembered answer gets that.
    fn call(
        shared: &Arc<Self>,
        digest: Digest,
        kind: TokenKind,
        token: &str,
        now: Moment,
    ) -> Lookup<Accepted, OpaqueFailure, Flight<Outcome>> {
        let mut state = shared.calls.lock();
        if let Some(flight) = state.flight(&digest, now) {
            return Lookup::Wait(flight.clone());
        }
        // A call may have ended since the caller looked, without this lock. Outcomes are stored under it.
        let (remembered, is_known) = match shared.answers.find(&digest, now) {
            Kept::Nothing { remembered, is_known } => (remembered, is_known),
            Kept::Refused(failure) => return Lookup::Failed(failure),
            Kept::Valid(accepted) => return Lookup::Found(accepted),
        };
        state.sweep(now);
        let open = shared.open(&state, kind, is_known, now);
        if let Some(held) = open.held.filter(|_| open.indices.is_empty()) {
            return remembered.map_or(Lookup::Failed(held), |claims| Lookup::Found(Accepted::stale(claims)));
        }
        if !is_known && let Err(failure) = state.check_budget(open.indices.len(), now) {
            return Lookup::Failed(failure);
        }
        let call = Arc::new(Call::new(state.next_id(digest), kind, is_known, open, now));
        let Some(flight) = Self::start(shared, &call, token) else {
            return Lookup::Failed(OpaqueFailure::NoRuntime);
        };
        state.started(&call, flight.clone());
        Lookup::Wait(flight)
    }

    /// The instances that may be asked now.
    fn open(&self, state: &CallState, kind: TokenKind, is_known: bool, now: Moment) -> Open {
        let mut open = Open { indices: Vec::new(), held: None };
        for (index, _) in self.instances.iter().enumerate().filter(|(_, instance)| instance.is_asked(kind)) {
            match state.hold(index, is_known, now, None) {
                Some(failure) => open.held = open.held.or(Some(failure)),
                None => open.indices.push(index),
            }
        }
        open
    }

    /// Starts a flight, which waits for a place first; `None` outside a Tokio runtime.
    fn start(shared: &Arc<Self>, call: &Arc<Call>, token: &str) -> Option<Flight<Outcome>> {
        // Weak, because the task would otherwise keep the answers alive, and with them claims.
        let (owner, asked) = (Arc::downgrade(shared), Arc::clone(call));
        let places = Arc::clone(&shared.places);
        let asker = Asker {
            instances: Arc::clone(&shared.instances),
            calls: Arc::clone(&shared.calls),
            clock: Arc::clone(&shared.clock),
        };
        let token = token.to_owned();
        let work = async move {
            match within(PLACE_TIMEOUT, places.acquire(usize::from(!asked.is_known))).await {
                Some(_place) => Some(asker.ask(&asked, &token).await),
                None => None,
            }
        };
        let (call, number, now) = (Arc::clone(call), call.id.number, call.started_at.monotonic);
        let on_done = move |ended: Completion<Option<Said>>, waiters: Announcer<Outcome>| {
            if let Some(shared) = owner.upgrade() {
                shared.finish(&call, ended, &waiters);
            }
        };
        Flight::start(number, now, TIMEOUT, Span::ask_backend_api, work, on_done)
    }

    /// Stores the outcome of a flight, unless another has taken its place or its token was forgotten, and announces it.
    ///
    /// The announcement comes before the log, because a subscriber is user code: if it panics or blocks, the waiters
    /// have their outcome all the same.
    fn finish(&self, call: &Call, ended: Completion<Option<Said>>, waiters: &Announcer<Outcome>) {
        let (now, mut failures) = (self.now(), call.take_failures());
        let (outcome, failures) = {
            let mut state = self.calls.lock();
            let said = match ended {
                Completion::Finished(said) => said.unwrap_or(Said::Held(NO_PLACE)),
                Completion::Panicked => broken_off(&mut state, call, FetchErrorKind::Panicked, now, &mut failures),
                Completion::TimedOut => broken_off(&mut state, call, FetchErrorKind::Timeout, now, &mut failures),
            };
            let (is_valid, is_forgotten) = match &said {
                Said::Valid { claims, .. } => (true, claims.id().is_some_and(|id| state.is_forgotten(call.id, id))),
                _ => (false, false),
            };
            if !state.end(call, is_valid) || is_forgotten {
                drop(state);
                return self.count_calls(call, &failures);
            }
            let mut due = |failure: CallFailure| {
                let setting = self.key_setting(&failure, call.kind);
                let is_due = state.is_event_due(&failure, setting, now);
                (failure, setting, is_due)
            };
            let failures: Vec<_> = failures.into_iter().map(&mut due).collect();
            (self.keep(call.id.digest, said, now), failures)
        };
        waiters.announce(outcome);
        for (failure, setting, is_due) in &failures {
            self.log(failure, setting, *is_due);
        }
        self.count_calls(call, failures.iter().map(|(failure, ..)| failure));
    }

    /// Counts the calls that a flight has made.
    fn count_calls<'a>(&self, call: &Call, failures: impl IntoIterator<Item = &'a CallFailure>) {
        let verdict = |is_valid| if is_valid { CallResult::Valid } else { CallResult::Invalid };
        let verdicts = call.verdicts.take().into_iter().map(|(index, is_valid)| (index, verdict(is_valid)));
        let failures = failures.into_iter().map(|failure| (failure.index, CallResult::Unavailable));
        for (index, result) in verdicts.chain(failures) {
            let instance = self.instances.get(index).and_then(OpaqueInstance::metrics_name);
            backend_called(instance, call.kind, result);
        }
    }

    /// Keeps what was said about a token, and returns what its requests get. The caller holds the lock.
    fn keep(&self, digest: Digest, said: Said, now: Moment) -> Outcome {
        match said {
            Said::Failed { kind, retry_after, is_forbidden } => {
                if is_forbidden {
                    self.answers.withdraw(&digest);
                }
                self.answers.fail(digest, kind, retry_after, now)
            }
            // The token was not asked about, so this is no failure of its own.
            Said::Held(failure) => self.remembered(&digest, now).ok_or(failure),
            Said::Rejected(why) => {
                self.answers.reject(digest, why, now);
                Err(OpaqueFailure::Rejected(why))
            }
            Said::Valid { claims, index, asked_at } => {
                if let Some(instance) = self.instances.get(index) {
                    self.answers.accept(digest, claims.clone(), AnswerRules::of(&instance.config), asked_at);
                }
                Ok(Accepted::fresh(claims))
            }
        }
    }

    /// Ends a flight whose runtime is not polled, so that the next request starts another. The number keeps a late
    /// waiter from ending a newer flight.
    fn give_up(&self, id: FlightId) -> Outcome {
        let now = self.now();
        self.calls.lock().give_up(id);
        self.remembered(&id.digest, now).ok_or(OpaqueFailure::LOST)
    }

    /// The answer that may be used while the Backend API fails.
    fn remembered(&self, digest: &Digest, now: Moment) -> Option<Accepted> {
        match self.answers.find(digest, now) {
            Kept::Nothing { remembered, .. } => remembered.map(Accepted::stale),
            Kept::Refused(_) => None,
            Kept::Valid(accepted) => Some(accepted),
        }
    }

    /// The setting of the key that was sent to an instance.
    fn key_setting(&self, failure: &CallFailure, kind: TokenKind) -> &'static str {
        self.instances.get(failure.index).map_or("", |instance| instance.config.opaque_token_key_setting(kind))
    }

    fn log(&self, failure: &CallFailure, setting: &'static str, is_due: bool) {
        let Some(instance) = self.instances.get(failure.index) else { return };
        let (name, error) = (instance.config.name(), &failure.error);
        match (error.kind(), failure.status) {
            (FetchErrorKind::Unauthorized, Some(StatusCode::FORBIDDEN)) => {
                telemetry::backend_api_forbids(name, setting, is_due);
            }
            (FetchErrorKind::Unauthorized, _) => telemetry::backend_api_refused(name, setting, is_due),
            (kind, _) => telemetry::backend_api_failed(name, kind.of_backend_api(), error.source(), is_due),
        }
    }

    fn now(&self) -> Moment {
        Moment::now(&*self.clock)
    }
}

/// What a flight has found out that has panicked, or was stopped at its time limit. It is a failure of the instance
/// that it was asking.
fn broken_off(
    state: &mut CallState,
    call: &Call,
    kind: FetchErrorKind,
    now: Moment,
    failures: &mut Vec<CallFailure>,
) -> Said {
    let index = state.broke_off(call, kind, now);
    failures.extend(index.map(|index| CallFailure { index, status: None, error: FetchError::of_kind(kind) }));
    Said::Failed { kind, retry_after: Duration::ZERO, is_forbidden: false }
}

/// How long a call waits for a place, within [`TIMEOUT`]: what is left is enough for a call.
const PLACE_TIMEOUT: Duration = Duration::from_secs(2);
/// A flight got no place, so nobody was asked, and the next request may start another at once.
const NO_PLACE: OpaqueFailure =
    OpaqueFailure::Failed { kind: FetchErrorKind::TooManyFetches, retry_after: Duration::from_secs(1) };
