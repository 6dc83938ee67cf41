use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    checks::{CheckedHeader, Checks},
    error::VerifyErrorKind,
    keys::{Candidates, Keys},
};
#[cfg(feature = "reqwest")]
use crate::jwks::{HttpClients, HttpKeySource};
use crate::{
    clock::Clock,
    config::{ClerkConfig, ConfigError, KeyLocation, SecretKey},
    json::Object,
    jwks::{KeyCache, KeySet, KeySource, KeyStore, RefreshPolicy, SourceId},
    jwt::{VerifyingKey, sha256},
    telemetry,
};

/// A Clerk instance to trust, with a source of its keys other than the configured one if need be.
#[derive(Clone)]
#[must_use]
pub struct Instance {
    pub(super) config: ClerkConfig,
    key_source: Option<Arc<dyn KeySource>>,
}

impl Instance {
    /// The instance that `config` says.
    pub fn new(config: ClerkConfig) -> Self {
        Self { config, key_source: None }
    }

    /// Takes its keys from `source`, whatever the configuration says about them.
    pub fn key_source(self, source: impl KeySource + 'static) -> Self {
        Self { key_source: Some(Arc::new(source)), ..self }
    }

    /// Whether keys that were fetched for one are as good for the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let source = |instance: &Self| instance.key_source.as_ref().map(|source| Arc::as_ptr(source).cast::<()>());
        self.config == other.config && source(self) == source(other)
    }
}

impl From<ClerkConfig> for Instance {
    fn from(config: ClerkConfig) -> Self {
        Self::new(config)
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Instance").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What the instances of a verifier have in common.
pub(super) struct Shared {
    pub(super) cache: KeyCache,
    pub(super) clock: Arc<dyn Clock>,
    #[cfg(feature = "reqwest")]
    pub(super) http_clients: HttpClients,
    pub(super) sources: AtomicU64,
}

/// A header that is good for an instance, and where the key is that it names.
pub(super) struct Screened<'a, 'h> {
    pub(super) candidates: Candidates<'a>,
    pub(super) header: CheckedHeader<'h>,
}

/// An instance with all that a token is held against.
pub(crate) struct Trusted {
    pub(super) checks: Checks,
    pub(super) config: Arc<ClerkConfig>,
    pub(super) keys: Keys,
}

impl Trusted {
    pub(super) fn new(instance: Instance, shared: &Shared) -> Result<Self, ConfigError> {
        let Instance { config, key_source } = instance;
        let checks = Checks::new(&config);
        let keys = match key_source {
            Some(source) => shared.store(&config, source, None, String::new()),
            None => shared.configured_keys(&config)?,
        };
        if !checks.compares_issuers() {
            telemetry::any_issuer(config.name());
        }
        Ok(Self { checks, config: Arc::new(config), keys })
    }

    /// Refuses what the header alone gives away.
    pub(super) fn screen<'h>(&self, header: &Object<'h>) -> Result<Screened<'_, 'h>, VerifyErrorKind> {
        let header = self.checks.header(header)?;
        Ok(Screened { candidates: self.keys.find(&header)?, header })
    }
}

impl Shared {
    fn configured_keys(&self, config: &ClerkConfig) -> Result<Keys, ConfigError> {
        match config.key_location() {
            KeyLocation::JwtKey(key) => VerifyingKey::from_der(key.der())
                .map(Keys::Pem)
                .map_err(|unusable| ConfigError::invalid(key.setting(), unusable.0)),
            KeyLocation::Document(document) => KeySet::parse(document.as_bytes())
                .map(Keys::Set)
                .map_err(|_| ConfigError::invalid("jwks", "is not a JWKS with a usable key")),
            KeyLocation::Remote { url, secret_key } => {
                let source = self.remote_source(&url, secret_key)?;
                let credential = secret_key.map(|key| sha256(key.expose().as_bytes()));
                Ok(self.store(config, source, credential, url))
            }
            KeyLocation::Unknown => {
                Err(ConfigError::missing("frontend_api_url", "nothing names the instance to trust"))
            }
        }
    }

    #[cfg(feature = "reqwest")]
    fn remote_source(&self, url: &str, secret_key: Option<&SecretKey>) -> Result<Arc<dyn KeySource>, ConfigError> {
        Ok(Arc::new(HttpKeySource::new(url, secret_key, &self.http_clients)?))
    }

    #[cfg(not(feature = "reqwest"))]
    fn remote_source(&self, _: &str, _: Option<&SecretKey>) -> Result<Arc<dyn KeySource>, ConfigError> {
        Err(ConfigError::missing("key_source", "fetching keys needs the feature `reqwest`"))
    }

    fn store(
        &self,
        config: &ClerkConfig,
        source: Arc<dyn KeySource>,
        credential: Option<[u8; 32]>,
        url: String,
    ) -> Keys {
        let id = SourceId { credential, number: self.sources.fetch_add(1, Ordering::Relaxed), url };
        let policy = RefreshPolicy {
            interval: config.jwks_refresh_interval,
            stale_limit: config.jwks_stale_limit,
            timeout: config.jwks_timeout,
        };
        Keys::Store(KeyStore::new(self.cache.clone(), id, source, policy, Arc::clone(&self.clock)))
    }
}
