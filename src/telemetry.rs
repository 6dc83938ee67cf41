//! The only file that names `tracing`.
//!
//! Without the feature every function here does nothing.

use std::{future::Future, time::Duration};

use crate::{jwks::FetchError, verify::ResolveError};

/// A fetch brought `keys` usable keys and `skipped` others.
pub(crate) fn keys_fetched(keys: usize, skipped: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, keys, skipped, "keys fetched");
    #[cfg(not(feature = "tracing"))]
    let _ = (keys, skipped);
}

/// Whether a failed fetch is worth an operator's attention while the set in use is `age` old.
pub(crate) fn is_for_operators(age: Option<Duration>) -> bool {
    age.is_none_or(|age| age >= STALE)
}

/// A fetch failed while the set in use, if any, was `age` old. It is said aloud if that `is_due`.
pub(crate) fn fetch_failed(error: &FetchError, age: Option<Duration>, is_due: bool) {
    #[cfg(feature = "tracing")]
    {
        let source = std::error::Error::source(error).map(|source| tracing::field::display(Chain(source)));
        let is_grave = age.is_some_and(|age| age >= GRAVE);
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

/// A request was refused, or passed on without a user.
pub(crate) fn refused(kind: &dyn std::fmt::Debug, passed: bool) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, ?kind, passed, "request refused");
    #[cfg(not(feature = "tracing"))]
    let _ = (kind, passed);
}

/// A verifier was made that has nothing to compare issuers with.
pub(crate) fn any_issuer(instance: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, instance, "only a key is configured: tokens of any issuer that it signed pass");
    #[cfg(not(feature = "tracing"))]
    let _ = instance;
}

/// An instance could not be looked up. It is said aloud if that `is_due`.
pub(crate) fn resolve_failed(error: &ResolveError, is_due: bool) {
    #[cfg(feature = "tracing")]
    {
        let source = std::error::Error::source(error).map(|source| tracing::field::display(Chain(source)));
        match is_due {
            true => tracing::warn!(target: TARGET, %error, source, "resolving an instance failed"),
            false => tracing::debug!(target: TARGET, %error, source, "resolving an instance failed"),
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (error, is_due);
}

/// Runs a call of the resolver in a span of its own, as fetches are.
pub(crate) fn in_resolve_span<F: Future>(call: F) -> impl Future<Output = F::Output> {
    #[cfg(feature = "tracing")]
    {
        use tracing::Instrument;
        call.instrument(tracing::debug_span!(target: TARGET, parent: None, "resolve_instance"))
    }
    #[cfg(not(feature = "tracing"))]
    call
}

/// A token's permissions can be read in two ways, so none is granted.
pub(crate) fn ambiguous_permissions() {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, "permissions cannot be told from the order of features (fea, fpm): none is granted");
}

/// A user was asked for where no layer has run.
pub(crate) fn layer_missing() {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, "no `ClerkAuthLayer` has seen this request; perhaps you forgot to add it to the router");
}

/// Runs a fetch in a span of its own: it serves all requests and belongs to none.
pub(crate) fn in_fetch_span<F: Future>(fetch: F) -> impl Future<Output = F::Output> {
    #[cfg(feature = "tracing")]
    {
        use tracing::Instrument;
        fetch.instrument(tracing::debug_span!(target: TARGET, parent: None, "fetch_keys"))
    }
    #[cfg(not(feature = "tracing"))]
    fetch
}

/// An error and what it came from, since the libraries below name the cause only there.
#[cfg(feature = "tracing")]
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

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
const STALE: Duration = Duration::from_secs(15 * 60);
#[cfg(feature = "tracing")]
const GRAVE: Duration = Duration::from_secs(60 * 60);
