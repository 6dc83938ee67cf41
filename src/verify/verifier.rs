use std::{fmt, future::Future, mem, sync::Arc, time::Duration};

use super::{Clock, TokenCacheStatus, VerifyError, cache::TokenCache, diagnostics::Diagnostics, waiting::WaitingBytes};
#[cfg(feature = "metrics")]
use crate::instruments::KeyGauges;
use crate::{
    backend_api::{OpaqueTokens, OpaqueTokensStatus},
    claims::{Claims, CustomClaimsError},
    config::{ClerkConfig, IssuerUrl},
    instance::{InstanceRegistry, ResolveFailure},
    instruments::Instruments,
    jwks::{KeysStatus, MAX_FETCHES_WITHOUT_KEYS},
    places::run_all,
    single_flight::Lookup,
    token_kind::TokenKinds,
};

/// Verifies tokens of one Clerk instance, or of several.
///
/// It owns the key sets and the token cache. Clones share both, so make one verifier at start and clone it. Its fetches
/// run on the Tokio runtime of the request that needs them, and stop when the last clone is dropped. See the
/// [module docs](crate::verify) for the checks and for how an instance is selected.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use tower_clerk::{Verifier, testing::TestIssuer};
///
/// let issuer = TestIssuer::new();
/// let verifier = Verifier::new(issuer.config())?;
/// let claims = verifier.verify(&issuer.token("user_ada").sign()).await?;
/// assert_eq!(claims.user_id(), "user_ada");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Verifier {
    pub(super) inner: Arc<Inner>,
}

/// The parts that all clones of a verifier share.
pub(super) struct Inner {
    pub(super) instances: InstanceRegistry,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) max_token_length: usize,
    /// The kinds of tokens that any instance may accept.
    pub(super) kinds: TokenKinds,
    pub(super) token_cache: Option<TokenCache>,
    /// `None` if no instance accepts opaque tokens.
    pub(super) opaque_tokens: Option<OpaqueTokens>,
    pub(super) diagnostics: Diagnostics,
    pub(super) instruments: Arc<Instruments>,
    pub(super) waiting: WaitingBytes,
}

/// # Keys and metrics
impl Verifier {
    /// Fetches the keys of every instance that has none, so that the first request need not wait.
    ///
    /// It fetches for up to 24 instances at once, each for at most
    /// [`jwks_timeout`](crate::ClerkConfig::jwks_timeout). Instances of a resolver are included once they are resolved,
    /// see [`resolve_ahead`](Self::resolve_ahead).
    ///
    /// ```
    /// # #[cfg(all(feature = "reqwest", feature = "testing"))]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{Verifier, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::start().await?;
    /// let verifier = Verifier::new(issuer.config())?;
    /// if let Err(error) = verifier.warm_up().await {
    ///     // Start anyway: requests try again.
    ///     eprintln!("{error}");
    /// }
    ///
    /// // Now no token has to wait.
    /// assert!(verifier.try_verify(&issuer.token("user_ada").sign()).is_ok());
    /// assert_eq!(issuer.fetches(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`VerifyError`] of kind [`KeysUnavailable`](super::VerifyErrorKind::KeysUnavailable) for the first instance
    /// whose fetch fails, after all have been tried. A service can start all the same: requests try again.
    pub async fn warm_up(&self) -> Result<(), VerifyError> {
        let work = self.inner.instances.all().into_iter().map(|instance| async move { instance.keys.warm_up().await });
        first_error(MAX_FETCHES_WITHOUT_KEYS, work).await
    }

