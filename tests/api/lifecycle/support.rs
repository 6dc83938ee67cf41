use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};
use tower_clerk::{
    ClerkConfig, ConfigError, Verifier,
    claims::Claims,
    testing::{ManualClock, TestIssuer},
    verify::{VerifyError, VerifyErrorKind},
};

use super::source::{Answer, GatedSource};

pub(crate) type Verdict = Result<(), VerifyErrorKind>;

/// A verifier whose clock and key source the test holds in its hand.
pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) source: GatedSource,
    pub(crate) verifier: Verifier,
}

impl Rig {
    /// Without keys; fetches wait for their answers, a minute at most.
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
        let verifier = Verifier::builder(config).clock(clock.clone()).key_source(source.clone()).build();
        Self { clock, source, verifier: verifier.expect("a verifier") }
    }

    /// With key 0, which was fetched just now and is published on.
    pub(crate) async fn warm() -> Self {
        Self::warm_with(Ok).await
    }

    pub(crate) async fn warm_with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> Self {
        let rig = Self::cold_with(change);
        rig.publish(&[key(0)]);
        rig.verifier.warm_up().await.expect("keys");
        rig
    }

    /// Answers every fetch from here on with these keys.
    pub(crate) fn publish(&self, keys: &[Key]) {
        self.source.always(Answer::keys(keys));
    }

    pub(crate) async fn verify(&self, token: &str) -> Verdict {
        kind_of(self.verifier.verify(token).await)
    }

    pub(crate) fn try_verify(&self, token: &str) -> Verdict {
        kind_of(self.verifier.try_verify(token))
    }

    /// What `verify` answers on its first poll; `None` if it waits.
    pub(crate) fn verify_at_once(&self, token: &str) -> Option<Result<Claims, VerifyError>> {
        at_once(self.verifier.verify(token))
    }

    /// Lets time pass, then what runs in the background and waits for nothing run.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        settle().await;
    }

    /// Verifies each token in a task of its own, all of which have started before `meanwhile` does, and counts
    /// the verdicts.
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

/// A key and the `kid` it goes by.
#[derive(Clone)]
pub(crate) struct Key {
    kid: String,
    signer: &'static TestIssuer,
}

/// The key of this number, the same in all tests: making one takes a while.
pub(crate) fn key(number: usize) -> Key {
    static SIGNERS: [OnceLock<TestIssuer>; 4] = [const { OnceLock::new() }; 4];
    Key { kid: format!("ins_{number}"), signer: SIGNERS[number].get_or_init(TestIssuer::new) }
}

impl Key {
    /// The same key by another `kid`.
    pub(crate) fn under(self, kid: &str) -> Self {
        Self { kid: kid.to_owned(), ..self }
    }

    /// A token that outlives every test, whatever its clock says, and that no verifier has seen before.
    pub(crate) fn token(&self) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let token = self.signer.token("user_ada").without_claim("iat").without_claim("nbf");
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

/// A token with this header, whose signature is someone else's.
pub(crate) fn with_header(header: &str) -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    let token = TOKEN.get_or_init(|| key(0).token());
    let (_, rest) = token.split_once('.').expect("a token");
    format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header))
}

/// A token in due form by a `kid` that no key goes by.
pub(crate) fn stranger(number: usize) -> String {
    with_header(&format!(r#"{{"alg":"RS256","kid":"ins_stranger_{number}"}}"#))
}

/// A token by the `kid` of key 0 that another key signed.
pub(crate) fn forged() -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| key(3).under("ins_0").token()).clone()
}

pub(crate) fn kind_of<T>(result: Result<T, VerifyError>) -> Verdict {
    result.map(|_| ()).map_err(|error| error.kind())
}

/// What a future answers on its first poll; `None` if it waits.
pub(crate) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A runtime that runs only while something is run on it.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Lets the other tasks of a current-thread runtime run until they wait.
pub(crate) async fn settle() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const NANO: Duration = Duration::from_nanos(1);
