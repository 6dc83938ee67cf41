//! When a fetch of keys may start: back-off and budgets, without a clock of their own.

use std::time::Duration;

use crate::rate_limit::RateLimit;

/// Why a request asks for a fetch of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum FetchReason {
    /// A key with the token's `kid` is there, but it did not make the signature: a rotation may have reused the `kid`.
    BadSignature,
    /// There are no keys at all.
    NoKeys,
    /// No key has the token's `kid`.
    UnknownKid,
}

/// Back-off after failures, and a budget for each reason that forged tokens can give.
///
/// Times are those of the monotonic clock.
#[derive(Debug)]
pub(super) struct Schedule {
    unknown_kid: RateLimit,
    bad_signature: RateLimit,
    /// Failed fetches in a row.
    failures: u32,
    failed_at: Duration,
    retry_after: Duration,
    /// How much shorter than its full length the current back-off is, in percent.
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
        self.jitter = fastrand::u32(0..=MAX_JITTER);
        self.retry_after = retry_after.unwrap_or_default();
    }

    /// How long until the next attempt; zero if it may start now.
    pub(super) fn delay(&self, now: Duration, has_keys: bool) -> Duration {
        if self.failures == 0 {
            return Duration::ZERO;
        }
        let (longest, longest_asked) = match has_keys {
            true => (MAX_DELAY_WITH_KEYS, MAX_RETRY_AFTER_WITH_KEYS),
            false => (MAX_DELAY_WITHOUT_KEYS, MAX_RETRY_AFTER_WITHOUT_KEYS),
        };
        let doubled = FIRST_DELAY.saturating_mul(1_u32.checked_shl(self.failures.min(16) - 1).unwrap_or(u32::MAX));
        let backoff = doubled.min(longest) * (100 - self.jitter) / 100;
        let asked = self.retry_after.min(longest_asked);
        self.failed_at.saturating_add(backoff.max(asked)).saturating_sub(now)
    }

    /// Whether the budget for `reason` allows one more fetch.
    pub(super) fn has_capacity(&self, reason: FetchReason, now: Duration) -> bool {
        match reason {
            FetchReason::BadSignature => self.bad_signature.has_capacity(now),
            FetchReason::NoKeys => true,
            FetchReason::UnknownKid => self.unknown_kid.has_capacity(now),
        }
    }

    pub(super) fn take(&mut self, reason: FetchReason, now: Duration) {
        match reason {
            FetchReason::BadSignature => self.bad_signature.take(now),
            FetchReason::NoKeys => {}
            FetchReason::UnknownKid => self.unknown_kid.take(now),
        }
    }
}

// Why each number: a rotation publishes one new key and is seen by every replica at once, so two fetches at once and one
// more each ten seconds find it, while a flood of made-up kids costs Clerk six requests a minute.
const UNKNOWN_KID_BURST: u32 = 2;
const UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(10);
// A key replaced under its own kid is rare, and a forged signature is the cheapest token to make: one fetch a minute.
const BAD_SIGNATURE_BURST: u32 = 1;
const BAD_SIGNATURE_INTERVAL: Duration = Duration::from_secs(60);
/// One lost packet is made up for before a user notices.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// With keys nobody waits; without, everyone does, and recovery within a second matters more than politeness.
const MAX_DELAY_WITH_KEYS: Duration = Duration::from_secs(30);
const MAX_DELAY_WITHOUT_KEYS: Duration = Duration::from_secs(1);
/// A server that asks for more time gets it, up to what an outage may cost.
const MAX_RETRY_AFTER_WITH_KEYS: Duration = Duration::from_secs(60);
const MAX_RETRY_AFTER_WITHOUT_KEYS: Duration = Duration::from_secs(5);
/// In percent: enough to spread replicas that failed together. Jitter only shortens, so the limits above hold.
const MAX_JITTER: u32 = 25;

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
    fn retry_after_is_honoured_up_to_its_limit() {
        let mut schedule = Schedule::new();
        schedule.failed(at(0), Some(at(3)));
        assert_eq!((schedule.delay(at(0), false), schedule.delay(at(0), true)), (at(3), at(3)));
        schedule.failed(at(0), Some(at(3600)));
        assert_eq!((schedule.delay(at(0), false), schedule.delay(at(0), true)), (at(5), at(60)));
        schedule.failed(at(0), Some(Duration::MAX));
        assert_eq!(schedule.delay(at(1), false), at(4));
    }
}
