//! The windows that the documentation promises, each with the page that promises it.
//!
//! A change of the library's promises is a change of this file alone. The windows of a server are measured with its own
//! monotonic clock. The clock of the server of tenants runs [`TENANTS_SPEED`] times as fast as the real one, so that
//! windows of minutes open and close many times in ten minutes.

use std::time::Duration;

use tower_clerk::ClerkConfig;

/// The windows of one server, in real time.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) refresh: Duration,
    pub(crate) stale: Duration,
    pub(crate) unknown_kid: Duration,
    pub(crate) reused_kid: Duration,
    pub(crate) tenant_removed: Duration,
    pub(crate) tenant_added: Duration,
    /// What a busy machine may add to any of them.
    pub(crate) slack: Duration,
    pub(crate) speed: u32,
}

impl Windows {
    pub(crate) fn new(refresh: Duration, stale: Duration, speed: u32, slack: Duration) -> Self {
        // A refresh finds a new key too, whatever the budgets.
        let or_refresh = |window: Duration| window.min(refresh) / speed;
        Self {
            refresh: refresh / speed,
            stale: stale / speed,
            unknown_kid: or_refresh(UNKNOWN_KID),
            reused_kid: or_refresh(REUSED_KID),
            tenant_removed: TENANT_REMOVED / speed,
            tenant_added: TENANT_ADDED / speed,
            slack,
            speed,
        }
    }

    /// The longest back-off that an outage of this length can leave behind.
    ///
    /// Delays double from a quarter of a second, less a quarter of jitter, so the next one is at most four thirds of
    /// all before it together, and the first one.
    pub(crate) fn backoff(&self, outage: Duration, asked: Duration, has_keys: bool) -> Duration {
        let (longest, longest_asked) = match has_keys {
            true => (BACKOFF_WITH_KEYS, RETRY_AFTER_WITH_KEYS),
            false => (BACKOFF_WITHOUT_KEYS, RETRY_AFTER_WITHOUT_KEYS),
        };
        let doubled = outage * self.speed * 4 / 3 + FIRST_BACKOFF;
        doubled.min(longest).max(asked.min(longest_asked)) / self.speed
    }

    /// How many fetches may succeed in so long a time: the refreshes, and what each budget allows.
    pub(crate) fn successes(&self, elapsed: Duration, stores: u32) -> f64 {
        let elapsed = elapsed.as_secs_f64() * f64::from(self.speed);
        let refresh = (self.refresh * self.speed).as_secs_f64();
        let stores = f64::from(stores);
        let refreshes = elapsed / (refresh * REFRESH_EARLIEST);
        refreshes + elapsed / UNKNOWN_KID.as_secs_f64() + elapsed / REUSED_KID.as_secs_f64() + stores * FIRST_FETCHES
    }

    /// How many fetches may fail in an outage, of which the server has no keys for `without`.
    pub(crate) fn failures(&self, outage: Duration, without: Duration) -> f64 {
        let speed = f64::from(self.speed);
        let shortest = |longest: Duration| longest.as_secs_f64() * BACKOFF_JITTER;
        FIRST_FAILURES
            + outage.as_secs_f64() * speed / shortest(BACKOFF_WITH_KEYS)
            + without.as_secs_f64() * speed / shortest(BACKOFF_WITHOUT_KEYS)
    }
}

/// How fast the clock of the server of tenants runs.
pub(crate) const TENANTS_SPEED: u32 = 10;

/// How long the server of tenants uses a set, by its own clock.
///
/// "for up to `jwks_stale_limit`" (guide, outages); the shortest that is allowed.
pub(crate) const TENANTS_STALE: Duration = Duration::from_secs(300);
/// "A key is withdrawn: it stays accepted until the next refresh" (guide, outages).
pub(crate) const TENANTS_REFRESH: Duration = Duration::from_secs(200);
/// The default of the library, which the example uses (guide, defaults).
pub(crate) const EXAMPLE_STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// The fetch of the server of tenants may take so long by the real clock. Its own clock calls a fetch overdue after a
/// tenth of that: the default would be too short.
pub(crate) const TENANTS_TIMEOUT: Duration = Duration::from_secs(10);

/// "5 s" (guide, defaults): the clock skew within which `exp`, `nbf` and `iat` hold.
pub(crate) const SKEW: f64 = 5.0;
/// No response takes longer: two fetches, each with its timeout of 3 s and 500 ms (guide, defaults: "fetches that a
/// request waits for", "extra wait of a request"), a call of the resolver (2 s), and the slack of a busy machine.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(12);

/// "Two such fetches may start at once, then one every 10 seconds" (guide, outages: "A key is rotated").
const UNKNOWN_KID: Duration = Duration::from_secs(10);
/// "at most once a minute and only if the set is older than 30 seconds" (guide, outages: "under its old `kid`").
const REUSED_KID: Duration = Duration::from_secs(60);
/// "A removed tenant is thus rejected after about 5 minutes" (`InstanceResolver`).
const TENANT_REMOVED: Duration = Duration::from_secs(300);
/// "and a new one accepted after at most one" minute (`InstanceResolver`).
const TENANT_ADDED: Duration = Duration::from_secs(60);
/// "250 ms, doubling, up to 25 % less at random" (guide, defaults: "back-off after a failed fetch").
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const BACKOFF_JITTER: f64 = 0.75;
/// "1 s without keys, 30 s with keys" (guide, defaults: "longest back-off").
const BACKOFF_WITH_KEYS: Duration = Duration::from_secs(30);
const BACKOFF_WITHOUT_KEYS: Duration = Duration::from_secs(1);
/// "5 s without keys, 60 s with keys" (guide, defaults: "longest `Retry-After` honoured").
const RETRY_AFTER_WITH_KEYS: Duration = Duration::from_secs(60);
const RETRY_AFTER_WITHOUT_KEYS: Duration = Duration::from_secs(5);
/// "80 to 90 % of the interval" (guide, defaults: "start of the refresh").
const REFRESH_EARLIEST: f64 = 0.8;
/// The first fetch of a store, the burst for unknown `kid`s and the one for bad signatures, and one in flight.
const FIRST_FETCHES: f64 = 5.0;
/// The doublings from the shortest back-off to the longest, and the fetch that begins the outage.
const FIRST_FAILURES: f64 = 9.0;

/// How long a set is in use and not yet refreshed before the example refreshes it. Short, so that much happens; longer
/// than the window of an unknown `kid`, so that a refresh cannot hide a budget that is never given.
pub(crate) const EXAMPLE_REFRESH: Duration = Duration::from_secs(20);

/// The configuration of an instance of the server of tenants.
pub(crate) fn tenant_config(url: &str) -> Result<ClerkConfig, tower_clerk::ConfigError> {
    ClerkConfig::from_frontend_api_url(url)?
        .jwks_refresh_interval(TENANTS_REFRESH)?
        .jwks_stale_limit(TENANTS_STALE)?
        .jwks_timeout(TENANTS_TIMEOUT)?
        .authorized_parties([PARTY])
}

/// The origin of the application that the tokens are for.
pub(crate) const PARTY: &str = "https://app.soak.example";
