//! Verifying tokens, with or without HTTP.
//!
//! Every token goes through these checks, in this order. Nothing of its payload is believed before its
//! signature holds.
//!
//! 1. It is not too long.
//! 2. It has three segments, of which the first is canonical base64url of a JSON object in UTF-8 with unique members
//!    (RFC 7515, section 5.2).
//! 3. The header has no `crit`, its `typ` is absent or `JWT`, its `cat` absent or a session's, its `alg`
//!    RS256, RS384 or RS512, and it has a `kid` (ignored with a PEM).
//! 4. The payload is such an object too (RFC 7519, section 7.2), the signature canonical base64url.
//! 5. A key goes by that `kid`, and `alg` is the key's one algorithm. With a single instance, if there is neither a
//!    key nor a fetch to wait for, this comes before the payload is looked at.
//! 6. The signature holds.
//! 7. `sub` names a user, `sid` a session; `iss` is an issuer of the instance, compared exactly.
//! 8. `azp` is an authorized party and `aud` one of the audiences, where those are set.
//! 9. `act`, if there, names its actor.
//! 10. `exp` has not passed, `nbf` and `iat` are not in the future, each with the clock skew allowed for;
//!     the token does not live longer than it may.
//! 11. The session is not pending (`sts`).
//!
//! A member that is `null` is there, and of a wrong type. All but the keys, and the instance where a
//! resolver knows it, is decided without I/O.
//!
//! # Tokens that were verified before
//!
//! A browser sends the same token with every request for a minute. What a verifier found out about a token is
//! remembered with the SHA-256 of its whole text, so that the next request costs no signature: the clock is asked again,
//! and the key that vouched must still be in the set of the moment. Where either has moved on, the token goes
//! through all the checks again. Nothing refused is remembered, no token is stored, and no two verifiers share
//! anything. See [`VerifierBuilder::token_cache`].
//!
//! # Several instances
//!
//! [`VerifierBuilder::instance`] trusts further instances, [`VerifierBuilder::resolver`] those that the
//! application knows. The issuer that a token claims only picks among them: no key of one vouches for a token of
//! another. A user is then the pair of [issuer](crate::claims::Claims::issuer) and
//! [user id](crate::claims::Claims::user_id), since each instance has ids of its own.

mod attempt;
mod builder;
mod cache;
mod checks;
mod directory;
mod error;
mod instance;
mod instances;
mod keys;
mod resolver;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use self::attempt::{Halt, Progress};
pub use self::{
    builder::VerifierBuilder,
    cache::TokenCacheStatus,
    error::{VerifyError, VerifyErrorKind},
    instance::Instance,
    resolver::{InstanceResolver, ResolveError},
};
use self::{cache::VerifiedTokens, instances::Instances};
pub use crate::clock::{Clock, SystemClock};
use crate::{
    claims::Claims,
    config::{ClerkConfig, ConfigError},
    jwks::{FetchErrorKind, KeysStatus},
};

/// Verifies tokens of one Clerk instance, or of several.
///
/// Cloning it shares its keys. See the [module docs](self) for what it checks.
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
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    instances: Instances,
    max_token_length: usize,
    verified: Option<VerifiedTokens>,
}

impl Verifier {
    /// Makes a verifier; keys are fetched when a token first needs them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configured key is not an RSA key of at least 2048 bits, the document has no
    /// usable key, or no HTTP client can be made.
    pub fn new(config: ClerkConfig) -> Result<Self, ConfigError> {
        Self::builder(config).build()
    }

