//! When a fetch of keys may start: the back-off after failures, and the budgets.
//!
//! Two rules, because two parties have to be protected. The back-off protects the server that fails, and every reason
//! obeys it. The budgets protect the server from clients: a forged token with a made-up `kid` or signature would
//! otherwise cause a fetch. Without keys there is no budget, because no token can then be verified anyway. A token
//! whose signature holds needs none: it is not forged.
//!
//! Times are handed in, so that tests need no clock.

use std::time::Duration;

use crate::rate_limit::RateLimit;

/// Why a request asks for a fetch of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FetchReason {
    /// A key has the token's `kid` but does not verify the signature: a rotation may have reused the `kid`.
    BadSignature,
    /// A key verifies the signature, but the set is so old that the key may have been withdrawn.
    LateSet,
    /// There is no set that may be used.
    NoKeys,
    /// No key has the token's `kid`: a rotation may have added one.
    UnknownKid,
}

impl FetchReason {
    /// Whether a token with a made-up `kid` or signature gives this reason, so that a budget bounds its fetches.
    pub(super) fn is_forgeable(self) -> bool {
        match self {
            Self::BadSignature | Self::UnknownKid => true,
            Self::LateSet | Self::NoKeys => false,
        }
    }
}

/// Back-off after failures, and a budget for each reason that forged tokens can give.
///
/// All times are monotonic.
#[derive(Debug)]
pub(super) struct Schedule {
    unknown_kid: RateLimit,
    bad_signature: RateLimit,
    /// Failed fetches since the last success.
    failures: u32,
    failed_at: Duration,
    /// The delay that the server asked for; zero if none.
    retry_after: Duration,
    /// In percent of the longest jitter. Drawn once for each failure, so that the delay does not change between two
    /// questions.
    jitter: u32,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self {
            unknown_kid: RateLimit::new(UNKNOWN_KID_BURST, UNKNOWN_KID_INTERVAL),
            bad_signature: RateLimit::new(BAD_SIGNATURE_BURST, BAD_SIGNATURE_INTERVAL),
            failures: 0,
            failed_at: Duration::ZERO,
            retry_after: Duration::ZERO,
            jitter: 0,
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub(super) fn failed(&mut self, now: Duration, retry_after: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        self.jitter = fastrand::u32(0..=100);
        self.retry_after = retry_after.unwrap_or_default();
    }

    /// How long until the next attempt; zero if it may start now.
    ///
    /// `has_keys` selects the limits at the time of the question: if the set passes the stale limit during a long
    /// back-off, the shorter limits apply at once.
    pub(super) fn delay(&self, now: Duration, has_keys: bool) -> Duration {
        if self.failures == 0 {
            return Duration::ZERO;
        }
        let (longest, longest_asked) = match has_keys {
            true => (MAX_DELAY_WITH_KEYS, MAX_RETRY_AFTER_WITH_KEYS),
            false => (MAX_DELAY_WITHOUT_KEYS, MAX_RETRY_AFTER_WITHOUT_KEYS),
        };
        let doubled = FIRST_DELAY.saturating_mul(1_u32.checked_shl(self.failures.min(16) - 1).unwrap_or(u32::MAX));
        let backoff = doubled.min(longest) * (10_000 - BACK_OFF_JITTER * self.jitter) / 10_000;
        // Not before the time that was asked for, unless that is past the limit.
        let asked = self.retry_after.min(longest_asked) * (10_000 + RETRY_AFTER_JITTER * self.jitter) / 10_000;
        let asked = asked.min(longest_asked);
        let delay = backoff.max(asked);
        // If the clock has gone back, the rest of the delay is not longer than the delay.
        self.failed_at.saturating_add(delay).saturating_sub(now).min(delay)
    }

    /// Whether the budget for `reason` allows one more fetch.
    pub(super) fn has_capacity(&mut self, reason: FetchReason, now: Duration) -> bool {
        match reason {
            FetchReason::BadSignature => self.bad_signature.has_capacity(now),
            FetchReason::LateSet | FetchReason::NoKeys => true,
            FetchReason::UnknownKid => self.unknown_kid.has_capacity(now),
        }
    }

    pub(super) fn take(&mut self, reason: FetchReason, now: Duration) {
        match reason {
            FetchReason::BadSignature => self.bad_signature.take(now),
            FetchReason::LateSet | FetchReason::NoKeys => {}
            FetchReason::UnknownKid => self.unknown_kid.take(now),
        }
    }
}

/// Two fetches at once: a made-up `kid` may have taken the first just before a rotation.
const UNKNOWN_KID_BURST: u32 = 2;
/// A flood of made-up `kid`s costs Clerk six requests a minute, and even then a rotated key is found within ten
/// seconds.
const UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(10);
/// One fetch is enough: a key that is replaced under its own `kid` is rare.
const BAD_SIGNATURE_BURST: u32 = 1;
/// A bad signature is the cheapest forgery, since every token shows a valid `kid`. So this budget is the smaller one.
const BAD_SIGNATURE_INTERVAL: Duration = Duration::from_secs(60);
/// The first retry makes up for a lost packet before a user notices.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// With keys no request waits, so a server that fails gets time to recover.
const MAX_DELAY_WITH_KEYS: Duration = Duration::from_secs(30);
/// Without keys every request waits or gets 503, so the service has to recover within a second of Clerk.
const MAX_DELAY_WITHOUT_KEYS: Duration = Duration::from_secs(1);
/// A server that asks for a minute gets it. Longer delays would let keys go stale because of one header.
const MAX_RETRY_AFTER_WITH_KEYS: Duration = Duration::from_secs(60);
/// Without keys the service is down, so even a server that asks for more is tried again after this.
const MAX_RETRY_AFTER_WITHOUT_KEYS: Duration = Duration::from_secs(5);
/// In percent of the back-off: enough to spread replicas that failed together. It only shortens, so the limits above
/// hold.
const BACK_OFF_JITTER: u32 = 25;
/// In percent of a `Retry-After`, which it lengthens, but not past the limits above. A server asks all replicas that it
/// refuses at once for the same delay. Without jitter they come back at once, and most are refused again.
const RETRY_AFTER_JITTER: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn back_off_doubles_up_to_its_limit_and_jitter_shortens_it() {
        let mut schedule = Schedule::new();
        assert_eq!(schedule.delay(at(7), false), Duration::ZERO);
        for (failure, without, with) in
            [(1, 250, 250), (2, 500, 500), (3, 1000, 1000), (4, 1000, 2000), (9, 1000, 30_000), (99, 1000, 30_000)]
        {
            while schedule.failures < failure {
                schedule.failed(at(7), None);
            }
            for (has_keys, full) in [(false, without), (true, with)] {
                let full = Duration::from_millis(full);
                let delay = schedule.delay(at(7), has_keys);
                assert!(delay <= full && delay >= full * 3 / 4, "{failure} {has_keys} {delay:?}");
                assert_eq!(schedule.delay(at(7) + full, has_keys), Duration::ZERO);
            }
        }
        schedule.succeeded();
        assert_eq!(schedule.delay(at(7), true), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_goes_back_lengthens_no_delay() {
        let mut schedule = Schedule::new();
        schedule.failed(at(1_000_000), None);
        assert!(schedule.delay(at(900_000), false) <= FIRST_DELAY);
        schedule.failed(at(1_000_000), Some(at(3)));
        let delay = schedule.delay(at(900_000), true);
        assert!(delay >= at(3) && delay <= at(3) * 3 / 2, "{delay:?}");
    }

    #[test]
    fn retry_after_is_honoured_up_to_its_limit() {
        let mut schedule = Schedule::new();
        for (asked, has_keys, shortest, longest) in [
            (at(3), false, at(3), Duration::from_millis(4500)),
            (at(3), true, at(3), Duration::from_millis(4500)),
            (at(4), false, at(4), at(5)),
            (at(5), false, at(5), at(5)),
            (at(3600), false, at(5), at(5)),
            (at(50), true, at(50), at(60)),
            (Duration::MAX, true, at(60), at(60)),
        ] {
            schedule.failed(at(0), Some(asked));
            let delay = schedule.delay(at(0), has_keys);
            assert!((shortest..=longest).contains(&delay), "{delay:?} of {asked:?}");
            assert_eq!(schedule.delay(at(1), has_keys), delay - at(1));
            assert_eq!(schedule.delay(delay, has_keys), Duration::ZERO);
        }
    }

    #[test]
    fn replicas_that_were_asked_for_the_same_delay_wait_differently() {
        let delays: std::collections::BTreeSet<_> = (0..200)
            .map(|_| {
                let mut schedule = Schedule::new();
                schedule.failed(at(0), Some(at(3)));
                schedule.delay(at(0), false)
            })
            .collect();
        assert!(delays.len() > 20, "{delays:?}");
    }
}
