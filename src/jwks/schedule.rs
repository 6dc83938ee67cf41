//! When a fetch of keys may start: back-off and budgets, without a clock of their own.

use std::time::Duration;

use super::gate::Lack;

/// Times are those of the monotonic clock.
#[derive(Debug)]
pub(super) struct Schedule {
    bad_signature: Budget,
    failed_at: Duration,
    failures: u32,
    /// How much shorter than its full length the current back-off is, in percent.
    jitter: u32,
    retry_after: Duration,
    unknown_kid: Budget,
}

impl Schedule {
    pub(super) fn new() -> Self {
        Self {
            bad_signature: Budget::new(1, Duration::from_secs(60)),
            failed_at: Duration::ZERO,
            failures: 0,
            jitter: 0,
            retry_after: Duration::ZERO,
            unknown_kid: Budget::new(2, Duration::from_secs(10)),
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
        let (longest, longest_asked) = if has_keys { (30, 60) } else { (1, 5) };
        let doubled = FIRST_DELAY.saturating_mul(1_u32.checked_shl(self.failures.min(16) - 1).unwrap_or(u32::MAX));
        let backoff = doubled.min(Duration::from_secs(longest)) * (100 - self.jitter) / 100;
        let asked = self.retry_after.min(Duration::from_secs(longest_asked));
        self.failed_at.saturating_add(backoff.max(asked)).saturating_sub(now)
    }

    /// Whether the budget for `lack` has one fetch left.
    pub(super) fn may_spend(&self, lack: Lack, now: Duration) -> bool {
        match lack {
            Lack::Keys => true,
            Lack::Kid => self.unknown_kid.is_left(now),
            Lack::Signature => self.bad_signature.is_left(now),
        }
    }

    pub(super) fn spend(&mut self, lack: Lack, now: Duration) {
        match lack {
            Lack::Keys => {}
            Lack::Kid => self.unknown_kid.spend(now),
            Lack::Signature => self.bad_signature.spend(now),
        }
    }
}

/// So many at once, and one more each `every`.
#[derive(Debug)]
pub(crate) struct Budget {
    burst: u32,
    every: Duration,
    /// When the budget is whole again.
    whole_at: Duration,
}

impl Budget {
    pub(crate) fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, whole_at: Duration::ZERO }
    }

    pub(crate) fn is_left(&self, now: Duration) -> bool {
        self.whole_at <= now.saturating_add(self.every * (self.burst - 1))
    }

    pub(crate) fn spend(&mut self, now: Duration) {
        self.whole_at = self.whole_at.max(now).saturating_add(self.every);
    }
}

const FIRST_DELAY: Duration = Duration::from_millis(250);
/// In percent.
const MAX_JITTER: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_budget_allows_its_burst_and_then_one_each_period() {
        let mut budget = Budget::new(2, at(10));
        let mut take = |now| {
            let is_left = budget.is_left(now);
            if is_left {
                budget.spend(now);
            }
            is_left
        };
        assert_eq!([take(at(100)), take(at(100)), take(at(100))], [true, true, false]);
        assert!(!take(at(109)));
        assert!(take(at(110)));
        assert!(!take(at(119)));
        assert!(take(at(120)));
        assert_eq!([take(at(500)), take(at(500)), take(at(500))], [true, true, false]);
    }

    #[test]
    fn back_off_doubles_up_to_its_cap_and_jitter_only_shortens_it() {
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
    fn retry_after_is_honoured_up_to_its_cap() {
        let mut schedule = Schedule::new();
        schedule.failed(at(0), Some(at(3)));
        assert_eq!((schedule.delay(at(0), false), schedule.delay(at(0), true)), (at(3), at(3)));
        schedule.failed(at(0), Some(at(3600)));
        assert_eq!((schedule.delay(at(0), false), schedule.delay(at(0), true)), (at(5), at(60)));
        schedule.failed(at(0), Some(Duration::MAX));
        assert_eq!(schedule.delay(at(1), false), at(4));
    }
}
