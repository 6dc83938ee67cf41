use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use tokio::task::JoinSet;
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuthLayer, Rejection, Verifier,
    testing::ManualClock,
    verify::{Clock, VerifyErrorKind},
};
use tower_layer::Layer;

use crate::support::{GatedSource, Harness, Reply, Verdict, at_once, forged, key, kind_of, millis, secs, stranger};

const TASKS: u64 = 64;
const ROUNDS: u64 = 300;

/// The same pseudorandom numbers in every run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One of many clients. It sometimes also acts as the instance and as an operator.
struct Client {
    clock: ManualClock,
    dice: Dice,
    has_operator: bool,
    source: GatedSource,
    verifier: Verifier,
}

#[derive(Clone)]
struct Tokens {
    forged: String,
    rotating: [String; 2],
    steady: String,
}

impl Client {
    async fn run(mut self, tokens: Tokens) {
        for round in 0..ROUNDS {
            self.clock.advance(millis(5));
            match self.dice.roll(16) {
                0..7 => self.send_steady(&tokens.steady).await,
                7..9 => self.send_forged(&tokens.forged).await,
                9..11 => {
                    let verdict = self.send(&tokens.rotating[usize::from(round % 2 == 0)]).await;
                    assert!(verdict.is_ok() || is_unknown(verdict), "rotating: {verdict:?}");
                }
                11 => {
                    let verdict = self.send(&stranger(0)).await;
                    assert!(is_unknown(verdict), "stranger: {verdict:?}");
                }
                12 => drop(at_once(self.verifier.verify(&tokens.rotating[0]))),
                13 => self.publish().await,
                14 => self.verifier = self.verifier.clone(),
                _ if self.has_operator => match self.dice.roll(3) {
                    0 => self.verifier.forget_keys(),
                    1 => drop(self.verifier.refresh().await),
                    _ => drop(self.verifier.warm_up().await),
                },
                _ => drop(at_once(Harness::cold().verify(&tokens.steady))),
            }
        }
    }

    /// Verifies in one of three ways.
    async fn send(&mut self, token: &str) -> Verdict {
        match self.dice.roll(3) {
            0 => kind_of(self.verifier.try_verify(token)),
            1 => kind_of(self.verifier.verify(token).await),
            _ => {
                let layer = ClerkAuthLayer::from(self.verifier.clone());
                let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
                let request = Request::builder().header("authorization", format!("Bearer {token}"));
                let response = layer.layer(inner).oneshot(request.body(()).expect("a request")).await;
                let response = response.expect("infallible");
                let rejection = response.extensions().get::<Rejection>();
                assert_eq!(response.status() == 200, rejection.is_none());
                rejection.and_then(Rejection::verify_error_kind).map_or(Ok(()), Err)
            }
        }
    }

    /// The key of this token is always published.
    async fn send_steady(&mut self, token: &str) {
        let verdict = self.send(token).await;
        let is_unavailable = verdict == Err(VerifyErrorKind::KeysUnavailable);
        assert!(verdict.is_ok() || (self.has_operator && is_unavailable), "steady: {verdict:?}");
    }

    async fn send_forged(&mut self, token: &str) {
        let verdict = self.send(token).await;
        // `try_verify` fails while a fetch is running.
        let is_rejected = [VerifyErrorKind::InvalidSignature, VerifyErrorKind::KeysUnavailable].map(Err);
        assert!(is_rejected.contains(&verdict), "forged: {verdict:?}");
    }

    async fn publish(&mut self) {
        let rotating = usize::from(self.dice.roll(2) == 0) + 1;
        let answer = match self.dice.roll(12) {
            0..4 => Reply::Failure,
            4 => Reply::document(r#"{"keys":[]}"#),
            5 => Reply::Panic,
            6 => Reply::keys(&[key(0)]),
            _ => Reply::keys(&[key(0), key(rotating)]),
        };
        if self.dice.roll(4) == 0 {
            self.source.hold();
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        self.source.always(answer);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn verdicts_stay_correct_while_keys_rotate_and_the_source_fails() {
    let harness = Harness::warm().await;
    storm(&harness, false).await;
    let elapsed = harness.clock.monotonic().as_secs();
    assert_eq!(elapsed, 96);
    // The first load, two unknown kids and one more each ten seconds, a bad signature each minute.
    assert!((3..=1 + 2 + 9 + 2).contains(&harness.source.fetches()), "{}", harness.source.fetches());
    assert_is_sound(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn verdicts_stay_correct_while_operators_forget_and_refresh() {
    let harness = Harness::cold_with(|config| config.jwks_refresh_interval(secs(1)));
    harness.publish(&[key(0)]);
    storm(&harness, true).await;
    assert_is_sound(&harness).await;
}

async fn assert_is_sound(harness: &Harness) {
    harness.publish(&[key(0), key(1)]);
    harness.verifier.refresh().await.expect("keys");
    assert_eq!((harness.try_verify(&key(0).token()), harness.try_verify(&key(1).token())), (Ok(()), Ok(())));
    assert_eq!((harness.verifier.keys_status().keys, harness.verifier.keys_status().last_error), (2, None));
}

fn is_unknown(verdict: Verdict) -> bool {
    [VerifyErrorKind::UnknownKey, VerifyErrorKind::KeysUnavailable].map(Err).contains(&verdict)
}

async fn storm(harness: &Harness, has_operator: bool) {
    let tokens = Tokens { forged: forged(), rotating: [key(1).token(), key(2).token()], steady: key(0).token() };
    let mut clients = JoinSet::new();
    for seed in 0..TASKS {
        let client = Client {
            clock: harness.clock.clone(),
            dice: Dice(seed),
            has_operator,
            source: harness.source.clone(),
            verifier: harness.verifier.clone(),
        };
        clients.spawn(client.run(tokens.clone()));
    }
    let all = async {
        while let Some(client) = clients.join_next().await {
            client.expect("no wrong verdict");
        }
    };
    tokio::time::timeout(Duration::from_secs(300), all).await.expect("no deadlock");
}
