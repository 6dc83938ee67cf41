use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::verify::Clock;

/// A [`Clock`] that stands still until a test advances it. Clones share the time.
///
/// Give clones of one clock to the issuer and to the verifier, so that both agree. It replaces the clock by which
/// tokens and keys age; the timeouts of fetches run in real time.
///
/// ```
/// use std::time::Duration;
/// use tower_clerk::{testing::{ManualClock, TestIssuer}, verify::{VerifierBuilder, VerifyErrorKind}};
///
/// let clock = ManualClock::new();
/// let issuer = TestIssuer::new().clock(clock.clone());
/// let verifier = VerifierBuilder::new().instance(issuer.config()).clock(clock.clone()).build()?;
///
/// let token = issuer.token("user_ada").sign();
/// assert!(verifier.try_verify(&token).is_ok());
///
/// // 60 seconds of lifetime, and 5 seconds of clock skew.
/// clock.advance(Duration::from_secs(65));
/// assert_eq!(verifier.try_verify(&token).unwrap_err().kind(), VerifyErrorKind::Expired);
/// # Ok::<(), tower_clerk::ConfigError>(())
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
    /// Makes a clock at 2027-01-15T08:00:00Z, an arbitrary time that does not depend on the machine.
    #[must_use]
    pub fn new() -> Self {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Self { times: Arc::new(Mutex::new(Times { monotonic: Duration::ZERO, now })) }
    }

    /// Advances the wall clock and the monotonic clock.
    pub fn advance(&self, duration: Duration) {
        self.change(|times| {
            times.monotonic += duration;
            times.now += duration;
        });
    }

    /// Sets the wall clock only, as a time server does. The monotonic clock, by which keys age, stays.
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
