//! Configuration: which Clerk instance a verifier trusts, and which of its tokens it accepts.
//!
//! A [`ClerkConfig`] is plain data, and making one does no I/O. Each setting is parsed when it is set, so a mistake is
//! a [`ConfigError`] at start and never a rejected request later. Clone it, change it, and make a
//! [`ClerkAuthLayer`](crate::ClerkAuthLayer) or a [`Verifier`](crate::Verifier) from it.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_clerk::{ClerkAuthLayer, testing::TestIssuer};
//!
//! // In production: `ClerkConfig::from_publishable_key("pk_live_…")?` or `ClerkConfig::from_env()?`.
//! let issuer = TestIssuer::new();
//! let config = issuer.config().authorized_parties(["https://app.example.com"])?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(ClerkAuthLayer::from_config(config)?)
//!     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
//!
//! for (party, status) in [("https://app.example.com", 200), ("https://evil.example.com", 401)] {
//!     let bearer = format!("Bearer {}", issuer.token("user_ada").authorized_party(party).sign());
//!     let request = Request::builder().header("authorization", bearer).body(String::new())?;
//!     assert_eq!(service.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Settings
//!
//! One of the first five is required: it names the instance.
//!
//! | setting | environment variable | default |
//! |---|---|---|
//! | [`from_frontend_api_url`](ClerkConfig::from_frontend_api_url) | `CLERK_FRONTEND_API_URL` | none |
//! | [`from_publishable_key`](ClerkConfig::from_publishable_key) | `CLERK_PUBLISHABLE_KEY` | none |
//! | [`from_jwt_key`](ClerkConfig::from_jwt_key) | `CLERK_JWT_KEY` | none |
//! | [`from_secret_key`](ClerkConfig::from_secret_key) | `CLERK_SECRET_KEY` | none |
//! | [`from_jwks`](ClerkConfig::from_jwks) | | none |
//! | [`api_url`](ClerkConfig::api_url) | `CLERK_API_URL` | `https://api.clerk.com` |
//! | [`authorized_parties`](ClerkConfig::authorized_parties) | `CLERK_AUTHORIZED_PARTIES` (comma list) | not checked |
//! | [`jwks_refresh_interval`](ClerkConfig::jwks_refresh_interval) | `CLERK_JWKS_REFRESH_SECONDS` | 5 minutes |
//! | [`add_issuer`](ClerkConfig::add_issuer) | | the Frontend API URL |
//! | [`instance_name`](ClerkConfig::instance_name) | | the first issuer |
//! | [`audience`](ClerkConfig::audience) | | not checked |
//! | [`clock_skew`](ClerkConfig::clock_skew) | | 5 seconds |
//! | [`max_token_length`](ClerkConfig::max_token_length) | | 16 KiB |
//! | [`max_token_lifetime`](ClerkConfig::max_token_lifetime) | | not checked |
//! | [`jwks_stale_limit`](ClerkConfig::jwks_stale_limit) | | 24 hours |
//! | [`jwks_timeout`](ClerkConfig::jwks_timeout) | | 3 seconds |
//! | [`allow_missing_azp`](ClerkConfig::allow_missing_azp) | | rejected |
//! | [`allow_pending_sessions`](ClerkConfig::allow_pending_sessions) | | rejected |
//! | [`allow_template_tokens`](ClerkConfig::allow_template_tokens) | | rejected |
//! | [`danger_cookie_without_authorized_parties`](ClerkConfig::danger_cookie_without_authorized_parties) | | an error |
//!
//! If several settings supply keys, the first of this list is used: the PEM key, the JWKS document, the Frontend API,
//! the Backend API. The order prefers keys that need no request, and requests that need no secret.

mod env;
mod error;
mod frontend_api;
mod issuer_url;
mod keys;
mod token_rules;
mod url;

use std::time::Duration;

