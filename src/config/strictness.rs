use std::time::Duration;

use super::{ClerkConfig, ConfigError, DAY, frontend_api::parse_origin};

/// # Which tokens count
impl ClerkConfig {
    /// Accepts only tokens whose `azp` is one of these origins, compared byte for byte.
    ///
    /// Clerk recommends it: it keeps a token that was minted for one subdomain from being used on another.
    /// A token without `azp` is then refused, unless [`allow_missing_azp`](Self::allow_missing_azp).
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if there are none, or one is not a bare origin `scheme://host[:port]`.
    pub fn authorized_parties<I>(self, origins: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let setting = "authorized_parties";
        let origins: Result<Vec<String>, _> =
            origins.into_iter().map(|origin| parse_origin(origin.as_ref(), setting)).collect();
        Ok(Self { authorized_parties: not_empty(origins?, setting)?, ..self })
    }

    /// Accepts only tokens whose `aud` names one of these audiences, compared byte for byte.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if there are none, or one is empty.
    pub fn audience<I>(self, audiences: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let audience: Vec<String> = audiences.into_iter().map(Into::into).collect();
        if audience.iter().any(String::is_empty) {
            return Err(ConfigError::invalid("audience", "must not hold an empty text"));
        }
        Ok(Self { audience: not_empty(audience, "audience")?, ..self })
    }

    /// How far the clocks of Clerk and this machine may lie apart: `exp`, `nbf` and `iat` hold with this
    /// much tolerance. 0 to 300 seconds.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is longer.
    pub fn clock_skew(self, skew: Duration) -> Result<Self, ConfigError> {
        if skew > Duration::from_secs(300) {
            return Err(ConfigError::invalid("clock_skew", "must be at most 300 seconds"));
        }
        Ok(Self { clock_skew: skew, ..self })
    }

    /// Refuses tokens longer than this many bytes as a malformed request; 16 384 by default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is less than 512 bytes or more than 1 MiB.
    pub fn max_token_length(self, bytes: usize) -> Result<Self, ConfigError> {
        if !(512..=1024 * 1024).contains(&bytes) {
            return Err(ConfigError::invalid("max_token_length", "must be 512 bytes to 1 MiB"));
        }
        Ok(Self { max_token_length: bytes, ..self })
    }

    /// Refuses tokens that live longer than this, from `iat` to `exp`, and those without `iat`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is zero or more than 10 years.
    pub fn max_token_lifetime(self, lifetime: Duration) -> Result<Self, ConfigError> {
        if lifetime.is_zero() || lifetime > Duration::from_secs(10 * 366 * 24 * 60 * 60) {
            return Err(ConfigError::invalid("max_token_lifetime", "must be more than zero and at most 10 years"));
        }
        Ok(Self { max_token_lifetime: Some(lifetime), ..self })
    }

    /// Accepts tokens without `azp` although authorized parties are set; a cookie without it still counts
    /// only on GET and HEAD.
    ///
    /// Clerk leaves `azp` out of tokens minted by a top-level navigation, a native app or the Backend API.
    pub fn allow_missing_azp(self) -> Self {
        Self { missing_azp_allowed: true, ..self }
    }

    /// Accepts sessions whose status is `pending`: signed in, with tasks such as choosing an organization
    /// still to do.
    pub fn allow_pending_sessions(self) -> Self {
        Self { pending_sessions_allowed: true, ..self }
    }

    /// Accepts tokens made from a JWT template.
    ///
    /// They carry no session id and outlive the session they were made in.
    pub fn allow_template_tokens(self) -> Self {
        Self { template_tokens_allowed: true, ..self }
    }

    /// Lets a cookie authenticate without authorized parties being set.
    ///
    /// A token that was minted for any origin of the instance then counts, whichever page it came from. What
    /// changes something (any method but GET, HEAD and OPTIONS, and upgrades) still needs the browser to say
    /// `Sec-Fetch-Site: same-origin`.
    pub fn danger_cookie_without_authorized_parties(self) -> Self {
        Self { danger_cookie_without_authorized_parties: true, ..self }
    }
}

/// # Keys
impl ClerkConfig {
    /// How long a fetched key set is used before it is refreshed; at least 1 second, 5 minutes by default.
    ///
    /// The refresh runs in the background once 80 to 90 % of it has passed, and no request waits for it.
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

    /// How long the last good key set is served while refreshing it fails; at least 5 minutes, 24 hours by
    /// default.
    ///
    /// It is also the longest that a withdrawn key lives on when Clerk cannot be reached.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is shorter than 5 minutes or longer than 30 days.
    pub fn jwks_stale_limit(self, limit: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_secs(300)..=DAY * 30).contains(&limit) {
            return Err(ConfigError::invalid("jwks_stale_limit", "must be 5 minutes to 30 days"));
        }
        Ok(Self { jwks_stale_limit: limit, ..self })
    }

    /// How long one fetch of keys may take, connecting, headers and body together; 3 seconds by default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is shorter than 10 milliseconds or longer than a minute.
    pub fn jwks_timeout(self, timeout: Duration) -> Result<Self, ConfigError> {
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&timeout) {
            return Err(ConfigError::invalid("jwks_timeout", "must be 10 milliseconds to 1 minute"));
        }
        Ok(Self { jwks_timeout: timeout, ..self })
    }
}

fn not_empty(list: Vec<String>, setting: &'static str) -> Result<Vec<String>, ConfigError> {
    if list.is_empty() { Err(ConfigError::invalid(setting, "must not be empty")) } else { Ok(list) }
}
