//! A verifier over a gated key source, and the keys and tokens of the lifecycle tests.

use std::{
    collections::HashMap,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::sync::watch;
use tower_clerk::{
    ClerkConfig, ConfigError, Verifier,
    claims::Claims,
    testing::{ManualClock, TestIssuer},
    verify::{Instance, VerifyError, VerifyErrorKind},
};

use super::{
    issuers::numbered_issuer,
    source::{GatedSource, Reply},
    tasks::{at_once, secs, settle},
};

pub(crate) type Verdict = Result<(), VerifyErrorKind>;

/// A verifier whose clock and key source the test controls.
pub(crate) struct Harness {
    pub(crate) clock: ManualClock,
    pub(crate) source: GatedSource,
    pub(crate) verifier: Verifier,
}

impl Harness {
    /// Without keys. Fetches wait for their reply for a minute at most.
    pub(crate) fn cold() -> Self {
        Self::cold_with(Ok)
    }

    pub(crate) fn cold_with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> Self {
        Self::over(GatedSource::new(), change)
    }

    pub(crate) fn over(
        source: GatedSource,
        change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>,
    ) -> Self {
        let config = ClerkConfig::from_frontend_api_url("https://clerk.test.example")
            .and_then(|config| config.jwks_timeout(secs(60)))
            .and_then(change)
            .expect("a configuration");
        let clock = ManualClock::new();
        let verifier = Verifier::builder(Instance::new(config).key_source(source.clone())).clock(clock.clone()).build();
        Self { clock, source, verifier: verifier.expect("a verifier") }
    }

    /// With key 0, which has just been fetched and stays published.
    pub(crate) async fn warm() -> Self {
        Self::warm_with(Ok).await
    }

    pub(crate) async fn warm_with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> Self {
        let harness = Self::cold_with(change);
        harness.publish(&[key(0)]);
        harness.verifier.warm_up().await.expect("keys");
        harness
    }

    /// Every fetch from now on gets these keys.
    pub(crate) fn publish(&self, keys: &[Key]) {
        self.source.always(Reply::keys(keys));
    }

    pub(crate) async fn verify(&self, token: &str) -> Verdict {
        kind_of(self.verifier.verify(token).await)
    }

    pub(crate) fn try_verify(&self, token: &str) -> Verdict {
        kind_of(self.verifier.try_verify(token))
    }

    /// The result of `verify` if it is ready on its first poll; `None` if it waits.
    pub(crate) fn verify_at_once(&self, token: &str) -> Option<Result<Claims, VerifyError>> {
        at_once(self.verifier.verify(token))
    }

    /// Advances the clock, then lets background tasks run until they wait.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        settle().await;
    }

    /// Verifies each token in its own task and counts the verdicts. `meanwhile` runs once all tasks have started.
    pub(crate) async fn herd(
        &self,
        tokens: impl IntoIterator<Item = String>,
        meanwhile: impl AsyncFnOnce(),
    ) -> HashMap<Verdict, usize> {
        let (started, mut starting) = watch::channel(0);
        let verify = |token: String| {
            let (verifier, started) = (self.verifier.clone(), started.clone());
            tokio::spawn(async move {
                started.send_modify(|started| *started += 1);
                kind_of(verifier.verify(&token).await)
            })
        };
        let tasks: Vec<_> = tokens.into_iter().map(verify).collect();
        starting.wait_for(|started| *started == tasks.len()).await.expect("tasks");
        meanwhile().await;
        let mut verdicts = HashMap::new();
        for task in tasks {
            *verdicts.entry(task.await.expect("no panic")).or_default() += 1;
        }
        verdicts
    }
}

/// A key and its `kid`.
#[derive(Clone)]
pub(crate) struct Key {
    kid: String,
    signer: &'static TestIssuer,
}

/// The key with this number and the `kid` `ins_<number>`.
pub(crate) fn key(number: usize) -> Key {
    Key { kid: format!("ins_{number}"), signer: numbered_issuer(number) }
}

impl Key {
    /// The same key under another `kid`.
    pub(crate) fn under(self, kid: &str) -> Self {
        Self { kid: kid.to_owned(), ..self }
    }

    /// A new token that is valid at every time a test sets its clock to.
    pub(crate) fn token(&self) -> String {
        self.token_of(self.signer.url())
    }

    /// The same with this issuer.
    pub(crate) fn token_of(&self, issuer: &str) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let token = self.signer.token("user_ada").claim("iss", issuer).without_claim("iat").without_claim("nbf");
        let token = token.claim("jti", MADE.fetch_add(1, Ordering::Relaxed));
        token.claim("exp", 8_000_000_000_u64).header("kid", &self.kid).sign()
    }

    pub(crate) fn jwks(keys: &[Self]) -> String {
        let jwk = |key: &Self| {
            let jwks = key.signer.jwks().replace(&key.signer.kid(), &key.kid);
            jwks.strip_prefix(r#"{"keys":["#).and_then(|rest| rest.strip_suffix("]}")).expect("one key").to_owned()
        };
        format!(r#"{{"keys":[{}]}}"#, keys.iter().map(jwk).collect::<Vec<_>>().join(","))
    }
}

/// A token with this header. Its signature is that of another token.
pub(crate) fn with_header(header: &str) -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    let token = TOKEN.get_or_init(|| key(0).token());
    let (_, rest) = token.split_once('.').expect("a token");
    format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header))
}

/// A well-formed token whose `kid` no key has.
pub(crate) fn stranger(number: usize) -> String {
    with_header(&format!(r#"{{"alg":"RS256","kid":"ins_stranger_{number}"}}"#))
}

/// A token with the `kid` of key 0, signed by another key.
pub(crate) fn forged() -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| key(3).under("ins_0").token()).clone()
}

pub(crate) fn kind_of<T>(result: Result<T, VerifyError>) -> Verdict {
    result.map(|_| ()).map_err(|error| error.kind())
}
