//! Verifying tokens, with or without HTTP.
//!
//! Every token goes through these checks, in this order. Nothing of its payload is believed before its
//! signature holds.
//!
//! 1. It is not too long.
//! 2. It is three segments of canonical base64url; header and payload are JSON objects in UTF-8 with unique
//!    members (RFC 7515, section 5.2; RFC 7519, section 7.2).
//! 3. The header has no `crit`, its `typ` is absent or `JWT`, its `cat` absent or a session's, its `alg`
//!    RS256, RS384 or RS512, and it has a `kid` (ignored with a PEM).
//! 4. A key goes by that `kid`, and `alg` is the key's one algorithm.
//! 5. The signature holds.
//! 6. `sub` names a user, `sid` a session; `iss` is an issuer of the instance, compared exactly.
//! 7. `azp` is an authorized party and `aud` one of the audiences, where those are set.
//! 8. `act`, if there, names its actor.
//! 9. `exp` has not passed, `nbf` and `iat` are not in the future, each with the clock skew allowed for;
//!    the token does not live longer than it may.
//! 10. The session is not pending (`sts`).
//!
//! A member that is `null` is there, and of a wrong type. All but the keys is decided without I/O.

mod builder;
mod checks;
mod error;
mod keys;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use self::keys::{Pending, Progress};
pub use self::{
    builder::VerifierBuilder,
    error::{VerifyError, VerifyErrorKind},
};
use self::{checks::Checks, keys::Keys};
pub use crate::clock::{Clock, SystemClock};
use crate::{
    claims::{Claims, Decoded, Wire},
    config::{ClerkConfig, ConfigError},
    json::{Object, Value},
    jwks::{FetchErrorKind, KeysStatus},
    jwt::{Compact, MalformedToken},
};

/// Verifies tokens of one Clerk instance.
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
    checks: Checks,
    clock: Arc<dyn Clock>,
    config: ClerkConfig,
    instance: Arc<str>,
    keys: Keys,
}

/// What keeps a token from being verified.
pub(crate) enum Halt {
    Refused(VerifyError),
    /// Its key has to be fetched first.
    Waiting(Pending),
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

    /// Makes a verifier with a clock, a key source or an HTTP client of your own.
    pub fn builder(config: ClerkConfig) -> VerifierBuilder {
        VerifierBuilder::new(config)
    }

    /// Verifies a token, waiting for keys if they have to be fetched: at most their timeout.
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

    /// Fetches keys if there are none, so that the first request need not wait.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] of kind [`KeysUnavailable`](VerifyErrorKind::KeysUnavailable) if that fails; requests
    /// will try again.
    pub async fn warm_up(&self) -> Result<(), VerifyError> {
        self.inner.keys.warm_up().await
    }

    /// Fetches keys now, whatever their age and the budgets.
    ///
    /// # Errors
    ///
    /// As [`warm_up`](Self::warm_up); the keys at hand stay.
    pub async fn refresh(&self) -> Result<(), VerifyError> {
        self.inner.keys.refresh().await
    }

    /// Drops the keys that were fetched, so that the next token needs a new fetch.
    pub fn forget_keys(&self) {
        self.inner.keys.forget();
    }

    /// How the keys are, for health endpoints.
    #[must_use]
    pub fn keys_status(&self) -> KeysStatus {
        self.inner.keys.status()
    }

    pub(crate) fn config(&self) -> &ClerkConfig {
        &self.inner.config
    }

    /// Verifies as far as can be without waiting.
    pub(crate) fn attempt(&self, token: &str, progress: &mut Progress) -> Result<Claims, Halt> {
        let inner = &*self.inner;
        if token.len() > inner.config.max_token_length {
            return Err(VerifyErrorKind::TooLong.into());
        }
        let compact = Compact::parse(token)?;
        let header = compact.header()?;
        let payload = compact.payload()?;
        for name in ["act", "o"] {
            if let Some(Value::Object(text)) = payload.get(name) {
                Object::parse(text).map_err(|_| MalformedToken)?;
            }
        }
        let header = inner.checks.header(&header)?;
        let proof = inner.keys.verify(&compact, &header, progress)?;
        let wire = Wire::read(&payload);
        inner.checks.claims(&wire, inner.clock.now())?;
        let decoded =
            Decoded::new(wire, compact.payload_text(), &inner.instance, header.is_template).ok_or(MalformedToken)?;
        Ok(Claims::new(compact.into_payload(), decoded, proof))
    }

    /// Goes on with a token that waits for its key.
    pub(crate) async fn resume(
        &self,
        token: &str,
        mut pending: Pending,
        mut progress: Progress,
    ) -> Result<Claims, VerifyError> {
        loop {
            self.inner.keys.wait(pending, &mut progress).await?;
            match self.attempt(token, &mut progress) {
                Ok(claims) => return Ok(claims),
                Err(Halt::Refused(error)) => return Err(error),
                Err(Halt::Waiting(next)) => pending = next,
            }
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Verifier").field("instance", &self.inner.instance).finish_non_exhaustive()
    }
}

impl From<VerifyErrorKind> for Halt {
    fn from(kind: VerifyErrorKind) -> Self {
        Self::Refused(kind.into())
    }
}

impl From<MalformedToken> for Halt {
    fn from(_: MalformedToken) -> Self {
        VerifyErrorKind::Malformed.into()
    }
}
