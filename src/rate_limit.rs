//! Rate limits: so many at once, and one more each interval.
//!
//! No clock here: callers pass the monotonic time. Both types need a lock around them; their users hold one anyway.

use std::time::Duration;

/// A rate limit by the generic cell rate algorithm (GCRA, ITU-T I.371).
///
/// It allows the same as a token bucket, but its state is one timestamp: nothing has to be refilled, and no fraction of
/// a token is rounded.
#[derive(Debug)]
pub(crate) struct RateLimit {
    burst: u32,
    /// When the whole burst is available again: the *theoretical arrival time* of the algorithm. Each event moves it
    /// one interval later.
    full_at: Duration,
    interval: Duration,
}

impl RateLimit {
    /// Allows `burst` at once and one more each `interval`.
    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, full_at: Duration::ZERO, interval }
    }

    /// Whether one more is allowed now. It takes nothing: an event that then fails to start costs nothing.
    pub(crate) fn has_capacity(&mut self, now: Duration) -> bool {
        self.delay(1, now).is_zero()
    }

    /// How long until `count` more are allowed at once; zero if they are now. More than the burst count as the burst.
    pub(crate) fn delay(&mut self, count: u32, now: Duration) -> Duration {
        // No more than the whole burst can be missing. If the clock has gone back, `full_at` would otherwise stay ahead
        // of it, and nothing would be allowed until the clock is there again.
        self.full_at = self.full_at.min(now.saturating_add(self.interval.saturating_mul(self.burst)));
        self.full_at.saturating_sub(now.saturating_add(self.interval.saturating_mul(self.burst.saturating_sub(count))))
    }

    /// Takes one, whether or not it is allowed.
    pub(crate) fn take(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now).saturating_add(self.interval);
    }

    /// Takes one if it is allowed, and returns whether it was.
    pub(crate) fn try_take(&mut self, now: Duration) -> bool {
        let has_capacity = self.has_capacity(now);
        if has_capacity {
            self.take(now);
        }
        has_capacity
    }

    /// Gives one back that was taken. There is never more than the burst.
    pub(crate) fn give_back(&mut self) {
        // A time that has passed already means that the whole burst is there; `take` counts from its own time then.
        self.full_at = self.full_at.saturating_sub(self.interval);
    }
}

/// Lets one event through each interval, so that a repeated failure does not fill the log.
///
/// Unlike a [`RateLimit`] it does not save up: after a pause there is one event, not a burst.
#[derive(Debug)]
pub(crate) struct Throttle {
    interval: Duration,
    last: Option<Duration>,
}

impl Throttle {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Whether the event is due; if so, the next one is due an interval later.
    pub(crate) fn is_due(&mut self, now: Duration) -> bool {
        // The difference, because a clock that has gone far back must not silence the event for as long. A caller that
        // has read the clock a little earlier than the last one is not due.
        let is_due = self.last.is_none_or(|last| now.abs_diff(last) >= self.interval);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_limit_allows_its_burst_and_then_one_each_interval() {
        let mut limit = RateLimit::new(2, at(10));
        let mut take = |now| limit.try_take(now);
        assert_eq!([take(at(100)), take(at(100)), take(at(100))], [true, true, false]);
        assert!(!take(at(109)));
        assert!(take(at(110)));
        assert!(!take(at(119)));
        assert!(take(at(120)));
        assert_eq!([take(at(500)), take(at(500)), take(at(500))], [true, true, false]);
    }

    #[test]
    fn what_is_given_back_may_be_taken_again_but_never_more_than_the_burst() {
        let mut limit = RateLimit::new(2, at(10));
        assert!(limit.try_take(at(100)) && limit.try_take(at(100)) && !limit.try_take(at(100)));
        limit.give_back();
        assert!(limit.try_take(at(100)) && !limit.try_take(at(100)));

        // After a pause the burst is there anyway, and giving back adds nothing to it.
        for _ in 0..5 {
            limit.give_back();
        }
        let taken = [at(100), at(100), at(100)].map(|now| limit.try_take(now));
        assert_eq!(taken, [true, true, false]);
        limit.give_back();
        let taken = [at(500), at(500), at(500)].map(|now| limit.try_take(now));
        assert_eq!(taken, [true, true, false]);
        assert_eq!([at(510), at(510)].map(|now| limit.try_take(now)), [true, false]);
    }

    #[test]
    fn the_delay_of_a_rate_limit_ends_when_so_many_more_are_allowed() {
        let mut limit = RateLimit::new(2, at(10));
        assert_eq!([1, 2, 3].map(|count| limit.delay(count, at(100))), [at(0), at(0), at(0)]);
        limit.take(at(100));
        assert_eq!([1, 2, 3].map(|count| limit.delay(count, at(100))), [at(0), at(10), at(10)]);
        limit.take(at(100));
        assert_eq!([100, 104, 110].map(|now| limit.delay(1, at(now))), [at(10), at(6), at(0)]);
        assert_eq!([100, 104, 110, 120].map(|now| limit.delay(2, at(now))), [at(20), at(16), at(10), at(0)]);
    }

    #[test]
    fn a_clock_that_goes_back_delays_a_rate_limit_by_no_more_than_its_burst() {
        let mut limit = RateLimit::new(2, at(10));
        assert!(limit.try_take(at(100_000)) && limit.try_take(at(100_000)) && !limit.try_take(at(100_000)));
        assert!(!limit.try_take(at(500)) && !limit.try_take(at(509)));
        assert!(limit.try_take(at(510)) && !limit.try_take(at(519)));
        assert!(limit.try_take(at(520)));
    }

    #[test]
    fn a_clock_that_goes_back_does_not_silence_a_throttle() {
        let mut throttle = Throttle::new(at(60));
        assert_eq!([1000, 500, 559, 560].map(|now| throttle.is_due(at(now))), [true, true, false, true]);
        // Callers read the clock before they take turns.
        assert_eq!([559, 560, 501].map(|now| throttle.is_due(at(now))), [false, false, false]);
    }

    #[test]
    fn a_throttle_lets_one_event_through_each_interval() {
        let mut throttle = Throttle::new(at(60));
        assert_eq!(
            [0, 0, 59, 60, 61, 119, 120].map(|now| throttle.is_due(at(now))),
            [true, false, false, true, false, false, true]
        );
    }
}
