use std::time::Duration;

use crate::{config::ConfigError, places::Places, rate_limit::RateLimit};

/// The limits on calls of the Backend API about opaque tokens, for
/// [`VerifierBuilder::opaque_token_limits`](crate::verify::VerifierBuilder::opaque_token_limits).
///
/// They bound what a flood of made-up tokens costs. A token that was seen valid in the last hour is asked about outside
/// of them, and a call that finds a token valid gives its place back.
///
/// ```
/// use tower_clerk::{ClerkConfig, backend_api::OpaqueTokenLimits, verify::VerifierBuilder};
///
/// # #[cfg(feature = "reqwest")] {
/// let config = ClerkConfig::from_frontend_api_url("https://clerk.example.com")?;
/// let few = OpaqueTokenLimits::new().unknown_token_burst(10).unknown_tokens_per_second(1);
/// assert!(VerifierBuilder::new().instance(config.clone()).opaque_token_limits(few).build().is_ok());
///
/// let none = OpaqueTokenLimits::new().unknown_token_burst(0);
/// assert!(VerifierBuilder::new().instance(config).opaque_token_limits(none).build().is_err());
/// # }
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct OpaqueTokenLimits {
    max_concurrent_calls: usize,
    unknown_token_burst: u32,
    unknown_tokens_per_second: u32,
}

impl OpaqueTokenLimits {
    /// Returns the defaults: 64 calls at once, and for tokens that were never seen valid 100 calls at once and 20 more
    /// a second.
    pub const fn new() -> Self {
        Self {
            max_concurrent_calls: CALLS_AT_ONCE,
            unknown_token_burst: UNKNOWN_TOKEN_BURST,
            unknown_tokens_per_second: UNKNOWN_TOKENS_PER_SECOND,
        }
    }

    /// Sets how many calls run at once. A quarter of them, rounded up, is kept for tokens that were seen valid; of a
    /// single one, nothing.
    pub const fn max_concurrent_calls(self, calls: usize) -> Self {
        Self { max_concurrent_calls: calls, ..self }
    }

    /// Sets how many calls for tokens that were never seen valid may start at once after a pause.
    pub const fn unknown_token_burst(self, calls: u32) -> Self {
        Self { unknown_token_burst: calls, ..self }
    }

    /// Sets how many more calls for tokens that were never seen valid may start each second.
    pub const fn unknown_tokens_per_second(self, calls: u32) -> Self {
        Self { unknown_tokens_per_second: calls, ..self }
    }

    pub(crate) fn check(self) -> Result<Self, ConfigError> {
        if self.max_concurrent_calls == 0 || self.unknown_token_burst == 0 || self.unknown_tokens_per_second == 0 {
            return Err(ConfigError::invalid("opaque_token_limits", "must all be at least 1"));
        }
        Ok(self)
    }

    /// Places for calls: class 0 for tokens that were seen valid, class 1 for all others.
    pub(super) fn places(self) -> Places<2> {
        let reserved =
            self.max_concurrent_calls.div_ceil(RESERVED_PART).min(self.max_concurrent_calls.saturating_sub(1));
        Places::new([self.max_concurrent_calls, self.max_concurrent_calls - reserved])
    }

    /// The rate of calls for tokens that were never seen valid.
    pub(super) fn rate(self) -> RateLimit {
        let interval = Duration::from_secs(1) / self.unknown_tokens_per_second.max(1);
        RateLimit::new(self.unknown_token_burst, interval)
    }
}

impl Default for OpaqueTokenLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// A call takes about 100 ms, so 10 at once are the 100 a second that Clerk allows on average. The others are for a
/// Backend API that takes longer.
const CALLS_AT_ONCE: usize = 64;
/// One place in four is kept for tokens that were seen valid: made-up ones must not hold them up, also if the Backend
/// API is slow.
const RESERVED_PART: usize = 4;
/// After a start all callers are unknown. Those of five seconds at [`UNKNOWN_TOKENS_PER_SECOND`] are let in at once.
const UNKNOWN_TOKEN_BURST: u32 = 100;
/// In 10 seconds a fifth of the 1 000 requests that Clerk allows an instance, and with the burst less than a third.
const UNKNOWN_TOKENS_PER_SECOND: u32 = 20;

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn some_places_are_kept_for_known_tokens_unless_there_is_only_one() {
        for (all, of_unknown) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (8, 6), (64, 48)] {
            let places = OpaqueTokenLimits::new().max_concurrent_calls(all).places();
            let free = |class| {
                let acquire = || match pin!(places.acquire(class)).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(place) => Some(place),
                    Poll::Pending => None,
                };
                std::iter::from_fn(acquire).collect::<Vec<_>>().len()
            };
            assert_eq!((free(1), free(0)), (of_unknown, all), "{all}");
        }
    }
}
