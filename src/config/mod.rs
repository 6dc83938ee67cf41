//! Whom a verifier trusts and how strictly it checks.
//!
//! A [`ClerkConfig`] is plain data: making one does no I/O. Settings are parsed into types that cannot be
//! wrong as they come in, so a mistake is a [`ConfigError`] at start and never a refused request later.
//!
//! | setting | environment variable | default |
//! |---|---|---|
//! | [`from_frontend_api_url`](ClerkConfig::from_frontend_api_url) | `CLERK_FRONTEND_API_URL` | one of these |
//! | [`from_publishable_key`](ClerkConfig::from_publishable_key) | `CLERK_PUBLISHABLE_KEY` | four names |
//! | [`from_jwt_key`](ClerkConfig::from_jwt_key) | `CLERK_JWT_KEY` | the |
//! | [`from_secret_key`](ClerkConfig::from_secret_key) | `CLERK_SECRET_KEY` | instance |
//! | [`api_url`](ClerkConfig::api_url) | `CLERK_API_URL` | `https://api.clerk.com` |
//! | [`authorized_parties`](ClerkConfig::authorized_parties) | `CLERK_AUTHORIZED_PARTIES` (comma list) | not checked |
//! | [`jwks_refresh_interval`](ClerkConfig::jwks_refresh_interval) | `CLERK_JWKS_REFRESH_SECONDS` | 5 minutes |
//! | [`issuer`](ClerkConfig::issuer) | | the Frontend API URL |
//! | [`instance_name`](ClerkConfig::instance_name) | | the first issuer |
//! | [`from_jwks`](ClerkConfig::from_jwks) | | |
//! | [`audience`](ClerkConfig::audience) | | not checked |
//! | [`clock_skew`](ClerkConfig::clock_skew) | | 5 seconds |
//! | [`max_token_length`](ClerkConfig::max_token_length) | | 16 KiB |
//! | [`max_token_lifetime`](ClerkConfig::max_token_lifetime) | | not checked |
//! | [`jwks_stale_limit`](ClerkConfig::jwks_stale_limit) | | 24 hours |
//! | [`jwks_timeout`](ClerkConfig::jwks_timeout) | | 3 seconds |
//! | [`allow_missing_azp`](ClerkConfig::allow_missing_azp) | | refused |
//! | [`allow_pending_sessions`](ClerkConfig::allow_pending_sessions) | | refused |
//! | [`allow_template_tokens`](ClerkConfig::allow_template_tokens) | | refused |
//! | [`danger_cookie_without_authorized_parties`](ClerkConfig::danger_cookie_without_authorized_parties) | | an error |
//!
//! Where several settings could supply keys, the PEM wins over a document, that over the Frontend API, and
//! the Frontend API over the Backend API.

mod env;
mod error;
mod frontend_api;
mod gateway;
mod issuer_url;
mod strictness;

use std::{sync::Arc, time::Duration};

use self::frontend_api::HttpUrl;
pub use self::{
    error::{ConfigError, Setting},
    frontend_api::{FrontendApi, JwtKey, PublishableKey, SecretKey},
    gateway::{GatewayPolicy, GatewayPolicyOptions},
    issuer_url::IssuerUrl,
};

/// Configuration of one Clerk instance: where its keys are and which tokens of it count.
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
    api_url: Option<HttpUrl>,
    pub(crate) audience: Vec<String>,
    pub(crate) authorized_parties: Vec<String>,
    pub(crate) clock_skew: Duration,
    pub(crate) danger_cookie_without_authorized_parties: bool,
    frontend_api: Option<FrontendApi>,
    instance_name: Option<String>,
    issuers: Vec<String>,
    jwks: Option<Arc<str>>,
    pub(crate) jwks_refresh_interval: Duration,
    pub(crate) jwks_stale_limit: Duration,
    pub(crate) jwks_timeout: Duration,
    jwt_key: Option<JwtKey>,
    pub(crate) max_token_length: usize,
    pub(crate) max_token_lifetime: Option<Duration>,
    pub(crate) missing_azp_allowed: bool,
    pub(crate) pending_sessions_allowed: bool,
    pub(crate) publishable_key: Option<PublishableKey>,
    secret_key: Option<SecretKey>,
    pub(crate) template_tokens_allowed: bool,
}

