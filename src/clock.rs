//! The clocks of a verifier. No other file of the crate reads the time of the system.

use std::time::{Duration, Instant, SystemTime};

/// A source of time. [`SystemClock`] is the default, and tests replace it with
/// [`VerifierBuilder::clock`](crate::verify::VerifierBuilder::clock).
///
/// It combines two clocks. The times in tokens (`exp`, `nbf`, `iat`) are compared with the wall clock. Back-offs, rate
/// limits and the stale limit of key sets are measured with a monotonic clock, so that setting the wall clock neither
/// keeps a withdrawn key alive nor makes all keys stale. A refresh is due when either clock says so, because most
/// monotonic clocks stand still while the machine is suspended.
///
/// The feature `testing` has one that stands still until a test advances it: `tower_clerk::testing::ManualClock`.
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
    /// Returns the time since a fixed moment of your choice. It must never go back.
    fn monotonic(&self) -> Duration;

    /// Returns the wall-clock time.
    fn now(&self) -> SystemTime;
}

/// The clocks of the operating system: [`Instant`] for the monotonic time, [`SystemTime`] for the wall clock.
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

/// Both clocks, read at one moment.
///
/// The monotonic clock of most systems stands still while the machine is suspended, and the wall clock may be set. So
/// the age of something is what either of them says, whichever is more. A clock that went back says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) monotonic: Duration,
    pub(crate) wall: SystemTime,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { monotonic: clock.monotonic(), wall: clock.now() }
    }

    /// The time since `earlier`, by the clock that says more.
    ///
    /// Use it to do something sooner. Whether something may still be used is for
    /// [`running_since`](Self::running_since): a wall clock that was set wrong must not end a service.
    pub(crate) fn elapsed_since(self, earlier: Self) -> Duration {
        self.running_since(earlier).max(self.wall.duration_since(earlier.wall).unwrap_or_default())
    }

    /// The time since `earlier` by the monotonic clock.
    pub(crate) fn running_since(self, earlier: Self) -> Duration {
        self.monotonic.saturating_sub(earlier.monotonic)
    }
}

/// A monotonic time in nanoseconds, for an atomic; saturates after 584 years.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole milliseconds since 1970, negative before. `f64`, because Clerk's SDKs compare times as JavaScript numbers.
pub(crate) fn unix_millis(time: SystemTime) -> f64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(error) => -millis(error.duration()),
    }
}

/// Whole milliseconds.
pub(crate) fn millis(duration: Duration) -> f64 {
    // Exact up to 2^53 milliseconds, which no time of a token or a clock reaches.
    Duration::from_secs(duration.as_secs()).as_secs_f64() * 1000.0 + f64::from(duration.subsec_millis())
}

/// The time so many whole milliseconds after 1970.
///
/// Platforms differ in the times they can represent, and a token may claim any time. A time that is too late for this
/// platform becomes [`FAR`], one that is too early becomes 1970.
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

/// About eight thousand years: far enough for every token, and near enough for every platform.
const FAR: Duration = Duration::from_secs(8_000 * 365 * 24 * 60 * 60);
