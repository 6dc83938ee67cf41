use std::time::Duration;

use super::{ClerkConfig, ConfigError, MAX_TOKEN_LENGTH, origin::parse_origin};

/// # Which tokens are accepted
impl ClerkConfig {
    /// Accepts only tokens whose `azp` is one of these origins.
    ///
    /// The origins are written as browsers write them: scheme and host in lower case, no default port, IPv6 addresses
    /// in their short form. Then the comparison is exact, byte by byte.
    ///
    /// Clerk recommends it: a token that was issued to one subdomain then cannot be used on another. A token without
    /// `azp` is rejected too, unless [`allow_missing_azp`](Self::allow_missing_azp) is set. Cookies as a token source
    /// require this setting.
    ///
    /// It replaces the origins of an earlier call.
    ///
    /// ```
    /// use tower_clerk::ClerkConfig;
    ///
    /// let config = ClerkConfig::from_frontend_api_url("https://clerk.example.com")?;
    /// assert!(config.clone().authorized_parties(["HTTPS://App.Example.com:443"]).is_ok());
    /// assert!(config.authorized_parties(["https://app.example.com/"]).is_err());
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `origins` is empty, or one is not an origin `scheme://host[:port]` that a browser
    /// can send: one with a path or a slash at its end, `null`, `*`, a name that is not ASCII or ends in a dot, or an
    /// abbreviated IPv4 address.
    pub fn authorized_parties<I>(self, origins: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let setting = "authorized_parties";
        let origins: Result<Vec<String>, _> = origins.into_iter().map(|origin| parse_origin(origin.as_ref())).collect();
        let origins = origins.map_err(|reason| ConfigError::invalid(setting, reason))?;
        Ok(Self { authorized_parties: not_empty(origins, setting)?, ..self })
    }

    /// Accepts only tokens whose `aud` is or contains one of these audiences (RFC 7519, section 4.1.3). The comparison
    /// is exact, byte by byte.
    ///
    /// Session tokens have no `aud` by default; add it in the instance's session token settings first. It replaces the
    /// audiences of an earlier call.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `audiences` is empty, or one of them is.
    pub fn audience<I>(self, audiences: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        Ok(Self { audience: texts(audiences, "audience")?, ..self })
    }

    /// Sets the tolerance for `exp`, `nbf` and `iat`: 0 to 300 seconds, 5 seconds by default.
    ///
    /// It allows for clocks of Clerk and this machine that differ (RFC 7519, section 4.1.4). A token is accepted for
    /// this long after its `exp`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `skew` is longer than 300 seconds.
    pub fn clock_skew(self, skew: Duration) -> Result<Self, ConfigError> {
        if skew > MAX_CLOCK_SKEW {
            return Err(ConfigError::invalid("clock_skew", "must be at most 300 seconds"));
        }
        Ok(Self { clock_skew: skew, ..self })
    }

    /// Sets the maximum length of tokens in bytes: 512 to 1 048 576 (1 MiB), 16 384 by default.
    ///
    /// A longer token is rejected as malformed (400) before it is decoded. A server may reject it earlier: hyper limits
    /// all headers of an HTTP/2 request to 16 KiB ([how to raise it][limit]).
    ///
    /// [limit]: crate::guide::recipes#tokens-that-are-too-long-for-http2
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `bytes` is out of that range.
    pub fn max_token_length(self, bytes: usize) -> Result<Self, ConfigError> {
        if !(MIN_TOKEN_LENGTH..=MAX_TOKEN_LENGTH).contains(&bytes) {
            return Err(ConfigError::invalid("max_token_length", "must be 512 bytes to 1 MiB"));
        }
        Ok(Self { max_token_length: bytes, ..self })
    }

    /// Rejects tokens whose lifetime, from `iat` to `exp`, is longer than this, and tokens without `iat`.
    ///
    /// Session tokens live for 60 seconds by default, but the Backend API and JWT templates can make tokens that live
    /// for years. Signing out does not revoke them. By default the lifetime is not checked.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `lifetime` is zero or longer than 10 years.
    pub fn max_token_lifetime(self, lifetime: Duration) -> Result<Self, ConfigError> {
        let lifetime = checked_lifetime(lifetime, "max_token_lifetime")?;
        Ok(Self { max_token_lifetime: Some(lifetime), ..self })
    }

    /// Accepts tokens without `azp` even if authorized parties are set. A cookie without `azp` is accepted for GET and
    /// HEAD only.
    ///
    /// Clerk omits `azp` from tokens that it issues to a top-level navigation, a native app or the Backend API.
    pub fn allow_missing_azp(self) -> Self {
        Self { allow_missing_azp: true, ..self }
    }

    /// Accepts tokens of pending sessions (`sts` is `pending`): the user has signed in, but has tasks left, such as to
    /// choose an organization. By default they are rejected, as Clerk's SDKs treat such users as signed out.
    pub fn allow_pending_sessions(self) -> Self {
        Self { allow_pending_sessions: true, ..self }
    }

    /// Accepts tokens made from a JWT template.
    ///
    /// Such a token has no session id and may outlive its session. It never meets a
    /// [`Requirement`](crate::Requirement) of a role, permission, feature, plan or reverification.
    pub fn allow_template_tokens(self) -> Self {
        Self { allow_template_tokens: true, ..self }
    }

    /// Lets a cookie authenticate requests although no authorized parties are set.
    ///
    /// # Danger
    ///
    /// A token that was issued to any origin of the instance is then accepted, including those of other subdomains. An
    /// unsafe request (any method but GET, HEAD and OPTIONS, or a WebSocket handshake), and any request with `Origin`,
    /// is accepted only with the header `Sec-Fetch-Site: same-origin`, which browsers set by themselves.
    pub fn danger_cookie_without_authorized_parties(self) -> Self {
        Self { danger_cookie_without_authorized_parties: true, ..self }
    }
}

pub(super) fn checked_lifetime(lifetime: Duration, setting: &'static str) -> Result<Duration, ConfigError> {
    if lifetime.is_zero() || lifetime > MAX_TOKEN_LIFETIME {
        return Err(ConfigError::invalid(setting, "must be more than zero and at most 10 years"));
    }
    Ok(lifetime)
}

/// A list of texts, of which none is empty.
pub(super) fn texts<I>(list: I, setting: &'static str) -> Result<Vec<String>, ConfigError>
where
    I: IntoIterator<Item: Into<String>>,
{
    let list: Vec<String> = list.into_iter().map(Into::into).collect();
    if list.iter().any(String::is_empty) {
        return Err(ConfigError::invalid(setting, "must not contain an empty string"));
    }
    not_empty(list, setting)
}

fn not_empty(list: Vec<String>, setting: &'static str) -> Result<Vec<String>, ConfigError> {
    if list.is_empty() { Err(ConfigError::invalid(setting, "must not be empty")) } else { Ok(list) }
}

/// Five times the lifetime of a session token. A clock that differs by more has to be set, not tolerated.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(300);
/// In bytes: the signature of a 2048-bit key alone takes 342, so no session token is shorter.
const MIN_TOKEN_LENGTH: usize = 512;
/// Ten years: the longest lifetime of a JWT template, so a longer limit would check nothing.
const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);
