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
//! One of the first seven is required: it names the instance. [Mistakes in settings](crate::guide::settings) lists what
//! people set by mistake, each with the error that it gets.
//!
//! | setting | environment variable | default |
//! |---|---|---|
//! | [`from_frontend_api_url`](ClerkConfig::from_frontend_api_url) | `CLERK_FRONTEND_API_URL` | none |
//! | [`from_publishable_key`](ClerkConfig::from_publishable_key) | `CLERK_PUBLISHABLE_KEY` | none |
//! | [`from_jwt_key`](ClerkConfig::from_jwt_key) | `CLERK_JWT_KEY` | none |
//! | [`from_secret_key`](ClerkConfig::from_secret_key) | `CLERK_SECRET_KEY` | none |
//! | [`from_jwks`](ClerkConfig::from_jwks) | | none |
//! | [`from_issuer_and_jwks_url`](ClerkConfig::from_issuer_and_jwks_url) | | none |
//! | [`proxy_url`](ClerkConfig::proxy_url) | `CLERK_PROXY_URL` | none |
//! | [`api_url`](ClerkConfig::api_url) | `CLERK_API_URL` | `https://api.clerk.com` |
//! | [`authorized_parties`](ClerkConfig::authorized_parties) | `CLERK_AUTHORIZED_PARTIES` (comma list) | not checked |
//! | [`clock_skew`](ClerkConfig::clock_skew) | `CLERK_CLOCK_SKEW_SECONDS` | 5 seconds |
//! | [`jwks_refresh_interval`](ClerkConfig::jwks_refresh_interval) | `CLERK_JWKS_REFRESH_SECONDS` | 5 minutes |
//! | [`add_issuer`](ClerkConfig::add_issuer) | | the Frontend API URL, and that of the proxy |
//! | [`instance_name`](ClerkConfig::instance_name) | | the first issuer |
//! | [`audience`](ClerkConfig::audience) | | not checked |
//! | [`max_token_length`](ClerkConfig::max_token_length) | | 16 KiB |
//! | [`max_token_lifetime`](ClerkConfig::max_token_lifetime) | | not checked |
//! | [`jwks_stale_limit`](ClerkConfig::jwks_stale_limit) | | 24 hours |
//! | [`jwks_timeout`](ClerkConfig::jwks_timeout) | | 3 seconds |
//! | [`allow_missing_azp`](ClerkConfig::allow_missing_azp) | | rejected |
//! | [`allow_pending_sessions`](ClerkConfig::allow_pending_sessions) | | rejected |
//! | [`allow_template_tokens`](ClerkConfig::allow_template_tokens) | | rejected |
//! | [`danger_cookie_without_authorized_parties`](ClerkConfig::danger_cookie_without_authorized_parties) | | an error |
//! | [`accept`](ClerkConfig::accept) | `CLERK_ACCEPTED_TOKENS` (comma list) | session tokens alone |
//! | [`oauth_audience`](ClerkConfig::oauth_audience) | `CLERK_OAUTH_AUDIENCE` (comma list) | not checked |
//! | [`m2m_audience`](ClerkConfig::m2m_audience) | | not checked |
//! | [`machine_id`](ClerkConfig::machine_id) | `CLERK_MACHINE_ID` | not checked |
//! | [`machine_secret_key`](ClerkConfig::machine_secret_key) | `CLERK_MACHINE_SECRET_KEY` | the secret key |
//! | [`opaque_token_ttl`](ClerkConfig::opaque_token_ttl) | `CLERK_OPAQUE_TOKEN_TTL_SECONDS` | 60 seconds |
//! | [`opaque_token_stale`](ClerkConfig::opaque_token_stale) | `CLERK_OPAQUE_TOKEN_STALE_SECONDS` | 5 minutes |
//! | [`max_oauth_token_lifetime`](ClerkConfig::max_oauth_token_lifetime) | | not checked |
//! | [`max_m2m_token_lifetime`](ClerkConfig::max_m2m_token_lifetime) | | not checked |
//!
//! If several settings supply keys, the first of this list is used: the PEM key, the JWKS document, the JWKS URL, the
//! Frontend API (through its proxy, if there is one), the Backend API. The order prefers keys that need no request, and
//! requests that need no secret.
//!
//! The settings from `accept` on concern tokens that are no sessions; `authorized_parties`, `audience` and
//! `max_token_lifetime` concern session tokens alone. See [machines](crate::guide::machines).
//!
//! White space and byte order marks around a value are ignored. Quotes around it are an error: the shell removes them,
//! but Docker's `--env-file` and Kubernetes do not.

mod env;
mod error;
mod errors;
mod frontend_api;
mod issuer_url;
mod jwks_url;
mod key_refresh;
mod keys;
mod machine_rules;
mod naming;
mod origin;
mod pasted;
mod public_keys;
mod resource_url;
mod token_rules;
mod url;

use std::time::Duration;

