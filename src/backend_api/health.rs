//! Whether the Backend API answers for an instance, and who may ask while it does not.

use std::time::Duration;

use super::answers::{Digest, MAX_RETRY_AFTER, OpaqueFailure};
use crate::{clock::Moment, jwks::FetchErrorKind, rate_limit::Throttle, telemetry::WARNING_INTERVAL};

/// The calls of one instance, as far as they decide about the next one.
///
/// One token that fails says little: its own back-off is enough. The calls of all tokens stop if the server asks for it
/// with `Retry-After`, or if it fails for several tokens in a row. Then one call at a time finds out whether it is
/// back.
///
/// A client may know how to make up tokens on which the server fails. They stop the calls for tokens that were never
/// seen valid, and no others.
pub(super) struct Health {
    /// For tokens that were seen valid.
    known: Row,
    /// For all others.
    unknown: Row,
    /// By the setting that has the key, so that one wrong key does not hide another.
    refusals: Vec<(&'static str, Throttle)>,
    pub(super) warnings: Throttle,
}

struct Row {
    /// The tokens of the last calls, if all of them failed.
    failed: Vec<Digest>,
    suspension: Option<Suspension>,
}

struct Suspension {
    since: Moment,
    delay: Duration,
    kind: FetchErrorKind,
    /// The flight that finds out. It may have ended.
    probe: Option<FlightId>,
}

/// Names a flight: no two of a verifier have the same number.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct FlightId {
    pub(super) digest: Digest,
    pub(super) number: u64,
}

impl Health {
    pub(super) const fn new() -> Self {
        Self { known: Row::new(), unknown: Row::new(), refusals: Vec::new(), warnings: Throttle::new(WARNING_INTERVAL) }
    }

    /// Whether it is to be logged for the operator that the key of this setting was refused.
    pub(super) fn is_refusal_due(&mut self, setting: &'static str, now: Moment) -> bool {
        if let Some((_, throttle)) = self.refusals.iter_mut().find(|(other, _)| *other == setting) {
            return throttle.is_due(now.monotonic);
        }
        let mut throttle = Throttle::new(WARNING_INTERVAL);
        let is_due = throttle.is_due(now.monotonic);
        self.refusals.push((setting, throttle));
        is_due
    }

    /// Why no call may start now; `None` if one may. `asker` is the flight that asks, if it has started.
    pub(super) fn hold(
        &self,
        is_known: bool,
        now: Moment,
        asker: Option<FlightId>,
        is_live: impl Fn(FlightId) -> bool,
    ) -> Option<OpaqueFailure> {
        let row = if is_known { &self.known } else { &self.unknown };
        let Suspension { since, delay, kind, probe } = row.suspension.as_ref()?;
        let held = |retry_after| Some(OpaqueFailure::Failed { kind: *kind, retry_after });
        let rest = delay.saturating_sub(now.elapsed_since(*since));
        let is_probed = probe.is_some_and(|probe| Some(probe) != asker && is_live(probe));
        match () {
            () if !rest.is_zero() => held(rest),
            () if is_probed => held(PROBE_INTERVAL),
            () => None,
        }
    }

    /// Notes that a flight may ask. If others may not, it is the one that finds out.
    pub(super) fn admit(&mut self, is_known: bool, flight: FlightId) {
        let known = self.known.suspension.as_mut().filter(|_| is_known);
        for suspension in known.into_iter().chain(&mut self.unknown.suspension) {
            suspension.probe = Some(flight);
        }
    }

    /// Notes that the server has said something about a token.
    pub(super) fn answered(&mut self) {
        (self.known, self.unknown) = (Row::new(), Row::new());
    }

    /// Notes that a call has failed.
    pub(super) fn failed(
        &mut self,
        is_known: bool,
        digest: Digest,
        kind: FetchErrorKind,
        retry_after: Duration,
        now: Moment,
    ) {
        let retry_after = retry_after.min(MAX_RETRY_AFTER);
        if is_known {
            self.known.failed(digest);
        }
        self.unknown.failed(digest);
        // Whoever has caused it: what the server asks for holds for all calls.
        if is_known || !retry_after.is_zero() {
            self.known.suspend(kind, retry_after, now);
        }
        self.unknown.suspend(kind, retry_after, now);
    }
}

impl Row {
    const fn new() -> Self {
        Self { failed: Vec::new(), suspension: None }
    }

    fn failed(&mut self, digest: Digest) {
        if self.failed.len() < FAILURES_IN_A_ROW && !self.failed.contains(&digest) {
            self.failed.push(digest);
        }
    }

    /// Stops the calls if the server asks for it, or fails too often.
    fn suspend(&mut self, kind: FetchErrorKind, retry_after: Duration, now: Moment) {
        let is_down = self.suspension.is_some() || self.failed.len() >= FAILURES_IN_A_ROW;
        let delay = retry_after.max(if is_down { PROBE_INTERVAL } else { Duration::ZERO });
        if delay.is_zero() {
            return;
        }
        let last = self.suspension.take();
        // A failure that says nothing must not shorten what the server has asked for.
        let is_longer = |last: &Suspension| last.delay.saturating_sub(now.elapsed_since(last.since)) > delay;
        let probe = last.as_ref().and_then(|last| last.probe);
        self.suspension = last.filter(is_longer).or(Some(Suspension { since: now, delay, kind, probe }));
    }
}

/// Five tokens do not fail for reasons of their own.
const FAILURES_IN_A_ROW: usize = 5;
/// One call a second finds the end of an outage within a second, and is no load.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
