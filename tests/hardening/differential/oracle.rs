#![expect(clippy::disallowed_methods, reason = "the oracle is what the library does without")]

use std::{
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, errors::ErrorKind, jwk::JwkSet};
use serde_json::Value;
use tower_clerk::{ClerkConfig, Verifier, claims::Claims, verify::VerifyErrorKind};

/// The oracle knows only the system clock, so tokens are minted by it.
pub(crate) use crate::support::system_clock_issuer as issuer;

/// A JWKS with the issuer's key and this algorithm.
fn jwks(algorithm: &str) -> String {
    issuer().jwks().replace("\"RS256\"", &format!("\"{algorithm}\""))
}

pub(crate) fn config(algorithm: &str) -> ClerkConfig {
    ClerkConfig::from_jwks(jwks(algorithm))
        .and_then(|config| config.add_issuer(issuer().url()))
        .expect("a configuration")
}

/// Our verifier and the oracle with the same settings: one key with one algorithm, one issuer, the same skew.
pub(crate) struct Pair {
    key: DecodingKey,
    ours: Verifier,
    validation: Validation,
}

pub(crate) type Verdicts = (Result<Claims, VerifyErrorKind>, Result<TokenData<Value>, ErrorKind>);

impl Pair {
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        Self::with(algorithm, config(&format!("{algorithm:?}")))
    }

    /// With this configuration for our verifier.
    pub(crate) fn with(algorithm: Algorithm, config: ClerkConfig) -> Self {
        let set: JwkSet = serde_json::from_str(&issuer().jwks()).expect("a JWKS");
        let mut validation = Validation::new(algorithm);
        validation.leeway = SKEW;
        validation.validate_nbf = true;
        validation.set_issuer(&[issuer().url()]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        Self {
            key: DecodingKey::from_jwk(&set.keys[0]).expect("an RSA key"),
            ours: Verifier::new(config).expect("a verifier"),
            validation,
        }
    }

    /// The oracle parses the claims into a type that accepts any JSON.
    pub(crate) fn verdicts(&self, token: &str) -> Verdicts {
        (self.ours.try_verify(token).map_err(|error| error.kind()), self.oracle(token))
    }

    pub(crate) fn oracle(&self, token: &str) -> Result<TokenData<Value>, ErrorKind> {
        decode(token, &self.key, &self.validation).map_err(|error| error.into_kind())
    }

    /// Whether the oracle accepts the token if its claims are not parsed into a type.
    pub(crate) fn oracle_accepts_unread(&self, token: &str) -> bool {
        decode::<serde::de::IgnoredAny>(token, &self.key, &self.validation).is_ok()
    }
}

pub(crate) fn rs256() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| Pair::of(Algorithm::RS256))
}

/// The header of a valid token, with additional members as JSON text.
pub(crate) fn header(more: &str) -> String {
    format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"{more}}}"#, issuer().kid())
}

/// The payload of a valid token, with additional members as JSON text.
pub(crate) fn payload(more: &str) -> String {
    payload_until(&(now() + HOUR).to_string(), more)
}

/// As [`payload`], with this `exp`.
pub(crate) fn payload_until(exp: &str, more: &str) -> String {
    format!(r#"{{"iss":"{}","sub":"user_ada","sid":"sess_a","exp":{exp}{more}}}"#, issuer().url())
}

/// The system clock in whole seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// In seconds.
pub(crate) const SKEW: u64 = 5;
pub(crate) const HOUR: u64 = 3600;