use self::url::HttpUrl;
pub(crate) use self::{
    env::variable,
    keys::{JwksDocument, JwtKey, PublishableKey, SecretKey},
    url::Host,
};
pub use self::{
    error::{ConfigError, Setting},
    frontend_api::FrontendApi,
    issuer_url::IssuerUrl,
};

/// Configuration of one Clerk instance: where its keys are, and which of its tokens are accepted.
///
/// See the [module docs](crate::config) for all settings and their defaults. `Debug` omits keys.
///
/// ```
/// use std::time::Duration;
/// use tower_clerk::ClerkConfig;
///
/// let config = ClerkConfig::from_publishable_key("pk_test_Y2xlcmsuY2xlcmsuZGV2JA")?
///     .authorized_parties(["https://app.example.com"])?
///     .clock_skew(Duration::from_secs(10))?;
/// assert_eq!(config.issuers(), ["https://clerk.clerk.dev"]);
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct ClerkConfig {
    instance_name: Option<String>,
    frontend_api: Option<FrontendApi>,
    pub(crate) publishable_key: Option<PublishableKey>,
    jwt_key: Option<JwtKey>,
    jwks: Option<JwksDocument>,
    secret_key: Option<SecretKey>,
    api_url: Option<HttpUrl>,
    issuers: Vec<String>,
    pub(crate) authorized_parties: Vec<String>,
    pub(crate) audience: Vec<String>,
    pub(crate) clock_skew: Duration,
    pub(crate) max_token_length: usize,
    pub(crate) max_token_lifetime: Option<Duration>,
    pub(crate) allow_missing_azp: bool,
    pub(crate) allow_pending_sessions: bool,
    pub(crate) allow_template_tokens: bool,
    danger_cookie_without_authorized_parties: bool,
    pub(crate) jwks_refresh_interval: Duration,
    pub(crate) jwks_stale_limit: Duration,
    pub(crate) jwks_timeout: Duration,
}

/// The parts of the configuration that are needed after verification. [`Claims`](crate::Claims) hold it, so it contains
/// no secret.
#[derive(Debug)]
pub(crate) struct InstanceInfo {
    pub(crate) name: String,
    pub(crate) authorized_parties: Vec<String>,
    /// Whether a cookie may authenticate a request; see [`ClerkConfig::allows_cookies`].
    pub(crate) allow_cookies: bool,
}

