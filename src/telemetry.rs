//! Events and spans: one function for each event.
//!
//! No other file names `tracing`, and this one imports no other file of the crate, so every file may log. Without the
//! feature `tracing` the functions do nothing, and callers need no `cfg`.
//!
//! A subscriber is user code that may panic or block. Callers must not hold a lock, and must do all that others wait
//! for before they log. No event holds a token or a key: fields are numbers, names from the configuration, and errors
//! whose text says nothing of the token.

use std::{error::Error, future::Future, time::Duration};

/// DEBUG: a key set was fetched with `keys` usable keys; `skipped` members were not usable.
pub(crate) fn keys_fetched(keys: usize, skipped: usize) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, keys, skipped, "key set fetched");
    #[cfg(not(feature = "tracing"))]
    let _ = (keys, skipped);
}

/// Whether a failed fetch is worth a warning while the set in use is `age` old. Without a set it always is: requests
/// get 503.
pub(crate) fn is_worth_a_warning(age: Option<Duration>) -> bool {
    age.is_none_or(|age| age >= WARN_AGE)
}

/// A fetch of keys failed while the set in use, if any, was `age` old. WARN if `is_due`, and ERROR if the set is an
/// hour old; DEBUG otherwise.
///
/// `is_due` comes from the caller, which holds the throttle: this file has no clock and no state.
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
                tracing::error!(target: TARGET, %error, source, age, "fetching keys failed, and the key set is over an hour old");
            }
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (error, age, is_due);
}