    /// Fetches the keys of every instance now, up to 24 at once, whatever their age, the budgets and the back-off.
    ///
    /// Call it when you know that a key has changed, for example after a key was revoked in Clerk. A fetch that was
    /// already in flight may have read the document before the change, so it then waits for one more.
    ///
    /// ```
    /// # #[cfg(all(feature = "reqwest", feature = "testing"))]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{Verifier, testing::TestIssuer, verify::VerifyErrorKind};
    ///
    /// let issuer = TestIssuer::start().await?;
    /// let verifier = Verifier::new(issuer.config())?;
    /// let token = issuer.token("user_ada").sign();
    /// verifier.verify(&token).await?;
    ///
    /// // The old key leaves the JWKS. A verifier with an old key set still accepts it.
    /// issuer.rotate();
    /// assert!(verifier.verify(&token).await.is_ok());
    /// verifier.refresh().await?;
    /// assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), VerifyErrorKind::UnknownKey);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`warm_up`](Self::warm_up). The last good key set stays in use.
    pub async fn refresh(&self) -> Result<(), VerifyError> {
        let work = self.inner.instances.all().into_iter().map(|instance| async move { instance.keys.refresh().await });
        first_error(MAX_FETCHES_WITHOUT_KEYS, work).await
    }

    /// Drops the keys that were fetched, and stops the fetch in flight. The next token waits for a new fetch.
    ///
    /// [`refresh`](Self::refresh) keeps the old keys if the fetch fails; this does not. Use it when a signing key is
    /// compromised: then 503 is better than accepting its tokens. Cached tokens are verified again too.
    ///
    /// ```
    /// # #[cfg(all(feature = "reqwest", feature = "testing"))]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{Verifier, testing::TestIssuer, verify::VerifyErrorKind};
    ///
    /// let issuer = TestIssuer::start().await?;
    /// let verifier = Verifier::new(issuer.config())?;
    /// let token = issuer.token("user_ada").sign();
    /// verifier.verify(&token).await?;
    ///
    /// verifier.forget_keys();
    /// assert_eq!(verifier.keys_status().keys, 0);
    /// issuer.serve_status(500);
    /// assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), VerifyErrorKind::KeysUnavailable);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget_keys(&self) {
        for instance in self.inner.instances.all() {
            instance.keys.forget();
        }
    }

    /// Looks up these instances with the resolver, so that their first requests need not wait, nor compete with made-up
    /// issuers.
    ///
    /// Call it at start with the tenants that matter, and then [`warm_up`](Self::warm_up) to fetch their keys. It makes
    /// as many calls at once as [`ResolverLimits`](super::ResolverLimits) allow. Up to 10 000 instances stay cached.
    /// Without a resolver it does nothing.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{
    ///     config::IssuerUrl,
    ///     testing::TestIssuer,
    ///     verify::{ResolveError, VerifierBuilder},
    /// };
    ///
    /// let tenant = TestIssuer::new();
    /// let config = tenant.config();
    /// let resolver = move |_: IssuerUrl| {
    ///     let config = config.clone();
    ///     async move { Ok::<_, ResolveError>(Some(config)) }
    /// };
    /// let verifier = VerifierBuilder::new().resolver(resolver).build()?;
    /// verifier.resolve_ahead([IssuerUrl::parse(tenant.url())?]).await?;
    ///
    /// // Now no token has to wait.
    /// assert!(verifier.try_verify(&tenant.token("user_ada").sign()).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`VerifyError`] for the first instance whose lookup fails, after all have been tried: of kind
    /// [`KeysUnavailable`](super::VerifyErrorKind::KeysUnavailable) if the resolver failed, and
    /// [`InvalidIssuer`](super::VerifyErrorKind::InvalidIssuer) if it does not know the issuer.
    pub async fn resolve_ahead<I>(&self, issuers: I) -> Result<(), VerifyError>
    where
        I: IntoIterator<Item = IssuerUrl>,
    {
        let Some(resolved) = self.inner.instances.resolved() else { return Ok(()) };
        let work = issuers.into_iter().map(|issuer| async move {
            match resolved.find_ahead(issuer) {
                Lookup::Failed(failure) => Err(failure),
                Lookup::Found(_) => Ok(()),
                Lookup::Wait(wait) => match wait.end().await {
                    Some(resolution) => resolution.map(drop),
                    None => Err(ResolveFailure::ResolverTimeout),
                },
            }
        });
        first_error(resolved.max_concurrent_calls().min(MAX_RESOLVING_AHEAD), work).await
    }

    /// Forgets what the resolver has said about this issuer. The next token with it makes the resolver look it up
    /// again.
    ///
    /// Call it when a tenant changes. A tenant that was removed is rejected from the next request on, also with tokens
    /// in the token cache. One that was added gets in at the next request, even if somebody has tried its issuer in the
    /// minute before. A request that is being verified may still end as it would have before.
    ///
    /// Configured instances are not affected. Without a resolver it does nothing.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::{
    ///     collections::HashMap,
    ///     sync::{Arc, Mutex},
    /// };
    /// use tower_clerk::{
    ///     config::IssuerUrl,
    ///     testing::TestIssuer,
    ///     verify::{ResolveError, VerifierBuilder, VerifyErrorKind},
    /// };
    ///
    /// let tenant = TestIssuer::new();
    /// let tenants = Arc::new(Mutex::new(HashMap::from([(tenant.url().to_owned(), tenant.config())])));
    /// let records = Arc::clone(&tenants);
    /// let resolver = move |issuer: IssuerUrl| {
    ///     let config = records.lock().ok().and_then(|tenants| tenants.get(issuer.as_str()).cloned());
    ///     async move { Ok::<_, ResolveError>(config) }
    /// };
    /// let verifier = VerifierBuilder::new().resolver(resolver).build()?;
    /// let token = tenant.token("user_ada").sign();
    /// verifier.verify(&token).await?;
    ///
    /// tenants.lock().expect("no panic while it was held").clear();
    /// verifier.forget_instance(&IssuerUrl::parse(tenant.url())?);
    /// assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), VerifyErrorKind::InvalidIssuer);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget_instance(&self, issuer: &IssuerUrl) {
        if let Some(resolved) = self.inner.instances.resolved() {
            resolved.forget(issuer);
        }
    }

    /// Forgets what the resolver has said about all issuers; see [`forget_instance`](Self::forget_instance).
    ///
    /// Their keys are forgotten too. Tenants that were known do not count as unknown issuers when they are looked up
    /// again.
    pub fn forget_instances(&self) {
        if let Some(resolved) = self.inner.instances.resolved() {
            resolved.forget_all();
        }
    }

    /// Returns the state of the keys, for health endpoints. With several instances it is the state of the worst one.
    ///
    /// An instance without keys is worse than one whose last fetch failed, which is worse than one with an older key
    /// set. See [`keys_status_by_instance`](Self::keys_status_by_instance) for all of them.
    ///
    /// ```
    /// # #[cfg(all(feature = "reqwest", feature = "testing"))]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{Verifier, jwks::FetchErrorKind, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::start().await?;
    /// let verifier = Verifier::new(issuer.config())?;
    /// assert_eq!(verifier.keys_status().keys, 0);
    ///
    /// verifier.warm_up().await?;
    /// assert_eq!(verifier.keys_status().keys, 1);
    ///
    /// // During an outage the keys stay, and the status says why they are not refreshed.
    /// issuer.serve_status(500);
    /// assert!(verifier.refresh().await.is_err());
    /// let status = verifier.keys_status();
    /// assert_eq!((status.keys, status.last_error), (1, Some(FetchErrorKind::UnexpectedStatus)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn keys_status(&self) -> KeysStatus {
        let statuses = self.inner.instances.all().into_iter().map(|instance| instance.keys.status());
        statuses
            .reduce(|worst, next| if next.is_worse_than(&worst) { next } else { worst })
            .unwrap_or_else(|| KeysStatus::fixed(0))
    }

    /// Returns the [name](crate::Claims::instance) of each instance with the state of its keys: the configured
    /// instances first, then those that a resolver returned.
    #[must_use]
    pub fn keys_status_by_instance(&self) -> Vec<(String, KeysStatus)> {
        let instances = self.inner.instances.all().into_iter();
        instances.map(|instance| (instance.config.name().to_owned(), instance.keys.status())).collect()
    }

    /// Returns the size of the token cache; zero if the cache is off.
    ///
    /// It visits every entry. Call it once per scrape of metrics, not once per request.
    #[must_use]
    pub fn token_cache_status(&self) -> TokenCacheStatus {
        self.inner.token_cache.as_ref().map(TokenCache::status).unwrap_or_default()
    }

    /// Returns what the Backend API was asked about opaque tokens; all zero if none are accepted.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use bytes::Bytes;
    /// use http::{Request, Response};
    /// use tower_clerk::{ClerkConfig, TokenKind, Verifier, jwks::{FetchError, FetchErrorKind}, verify::Instance};
    ///
    /// # use tower_clerk::testing::TestIssuer;
    /// # let issuer = TestIssuer::new();
    /// let down = |_: Request<Bytes>| async { Err::<Response<Bytes>, _>(FetchError::new("out of order")) };
    /// let config = ClerkConfig::from_jwks(issuer.jwks())?.accept([TokenKind::ApiKey])?;
    /// let verifier = Verifier::builder(Instance::new(config).backend_api(down)).build()?;
    ///
    /// // The second request comes in the back-off, which is a second long.
    /// for _ in 0..2 {
    ///     let error = verifier.verify_principal("ak_a").await.unwrap_err();
    ///     assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Transport));
    /// }
    /// let status = verifier.opaque_tokens_status();
    /// assert_eq!((status.calls, status.last_error), (1, Some(FetchErrorKind::Transport)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn opaque_tokens_status(&self) -> OpaqueTokensStatus {
        self.inner.opaque_tokens.as_ref().map(OpaqueTokens::status).unwrap_or_default()
    }

    /// Sets the gauges of this verifier, such as the age of the keys in seconds, in the recorder of the facade
    /// `metrics`.
    ///
    /// Call it whenever metrics are read, for example in the handler of `/metrics`: gauges say what is true now, and
    /// nothing else sets them. It also begins the series of calls of the Backend API at zero, so that a rate sees the
    /// first call. It visits every entry of the token cache. Without a recorder it does nothing. The
    /// [guide](crate::guide::dashboards) has the table of all metrics.
    ///
    /// A recorder whose type has no fields gets no metrics of this crate, counters included, because it cannot be told
    /// from none: one that keeps its state elsewhere needs a field.
    ///
    /// Gauges are set and not added up, so two verifiers in one process overwrite those of each other: make one, and
    /// clone it.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// use metrics_exporter_prometheus::PrometheusBuilder;
    /// use tower_clerk::{Verifier, testing::TestIssuer};
    ///
    /// // In production: `PrometheusBuilder::new().install_recorder()?`.
    /// let recorder = PrometheusBuilder::new().build_recorder();
    /// let handle = recorder.handle();
    ///
    /// let verifier = Verifier::new(TestIssuer::new().config())?;
    /// # metrics::with_local_recorder(&recorder, || {
    /// verifier.record_metrics();
    /// # });
    /// assert!(handle.render().contains("clerk_jwks_keys 1"));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "metrics")]
    pub fn record_metrics(&self) {
        if let Some(tokens) = &self.inner.opaque_tokens {
            tokens.begin_series();
        }
        let instances = &self.inner.instances;
        if let Some(cache) = &self.inner.token_cache {
            let TokenCacheStatus { entries, bytes } = cache.status();
            self.inner.instruments.cache.set_gauges(entries, bytes);
        }
        // Those that a resolver returns share a series: its keys are all of theirs, its age is the worst.
        let mut shared =
            instances.has_resolver().then(|| KeyGauges { age: Some(Duration::ZERO), ..KeyGauges::default() });
        for instance in instances.all() {
            let status = instance.keys.status();
            let gauges = KeyGauges {
                keys: status.keys,
                // Without a set, the time since there was a new one goes on to grow.
                age: status.age.or(status.last_success),
                has_failed: status.last_error.is_some(),
            };
            match (&mut shared, instance.metrics_name()) {
                (Some(shared), None) => shared.add(&gauges, instance.config.jwks_refresh_interval),
                (_, name) => gauges.set(name),
            }
        }
        if let Some(shared) = shared {
            shared.set(None);
        }
    }

    /// Forgets what the Backend API has said about the opaque token with this id, such as
    /// [`ApiKey::id`](crate::ApiKey::id). The next request with it asks again.
    ///
    /// Call it when you know that a key was revoked, for example from a webhook. It visits every kept answer. A call in
    /// progress whose answer has this id is made once more, because it may have been answered before.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tower_clerk::{Principal, TokenKind, Verifier, testing::{TestBackendApi, TestIssuer}, verify::Instance};
    ///
    /// let api = TestBackendApi::new();
    /// let config = TestIssuer::new().config().accept([TokenKind::ApiKey])?;
    /// let verifier = Verifier::builder(Instance::new(config).backend_api(api.clone())).build()?;
    /// let key = api.api_key("user_ada").issue();
    /// let found = verifier.verify_principal(&key).await?;
    /// let Principal::ApiKey(known) = found else { return Err("another kind".into()) };
    ///
    /// api.revoke(&key);
    /// assert!(verifier.verify_principal(&key).await.is_ok());
    /// verifier.forget_opaque_token(known.id());
    /// assert!(verifier.verify_principal(&key).await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget_opaque_token(&self, id: &str) {
        if let Some(tokens) = &self.inner.opaque_tokens {
            tokens.forget_id(id);
        }
    }

    /// Forgets what the Backend API has said about all opaque tokens, and stops the calls in progress. The next request
    /// with each of them asks again. Tokens that were seen valid stay outside of the budget for others.
    ///
    /// With many tokens in use this is as many calls, as fast as the limits allow. For one that was revoked call
    /// [`forget_opaque_token`](Self::forget_opaque_token).
    pub fn forget_opaque_tokens(&self) {
        if let Some(tokens) = &self.inner.opaque_tokens {
            tokens.forget();
        }
    }

    pub(crate) fn instruments(&self) -> &Instruments {
        &self.inner.instruments
    }

    /// The monotonic time, for durations.
    pub(crate) fn monotonic(&self) -> Duration {
        self.inner.clock.monotonic()
    }

    pub(crate) fn configs(&self) -> impl Iterator<Item = &ClerkConfig> {
        self.inner.instances.configs()
    }

    /// The kinds of tokens that any configured instance accepts, and those that instances of the resolver may accept.
    pub(crate) fn kinds(&self) -> TokenKinds {
        self.inner.kinds
    }

    /// In bytes: the longest token that any instance accepts.
    pub(crate) fn max_token_length(&self) -> usize {
        self.inner.max_token_length
    }

    /// Warns the operator if no token has the custom claims that a layer needs.
    pub(crate) fn custom_claims_failed(&self, claims: &Claims, error: &CustomClaimsError) {
        self.inner.diagnostics.custom_claims_failed(error, claims.instance(), &*self.inner.clock);
    }

    /// Whether further instances may be resolved later. Decisions that hold for all instances cannot be made early
    /// then.
    pub(crate) fn has_resolver(&self) -> bool {
        self.inner.instances.has_resolver()
    }
}

/// Calls that one `resolve_ahead` has in progress, whatever the limits: each that ends makes all others polled.
const MAX_RESOLVING_AHEAD: usize = 256;

/// Runs all of `work`, at most `limit` at once, and returns the first error.
async fn first_error<F, E>(limit: usize, work: impl Iterator<Item = F>) -> Result<(), VerifyError>
where
    F: Future<Output = Result<(), E>>,
    VerifyError: From<E>,
{
    let mut outcome = Ok(());
    run_all(limit, work, |result| outcome = mem::replace(&mut outcome, Ok(())).and(result)).await;
    outcome.map_err(VerifyError::from)
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances: Vec<&str> = self.configs().map(ClerkConfig::name).collect();
        formatter.debug_struct("Verifier").field("instances", &instances).finish_non_exhaustive()
    }
}
