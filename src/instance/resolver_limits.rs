use std::time::Duration;

use crate::{config::ConfigError, places::Places, rate_limit::RateLimit};

/// The limits on calls of an [`InstanceResolver`](super::InstanceResolver), for
/// [`VerifierBuilder::resolver_limits`](crate::verify::VerifierBuilder::resolver_limits).
///
/// They protect what the resolver reads, such as a database, from tokens with made-up issuers. The defaults suit a
/// small pool of connections. Raise them for records that answer from memory: the limits on unknown issuers are also
/// how fast tenants get in that the verifier has not seen yet.
///
/// ```
/// use tower_clerk::{ClerkConfig, config::IssuerUrl, verify::{ResolveError, ResolverLimits, VerifierBuilder}};
///
/// let resolver = |_: IssuerUrl| async { Ok::<_, ResolveError>(None::<ClerkConfig>) };
/// let in_memory = ResolverLimits::new().unknown_issuer_burst(10_000).unknown_issuers_per_second(10_000);
/// assert!(VerifierBuilder::new().resolver(resolver).resolver_limits(in_memory).build().is_ok());
///
/// let none = ResolverLimits::new().max_concurrent_calls(0);
/// assert!(VerifierBuilder::new().resolver(resolver).resolver_limits(none).build().is_err());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct ResolverLimits {
    max_concurrent_calls: usize,
    unknown_issuer_burst: u32,
    unknown_issuers_per_second: u32,
}

impl ResolverLimits {
    /// Returns the defaults: 16 calls at once, and for unknown issuers 64 calls at once and 10 more a second.
    pub const fn new() -> Self {
        Self {
            max_concurrent_calls: CALLS_AT_ONCE,
            unknown_issuer_burst: UNKNOWN_ISSUER_BURST,
            unknown_issuers_per_second: UNKNOWN_ISSUERS_PER_SECOND,
        }
    }

    /// Sets how many calls run at once. A quarter of them is kept for issuers that the resolver knew before.
    pub const fn max_concurrent_calls(self, calls: usize) -> Self {
        Self { max_concurrent_calls: calls, ..self }
    }

    /// Sets how many calls for unknown issuers may start at once after a pause.
    pub const fn unknown_issuer_burst(self, calls: u32) -> Self {
        Self { unknown_issuer_burst: calls, ..self }
    }

    /// Sets how many more calls for unknown issuers may start each second.
    pub const fn unknown_issuers_per_second(self, calls: u32) -> Self {
        Self { unknown_issuers_per_second: calls, ..self }
    }

    pub(crate) fn check(self) -> Result<Self, ConfigError> {
        if self.max_concurrent_calls == 0 || self.unknown_issuer_burst == 0 || self.unknown_issuers_per_second == 0 {
            return Err(ConfigError::invalid("resolver_limits", "must all be at least 1"));
        }
        Ok(self)
    }

    /// The number of calls at once.
    pub(super) fn calls(self) -> usize {
        self.max_concurrent_calls
    }

    /// Places for calls: class 0 for issuers that the resolver knew, class 1 for all others.
    pub(super) fn places(self) -> Places<2> {
        let reserved = self.max_concurrent_calls / RESERVED_PART;
        Places::new([self.max_concurrent_calls, self.max_concurrent_calls - reserved])
    }

    /// The rate of calls for unknown issuers.
    pub(super) fn rate(self) -> RateLimit {
        let interval = Duration::from_secs(1) / self.unknown_issuers_per_second.max(1);
        RateLimit::new(self.unknown_issuer_burst, interval)
    }
}

impl Default for ResolverLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// A small pool of database connections serves as many.
const CALLS_AT_ONCE: usize = 16;
/// One place in four is kept for issuers that the resolver knew: a lookup takes milliseconds, and each of these
/// instances needs one in five minutes.
const RESERVED_PART: usize = 4;
/// A service that starts in front of many tenants needs the burst.
const UNKNOWN_ISSUER_BURST: u32 = 64;
/// A load that a database does not notice.
const UNKNOWN_ISSUERS_PER_SECOND: u32 = 10;
