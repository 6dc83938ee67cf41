//! The only file that reads a clock.

use std::time::{Duration, Instant, SystemTime};

/// A source of time, replaced in tests.
///
/// It is two clocks in one: the claims of a token are compared with wall-clock time, the age of a key set is measured
/// by a monotonic clock that no one can set.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_clerk::verify::Clock;
///
/// /// Stands still, for tests.
/// struct Noon;
///
/// impl Clock for Noon {
///     fn monotonic(&self) -> Duration {
///         Duration::ZERO
///     }
///
///     fn now(&self) -> SystemTime {
///         SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 60 * 60)
///     }
/// }
///
/// assert_eq!(Noon.now(), Noon.now());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `Clock`",
    label = "not a `Clock`",
    note = "`SystemClock` does; in tests, `tower_clerk::testing::ManualClock`"
)]
pub trait Clock: Send + Sync {
    /// The time since some fixed moment. It never goes back.
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
    /// Makes a clock whose monotonic time starts at zero now.
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

/// A monotonic time in nanoseconds, for an atomic; saturates after 584 years.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole milliseconds since 1970, negative before.
pub(crate) fn unix_millis(time: SystemTime) -> f64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(error) => -millis(error.duration()),
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    // Exact up to 2^53 seconds.
    Duration::from_secs(duration.as_secs()).as_secs_f64() * 1000.0 + f64::from(duration.subsec_millis())
}

/// The time so many whole milliseconds after 1970; where this platform cannot represent it, the farthest that every one
/// can.
pub(crate) fn system_time(millis: f64) -> SystemTime {
    let seconds = (millis.abs() / 1000.0).trunc();
    let rest = millis.abs() - seconds * 1000.0;
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or(FAR);
    let distance = whole.saturating_add(Duration::try_from_secs_f64(rest / 1000.0).unwrap_or_default());
    let time = if millis < 0.0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance).or(SystemTime::UNIX_EPOCH.checked_add(FAR))
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// About eight thousand years.
const FAR: Duration = Duration::from_secs(8_000 * 365 * 24 * 60 * 60);