/// Where the keys of an instance come from.
pub(crate) enum KeyLocation<'a> {
    Document(&'a JwksDocument),
    JwtKey(&'a JwtKey),
    Remote { url: String, secret_key: Option<&'a SecretKey> },
    Unknown,
}

/// # Naming the instance
impl ClerkConfig {
    /// Trusts the instance with this Frontend API URL, and fetches its keys from `<url>/.well-known/jwks.json`.
    ///
    /// This is the recommended setting: it needs no secret, and it names the issuer.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not such a URL; see [`FrontendApi`].
    pub fn from_frontend_api_url(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().frontend_api_url(url)
    }

    /// Trusts the instance that this publishable key names, and fetches its keys from its Frontend API.
    ///
    /// The key is public: its base64 part is the host of the Frontend API.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` is not `pk_test_` or `pk_live_`, followed by the base64 of a host name and `$`.
    pub fn from_publishable_key(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().publishable_key(key)
    }

    /// Trusts tokens signed with this public key, and never makes a request.
    ///
    /// The key is the "JWKS Public Key" of Clerk's dashboard. After Clerk rotates the instance's key, it must be
    /// replaced by hand.
    ///
    /// A key does not name an issuer. Any `iss` is accepted until [`add_issuer`](Self::add_issuer), a Frontend API URL or a
    /// publishable key names one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `pem` is not one RSA public key of 2048 to 8192 bits, in PEM (RFC 7468) or as the
    /// bare base64 of it.
    pub fn from_jwt_key(pem: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().jwt_key(pem)
    }

    /// Trusts the instance of this secret key, and fetches its keys from Clerk's Backend API (`<api_url>/v1/jwks`).
    ///
    /// Prefer [`from_frontend_api_url`](Self::from_frontend_api_url), which needs no secret and names the issuer. With
    /// a secret key alone, any `iss` is accepted until [`add_issuer`](Self::add_issuer) names one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` does not start with `sk_test_` or `sk_live_` (`test_` or `live_` in keys of old
    /// instances), or has characters other than visible ASCII after that.
    pub fn from_secret_key(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().secret_key(key)
    }

    /// Trusts the keys of this JWK Set (RFC 7517, section 5), and never makes a request.
    ///
    /// A JWK Set does not name an issuer. Any `iss` is accepted until [`add_issuer`](Self::add_issuer) names one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if it is not a JWK Set of at most 512 KiB with a usable RSA key.
    pub fn from_jwks(document: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().jwks(document)
    }

    /// Adds the Frontend API URL; see [`from_frontend_api_url`](Self::from_frontend_api_url).
    ///
    /// # Errors
    ///
    /// As [`from_frontend_api_url`](Self::from_frontend_api_url), and [`ConfigError::Conflict`] if the publishable key
    /// names another host.
    pub fn frontend_api_url(self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self { frontend_api: Some(FrontendApi::parse(url.as_ref())?), ..self }.agreeing()
    }

    /// Adds the publishable key; see [`from_publishable_key`](Self::from_publishable_key).
    ///
    /// # Errors
    ///
    /// As [`from_publishable_key`](Self::from_publishable_key), and [`ConfigError::Conflict`] if the Frontend API URL
    /// names another host.
    pub fn publishable_key(self, key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self { publishable_key: Some(PublishableKey::parse(key.as_ref().trim())?), ..self }.agreeing()
    }

    /// Adds the public key; see [`from_jwt_key`](Self::from_jwt_key).
    ///
    /// # Errors
    ///
    /// As [`from_jwt_key`](Self::from_jwt_key).
    pub fn jwt_key(self, pem: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self { jwt_key: Some(JwtKey::parse(pem.as_ref())?), ..self })
    }

    /// Adds the JWK Set; see [`from_jwks`](Self::from_jwks).
    ///
    /// # Errors
    ///
    /// As [`from_jwks`](Self::from_jwks).
    pub fn jwks(self, document: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self { jwks: Some(JwksDocument::parse(document.as_ref())?), ..self })
    }

    /// Adds the secret key; see [`from_secret_key`](Self::from_secret_key).
    ///
    /// # Errors
    ///
    /// As [`from_secret_key`](Self::from_secret_key).
    pub fn secret_key(self, key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self { secret_key: Some(SecretKey::parse(key.as_ref().trim())?), ..self })
    }

    /// Sets the base URL of the Backend API, `https://api.clerk.com` by default. It is used only with a secret key.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not an `https` URL (or `http` on loopback).
    pub fn api_url(self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let api_url = HttpUrl::parse(url.as_ref()).map_err(|reason| ConfigError::invalid("api_url", reason))?;
        Ok(Self { api_url: Some(api_url), ..self })
    }

    /// Also accepts tokens of this issuer (`iss`). One trailing slash is removed, then the comparison is exact.
    ///
    /// The Frontend API URL is an issuer already. Add one if only a PEM key, a JWK Set or a secret key is configured,
    /// or if a proxy makes the instance issue tokens under another URL.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `issuer` is empty or has characters other than visible ASCII.
    pub fn add_issuer(mut self, issuer: impl AsRef<str>) -> Result<Self, ConfigError> {
        let issuer = issuer.as_ref();
        let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
        if issuer.is_empty() || !issuer.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::invalid(
                "issuer",
                "must not be empty, and all its characters must be visible ASCII",
            ));
        }
        self.issuers.push(issuer.to_owned());
        Ok(self)
    }

    /// Sets the name that [`Claims::instance`](crate::Claims::instance) returns, the first issuer by default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `name` is empty.
    pub fn instance_name(self, name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        if name.is_empty() {
            return Err(ConfigError::invalid("instance_name", "must not be empty"));
        }
        Ok(Self { instance_name: Some(name), ..self })
    }
}