use self::url::HttpUrl;
pub(crate) use self::{
    env::variable,
    errors::both,
    issuer_url::ExactIssuer,
    jwks_url::JwksUrl,
    key_refresh::MAX_STALE_LIMIT,
    keys::{MachineSecretKey, PublishableKey, SecretKey},
    public_keys::{JwksDocument, JwtKey},
    resource_url::{ResourceUrl, page_url},
    url::Host,
};
pub use self::{
    error::{ConfigError, Setting},
    errors::ConfigErrors,
    frontend_api::FrontendApi,
    issuer_url::IssuerUrl,
};
use crate::token_kind::TokenKinds;

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
    proxy: Option<FrontendApi>,
    pub(crate) publishable_key: Option<PublishableKey>,
    jwt_key: Option<JwtKey>,
    jwks: Option<JwksDocument>,
    jwks_url: Option<JwksUrl>,
    secret_key: Option<SecretKey>,
    api_url: Option<HttpUrl>,
    issuers: Vec<String>,
    pub(crate) authorized_parties: Vec<String>,
    pub(crate) audience: Vec<String>,
    pub(crate) accepted: TokenKinds,
    pub(crate) oauth_audience: Vec<String>,
    pub(crate) m2m_audience: Vec<String>,
    pub(crate) machine_id: Option<String>,
    machine_secret_key: Option<MachineSecretKey>,
    pub(crate) opaque_token_ttl: Duration,
    pub(crate) opaque_token_stale: Duration,
    pub(crate) clock_skew: Duration,
    pub(crate) max_token_length: usize,
    pub(crate) max_token_lifetime: Option<Duration>,
    max_oauth_token_lifetime: Option<Duration>,
    max_m2m_token_lifetime: Option<Duration>,
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

/// # Reading it back
impl ClerkConfig {
    /// Returns the issuers whose tokens are accepted, the Frontend API URL first, or before it that of its proxy.
    ///
    /// If it is empty, any issuer is accepted: no setting names one, and the keys alone decide.
    #[must_use]
    pub fn issuers(&self) -> Vec<&str> {
        self.frontend_apis().map(FrontendApi::as_str).chain(self.issuers.iter().map(String::as_str)).collect()
    }

    /// Whether tokens of this issuer are accepted: one of [`issuers`](Self::issuers), or any if that is empty.
    ///
    /// It compares without collecting them, since it runs for each token.
    pub(crate) fn accepts_issuer(&self, issuer: &str) -> bool {
        if self.known_frontend_api().is_none() && self.issuers.is_empty() {
            return !issuer.is_empty();
        }
        self.frontend_apis().any(|api| api.as_str() == issuer) || self.issuers.iter().any(|other| other == issuer)
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

    /// The URL that [`from_issuer_and_jwks_url`](Self::from_issuer_and_jwks_url) set.
    pub(crate) fn jwks_url(&self) -> Option<&str> {
        self.jwks_url.as_ref().map(JwksUrl::as_str)
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
        if let Some(url) = &self.jwks_url {
            return KeyLocation::Remote { url: url.as_str().to_owned(), secret_key: None };
        }
        if let Some(api) = self.known_frontend_api() {
            return KeyLocation::Remote { url: api.jwks_url(), secret_key: None };
        }
        match &self.secret_key {
            Some(secret_key) => {
                let base = self.backend_api_url();
                KeyLocation::Remote { url: format!("{base}/v1/jwks"), secret_key: Some(secret_key) }
            }
            None => KeyLocation::Unknown,
        }
    }

    /// The URL of the Backend API, without a slash or a version at its end.
    pub(crate) fn backend_api_url(&self) -> &str {
        self.api_url.as_ref().map_or(API_URL, HttpUrl::as_str)
    }

    /// Where keys are fetched without a secret, if no setting supplies them: the proxy of the Frontend API, or itself.
    pub(crate) fn known_frontend_api(&self) -> Option<&FrontendApi> {
        self.frontend_apis().next()
    }

    /// The URLs under which the instance may issue tokens: that of the proxy, and that of the Frontend API behind it.
    fn frontend_apis(&self) -> impl Iterator<Item = &FrontendApi> {
        let proxy = self.proxy.as_ref();
        let (of_url, of_key) =
            (self.frontend_api.as_ref(), self.publishable_key.as_ref().map(PublishableKey::frontend_api));
        // Beside a proxy, a Frontend API URL has the same host, so only the key names the host behind it.
        let own = if proxy.is_some() { of_key.or(of_url) } else { of_url.or(of_key) };
        proxy.into_iter().chain(own.filter(|own| proxy != Some(own)))
    }

    pub(crate) fn empty() -> Self {
        Self {
            instance_name: None,
            frontend_api: None,
            proxy: None,
            publishable_key: None,
            jwt_key: None,
            jwks: None,
            jwks_url: None,
            secret_key: None,
            api_url: None,
            issuers: Vec::new(),
            authorized_parties: Vec::new(),
            audience: Vec::new(),
            accepted: TokenKinds::SESSIONS,
            oauth_audience: Vec::new(),
            m2m_audience: Vec::new(),
            machine_id: None,
            machine_secret_key: None,
            opaque_token_ttl: OPAQUE_TOKEN_TTL,
            opaque_token_stale: OPAQUE_TOKEN_STALE,
            clock_skew: CLOCK_SKEW,
            max_token_length: TOKEN_LENGTH,
            max_token_lifetime: None,
            max_oauth_token_lifetime: None,
            max_m2m_token_lifetime: None,
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
const STALE_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);
/// A user of the first request waits for as long as for a slow page. A fetch takes well below a second.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// The life of a session token, which is as long as Clerk's own sign-out takes.
const OPAQUE_TOKEN_TTL: Duration = Duration::from_secs(60);
/// Longer than a deployment or a short outage of the Backend API, and short for a revoked key.
const OPAQUE_TOKEN_STALE: Duration = Duration::from_secs(5 * 60);

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
