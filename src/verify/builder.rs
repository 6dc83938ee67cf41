use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use super::{
    Clock, Instance, InstanceResolver, ResolverLimits, SystemClock,
    cache::{TokenCache, TokenCacheLimits},
    diagnostics::Diagnostics,
    verifier::{Inner, Verifier},
    waiting::WaitingBytes,
};
#[cfg(feature = "reqwest")]
use crate::jwks::HttpClients;
use crate::{
    backend_api::{OpaqueTokenLimits, OpaqueTokens},
    config::{ClerkConfig, ConfigError, MAX_STALE_LIMIT},
    instance::{InstanceRegistry, InstanceResources, MAX_RESOLVED, ResolverCache, ResolverRules},
    instruments::Instruments,
    jwks::{FetchLimits, KeyCache, KeyResources},
    token_kind::{TokenKind, TokenKinds},
};

/// Builder of a [`Verifier`] with several instances, a resolver, or a clock, key source or HTTP client of your own.
///
/// With one instance and no resolver, that instance verifies every token. Otherwise the `iss` claim of a token selects
/// the instance: a configured one with this issuer, else the one that the [resolver](Self::resolver) returns. A token
/// of an issuer that neither knows is rejected as [`InvalidIssuer`](super::VerifyErrorKind::InvalidIssuer).
///
/// ```
/// use tower_clerk::{ClerkConfig, testing::ManualClock, verify::VerifierBuilder};
///
/// # #[cfg(feature = "reqwest")] {
/// let verifier = VerifierBuilder::new()
///     .instance(ClerkConfig::from_frontend_api_url("https://clerk.example.com")?)
///     .clock(ManualClock::new())
///     .token_cache_entries(100_000)
///     .build()?;
/// assert_eq!(verifier.token_cache_status().entries, 0);
/// # }
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[must_use]
pub struct VerifierBuilder {
    instances: Vec<Instance>,
    resolver: Option<Arc<dyn InstanceResolver>>,
    resolver_limits: ResolverLimits,
    resolved_token_length: usize,
    resolved_kinds: TokenKinds,
    allow_local_issuers: bool,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "reqwest")]
    http_client: Option<reqwest::Client>,
    token_cache: Option<TokenCacheLimits>,
    opaque_token_limits: OpaqueTokenLimits,
}

/// # Making a verifier
impl Verifier {
    /// Makes a verifier that trusts one instance.
    ///
    /// It does no I/O: keys are fetched when a token first needs them. Call [`warm_up`](Self::warm_up) to fetch them at
    /// start.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Missing`] if the configuration names no instance, or would fetch keys and the feature `reqwest`
    ///   is off.
    /// - [`ConfigError::Invalid`] if the HTTP client does not accept the URL of the keys.
    /// - [`ConfigError::HttpClient`] if no HTTP client can be made.
    pub fn new(config: ClerkConfig) -> Result<Self, ConfigError> {
        Self::builder(config).build()
    }

    /// Makes a verifier that trusts all of these instances.
    ///
    /// The `iss` claim of a token selects the instance. Only the keys of that instance can verify the token, and only
    /// its settings apply. Each instance therefore needs an issuer, and no two may have the same. See [`Instance`] for
    /// an example.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`VerifierBuilder::build`].
    pub fn from_instances<I>(instances: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<Instance>>,
    {
        instances.into_iter().fold(VerifierBuilder::new(), VerifierBuilder::instance).build()
    }

    /// Starts a builder with this instance, for further instances or a clock, resolver or HTTP client of your own.
    pub fn builder(instance: impl Into<Instance>) -> VerifierBuilder {
        VerifierBuilder::new().instance(instance)
    }
}

impl VerifierBuilder {
    /// Makes a builder without an instance. [`build`](Self::build) requires an instance or a resolver.
    pub fn new() -> Self {
        Self {
            instances: Vec::new(),
            resolver: None,
            resolver_limits: ResolverLimits::new(),
            resolved_token_length: ClerkConfig::empty().max_token_length,
            resolved_kinds: TokenKinds::SESSIONS,
            allow_local_issuers: false,
            clock: Arc::new(SystemClock::new()),
            #[cfg(feature = "reqwest")]
            http_client: None,
            token_cache: Some(TOKEN_CACHE),
            opaque_token_limits: OpaqueTokenLimits::new(),
        }
    }