/// DEBUG: the layer rejected a request, or `passed` it on without a user. Not a warning, because any client can cause
/// it.
/// `unavailable` is why keys are unavailable, if that is the reason.
pub(crate) fn rejected(
    reason: &'static str,
    unavailable: Option<&'static str>,
    passed: bool,
    source: Option<&(dyn Error + 'static)>,
) {
    #[cfg(feature = "tracing")]
    {
        let source = source.map(|source| tracing::field::display(Chain(source)));
        tracing::debug!(target: TARGET, reason, unavailable, passed, source, "request rejected");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (reason, unavailable, passed, source);
}

/// Records who sends a request in the current span, by the names of OpenTelemetry. A span that does not declare these
/// fields ignores them.
pub(crate) fn user(user_id: Option<&str>, session_id: Option<&str>) {
    #[cfg(feature = "tracing")]
    {
        let span = tracing::Span::current();
        if let Some(user_id) = user_id {
            span.record("user.id", user_id);
        }
        if let Some(session_id) = session_id {
            span.record("session.id", session_id);
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (user_id, session_id);
}

/// WARN: `count` tokens since the last such warning had a valid signature, but an `nbf` or `iat` in the future, at most
/// by `drift`. The clock of this machine is most likely slow.
pub(crate) fn clock_drift(instance: &str, count: u64, drift: Duration) {
    #[cfg(feature = "tracing")]
    {
        // Rounded up, so that a clock skew of as many seconds accepts such tokens.
        let drift = drift.as_secs() + u64::from(drift.subsec_nanos() > 0);
        tracing::warn!(
            target: TARGET, instance, count, drift,
            "tokens with a valid signature are not valid yet; check the clock of this machine, or raise CLERK_CLOCK_SKEW_SECONDS (clock_skew)"
        );
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (instance, count, drift);
}

/// WARN: `count` tokens since the last such warning had a valid signature, but were rejected because of `setting`.
pub(crate) fn setting_rejects_tokens(instance: &str, setting: &'static str, reason: &'static str, count: u64) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, instance, setting, reason, count, "a setting rejects tokens with a valid signature");
    #[cfg(not(feature = "tracing"))]
    let _ = (instance, setting, reason, count);
}

/// WARN: `count` valid tokens since the last such warning lacked the custom claims of a layer.
pub(crate) fn custom_claims_rejected(instance: &str, error: &(dyn Error + 'static), count: u64) {
    #[cfg(feature = "tracing")]
    {
        let source = error.source().map(|source| tracing::field::display(Chain(source)));
        tracing::warn!(target: TARGET, instance, count, source, "valid tokens do not match the type of the custom claims");
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (instance, error, count);
}

/// WARN: the keys of `setting`, which never change, have not verified one token yet, and `count` tokens since the last
/// such warning failed.
pub(crate) fn keys_verify_nothing(instance: &str, setting: &'static str, count: u64) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        target: TARGET, instance, setting, count,
        "the configured keys have verified no token yet; they may belong to another instance, or the tokens may be forged"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (instance, setting, count);
}

/// INFO: the keys of `setting` are used, so none are fetched from the Frontend API, which is configured too. Logged
/// when a verifier is made.
pub(crate) fn url_not_asked(instance: &str, setting: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, instance, setting, "keys are configured: none are fetched from the Frontend API URL");
    #[cfg(not(feature = "tracing"))]
    let _ = (instance, setting);
}

/// INFO: a configured instance has no issuer, so `iss` is not checked. Logged when a verifier is made, so an operator
/// sees it at start.
pub(crate) fn issuer_not_checked(instance: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, instance, "no issuer configured: `iss` is not checked");
    #[cfg(not(feature = "tracing"))]
    let _ = instance;
}

/// INFO: a configured instance has no authorized parties, so `azp` is not checked. Logged when a verifier is made.
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

/// A call of the Backend API about an opaque token failed: WARN if `is_due`, else DEBUG.
pub(crate) fn backend_api_failed(
    instance: &str,
    error: &'static str,
    source: Option<&(dyn Error + 'static)>,
    is_due: bool,
) {
    #[cfg(feature = "tracing")]
    {
        let source = source.map(|source| tracing::field::display(Chain(source)));
        if is_due {
            tracing::warn!(target: TARGET, instance, %error, source, "asking the Backend API about a token failed");
        } else {
            tracing::debug!(target: TARGET, instance, %error, source, "asking the Backend API about a token failed");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (instance, error, source, is_due);
}

/// The Backend API answered 401 to a question about an opaque token: ERROR if `is_due`, else DEBUG. `setting` has the
/// key that it was sent.
pub(crate) fn backend_api_refused(instance: &str, setting: &'static str, is_due: bool) {
    #[cfg(feature = "tracing")]
    {
        let status = 401;
        if is_due {
            tracing::error!(target: TARGET, instance, setting, status, "the Backend API refused the key of a setting: it is wrong");
        } else {
            tracing::debug!(target: TARGET, instance, setting, status, "the Backend API refused the key of a setting: it is wrong");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (instance, setting, is_due);
}

/// The Backend API answered 403: as [`backend_api_refused`], but the key is right.
pub(crate) fn backend_api_forbids(instance: &str, setting: &'static str, is_due: bool) {
    #[cfg(feature = "tracing")]
    {
        let status = 403;
        if is_due {
            tracing::error!(target: TARGET, instance, setting, status, "the Backend API refused the key of a setting: this machine is not granted the token");
        } else {
            tracing::debug!(target: TARGET, instance, setting, status, "the Backend API refused the key of a setting: this machine is not granted the token");
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = (instance, setting, is_due);
}

/// DEBUG: the permission map of a verified token is ambiguous. The claims grant no permission then.
pub(crate) fn ambiguous_permissions() {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: TARGET, "ambiguous permission map (fea/fpm): granting none");
}

/// ERROR: an extractor or a layer needs a user, but no `ClerkAuthLayer` has run. A mistake of the program, not of the
/// client.
pub(crate) fn layer_missing() {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, "no `ClerkAuthLayer` has seen this request; perhaps you forgot to add it to the router");
}

/// ERROR: a handler takes custom claims of a type that the layer does not insert. A mistake of the program, not of the
/// client.
#[cfg(feature = "axum")]
pub(crate) fn custom_claims_missing() {
    #[cfg(feature = "tracing")]
    tracing::error!(target: TARGET, "the `ClerkAuthLayer` inserts no custom claims of this type; perhaps you forgot `with_custom_claims`");
}

/// INFO: a configured instance accepts OAuth tokens of any audience. Logged when a verifier is made.
pub(crate) fn oauth_audience_not_checked(instance: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, instance, "no OAuth audience configured: `aud` of OAuth tokens is not checked");
    #[cfg(not(feature = "tracing"))]
    let _ = instance;
}

/// INFO: a configured instance accepts M2M tokens for any machine. Logged when a verifier is made.
pub(crate) fn machine_not_checked(instance: &str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: TARGET, instance, "no machine id configured: M2M tokens for other machines are accepted");
    #[cfg(not(feature = "tracing"))]
    let _ = instance;
}

/// WARN: a layer tells clients where to get OAuth tokens, which it then rejects. Logged when the layer is made.
pub(crate) fn oauth_tokens_not_accepted() {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, "the layer has resource metadata for OAuth clients, but accepts no OAuth tokens");
}

/// WARN: `count` requests since the last such warning had opaque tokens that were never seen valid, and for which no
/// call of the Backend API was left.
pub(crate) fn opaque_tokens_refused(count: u64) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: TARGET, count, "too many opaque tokens that were never seen valid");
    #[cfg(not(feature = "tracing"))]
    let _ = count;
}

/// A span for work that serves all requests and belongs to none.
///
/// It has no parent: the request that happens to start a fetch may end before it, and would otherwise contain work for
/// others.
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

    /// Around the calls of the Backend API about one opaque token.
    pub(crate) fn ask_backend_api() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::debug_span!(target: TARGET, parent: None, "ask_backend_api"),
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

/// Displays an error with its sources. HTTP and TLS libraries name the cause only in the innermost one.
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

/// Fixed, so that filters need not know the modules of the crate.
#[cfg(feature = "tracing")]
const TARGET: &str = "tower_clerk";
/// One warning a minute: enough to notice a failure that repeats, too few to fill the log.
pub(crate) const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// Three refresh intervals by default. While requests arrive, a set gets this old only if several refreshes fail.
const WARN_AGE: Duration = Duration::from_secs(15 * 60);
/// Someone should look now, long before the stale limit (24 hours by default) ends the service.
#[cfg(feature = "tracing")]
const ERROR_AGE: Duration = Duration::from_secs(60 * 60);