/// # Keys
impl ClerkConfig {
    /// Sets how long a fetched key set is used before it is refreshed: 1 second to 1 day, 5 minutes by default.
    ///
    /// The refresh runs in the background after 80 to 90 % of the interval, chosen at random so that the processes of a
    /// fleet spread their requests. No request waits for it. While Clerk is up, a revoked key is accepted for at most
    /// this long.
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

/// # Reading it back
impl ClerkConfig {
    /// Returns the issuers whose tokens are accepted, the Frontend API URL first.
    ///
    /// If it is empty, any issuer is accepted: no setting names one, and the keys alone decide.
    #[must_use]
    pub fn issuers(&self) -> Vec<&str> {
        self.known_frontend_api()
            .map(FrontendApi::as_str)
            .into_iter()
            .chain(self.issuers.iter().map(String::as_str))
            .collect()
    }

    /// Whether tokens of this issuer are accepted: one of [`issuers`](Self::issuers), or any if that is empty.
    ///
    /// It compares without collecting them, since it runs for each token.
    pub(crate) fn accepts_issuer(&self, issuer: &str) -> bool {
        let frontend_api = self.known_frontend_api().map(FrontendApi::as_str);
        match (frontend_api, self.issuers.as_slice()) {
            (None, []) => !issuer.is_empty(),
            (frontend_api, others) => frontend_api == Some(issuer) || others.iter().any(|other| other == issuer),
        }
    }

    /// Whether a cookie may authenticate a request. Without authorized parties, a cookie that a page of another
    /// subdomain obtained would be accepted too, so this takes an explicit `danger_` setting.
    pub(crate) fn allows_cookies(&self) -> bool {
        !self.authorized_parties.is_empty() || self.danger_cookie_without_authorized_parties
    }

    /// Copies what is needed after verification.
    pub(crate) fn info(&self) -> InstanceInfo {
        InstanceInfo {
            name: self.name().to_owned(),
            authorized_parties: self.authorized_parties.clone(),
            allow_cookies: self.allows_cookies(),
        }
    }

    /// The name of the instance: the configured one, or its first issuer.
    pub(crate) fn name(&self) -> &str {
        let frontend_api = || self.known_frontend_api().map(FrontendApi::as_str);
        let issuer = || frontend_api().or_else(|| self.issuers.first().map(String::as_str));
        self.instance_name.as_deref().or_else(issuer).unwrap_or("clerk")
    }

    /// Where the keys come from, by the precedence in the [module docs](self).
    pub(crate) fn key_location(&self) -> KeyLocation<'_> {
        if let Some(key) = &self.jwt_key {
            return KeyLocation::JwtKey(key);
        }
        if let Some(document) = &self.jwks {
            return KeyLocation::Document(document);
        }
        if let Some(api) = self.known_frontend_api() {
            return KeyLocation::Remote { url: api.jwks_url(), secret_key: None };
        }
        match &self.secret_key {
            Some(secret_key) => {
                let base = self.api_url.as_ref().map_or(API_URL, HttpUrl::as_str);
                KeyLocation::Remote { url: format!("{base}/v1/jwks"), secret_key: Some(secret_key) }
            }
            None => KeyLocation::Unknown,
        }
    }

    /// The Frontend API that a setting names, whether or not keys are fetched from there.
    pub(crate) fn known_frontend_api(&self) -> Option<&FrontendApi> {
        self.frontend_api.as_ref().or(self.publishable_key.as_ref().map(PublishableKey::frontend_api))
    }

