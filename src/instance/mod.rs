//! The Clerk instances that a verifier trusts: the configured ones, and those that a resolver returns.
//!
//! An [`Instance`] is configuration. A [`TrustedInstance`] is an instance in use, with its keys. The
//! [`InstanceRegistry`] selects one by the issuer that a token claims.

mod registry;
mod resolver;
mod resolver_cache;
mod resolver_limits;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

pub(crate) use self::{
    registry::InstanceRegistry,
    resolver_cache::{InstanceCheck, MAX_RESOLVED, ResolveFailure, ResolveWait, ResolverCache, ResolverRules},
};
pub use self::{
    resolver::{InstanceResolver, ResolveError},
    resolver_limits::ResolverLimits,
};
#[cfg(feature = "reqwest")]
use crate::{
    backend_api::HttpBackendApi,
    jwks::{HttpClients, HttpKeySource},
};
use crate::{
    backend_api::{BackendApi, OpaqueInstance},
    config::{ClerkConfig, ConfigError, InstanceInfo, KeyLocation, SecretKey},
    instruments::KeyInstruments,
    jwks::{InstanceKeys, KeyResources, KeySource, KeyStore, RefreshPolicy},
    token_kind::TokenKind,
};

/// A Clerk instance to trust: its configuration, and optionally a key source or a Backend API of your own.
///
/// Wherever an instance is expected, a [`ClerkConfig`] will do. `Debug` shows the configuration alone, without its
/// keys.
///
/// ```
/// use tower_clerk::{ClerkConfig, Verifier, verify::Instance};
///
/// let production = ClerkConfig::from_frontend_api_url("https://clerk.example.com")?.instance_name("production")?;
/// let staging = ClerkConfig::from_frontend_api_url("https://staging.clerk.accounts.dev")?;
/// # #[cfg(feature = "reqwest")]
/// let verifier = Verifier::from_instances([Instance::new(production), Instance::new(staging)])?;
/// # #[cfg(feature = "reqwest")]
/// assert_eq!(verifier.keys_status_by_instance().len(), 2);
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Instance {
    pub(crate) config: ClerkConfig,
    key_source: Option<Arc<dyn KeySource>>,
    backend_api: Option<Arc<dyn BackendApi>>,
}

impl Instance {
    /// Makes an instance from its configuration.
    pub fn new(config: ClerkConfig) -> Self {
        Self { config, key_source: None, backend_api: None }
    }

    /// Sets where its keys come from. They replace the keys that the configuration names.
    ///
    /// The issuer and the other settings stay those of the configuration. See [`KeySource`] for an example.
    pub fn key_source(self, source: impl KeySource + 'static) -> Self {
        Self { key_source: Some(Arc::new(source)), ..self }
    }

    /// Sets what sends requests about opaque tokens to the Backend API, in place of the client of the feature
    /// `reqwest`.
    ///
    /// Its requests have an `Authorization` only if the configuration has a key for them. An instance that a resolver
    /// returns is never asked about opaque tokens. See [`BackendApi`] for the rules.
    pub fn backend_api(self, api: impl BackendApi + 'static) -> Self {
        Self { backend_api: Some(Arc::new(api)), ..self }
    }

