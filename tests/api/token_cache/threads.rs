//! Each thread holds a few tokens beside the cache. They obey its rules.

use std::{
    cell::RefCell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
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
use crate::support::{HITS, THREADS, issuer, kind_of, verdicts_after};

#[tokio::test]
async fn a_token_that_expires_is_rejected_on_every_thread() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    verifier.warm_up().await.expect("keys");
    let token = fixture.issuer.token("u").sign();
    let verdicts = verdicts_after(&verifier, &token, || fixture.clock.advance(Duration::from_secs(90)));
    assert_eq!(verdicts, [Err(VerifyErrorKind::Expired); THREADS]);
    assert_eq!(verifier.token_cache_status().entries, 0);
}

#[tokio::test]
async fn a_token_whose_keys_are_forgotten_is_admitted_on_no_thread() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    verifier.warm_up().await.expect("keys");
    let token = fixture.issuer.token("u").sign();
    let verdicts = verdicts_after(&verifier, &token, || verifier.forget_keys());
    assert_eq!(verdicts, [Err(VerifyErrorKind::KeysUnavailable); THREADS]);
}

/// Whether this thread, and whether another one, has a hit with the token after newer ones have pushed it out of a cache
/// with so many entries.
fn hits_after_eviction(entries: usize, token: &str) -> [bool; 2] {
    let verifier = Verifier::builder(issuer().config()).clock(ManualClock::new()).token_cache_entries(entries);
    let verifier = verifier.token_cache_bytes(1 << 20).build().expect("a verifier");
    let on_another_thread =
        |work: &(dyn Fn() -> bool + Sync)| thread::scope(|scope| scope.spawn(work).join().expect("no panic"));
    // Many times as many as one mebibyte holds, and each of them again: the cache evicts tokens without a hit first.
    let verify_others = |name: &str| {
        let other = |number| issuer().token("u").claim(name, number).claim("padding", "x".repeat(3000)).sign();
        let others: Vec<_> = (0..1000).map(other).collect();
        let is_valid = |other: &String| (0..3).all(|_| verifier.try_verify(other).is_ok());
        assert!(on_another_thread(&|| others.iter().all(is_valid)));
    };
    verify_others("older");
    let first = verifier.try_verify(token).expect("a valid token");
    assert!(is_hit(&first, &verifier.try_verify(token).expect("a hit")), "the thread holds it from now on");
    verify_others("newer");
    let is_hit_here = || is_hit(&first, &verifier.try_verify(token).expect("a valid token"));
    [is_hit_here(), on_another_thread(&is_hit_here)]
}

#[test]
fn a_thread_keeps_a_short_token_that_the_shared_cache_has_evicted() {
    let token = |padding: usize| issuer().token("u").claim("padding", "x".repeat(padding)).sign();
    assert_eq!(hits_after_eviction(1000, &token(0)), [true, false]);
    assert_eq!(hits_after_eviction(1000, &token(4000)), [false, false], "it takes too much memory");
    assert_eq!(hits_after_eviction(999, &token(0)), [false, false], "the cache is too small");
}

/// Verifies a token when its thread ends.
struct VerifiesInTheEnd(Verifier, String, Sender<bool>);

impl Drop for VerifiesInTheEnd {
    fn drop(&mut self) {
        let Self(verifier, token, result) = self;
        result.send(verifier.try_verify(token).is_ok()).expect("a receiver");
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<VerifiesInTheEnd>> = const { RefCell::new(None) };
}

#[test]
fn a_thread_local_may_verify_a_token_while_its_thread_ends() {
    let verifier = Verifier::builder(issuer().config()).clock(ManualClock::new()).build().expect("a verifier");
    let token = issuer().token("u").sign();
    // Its destructor runs after or before that of the thread's cache.
    for is_first in [true, false] {
        let (sender, receiver) = channel();
        let last = VerifiesInTheEnd(verifier.clone(), token.clone(), sender);
        let (verifier, token) = (verifier.clone(), token.clone());
        let thread = thread::spawn(move || {
            let verify = || assert!((0..HITS).all(|_| verifier.try_verify(&token).is_ok()));
            if !is_first {
                verify();
            }
            AT_THE_END.set(Some(last));
            verify();
        });
        thread.join().expect("no panic");
        assert_eq!(receiver.recv(), Ok(true));
    }
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
struct ReentrantClock {
    clock: ManualClock,
    verifies: OnceLock<(Verifier, String)>,
    is_verifying: AtomicBool,
}

struct Shared(Arc<ReentrantClock>);

impl Clock for Shared {
    fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }

    fn now(&self) -> SystemTime {
        if let Some((verifier, token)) = self.0.verifies.get()
            && !self.0.is_verifying.swap(true, Ordering::Relaxed)
        {
            assert_eq!(kind_of(verifier.try_verify(token)), Ok(()));
            self.0.is_verifying.store(false, Ordering::Relaxed);
        }
        self.0.clock.now()
    }
}

#[test]
fn code_that_a_hit_runs_may_verify_the_same_token() {
    let clock = Arc::new(ReentrantClock {
        clock: ManualClock::new(),
        verifies: OnceLock::new(),
        is_verifying: AtomicBool::new(false),
    });
    let verifier = Verifier::builder(issuer().config()).clock(Shared(Arc::clone(&clock))).build().expect("a verifier");
    let token = issuer().token("u").sign();
    let first = verifier.try_verify(&token).expect("a valid token");
    assert!(clock.verifies.set((verifier.clone(), token.clone())).is_ok());
    for _ in 0..HITS {
        assert!(is_hit(&first, &verifier.try_verify(&token).expect("a hit")));
    }
}
