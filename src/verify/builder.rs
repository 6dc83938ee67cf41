use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use super::{
    Inner, Verifier,
    cache::{Capacity, VerifiedTokens},
    directory::{Directory, MAX_RESOLVED},
    instance::{Instance, Shared},
    instances::Instances,
    resolver::InstanceResolver,
};
#[cfg(feature = "reqwest")]
use crate::jwks::HttpClients;
use crate::{
    clock::{Clock, SystemClock},
    config::ConfigError,
    jwks::{KeyCache, KeySource},
};

/// Makes a [`Verifier`] with parts of your own.
#[must_use]
pub struct VerifierBuilder {
    clock: Arc<dyn Clock>,
    has_stray_key_source: bool,
    #[cfg(feature = "reqwest")]
    http_client: Option<reqwest::Client>,
    instances: Vec<Instance>,
    local_issuers_are_allowed: bool,
    resolver: Option<Arc<dyn InstanceResolver>>,
    token_cache: Option<Capacity>,
}

impl VerifierBuilder {
    pub(super) fn new() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            has_stray_key_source: false,
            #[cfg(feature = "reqwest")]
            http_client: None,
            instances: Vec::new(),
            local_issuers_are_allowed: false,
            resolver: None,
            token_cache: Some(TOKEN_CACHE),
        }
    }

    /// Tells the time by `clock`.
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Fetches keys with `client`.
    ///
    /// An answer that it was redirected to, or that comes with a `Content-Encoding` which the client did not decode
    /// itself, does not count; size and deadline are capped as always.
    #[cfg(feature = "reqwest")]
    pub fn http_client(self, client: reqwest::Client) -> Self {
        Self { http_client: Some(client), ..self }
    }

    /// Takes the keys of the instance named last from `source`, whatever its configuration says about them.
    pub fn key_source(mut self, source: impl KeySource + 'static) -> Self {
        match self.instances.pop() {
            Some(last) => self.instances.push(last.key_source(source)),
            None => self.has_stray_key_source = true,
        }
        self
    }

    /// Trusts a further instance: staging beside production, say.
    ///
    /// A token's `iss` picks the instance; the token is then held against that one's keys, issuers, parties
    /// and audience alone, so each instance needs an issuer, and no two the same.
    pub fn instance(mut self, instance: impl Into<Instance>) -> Self {
        self.instances.push(instance.into());
        self
    }

    /// Asks `resolver` for instances that are not configured: tenants that come and go.
    pub fn resolver(self, resolver: impl InstanceResolver + 'static) -> Self {
        Self { resolver: Some(Arc::new(resolver)), ..self }
    }

    /// Asks the resolver for issuers with a port or an IP address too, and for `http` ones on loopback addresses:
    /// for tests and closed networks.
    pub fn allow_local_issuers(self) -> Self {
        Self { local_issuers_are_allowed: true, ..self }
    }

    /// Remembers up to so many verified tokens, in up to so many bytes: 10 000 in 32 MiB by default.
    ///
    /// A token that is remembered is held against the clock and the keys of the moment, but costs no second
    /// signature. What is remembered are claims by a digest of the token, not the token.
    pub fn token_cache(self, entries: usize, bytes: usize) -> Self {
        Self { token_cache: (entries > 0 && bytes > 0).then_some(Capacity { bytes, entries }), ..self }
    }

    /// Verifies every token from scratch.
    pub fn without_token_cache(self) -> Self {
        Self { token_cache: None, ..self }
    }

    /// Makes the verifier.
    ///
    /// # Errors
    ///
    /// As [`Verifier::new`]; with several instances also [`ConfigError::Missing`] if one has no issuer, and
    /// [`ConfigError::Conflict`] if two have the same.
    pub fn build(self) -> Result<Verifier, ConfigError> {
        let configs = || self.instances.iter().map(|instance| &instance.config);
        if self.has_stray_key_source {
            return Err(ConfigError::missing("instances", "a key source needs the instance that it belongs to"));
        }
        let max_token_length = configs().map(|config| config.max_token_length).max().unwrap_or_default();
        let stale_limit = configs().map(|config| config.jwks_stale_limit).max().unwrap_or_default();
        // What is resolved later may have any limits that a configuration may have.
        let (places, stale_limit, max_token_length) = match self.resolver {
            Some(_) => (self.instances.len() + MAX_RESOLVED, LONGEST_STALE_LIMIT, LONGEST_TOKEN),
            None => (self.instances.len(), stale_limit, max_token_length),
        };
        let shared = Arc::new(Shared {
            cache: KeyCache::new(places, stale_limit),
            clock: Arc::clone(&self.clock),
            #[cfg(feature = "reqwest")]
            http_clients: HttpClients::new(self.http_client),
            sources: AtomicU64::new(0),
        });
        let directory =
            self.resolver.map(|resolver| Directory::new(resolver, Arc::clone(&shared), self.local_issuers_are_allowed));
        let instances = Instances::new(self.instances, &shared, directory)?;
        let verified = self.token_cache.map(VerifiedTokens::new);
        Ok(Verifier { inner: Arc::new(Inner { clock: self.clock, instances, max_token_length, verified }) })
    }
}

impl std::fmt::Debug for VerifierBuilder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("VerifierBuilder").field("instances", &self.instances).finish_non_exhaustive()
    }
}

/// As long as any configuration may say, in bytes.
const LONGEST_TOKEN: usize = 1024 * 1024;
const LONGEST_STALE_LIMIT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const TOKEN_CACHE: Capacity = Capacity { bytes: 32 * 1024 * 1024, entries: 10_000 };
