//! The only file that reads a clock.

use std::time::{Duration, Instant, SystemTime};

/// A source of time, replaced in tests.
///
/// Two clocks in one, since they serve two ends: the claims of a token are compared with wall-clock time,
/// the age of a key set with a clock that no one can set.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not tell the time",
    label = "not a `Clock`",
    note = "`SystemClock` does; in tests, `tower_clerk::testing::ManualClock`"
)]
pub trait Clock: Send + Sync {
    /// The time since some fixed moment, never going back.
    fn monotonic(&self) -> Duration;

    /// The wall-clock time.
    fn now(&self) -> SystemTime;
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Clocks whose monotonic time starts here.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// A monotonic time as a number that an atomic holds; some five hundred years fit.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