/// Where the keys of an instance come from.
pub(crate) enum KeyLocation<'a> {
    Document(&'a Arc<str>),
    JwtKey(&'a JwtKey),
    Remote { url: String, secret_key: Option<&'a SecretKey> },
    Unknown,
}

/// # Naming the instance
impl ClerkConfig {
    /// Trusts the instance with this Frontend API URL and fetches its keys from there.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not one; see [`FrontendApi::parse`].
    pub fn from_frontend_api_url(url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().frontend_api_url(url)
    }

    /// Trusts the instance that this publishable key names and fetches its keys from its Frontend API.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` is not one; see [`PublishableKey::parse`].
    pub fn from_publishable_key(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().publishable_key(key)
    }

    /// Trusts tokens signed by this public key, without any request ever.
    ///
    /// A key alone does not say who the issuer is, so any `iss` passes until
    /// [`issuer`](Self::issuer), a Frontend API URL or a publishable key names it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `pem` is not a public key; see [`JwtKey::parse`].
    pub fn from_jwt_key(pem: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().jwt_key(pem)
    }

    /// Trusts the instance of this secret key and fetches its keys from Clerk's Backend API.
    ///
    /// Prefer [`from_frontend_api_url`](Self::from_frontend_api_url), which needs no secret and knows the
    /// issuer.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `key` is not one; see [`SecretKey::parse`].
    pub fn from_secret_key(key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::empty().secret_key(key)
    }

    /// Trusts the keys of this JWKS document (RFC 7517, section 5), without any request ever.
    ///
    /// Tokens of any issuer that these keys signed pass until [`issuer`](Self::issuer) names one.
    ///
    /// # Errors
    ///
    /// None here; a document without a usable key is refused when the verifier is made.
    pub fn from_jwks(document: impl Into<String>) -> Result<Self, ConfigError> {
        Ok(Self { jwks: Some(Arc::from(document.into())), ..Self::empty() })
    }

    /// Reads the environment variables of the [table above](self).
    ///
    /// A variable that is set to nothing counts as not set, except `CLERK_AUTHORIZED_PARTIES`: an empty
    /// list must not read as "any party".
    ///
    /// # Errors
    ///
    /// [`ConfigError::Missing`] if no variable names an instance, [`ConfigError::Invalid`] and
    /// [`ConfigError::Conflict`] as for the settings; each names the variable.
    pub fn from_env() -> Result<Self, ConfigError> {
        env::read(env::variable)
    }

    /// Adds the Frontend API URL; see [`from_frontend_api_url`](Self::from_frontend_api_url).
    ///
    /// # Errors
    ///
    /// As there, and [`ConfigError::Conflict`] if the publishable key names another host.
    pub fn frontend_api_url(self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self { frontend_api: Some(FrontendApi::parse(url.as_ref())?), ..self }.agreeing()
    }

    /// Adds the publishable key; see [`from_publishable_key`](Self::from_publishable_key).
    ///
    /// # Errors
    ///
    /// As there, and [`ConfigError::Conflict`] if the Frontend API URL names another host.
    pub fn publishable_key(self, key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self { publishable_key: Some(PublishableKey::parse(key.as_ref().trim())?), ..self }.agreeing()
    }

    /// Adds the public key; see [`from_jwt_key`](Self::from_jwt_key).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn jwt_key(self, pem: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self { jwt_key: Some(JwtKey::parse(pem.as_ref())?), ..self })
    }

    /// Adds the secret key; see [`from_secret_key`](Self::from_secret_key).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn secret_key(self, key: impl AsRef<str>) -> Result<Self, ConfigError> {
        Ok(Self { secret_key: Some(SecretKey::parse(key.as_ref().trim())?), ..self })
    }

    /// Base URL of the Backend API, used only with a secret key.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not an `https` URL (or `http` on loopback).
    pub fn api_url(self, url: impl AsRef<str>) -> Result<Self, ConfigError> {
        let api_url = HttpUrl::parse(url.as_ref()).map_err(|reason| ConfigError::invalid("api_url", reason))?;
        Ok(Self { api_url: Some(api_url), ..self })
    }

    /// Accepts tokens of this issuer (`iss`) too; one trailing slash is dropped.
    ///
    /// The Frontend API URL is an issuer already. This is for a PEM or a secret key alone, and for an
    /// instance behind a proxy whose tokens name its own host.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `issuer` is empty or has white space in it.
    pub fn issuer(mut self, issuer: impl AsRef<str>) -> Result<Self, ConfigError> {
        let issuer = issuer.as_ref();
        let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
        if issuer.is_empty() || !issuer.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::invalid("issuer", "must be a URL"));
        }
        self.issuers.push(issuer.to_owned());
        Ok(self)
    }

    /// What [`ClerkAuth::instance`](crate::ClerkAuth::instance) calls this instance; its first issuer by default.
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

/// # Reading it back
impl ClerkConfig {
    /// The issuers whose tokens are accepted; none means that any is, since only a key is configured.
    #[must_use]
    pub fn issuers(&self) -> Vec<&str> {
        self.known_frontend_api()
            .map(FrontendApi::as_str)
            .into_iter()
            .chain(self.issuers.iter().map(String::as_str))
            .collect()
    }

    /// What the instance is called: its name, or its first issuer.
    pub(crate) fn name(&self) -> &str {
        let frontend_api = || self.known_frontend_api().map(FrontendApi::as_str);
        let issuer = || frontend_api().or_else(|| self.issuers.first().map(String::as_str));
        self.instance_name.as_deref().or_else(issuer).unwrap_or("clerk")
    }

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

    fn known_frontend_api(&self) -> Option<&FrontendApi> {
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

    fn empty() -> Self {
        Self {
            api_url: None,
            audience: Vec::new(),
            authorized_parties: Vec::new(),
            clock_skew: Duration::from_secs(5),
            danger_cookie_without_authorized_parties: false,
            frontend_api: None,
            instance_name: None,
            issuers: Vec::new(),
            jwks: None,
            jwks_refresh_interval: Duration::from_secs(300),
            jwks_stale_limit: DAY,
            jwks_timeout: Duration::from_secs(3),
            jwt_key: None,
            max_token_length: 16 * 1024,
            max_token_lifetime: None,
            missing_azp_allowed: false,
            pending_sessions_allowed: false,
            publishable_key: None,
            secret_key: None,
            template_tokens_allowed: false,
        }
    }
}

const API_URL: &str = "https://api.clerk.com";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
