use std::time::Duration;

use super::{ClerkConfig, ConfigError};

/// # Keys
impl ClerkConfig {
    /// Sets how long a fetched key set is used before it is refreshed: 1 second to 1 day, 5 minutes by default.
    ///
    /// The refresh runs in the background after 80 to 90 % of the interval, chosen at random so that the processes of a
    /// fleet spread their requests. No request waits for it. While Clerk is up and the service is used, a revoked key
    /// is accepted for at most this long; after an idle time the first request waits for the refresh.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is shorter than a second or longer than a day.
    pub fn jwks_refresh_interval(self, interval: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_secs(1)..=DAY).contains(&interval) {
            return Err(ConfigError::invalid("jwks_refresh_interval", "must be 1 second to 1 day"));
        }
        Ok(Self { jwks_refresh_interval: interval, ..self })
    }

    /// Sets how long the last good key set is used while its refresh fails: 5 minutes to 30 days, 24 hours by default.
    ///
    /// A longer limit survives a longer outage of Clerk. A shorter one bounds how long an attacker who holds a revoked
    /// key, and keeps this process from reaching Clerk, can use that key.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is shorter than 5 minutes or longer than 30 days.
    pub fn jwks_stale_limit(self, limit: Duration) -> Result<Self, ConfigError> {
        if !(MIN_STALE_LIMIT..=MAX_STALE_LIMIT).contains(&limit) {
            return Err(ConfigError::invalid("jwks_stale_limit", "must be 5 minutes to 30 days"));
        }
        Ok(Self { jwks_stale_limit: limit, ..self })
    }

    /// Sets how long one fetch of keys may take, from connecting to the end of the body: 10 milliseconds to 1 minute, 3
    /// seconds by default. The first requests of a process wait for it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is shorter than 10 milliseconds or longer than a minute.
    pub fn jwks_timeout(self, timeout: Duration) -> Result<Self, ConfigError> {
        if !(MIN_FETCH_TIMEOUT..=MAX_FETCH_TIMEOUT).contains(&timeout) {
            return Err(ConfigError::invalid("jwks_timeout", "must be 10 milliseconds to 1 minute"));
        }
        Ok(Self { jwks_timeout: timeout, ..self })
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// With a shorter limit, one failed refresh would discard keys that were good a refresh interval ago.
const MIN_STALE_LIMIT: Duration = Duration::from_secs(300);
/// Enough for a site that is offline for weeks. A limit for years would accept revoked keys for ever.
pub(crate) const MAX_STALE_LIMIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A server in the same network responds in less. A shorter timeout is probably a mistaken unit.
const MIN_FETCH_TIMEOUT: Duration = Duration::from_millis(10);
/// Clients and proxies give up before that, and requests that wait occupy memory.
const MAX_FETCH_TIMEOUT: Duration = Duration::from_secs(60);
