use std::{error::Error, fmt, future::Future, pin::Pin};

use super::Instance;
use crate::config::IssuerUrl;

/// A lookup of Clerk instances by issuer, for tenants that come and go.
///
/// A closure `|issuer: IssuerUrl|` that returns a future of `Result<Option<ClerkConfig>, ResolveError>` is one, and so
/// is one with [`Instance`] in place of `ClerkConfig`. Set it with
/// [`VerifierBuilder::resolver`](crate::verify::VerifierBuilder::resolver).
///
/// # Security
///
/// The issuer is what a token *claims* before its signature is verified. Anyone can make the verifier call the resolver
/// with any issuer. Look it up in your own records, such as a table of tenants. Never send a request to it, and never
/// build a configuration from it: anyone who serves a key set could then sign tokens that you accept.
///
/// An issuer that is not a URL in the form of [`IssuerUrl`] is rejected without a call.
///
/// # Calls
///
/// | rule | value |
/// |---|---|
/// | calls for one issuer | one at a time; other requests with the issuer wait for it |
/// | calls at once | 16, of which 4 are kept for issuers that the resolver knew before; others wait for a place, for 1.5 seconds |
/// | calls for unknown issuers | 64 at once, then 10 a second; beyond that the request gets 503 |
/// | deadline of a call | 2 seconds, the wait for a place included |
/// | age at which an instance is looked up again | 5 minutes, in the background |
/// | age from which a request waits for that lookup | 10 minutes, once, and only with a token whose signature holds |
/// | longest use of an instance while lookups fail | 1 hour |
/// | cache of `None` | 60 seconds: tokens with the issuer are rejected (401) without a call |
/// | cache of an error | none: the request gets 503, the next one causes another call |
///
/// A removed tenant is thus rejected after about 5 minutes, or at its first request after an idle time, and a new one
/// is accepted after at most one minute. [`Verifier::forget_instance`](crate::Verifier::forget_instance) does both at
/// once.
///
/// # Unknown issuers and tenants
///
/// Made-up issuers and tenants that the verifier has not seen yet look alike, so they share the limits on unknown
/// issuers. Under a flood of made-up issuers a tenant could therefore get 503 at its first request. Any of these keeps
/// tenants out of these limits:
///
/// - [`may_know`](Self::may_know) turns made-up issuers away without a call, for example by a set of all tenants.
/// - [`Verifier::resolve_ahead`](crate::Verifier::resolve_ahead) looks up the tenants at start.
/// - [`ResolverLimits`](super::ResolverLimits) raises the limits, for records that answer from memory.
///
/// An issuer that the resolver knew at its last call does not count as unknown, even when its instance has left the
/// cache. 10 000 such issuers are remembered.
///
/// # Return the same instance
///
/// The keys of an instance are kept if the next lookup returns an equal configuration with the same key source.
/// Otherwise they are fetched again. So return an equal `ClerkConfig` as long as nothing has changed, and clones of
/// one [`Instance`] if it has a [`key_source`](Instance::key_source).
///
/// # Example
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::collections::HashMap;
/// use tower_clerk::{
///     ClerkConfig,
///     config::IssuerUrl,
///     testing::TestIssuer,
///     verify::{Instance, ResolveError, VerifierBuilder},
/// };
///
/// let tenant = TestIssuer::new();
/// // The application's own records, which say whose keys count.
/// let tenants = HashMap::from([(tenant.url().to_owned(), tenant.config())]);
///
/// let resolver = move |issuer: IssuerUrl| {
///     let config = tenants.get(issuer.as_str()).cloned();
///     async move { Ok::<_, ResolveError>(config.map(Instance::from)) }
/// };
/// let verifier = VerifierBuilder::new().resolver(resolver).build()?;
///
/// let claims = verifier.verify(&tenant.token("user_ada").sign()).await?;
/// assert_eq!((claims.issuer(), claims.user_id()), (tenant.url(), "user_ada"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not resolve instances",
    label = "not an `InstanceResolver`",
    note = "a closure is one if it returns a future of `Result<Option<ClerkConfig>, ResolveError>`: `|issuer: IssuerUrl| async {{ … }}`"
)]
pub trait InstanceResolver: Send + Sync {
    /// Returns the instance with this issuer, or `None` if the application has no such tenant.
    ///
    /// One of the instance's issuers must equal `issuer`; otherwise the lookup counts as failed.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] if the records cannot be read now. Requests then get 503, and a cached instance stays in use.
    fn resolve(
        &self,
        issuer: IssuerUrl,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Instance>, ResolveError>> + Send + '_>>;

    /// Whether the application may have a tenant with this issuer, decided from memory.
    ///
    /// `false` rejects the token (401) without a call of [`resolve`](Self::resolve): made-up issuers then cost the
    /// tenants nothing. It must be fast, and must not block, because it runs on the path of requests. It may be wrong
    /// only in one direction, like a Bloom filter: `false` for a tenant that exists locks the tenant out. It is not
    /// asked for instances in the cache. By default, and for closures, it is `true`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::{collections::HashMap, future::Future, pin::Pin};
    /// use tower_clerk::{
    ///     ClerkConfig,
    ///     config::IssuerUrl,
    ///     testing::TestIssuer,
    ///     verify::{Instance, InstanceResolver, ResolveError, VerifierBuilder},
    /// };
    ///
    /// struct Tenants(HashMap<String, ClerkConfig>);
    ///
    /// impl InstanceResolver for Tenants {
    ///     fn may_know(&self, issuer: &IssuerUrl) -> bool {
    ///         self.0.contains_key(issuer.as_str())
    ///     }
    ///
    ///     fn resolve(
    ///         &self,
    ///         issuer: IssuerUrl,
    ///     ) -> Pin<Box<dyn Future<Output = Result<Option<Instance>, ResolveError>> + Send + '_>> {
    ///         Box::pin(async move { Ok(self.0.get(issuer.as_str()).cloned().map(Instance::new)) })
    ///     }
    /// }
    ///
    /// let tenant = TestIssuer::new();
    /// let tenants = Tenants(HashMap::from([(tenant.url().to_owned(), tenant.config())]));
    /// let verifier = VerifierBuilder::new().resolver(tenants).build()?;
    /// assert!(verifier.verify(&tenant.token("user_ada").sign()).await.is_ok());
    ///
    /// // Rejected at once, so it needs no `await`.
    /// let made_up = tenant.token("user_eve").claim("iss", "https://clerk.evil.example").sign();
    /// let error = verifier.try_verify(&made_up).unwrap_err();
    /// assert_eq!(error.kind().as_str(), "invalid_issuer");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn may_know(&self, issuer: &IssuerUrl) -> bool {
        let _ = issuer;
        true
    }
}

impl<F, Fut, I> InstanceResolver for F
where
    F: Fn(IssuerUrl) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Option<I>, ResolveError>> + Send + 'static,
    I: Into<Instance>,
{
    fn resolve(
        &self,
        issuer: IssuerUrl,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Instance>, ResolveError>> + Send + '_>> {
        let resolved = self(issuer);
        Box::pin(async move { Ok(resolved.await?.map(Into::into)) })
    }
}

/// The records of an [`InstanceResolver`] could not be read.
///
/// The source appears in the log, not in the response.
#[derive(Debug)]
pub struct ResolveError {
    source: Box<dyn Error + Send + Sync>,
}

impl ResolveError {
    /// Makes an error from its cause, such as the error of a database.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("could not resolve the instance")
    }
}

impl Error for ResolveError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}
