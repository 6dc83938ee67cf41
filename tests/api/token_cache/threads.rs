//! Each thread keeps a few tokens at hand. They obey the rules of the cache.

use std::{
    sync::{
        Arc, Barrier, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use tower_clerk::{
    Verifier,
    claims::Claims,
    testing::ManualClock,
    verify::{Clock, VerifyErrorKind},
};

use super::{Fixture, cached::is_hit};
use crate::support::{issuer, kind_of};

const THREADS: usize = 4;
/// More than it takes until a token is at hand.
const HITS: usize = 4;

/// What every thread says about a token that it had at hand, after `change`.
fn after(verifier: &Verifier, token: &str, change: impl FnOnce()) -> Vec<Result<(), VerifyErrorKind>> {
    let barrier = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        let say = || {
            for _ in 0..HITS {
                assert_eq!(kind_of(verifier.try_verify(token)), Ok(()));
            }
            barrier.wait();
            barrier.wait();
            kind_of(verifier.try_verify(token))
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(say)).collect();
        barrier.wait();
        change();
        barrier.wait();
        threads.into_iter().map(|thread| thread.join().expect("a verdict")).collect()
    })
}

#[tokio::test]
async fn a_token_that_expires_is_rejected_on_every_thread() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    verifier.warm_up().await.expect("keys");
    let token = fixture.issuer.token("u").sign();
    let verdicts = after(&verifier, &token, || fixture.clock.advance(Duration::from_secs(90)));
    assert_eq!(verdicts, [Err(VerifyErrorKind::Expired); THREADS]);
    assert_eq!(verifier.token_cache_status().entries, 0);
}

#[tokio::test]
async fn a_token_whose_keys_are_forgotten_is_admitted_on_no_thread() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    verifier.warm_up().await.expect("keys");
    let token = fixture.issuer.token("u").sign();
    let verdicts = after(&verifier, &token, || verifier.forget_keys());
    assert_eq!(verdicts, [Err(VerifyErrorKind::KeysUnavailable); THREADS]);
}

#[test]
fn claims_outlive_the_thread_and_the_verifier() {
    let verifier = Verifier::builder(issuer().config()).clock(ManualClock::new()).build().expect("a verifier");
    let token = issuer().token("user_ada").sign();
    let first = verifier.try_verify(&token).expect("a valid token");
    let claims: Vec<Claims> = thread::scope(|scope| {
        let all = || (0..HITS).map(|_| verifier.try_verify(&token).expect("a hit")).collect::<Vec<_>>();
        scope.spawn(all).join().expect("claims")
    });
    drop(verifier);
    assert!(claims.iter().all(|claims| claims.user_id() == "user_ada" && is_hit(&first, claims)));
}

/// Verifies a token each time that it is asked for the time.
struct AskingClock {
    clock: ManualClock,
    asks: OnceLock<(Verifier, String)>,
    is_asking: AtomicBool,
}

struct Shared(Arc<AskingClock>);

impl Clock for Shared {
    fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }

    fn now(&self) -> SystemTime {
        if let Some((verifier, token)) = self.0.asks.get()
            && !self.0.is_asking.swap(true, Ordering::Relaxed)
        {
            assert_eq!(kind_of(verifier.try_verify(token)), Ok(()));
            self.0.is_asking.store(false, Ordering::Relaxed);
        }
        self.0.clock.now()
    }
}

#[test]
fn code_that_a_hit_runs_may_verify_the_same_token() {
    let clock =
        Arc::new(AskingClock { clock: ManualClock::new(), asks: OnceLock::new(), is_asking: AtomicBool::new(false) });
    let verifier = Verifier::builder(issuer().config()).clock(Shared(Arc::clone(&clock))).build().expect("a verifier");
    let token = issuer().token("u").sign();
    let first = verifier.try_verify(&token).expect("a valid token");
    assert!(clock.asks.set((verifier.clone(), token.clone())).is_ok());
    for _ in 0..HITS {
        assert!(is_hit(&first, &verifier.try_verify(&token).expect("a hit")));
    }
}
