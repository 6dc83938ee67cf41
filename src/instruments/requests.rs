//! Requests at the layer.

use std::{cell::Cell, time::Duration};

use super::{
    handles::{Counter, Counters, Histogram, Labels, is_recording},
    table::{AUTH_DURATION, AUTH_REQUESTS},
};
use crate::token_kind::TokenKind;

/// The requests of all layers around one verifier.
#[derive(Default)]
pub(crate) struct RequestInstruments {
    /// By kind of token and source: nearly all requests of a healthy service.
    allowed: [[Counter; 3]; 4],
    rejected: Counters<RejectedRequest>,
    cached: Histogram,
    verified: Histogram,
}

/// A request that is forwarded without a principal, or refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct RejectedRequest {
    pub(crate) outcome: Outcome,
    /// The `reason` of the event.
    pub(crate) reason: &'static str,
    /// `None` if there was no token, or if it was rejected before its kind was known.
    pub(crate) token: Option<TokenKind>,
    pub(crate) source: SourceLabel,
}

/// What becomes of a request that is not allowed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Outcome {
    /// It passes without a user.
    Anonymous,
    Refused,
    /// It is refused because keys are unavailable.
    Unavailable,
}

/// Where the credential was found.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum SourceLabel {
    Header,
    Cookie,
    /// By a closure of the application, or nowhere.
    Other,
}

/// The time that a decision takes, if it is measured.
///
/// Two readings of the clock cost as much as all the rest that is counted for a hit. So of the tokens that are found in
/// the cache one in [`SAMPLE`] is measured. All others are, from when they were not found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    is_recording: bool,
    token: TimedToken,
    started: Option<Duration>,
}

/// The token of a request, as it is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TimedToken {
    Cached,
    /// There is none, or it cannot be one: nothing is measured.
    None,
    NotCached,
}

impl RequestInstruments {
    /// Starts to measure, if this one is to be measured even if its token is cached. `clock` is monotonic.
    pub(crate) fn timer(&self, clock: impl FnOnce() -> Duration) -> Timer {
        if !is_recording() {
            return Timer::off();
        }
        let started = CACHED.get().is_multiple_of(SAMPLE).then(clock);
        Timer { is_recording: true, token: TimedToken::None, started }
    }

    /// Counts a request that is forwarded with a principal.
    pub(crate) fn allowed(
        &self,
        token: TokenKind,
        source: SourceLabel,
        timer: Timer,
        clock: impl FnOnce() -> Duration,
    ) {
        if !timer.is_recording {
            return;
        }
        let [session, oauth, m2m, api_key] = &self.allowed;
        let [header, cookie, other] = match token {
            TokenKind::Session => session,
            TokenKind::OAuth => oauth,
            TokenKind::M2m => m2m,
            TokenKind::ApiKey => api_key,
        };
        let counter = match source {
            SourceLabel::Header => header,
            SourceLabel::Cookie => cookie,
            SourceLabel::Other => other,
        };
        counter.add(&AUTH_REQUESTS, 1, || labels("allowed", "none", Some(token), source));
        self.record(timer, clock);
    }

    /// Counts a request that is forwarded without a principal, or refused.
    pub(crate) fn rejected(&self, request: RejectedRequest, timer: Timer, clock: impl FnOnce() -> Duration) {
        if !timer.is_recording {
            return;
        }
        let outcome = match request.outcome {
            Outcome::Anonymous => "anonymous",
            Outcome::Refused => "refused",
            Outcome::Unavailable => "unavailable",
        };
        let labels = || labels(outcome, request.reason, request.token, request.source);
        self.rejected.count(&AUTH_REQUESTS, request, labels);
        self.record(timer, clock);
    }

    fn record(&self, timer: Timer, clock: impl FnOnce() -> Duration) {
        let (histogram, cached) = match timer.token {
            TimedToken::Cached => {
                CACHED.set(CACHED.get().wrapping_add(1));
                (&self.cached, "true")
            }
            TimedToken::None => return,
            TimedToken::NotCached => (&self.verified, "false"),
        };
        if let Some(started) = timer.started {
            let seconds = clock().saturating_sub(started).as_secs_f64();
            histogram.record(&AUTH_DURATION, seconds, || vec![("cached", cached.into())]);
        }
    }
}

impl Timer {
    /// Measures nothing.
    pub(crate) const fn off() -> Self {
        Self { is_recording: false, token: TimedToken::None, started: None }
    }

    /// The same for a credential that cannot be a token.
    pub(crate) fn without_token(self) -> Self {
        Self { token: TimedToken::None, ..self }
    }

    /// Starts if it has not: the token is not cached.
    pub(crate) fn start(&mut self, clock: impl FnOnce() -> Duration) {
        if self.is_recording {
            self.token = TimedToken::NotCached;
            self.started = self.started.or_else(|| Some(clock()));
        }
    }

    /// Notes that the token is valid: if the timer was not [started](Self::start) for it, it was cached.
    pub(crate) fn verified(&mut self) {
        if self.token == TimedToken::None {
            self.token = TimedToken::Cached;
        }
    }
}

fn labels(outcome: &'static str, reason: &'static str, token: Option<TokenKind>, source: SourceLabel) -> Labels {
    let source = match source {
        SourceLabel::Header => "header",
        SourceLabel::Cookie => "cookie",
        SourceLabel::Other => "other",
    };
    vec![
        ("outcome", outcome.into()),
        ("reason", reason.into()),
        ("token", token.map_or("none", TokenKind::label).into()),
        ("source", source.into()),
    ]
}

thread_local! {
    /// How many cached tokens this thread has counted; the next is measured if this is a multiple of [`SAMPLE`]. Other
    /// requests are not counted here: in a regular mix of both, the same place could be that of the others each time.
    static CACHED: Cell<u32> = const { Cell::new(0) };
}

/// At this rate the readings of the clock and the record add a nanosecond or two to a hit, and a service with a request
/// a second has a value a minute. Requests without a token read the clock once in vain while a thread waits for the hit
/// that it measures. A power of two, so that the remainder is a mask.
const SAMPLE: u32 = 64;