    /// The setting whose keys are used although a Frontend API is configured too; `None` if there is no such setting.
    fn keys_in_place_of_url(&self) -> Option<&'static str> {
        let is_used = self.key_source.is_none() && self.config.known_frontend_api().is_some();
        match self.config.key_location() {
            KeyLocation::Document(_) if is_used => Some("jwks"),
            KeyLocation::JwtKey(_) if is_used => Some("jwt_key"),
            _ => None,
        }
    }

    /// Whether keys that were fetched for one are valid for the other.
    ///
    /// Key sources are opaque, so they are compared by address: two clones of one instance share a source.
    fn is_same(&self, other: &Self) -> bool {
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

/// An instance in use: its configuration and its keys.
pub(crate) struct TrustedInstance {
    pub(crate) config: ClerkConfig,
    /// The part of the configuration that claims keep, in an [`Arc`] that all claims of the instance share.
    pub(crate) info: Arc<InstanceInfo>,
    pub(crate) keys: InstanceKeys,
    /// Whether its name is a label of metrics.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "it is for the gauges alone"))]
    is_named: bool,
    has_verified: AtomicBool,
}

/// The resources that all instances of a verifier share, including those that a resolver returns later.
pub(crate) struct InstanceResources {
    pub(crate) keys: Arc<KeyResources>,
    #[cfg(feature = "reqwest")]
    pub(crate) http_clients: HttpClients,
    /// The number of key stores so far. Each store gets the next number as its key in the cache, and no number is used
    /// twice: a store can never read the keys of a store that was dropped.
    pub(crate) stores: AtomicU64,
}

impl TrustedInstance {
    /// Makes an instance ready for use. It fetches nothing. `is_named` is whether its name is a label of metrics, as
    /// that of one of several configured instances: names that a resolver returns would make too many series.
    pub(crate) fn new(instance: Instance, resources: &InstanceResources, is_named: bool) -> Result<Self, ConfigError> {
        let Instance { config, key_source, backend_api: _ } = instance;
        let instruments = KeyInstruments::of(is_named.then_some(config.name()));
        let keys = match key_source {
            Some(source) => resources.key_store(&config, source, instruments),
            None => resources.configured_keys(&config, instruments)?,
        };
        Ok(Self { info: Arc::new(config.info()), config, keys, is_named, has_verified: AtomicBool::new(false) })
    }

    /// Its name in metrics, if it has one there.
    #[cfg(feature = "metrics")]
    pub(crate) fn metrics_name(&self) -> Option<&str> {
        self.is_named.then_some(self.config.name())
    }

    /// Whether one of its keys has verified a token.
    pub(crate) fn has_verified(&self) -> bool {
        self.has_verified.load(Ordering::Relaxed)
    }

    /// Notes that one of its keys has verified a token.
    pub(crate) fn note_verified(&self) {
        // A store at each token would take the cache line from the other cores.
        if !self.has_verified() {
            self.has_verified.store(true, Ordering::Relaxed);
        }
    }
}

impl InstanceResources {
    fn configured_keys(&self, config: &ClerkConfig, instruments: KeyInstruments) -> Result<InstanceKeys, ConfigError> {
        match config.key_location() {
            KeyLocation::JwtKey(key) => Ok(InstanceKeys::One(Arc::clone(key.key()))),
            KeyLocation::Document(document) => Ok(InstanceKeys::Set(Arc::clone(document.keys()))),
            KeyLocation::Remote { url, secret_key } => {
                let source = self.remote_source(&url, secret_key)?;
                Ok(self.key_store(config, source, instruments))
            }
            KeyLocation::Unknown => {
                Err(ConfigError::missing("frontend_api_url", "no setting names the Clerk instance to trust"))
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

    /// The instance as one whose opaque tokens the Backend API is asked about; `None` if it accepts none of them.
    fn opaque_instance(&self, instance: &Instance, is_named: bool) -> Result<Option<OpaqueInstance>, ConfigError> {
        let config = &instance.config;
        let has_key = |kind| config.opaque_token_key(kind).is_some();
        let mut opaque = config.accepted.iter().filter(|kind| *kind != TokenKind::Session);
        let api = match &instance.backend_api {
            Some(api) if opaque.next().is_some() => Arc::clone(api),
            None if config.accepted.contains(TokenKind::ApiKey) && !has_key(TokenKind::ApiKey) => {
                return Err(ConfigError::missing(
                    "secret_key",
                    "required to accept API keys, which Clerk verifies; set it, or CLERK_SECRET_KEY in the environment",
                ));
            }
            // Without an HTTP client, kinds with a JWT form are accepted in that form alone, as without a key.
            None if !cfg!(feature = "reqwest") && !config.accepted.contains(TokenKind::ApiKey) => return Ok(None),
            None if opaque.any(has_key) => self.remote_backend_api(config)?,
            _ => return Ok(None),
        };
        let has_own_api = instance.backend_api.is_some();
        Ok(Some(OpaqueInstance { config: config.clone(), info: Arc::new(config.info()), api, has_own_api, is_named }))
    }

    #[cfg(feature = "reqwest")]
    fn remote_backend_api(&self, config: &ClerkConfig) -> Result<Arc<dyn BackendApi>, ConfigError> {
        Ok(Arc::new(HttpBackendApi::new(config.backend_api_url(), &self.http_clients)?))
    }

    #[cfg(not(feature = "reqwest"))]
    fn remote_backend_api(&self, _: &ClerkConfig) -> Result<Arc<dyn BackendApi>, ConfigError> {
        Err(ConfigError::missing("backend_api", "asking Clerk about opaque tokens needs the feature `reqwest`"))
    }

    fn key_store(&self, config: &ClerkConfig, source: Arc<dyn KeySource>, instruments: KeyInstruments) -> InstanceKeys {
        let number = self.stores.fetch_add(1, Ordering::Relaxed);
        let policy = RefreshPolicy {
            interval: config.jwks_refresh_interval,
            stale_limit: config.jwks_stale_limit,
            timeout: config.jwks_timeout,
        };
        InstanceKeys::Fetched(KeyStore::new(Arc::clone(&self.keys), number, source, policy, instruments))
    }
}