    /// Adds an instance to trust, such as staging beside production.
    ///
    /// With several instances, or with a resolver, the `iss` of a token selects the instance. Each instance then needs
    /// an issuer, and no two may have the same.
    ///
    /// ```
    /// # #[cfg(all(feature = "reqwest", feature = "testing"))]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{testing::TestIssuer, verify::{VerifierBuilder, VerifyErrorKind}};
    ///
    /// let (production, staging) = (TestIssuer::start().await?, TestIssuer::start().await?);
    /// let verifier = VerifierBuilder::new()
    ///     .instance(production.config().instance_name("production")?)
    ///     .instance(staging.config().instance_name("staging")?)
    ///     .build()?;
    ///
    /// let claims = verifier.verify(&staging.token("user_ada").sign()).await?;
    /// assert_eq!(claims.instance(), "staging");
    /// assert_eq!(production.fetches(), 0);
    ///
    /// let stranger = TestIssuer::start().await?;
    /// let error = verifier.verify(&stranger.token("user_eve").sign()).await.unwrap_err();
    /// assert_eq!(error.kind(), VerifyErrorKind::InvalidIssuer);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn instance(mut self, instance: impl Into<Instance>) -> Self {
        self.instances.push(instance.into());
        self
    }

    /// Sets a resolver, which looks up the instances that are not configured: tenants that come and go.
    ///
    /// The verifier calls it with an issuer that no configured instance has, and caches what it returns. See
    /// [`InstanceResolver`] for the rules. It replaces an earlier resolver.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{
    ///     config::IssuerUrl,
    ///     testing::TestIssuer,
    ///     verify::{ResolveError, VerifierBuilder, VerifyErrorKind},
    /// };
    ///
    /// let tenant = TestIssuer::new();
    /// let (url, config) = (tenant.url().to_owned(), tenant.config());
    /// let verifier = VerifierBuilder::new()
    ///     .resolver(move |issuer: IssuerUrl| {
    ///         let config = (issuer.as_str() == url).then(|| config.clone());
    ///         async move { Ok::<_, ResolveError>(config) }
    ///     })
    ///     .build()?;
    ///
    /// assert!(verifier.verify(&tenant.token("user_ada").sign()).await.is_ok());
    /// let foreign = tenant.token("user_eve").claim("iss", "https://clerk.evil.example").sign();
    /// let error = verifier.verify(&foreign).await.unwrap_err();
    /// assert_eq!(error.kind(), VerifyErrorKind::InvalidIssuer);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolver(self, resolver: impl InstanceResolver + 'static) -> Self {
        Self { resolver: Some(Arc::new(resolver)), ..self }
    }

    /// Sets how many calls of the resolver may run and start; see [`ResolverLimits`] for the defaults and an example.
    pub fn resolver_limits(self, limits: ResolverLimits) -> Self {
        Self { resolver_limits: limits, ..self }
    }

    /// Sets the maximum length of tokens in bytes for instances that the resolver returns: 512 to 1 048 576 (1 MiB),
    /// 16 384 by default.
    ///
    /// A token has to be decoded before its instance is known, so an instance can only lower this limit, by its own
    /// [`max_token_length`](crate::ClerkConfig::max_token_length), which is 16 384 by default too. Configured instances
    /// have their own limits alone.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `bytes` is out of that range.
    pub fn max_token_length(self, bytes: usize) -> Result<Self, ConfigError> {
        let checked = ClerkConfig::empty().max_token_length(bytes)?;
        Ok(Self { resolved_token_length: checked.max_token_length, ..self })
    }

    /// Sets the kinds of tokens that instances of the resolver may accept; sessions alone by default. It does not
    /// concern the configured instances, which have their own kinds alone.
    ///
    /// A token has to be recognized before its instance is known, so an instance can only accept fewer kinds, by its
    /// own [`accept`](ClerkConfig::accept). Opaque tokens name no instance: those of tenants are always rejected.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `kinds` is empty.
    pub fn accept_from_resolver(self, kinds: impl IntoIterator<Item = TokenKind>) -> Result<Self, ConfigError> {
        let resolved_kinds: TokenKinds = kinds.into_iter().collect();
        if resolved_kinds.is_empty() {
            return Err(ConfigError::invalid("accept_from_resolver", "must not be empty"));
        }
        Ok(Self { resolved_kinds, ..self })
    }

    /// Lets the resolver look up issuers with a port, an IP address or a name outside the public DNS, and `http`
    /// issuers on loopback addresses.
    ///
    /// It is for tests and closed networks. Configured instances are not affected: their issuers may be local anyway.
    pub fn allow_local_issuers(self) -> Self {
        Self { allow_local_issuers: true, ..self }
    }

    /// Sets the clock by which tokens and keys age; [`SystemClock`] by default.
    ///
    /// The timeouts of fetches and of the resolver run in real time, whatever the clock.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use std::time::Duration;
    /// use tower_clerk::{Verifier, testing::{ManualClock, TestIssuer}, verify::VerifyErrorKind};
    ///
    /// let clock = ManualClock::new();
    /// let issuer = TestIssuer::new().clock(clock.clone());
    /// let verifier = Verifier::builder(issuer.config()).clock(clock.clone()).build()?;
    ///
    /// let token = issuer.token("user_ada").sign();
    /// assert!(verifier.try_verify(&token).is_ok());
    ///
    /// clock.advance(Duration::from_secs(3600));
    /// assert_eq!(verifier.try_verify(&token).unwrap_err().kind(), VerifyErrorKind::Expired);
    /// # }
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Sets the HTTP client that fetches keys and asks the Backend API, such as one with a proxy or a certificate
    /// authority of your own.
    ///
    /// If opaque tokens are accepted it must not follow redirects (`reqwest::redirect::Policy::none()`): it would send
    /// the token along, and to the same host the secret key too.
    ///
    /// A redirected response is rejected, because another server must not supply the keys. A response with a
    /// `Content-Encoding` that the client did not decode is rejected too. The limits of the default client apply: for
    /// keys 512 KiB and [`jwks_timeout`](crate::ClerkConfig::jwks_timeout), for the Backend API 64 KiB and 3 seconds.
    #[cfg(feature = "reqwest")]
    pub fn http_client(self, client: reqwest::Client) -> Self {
        Self { http_client: Some(client), ..self }
    }

    /// Sets how many verified tokens the token cache holds; 10 000 by default, and none with zero.
    ///
    /// A cached token is checked against the current time and key set, but its signature is not verified again. The
    /// cache holds the claims, the header and the payload, the last 32 characters of the signature, and a SHA-256
    /// digest of the others: no token can be rebuilt from it. One entry per active user is enough.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use tower_clerk::{Verifier, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new();
    /// let verifier = Verifier::builder(issuer.config()).token_cache_entries(100).build()?;
    /// let token = issuer.token("user_ada").sign();
    /// verifier.try_verify(&token)?;
    /// verifier.try_verify(&token)?; // a hit: no signature is verified
    ///
    /// let status = verifier.token_cache_status();
    /// assert_eq!(status.entries, 1);
    /// assert!(status.bytes > 0);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn token_cache_entries(self, entries: usize) -> Self {
        self.with_token_cache(|limits| limits.entries = entries)
    }

    /// Sets how many bytes of the heap the token cache may use; 32 MiB by default, and no cache with zero.
    ///
    /// Both limits apply: the cache evicts a token when either is reached. Each thread that verifies tokens holds up to
    /// 36 KiB beside it, unless the limits are below 1 000 entries or 1 MiB.
    pub fn token_cache_bytes(self, bytes: usize) -> Self {
        self.with_token_cache(|limits| limits.bytes = bytes)
    }

    /// Switches the token cache off: every token passes through all checks.
    ///
    /// A later call of [`token_cache_entries`](Self::token_cache_entries) or
    /// [`token_cache_bytes`](Self::token_cache_bytes) switches it on again.
    pub fn without_token_cache(self) -> Self {
        Self { token_cache: None, ..self }
    }

    /// Sets how many calls of the Backend API about opaque tokens may run and start; see [`OpaqueTokenLimits`] for the
    /// defaults and an example.
    pub fn opaque_token_limits(self, limits: OpaqueTokenLimits) -> Self {
        Self { opaque_token_limits: limits, ..self }
    }

    /// Builds the verifier.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`Verifier::new`] for each instance, and
    ///
    /// - [`ConfigError::Missing`] if there is neither an instance nor a resolver, or if one of several instances has no
    ///   issuer;
    /// - [`ConfigError::Conflict`] if two instances have the same issuer;
    /// - [`ConfigError::Invalid`] if one of the [`ResolverLimits`] is zero, or if the environment names a proxy that
    ///   cannot be used.
    pub fn build(self) -> Result<Verifier, ConfigError> {
        let configs = || self.instances.iter().map(|instance| &instance.config);
        let longest_token = configs().map(|config| config.max_token_length).max();
        let stale_limit = configs().map(|config| config.jwks_stale_limit).max().unwrap_or_default();
        // A resolver may return any configuration, so the key cache must serve the most permissive one. The length of a
        // token is limited before its instance is known, so there the resolver's instances have a limit of their own.
        let (capacity, stale_limit, resolved_token) = match self.resolver {
            Some(_) => (self.instances.len() + MAX_RESOLVED, MAX_STALE_LIMIT, Some(self.resolved_token_length)),
            None => (self.instances.len(), stale_limit, None),
        };
        let kinds = configs().fold(TokenKinds::NONE, |kinds, config| kinds.or(config.accepted));
        let kinds = if self.resolver.is_some() { kinds.or(self.resolved_kinds) } else { kinds };
        let max_token_length = longest_token.max(resolved_token).unwrap_or_default();
        let resources = Arc::new(InstanceResources {
            keys: Arc::new(KeyResources {
                cache: KeyCache::new(capacity, stale_limit),
                clock: Arc::clone(&self.clock),
                limits: FetchLimits::new(),
            }),
            #[cfg(feature = "reqwest")]
            http_clients: HttpClients::new(self.http_client),
            stores: AtomicU64::new(0),
        });
        // The instances of a resolver make their clients when they are needed. The mistake must not wait until then.
        #[cfg(feature = "reqwest")]
        if self.resolver.is_some() {
            resources.http_clients.check_proxy()?;
        }
        let rules = ResolverRules {
            allow_local_issuers: self.allow_local_issuers,
            limits: self.resolver_limits.check()?,
            max_token_length: self.resolved_token_length,
            kinds: self.resolved_kinds,
        };
        let resolved = self.resolver.map(|resolver| ResolverCache::new(resolver, rules, Arc::clone(&resources)));
        let opaque_token_limits = self.opaque_token_limits.check()?;
        let (instances, opaque) = InstanceRegistry::new(self.instances, &resources, resolved)?;
        let instruments = Arc::new(Instruments::new());
        let opaque_tokens = (!opaque.is_empty())
            .then(|| OpaqueTokens::new(opaque, Arc::clone(&self.clock), opaque_token_limits, Arc::clone(&instruments)));
        let limits = self.token_cache.filter(|limits| limits.entries > 0 && limits.bytes > 0);
        let token_cache = limits.map(TokenCache::new);
        let inner = Inner {
            instances,
            clock: self.clock,
            max_token_length,
            kinds,
            token_cache,
            opaque_tokens,
            diagnostics: Diagnostics::default(),
            instruments,
            waiting: WaitingBytes::default(),
        };
        Ok(Verifier { inner: Arc::new(inner) })
    }

    fn with_token_cache(mut self, change: impl FnOnce(&mut TokenCacheLimits)) -> Self {
        let mut limits = self.token_cache.unwrap_or(TOKEN_CACHE);
        change(&mut limits);
        self.token_cache = Some(limits);
        self
    }
}

impl Default for VerifierBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VerifierBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VerifierBuilder").field("instances", &self.instances).finish_non_exhaustive()
    }
}

/// Ten thousand users who are active within the minute that a token lives, in memory that a small container has.
const TOKEN_CACHE: TokenCacheLimits = TokenCacheLimits { entries: 10_000, bytes: 32 * 1024 * 1024 };
