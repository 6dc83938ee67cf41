use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::verify::Clock;

/// A clock that stands still until it is moved; clones move together.
///
/// It starts in January 2027, a time like any other.
///
/// ```
/// use std::time::Duration;
/// use tower_clerk::{testing::ManualClock, verify::Clock};
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), before + Duration::from_secs(60));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    times: Arc<Mutex<Times>>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    monotonic: Duration,
    now: SystemTime,
}

impl ManualClock {
    /// A clock at its start.
    #[must_use]
    pub fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Self { times: Arc::new(Mutex::new(Times { monotonic: Duration::ZERO, now })) }
    }

    /// Lets time pass, on the wall clock and the monotonic one.
    pub fn advance(&self, duration: Duration) {
        self.change(|times| {
            times.monotonic += duration;
            times.now += duration;
        });
    }

    /// Sets the wall clock alone, as an operator or a time server does.
    pub fn set(&self, now: SystemTime) {
        self.change(|times| times.now = now);
    }

    fn change(&self, change: impl FnOnce(&mut Times)) {
        change(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        self.read().monotonic
    }

    fn now(&self) -> SystemTime {
        self.read().now
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}
