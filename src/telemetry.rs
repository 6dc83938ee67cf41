//! The only file that names `tracing`, and a leaf: it knows no other file of the crate.
//!
//! Without the feature every function here does nothing.

use std::{error::Error, future::Future, time::Duration};

/// A key set was fetched with `keys` usable keys; `skipped` other members were left out.
pub(crate) fn keys_fetched(keys: usize, skipped: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, keys, skipped, "key set fetched");
    #[cfg(not(feature = "tracing"))]
    let _ = (keys, skipped);
}

/// Whether a failed fetch is worth a warning while the set in use is `age` old.
pub(crate) fn is_worth_a_warning(age: Option<Duration>) -> bool {
    age.is_none_or(|age| age >= WARN_AGE)
}

/// Fetching keys failed while the set in use, if any, was `age` old: WARN if `is_due`, or ERROR once the set is an
/// hour old; DEBUG otherwise.
pub(crate) fn fetch_failed(error: &(dyn Error + 'static), age: Option<Duration>, is_due: bool) {
    #[cfg(feature = "tracing")]
    {
        let source = error.source().map(|source| tracing::field::display(Chain(source)));
        let is_grave = age.is_some_and(|age| age >= ERROR_AGE);
        let age = age.map(|age| age.as_secs());
        match (is_due, is_grave) {
            (false, _) => tracing::debug!(target: TARGET, %error, source, age, "fetching keys failed"),
            (true, false) => tracing::warn!(target: TARGET, %error, source, age, "fetching keys failed"),
            (true, true) => {
                tracing::error!(target: TARGET, %error, source, age, "fetching keys has failed for an hour");
            }
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (error, age, is_due);
}

/// The layer rejected a request, or passed it on without a user.
pub(crate) fn rejected(reason: &'static str, passed: bool) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, reason, passed, "request rejected");
    #[cfg(not(feature = "tracing"))]
    let _ = (reason, passed);
}

/// A verifier was made for an instance without an issuer to compare `iss` with.
pub(crate) fn issuer_not_checked(instance: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, instance, "no issuer configured: `iss` is not checked");
    #[cfg(not(feature = "tracing"))]
    let _ = instance;
}

/// A verifier was made for an instance without authorized parties.
pub(crate) fn authorized_party_not_checked(instance: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, instance, "no authorized parties configured: `azp` is not checked");
    #[cfg(not(feature = "tracing"))]
    let _ = instance;
}

/// The resolver failed to resolve an instance: WARN if `is_due`, else DEBUG.
pub(crate) fn resolve_failed(error: &(dyn Error + 'static), is_due: bool) {
    #[cfg(feature = "tracing")]
    {
        let source = error.source().map(|source| tracing::field::display(Chain(source)));
        if is_due {
            tracing::warn!(target: TARGET, %error, source, "resolving an instance failed");
        } else {
            tracing::debug!(target: TARGET, %error, source, "resolving an instance failed");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (error, is_due);
}

/// The permission map of a verified token can be read in two ways.
pub(crate) fn ambiguous_permissions() {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, "ambiguous permission map (fea/fpm): granting none");
}

/// An extractor or a layer needed a user where no `ClerkAuthLayer` has run.
pub(crate) fn layer_missing() {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, "no `ClerkAuthLayer` has seen this request; perhaps you forgot to add it to the router");
}

/// A span for work that serves all requests and belongs to none.
#[derive(Clone)]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Span {
    /// Around one fetch of keys.
    pub(crate) fn fetch_keys() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::debug_span!(target: TARGET, parent: None, "fetch_keys"),
        }
    }

    /// Around one call of the resolver.
    pub(crate) fn resolve_instance() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::debug_span!(target: TARGET, parent: None, "resolve_instance"),
        }
    }

    /// Runs `work` inside the span.
    pub(crate) fn wrap<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        #[cfg(feature = "tracing")]
        {
            use tracing::Instrument;
            work.instrument(self.span.clone())
        }
        #[cfg(not(feature = "tracing"))]
        work
    }
}

/// An error and its sources, since the libraries below name the cause only there.
#[cfg(feature = "tracing")]
struct Chain<'a>(&'a (dyn Error + 'static));

#[cfg(feature = "tracing")]
impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut error = self.0;
        while let Some(source) = error.source() {
            write!(formatter, ": {source}")?;
            error = source;
        }
        Ok(())
    }
}

#[cfg(feature = "tracing")]
const TARGET: &str = "tower_clerk";
/// Three refresh intervals by default: one failed refresh is no news.
const WARN_AGE: Duration = Duration::from_secs(15 * 60);
/// Old enough that someone should look before the stale limit ends the service.
#[cfg(feature = "tracing")]
const ERROR_AGE: Duration = Duration::from_secs(60 * 60);
