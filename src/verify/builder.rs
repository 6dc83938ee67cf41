use std::sync::Arc;

use super::{Inner, Verifier, checks::Checks, keys::Keys};
use crate::{
    clock::{Clock, SystemClock},
    config::{ClerkConfig, ConfigError, KeyLocation, SecretKey},
    jwks::{KeySet, KeySource, KeyStore, RefreshPolicy, SourceId},
    jwt::{VerifyingKey, sha256},
    telemetry,
};

/// Makes a [`Verifier`] with parts of your own.
#[must_use]
pub struct VerifierBuilder {
    clock: Arc<dyn Clock>,
    config: ClerkConfig,
    #[cfg(feature = "reqwest")]
    http_client: Option<reqwest::Client>,
    key_source: Option<Arc<dyn KeySource>>,
}

impl VerifierBuilder {
    pub(super) fn new(config: ClerkConfig) -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            config,
            #[cfg(feature = "reqwest")]
            http_client: None,
            key_source: None,
        }
    }

    /// Tells the time by `clock`.
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Fetches keys with `client`.
    ///
    /// An answer that it was redirected to, or that comes with a `Content-Encoding`, does not count; size
    /// and deadline are capped as always.
    #[cfg(feature = "reqwest")]
    pub fn http_client(self, client: reqwest::Client) -> Self {
        Self { http_client: Some(client), ..self }
    }

    /// Takes keys from `source`, whatever the configuration says about them.
    pub fn key_source(self, source: impl KeySource + 'static) -> Self {
        Self { key_source: Some(Arc::new(source)), ..self }
    }

    /// Makes the verifier.
    ///
    /// # Errors
    ///
    /// As [`Verifier::new`].
    pub fn build(mut self) -> Result<Verifier, ConfigError> {
        let checks = Checks::new(&self.config);
        let keys = match self.key_source.take() {
            Some(source) => self.store(source, None, String::new()),
            None => self.configured_keys()?,
        };
        let instance: Arc<str> = Arc::from(self.config.name());
        if !checks.compares_issuers() {
            telemetry::any_issuer(&instance);
        }
        Ok(Verifier { inner: Arc::new(Inner { checks, clock: self.clock, config: self.config, instance, keys }) })
    }

    fn configured_keys(&self) -> Result<Keys, ConfigError> {
        match self.config.key_location() {
            KeyLocation::JwtKey(key) => VerifyingKey::from_der(key.der())
                .map(Keys::Pem)
                .map_err(|unusable| ConfigError::invalid(key.setting(), unusable.0)),
            KeyLocation::Document(document) => KeySet::parse(document.as_bytes())
                .map(Keys::Set)
                .map_err(|_| ConfigError::invalid("jwks", "is not a JWKS with a usable key")),
            KeyLocation::Remote { url, secret_key } => {
                let source = self.remote_source(&url, secret_key)?;
                let credential = secret_key.map(|key| sha256(key.expose().as_bytes()));
                Ok(self.store(source, credential, url))
            }
            KeyLocation::Unknown => {
                Err(ConfigError::missing("frontend_api_url", "nothing names the instance to trust"))
            }
        }
    }

    #[cfg(feature = "reqwest")]
    fn remote_source(&self, url: &str, secret_key: Option<&SecretKey>) -> Result<Arc<dyn KeySource>, ConfigError> {
        let client = self.http_client.clone();
        let source = crate::jwks::HttpKeySource::new(url, secret_key, client, self.config.jwks_timeout)?;
        Ok(Arc::new(source))
    }

    #[cfg(not(feature = "reqwest"))]
    fn remote_source(&self, _: &str, _: Option<&SecretKey>) -> Result<Arc<dyn KeySource>, ConfigError> {
        Err(ConfigError::missing("key_source", "fetching keys needs the feature `reqwest`"))
    }

    fn store(&self, source: Arc<dyn KeySource>, credential: Option<[u8; 32]>, url: String) -> Keys {
        let id = SourceId { credential, source: Arc::as_ptr(&source).cast::<()>().addr(), url };
        let policy = RefreshPolicy {
            interval: self.config.jwks_refresh_interval,
            stale_limit: self.config.jwks_stale_limit,
            timeout: self.config.jwks_timeout,
        };
        Keys::Store(KeyStore::new(KeyStore::cache(policy), id, source, policy, Arc::clone(&self.clock)))
    }
}

impl std::fmt::Debug for VerifierBuilder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VerifierBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}