    /// Makes a verifier that trusts all of these instances, told apart by issuer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`VerifierBuilder::build`], and if there are none.
    pub fn of_instances<I>(instances: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<Instance>>,
    {
        instances.into_iter().fold(VerifierBuilder::new(), VerifierBuilder::instance).build()
    }

    /// Makes a verifier with a clock, a key source, an HTTP client or further instances of your own.
    pub fn builder(instance: impl Into<Instance>) -> VerifierBuilder {
        VerifierBuilder::new().instance(instance)
    }

    /// Makes a verifier that trusts the instances that `resolver` knows, and those that are added.
    pub fn resolving(resolver: impl InstanceResolver + 'static) -> VerifierBuilder {
        VerifierBuilder::new().resolver(resolver)
    }

    /// Verifies a token, waiting for keys if they have to be fetched: at most their timeout, and as long again where a
    /// fetch that was under way has not brought its key.
    ///
    /// # Errors
    ///
    /// [`VerifyError`], with the first check that failed as its kind;
    /// [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable) says nothing about the token.
    pub async fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        let mut progress = Progress::default();
        match self.attempt(token, &mut progress) {
            Ok(claims) => Ok(claims),
            Err(Halt::Refused(error)) => Err(error),
            Err(Halt::Waiting(pending)) => self.resume(token, pending, progress).await,
        }
    }

    /// Verifies a token with the keys at hand, without waiting; if they are not, a fetch is started.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify), with [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable) for all that
    /// would have to wait.
    pub fn try_verify(&self, token: &str) -> Result<Claims, VerifyError> {
        self.attempt(token, &mut Progress::default()).map_err(|halt| match halt {
            Halt::Refused(error) => error,
            Halt::Waiting(_) => VerifyError::keys_unavailable(FetchErrorKind::InFlight, Duration::from_secs(1)),
        })
    }

    /// Fetches the keys of every instance that has none, so that the first request need not wait.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] of kind [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable) if that fails for one;
    /// requests will try again.
    pub async fn warm_up(&self) -> Result<(), VerifyError> {
        let mut outcome = Ok(());
        for instance in self.inner.instances.all() {
            outcome = outcome.and(instance.keys.warm_up().await);
        }
        outcome
    }

    /// Fetches the keys of every instance now, whatever their age and the budgets.
    ///
    /// # Errors
    ///
    /// As [`warm_up`](Self::warm_up); the keys at hand stay.
    pub async fn refresh(&self) -> Result<(), VerifyError> {
        let mut outcome = Ok(());
        for instance in self.inner.instances.all() {
            outcome = outcome.and(instance.keys.refresh().await);
        }
        outcome
    }

    /// Drops the keys that were fetched, so that the next token needs a new fetch.
    pub fn forget_keys(&self) {
        for instance in self.inner.instances.all() {
            instance.keys.forget();
        }
    }

    /// How the keys are, for health endpoints; of several instances, those that are worst off.
    #[must_use]
    pub fn keys_status(&self) -> KeysStatus {
        let statuses = self.inner.instances.all().into_iter().map(|instance| instance.keys.status());
        statuses.reduce(|one, other| one.worse(&other)).unwrap_or_else(|| KeysStatus::fixed(0))
    }

    /// How the keys of each instance are, by its [name](crate::ClerkAuth::instance).
    #[must_use]
    pub fn keys_status_by_instance(&self) -> Vec<(String, KeysStatus)> {
        let instances = self.inner.instances.all().into_iter();
        instances.map(|instance| (instance.config.name().to_owned(), instance.keys.status())).collect()
    }

    /// How many verified tokens are remembered; none if that is switched off.
    #[must_use]
    pub fn token_cache_status(&self) -> TokenCacheStatus {
        self.inner.verified.as_ref().map(VerifiedTokens::status).unwrap_or_default()
    }

    pub(crate) fn configs(&self) -> impl Iterator<Item = &ClerkConfig> {
        self.inner.instances.configs()
    }

    /// In bytes.
    pub(crate) fn max_token_length(&self) -> usize {
        self.inner.max_token_length
    }

    /// Whether it may come to trust instances that are not configured.
    pub(crate) fn can_resolve(&self) -> bool {
        self.inner.instances.can_resolve()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instances: Vec<&str> = self.configs().map(ClerkConfig::name).collect();
        formatter.debug_struct("Verifier").field("instances", &instances).finish_non_exhaustive()
    }
}
