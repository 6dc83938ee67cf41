use std::{error::Error, fmt, future::Future, pin::Pin};

use super::Instance;
use crate::config::IssuerUrl;

/// Knows the instances of tenants that come and go.
///
/// An `async` closure that takes an [`IssuerUrl`] and returns `Result<Option<ClerkConfig>, _>` is one.
///
/// The issuer is what a token *claims*, before its signature was looked at: anyone can have the resolver asked for
/// anything. So it answers from the application's own records, a table of tenants, and makes no URL of what it
/// was given. Trusting whatever issuer a token names would be trusting everyone who can serve a key set; with a
/// lookup the worst that a stranger gets is an answer of `None`.
///
/// It is asked once at a time for an issuer, sixteen times at once in all, within a budget, and has 2 seconds.
/// Answers are kept: instances are asked for again after 5 minutes and kept for an hour where that fails, `None`
/// is kept for a minute. Asking again runs in the background: the use that starts it still gets the old answer, which
/// so counts for an hour at most. An error is not kept; the request is answered 503. What is malformed, or could be a
/// token of no instance, is refused without asking.
///
/// An answer that differs from the one before starts without keys. So answer with the same configuration for as
/// long as nothing has changed, and with a clone of one [`Instance`] where it has a key source.
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
    /// The instance with this issuer, if it is one of the application's.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] if that cannot be told now.
    fn resolve(
        &self,
        issuer: IssuerUrl,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Instance>, ResolveError>> + Send + '_>>;
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
        let answer = self(issuer);
        Box::pin(async move { Ok(answer.await?.map(Into::into)) })
    }
}

/// An [`InstanceResolver`] cannot tell now whether there is such an instance.
#[derive(Debug)]
pub struct ResolveError {
    source: Box<dyn Error + Send + Sync>,
}

impl ResolveError {
    /// A failure of the application's records.
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