    fn agreeing(self) -> Result<Self, ConfigError> {
        match (&self.frontend_api, &self.publishable_key) {
            (Some(api), Some(key)) if api.authority() != key.frontend_api().authority() => {
                Err(ConfigError::conflict("frontend_api_url", "publishable_key", "name different hosts"))
            }
            _ => Ok(self),
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            instance_name: None,
            frontend_api: None,
            publishable_key: None,
            jwt_key: None,
            jwks: None,
            secret_key: None,
            api_url: None,
            issuers: Vec::new(),
            authorized_parties: Vec::new(),
            audience: Vec::new(),
            clock_skew: CLOCK_SKEW,
            max_token_length: TOKEN_LENGTH,
            max_token_lifetime: None,
            allow_missing_azp: false,
            allow_pending_sessions: false,
            allow_template_tokens: false,
            danger_cookie_without_authorized_parties: false,
            jwks_refresh_interval: REFRESH_INTERVAL,
            jwks_stale_limit: STALE_LIMIT,
            jwks_timeout: FETCH_TIMEOUT,
        }
    }
}

impl From<FrontendApi> for ClerkConfig {
    /// Trusts the instance with this Frontend API.
    fn from(frontend_api: FrontendApi) -> Self {
        Self { frontend_api: Some(frontend_api), ..Self::empty() }
    }
}

/// The production Backend API of all instances.
const API_URL: &str = "https://api.clerk.com";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The default of Clerk's JavaScript and Python SDKs.
const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// In bytes: hyper's limit for all headers of an HTTP/2 request, and four times the size of a cookie in browsers.
const TOKEN_LENGTH: usize = 16 * 1024;
/// In bytes: more than servers accept in headers. It also bounds the offsets of decoded tokens.
pub(crate) const MAX_TOKEN_LENGTH: usize = 1024 * 1024;
/// How long a revoked key is accepted while Clerk is up. Clerk's SDKs cache keys for as long.
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// Long enough that an outage of a night signs no one out, and an operator sees it in time. Not longer, because a
/// revoked key is accepted for as long if the network is cut.
const STALE_LIMIT: Duration = DAY;
/// With a shorter limit, one failed refresh would discard keys that were good a refresh interval ago.
const MIN_STALE_LIMIT: Duration = REFRESH_INTERVAL;
/// Enough for a site that is offline for weeks. A limit for years would accept revoked keys for ever.
pub(crate) const MAX_STALE_LIMIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A user of the first request waits for as long as for a slow page. A fetch takes well below a second.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// A server in the same network responds in less. A shorter timeout is probably a mistaken unit.
const MIN_FETCH_TIMEOUT: Duration = Duration::from_millis(10);
/// Clients and proxies give up before that, and requests that wait occupy memory.
const MAX_FETCH_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_accepted_up_to_their_bounds_and_not_beyond() {
        type Set = fn(ClerkConfig, Duration) -> Result<ClerkConfig, ConfigError>;
        const NANO: Duration = Duration::from_nanos(1);
        let (secs, days) = (Duration::from_secs, |days: u64| Duration::from_secs(days * 24 * 60 * 60));
        let durations: [(Set, Duration, Duration); 5] = [
            (ClerkConfig::clock_skew, Duration::ZERO, secs(300)),
            (ClerkConfig::max_token_lifetime, NANO, days(3660)),
            (ClerkConfig::jwks_refresh_interval, secs(1), days(1)),
            (ClerkConfig::jwks_stale_limit, secs(300), days(30)),
            (ClerkConfig::jwks_timeout, Duration::from_millis(10), secs(60)),
        ];
        for (set, shortest, longest) in durations {
            let is_accepted = |value| set(ClerkConfig::empty(), value).is_ok();
            assert!(is_accepted(shortest) && is_accepted(longest) && !is_accepted(longest + NANO), "{longest:?}");
            assert!(shortest.is_zero() || !is_accepted(shortest - NANO), "{shortest:?}");
        }
        let is_accepted = |bytes| ClerkConfig::empty().max_token_length(bytes).is_ok();
        assert_eq!([511, 512, 1 << 20, (1 << 20) + 1].map(is_accepted), [false, true, true, false]);
    }
}
