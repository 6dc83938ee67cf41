//! A key set that nobody has used for two refresh intervals: a key of it may have been withdrawn unnoticed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Verifier,
    jwks::FetchErrorKind,
    testing::{ManualClock, TestIssuer},
    verify::{Clock, Instance, UnavailableReason, VerifyErrorKind},
};

use crate::support::{
    GatedSource, Harness, Key, NANO, Reply, Verdict, at_once, forged, key, kind_of, millis, request, runtime, secs,
    send_through, settle, stranger, within,
};

const DAY: Duration = secs(24 * 60 * 60);
const UNKNOWN: Verdict = Err(VerifyErrorKind::UnknownKey);

/// Idle for so long that the default set, with an interval of five minutes, is late but not stale.
async fn idle(harness: &Harness) {
    harness.pass(secs(20 * 60 * 60)).await;
}

#[tokio::test]
async fn a_set_is_late_from_two_intervals_on() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.source.hold();
    harness.pass(secs(600) - NANO).await;
    assert_eq!(at_once(harness.verify(&token)), Some(Ok(())));
    harness.pass(NANO).await;
    for token in [token, key(0).token()] {
        assert_eq!(at_once(harness.verify(&token)), None);
    }
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn a_key_withdrawn_while_the_service_was_idle_verifies_no_token() {
    let (harness, cached) = (Harness::warm().await, key(0).token());
    assert_eq!(harness.verify(&cached).await, Ok(()));
    harness.source.hold();
    idle(&harness).await;
    let tokens: Vec<_> = (0..200).map(|_| key(0).token()).chain((0..200).map(|_| cached.clone())).collect();
    let verdicts = harness.herd(tokens, async || harness.publish(&[key(1)])).await;
    assert_eq!(verdicts, HashMap::from([(UNKNOWN, 400)]));
    assert_eq!(harness.source.fetches(), 2);
    assert_eq!(harness.verify(&key(1).token()).await, Ok(()));
}

#[tokio::test]
async fn a_herd_under_a_late_set_waits_for_one_fetch() {
    let harness = Harness::warm().await;
    harness.source.hold();
    idle(&harness).await;
    let tokens: Vec<_> = (0..1000).map(|_| key(0).token()).collect();
    let verdicts = harness.herd(tokens, async || harness.publish(&[key(0)])).await;
    assert_eq!(verdicts, HashMap::from([(Ok(()), 1000)]));
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn while_the_source_hangs_requests_wait_once_and_then_pass() {
    let harness = Harness::warm_with(|config| config.jwks_timeout(millis(100))).await;
    let cached = key(0).token();
    assert_eq!(harness.verify(&cached).await, Ok(()));
    harness.source.hold();
    idle(&harness).await;
    let first = key(0).token();
    let mut waiting = Box::pin(harness.verify(&first));
    assert_eq!(at_once(waiting.as_mut()), None);
    assert_eq!(within(waiting).await, Ok(()));
    assert_eq!(harness.verifier.keys_status().last_error, Some(FetchErrorKind::Timeout));
    for token in [&cached, &first, &key(0).token()] {
        assert_eq!(at_once(harness.verify(token)), Some(Ok(())));
    }
    harness.pass(secs(60)).await;
    assert_eq!(at_once(harness.verify(&key(0).token())), Some(Ok(())), "the next refresh hangs in the background");
    harness.source.started(3).await;
    assert_eq!(harness.source.fetches(), 3);
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_old_set_in_use() {
    for failure in [Reply::Failure, Reply::FailureUntil(secs(60)), Reply::Panic, Reply::document("<html>")] {
        let harness = Harness::warm().await;
        harness.source.always(failure);
        idle(&harness).await;
        assert_eq!(within(harness.verify(&key(0).token())).await, Ok(()));
        assert_eq!(at_once(harness.verify(&key(0).token())), Some(Ok(())));
        assert_eq!(harness.source.fetches(), 2);
    }
}

#[tokio::test]
async fn a_set_whose_refresh_has_failed_makes_nobody_wait() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.source.once(Reply::Failure);
    harness.pass(secs(270)).await;
    assert_eq!(harness.verify(&token).await, Ok(()));
    harness.source.over(2).await;
    settle().await;
    harness.source.hold();
    idle(&harness).await;
    for token in [token, key(0).token()] {
        assert_eq!(at_once(harness.verify(&token)), Some(Ok(())));
    }
    // A success makes the next set late again.
    harness.publish(&[key(0)]);
    harness.source.over(3).await;
    harness.source.hold();
    idle(&harness).await;
    assert_eq!(at_once(harness.verify(&key(0).token())), None);
}

#[tokio::test]
async fn forged_tokens_do_not_wait_for_the_refresh_of_a_late_set() {
    let harness = Harness::warm().await;
    harness.source.hold();
    idle(&harness).await;
    let good = key(0).token();
    let mut waiting = Box::pin(harness.verify(&good));
    assert_eq!(at_once(waiting.as_mut()), None);
    // One bad signature a minute may be that of a new key under the same `kid`. It waits for a quarter of a second.
    assert_eq!(within(harness.verify(&forged())).await, Err(VerifyErrorKind::InvalidSignature));
    for _ in 0..100 {
        assert_eq!(at_once(harness.verify(&forged())), Some(Err(VerifyErrorKind::InvalidSignature)));
    }
    assert_eq!(at_once(waiting.as_mut()), None, "the fetch is still in flight");
    harness.publish(&[key(0)]);
    assert_eq!(within(waiting).await, Ok(()));
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn a_bad_signature_that_gives_up_does_not_end_the_refresh() {
    let harness = Harness::warm().await;
    harness.source.hold();
    idle(&harness).await;
    let good = key(0).token();
    let mut waiting = Box::pin(harness.verify(&good));
    assert_eq!(at_once(waiting.as_mut()), None);
    assert_eq!(within(harness.verify(&forged())).await, Err(VerifyErrorKind::InvalidSignature));
    settle().await;
    assert_eq!((harness.source.ended(), harness.verifier.keys_status().last_error), (1, None));
    assert_eq!(at_once(waiting.as_mut()), None);
    harness.publish(&[key(1)]);
    assert_eq!(within(waiting).await, UNKNOWN, "its key was withdrawn");
}

#[tokio::test]
async fn a_token_waits_for_the_refresh_of_a_late_set_only_once() {
    let harness = Harness::warm().await;
    harness.source.hold();
    idle(&harness).await;
    let token = key(0).token();
    let mut waiting = Box::pin(harness.verify(&token));
    assert_eq!(at_once(waiting.as_mut()), None);
    harness.source.once(Reply::keys(&[key(0)]));
    harness.source.over(2).await;
    settle().await;
    // The process stands still before the token is tried again, until the new set is late too.
    harness.pass(secs(600)).await;
    assert_eq!(at_once(waiting), Some(Ok(())));
}

/// A clock at one of whose readings something happens, as if another thread did it.
#[derive(Clone, Default)]
struct EventfulClock {
    clock: ManualClock,
    /// After how many further readings it happens.
    next: Arc<Mutex<Option<(usize, Event)>>>,
}

type Event = Box<dyn FnOnce() + Send>;

impl Clock for EventfulClock {
    fn monotonic(&self) -> Duration {
        let next = self.next.lock().expect("no panic").take();
        match next {
            Some((0, event)) => event(),
            Some((after, event)) => *self.next.lock().expect("no panic") = Some((after - 1, event)),
            None => {}
        }
        self.clock.monotonic()
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }
}

#[tokio::test]
async fn a_late_set_forgotten_after_the_look_at_it_verifies_no_token() {
    let (source, clock) = (GatedSource::serving(Key::jwks(&[key(0)])), EventfulClock::default());
    let config = ClerkConfig::from_frontend_api_url("https://clerk.test.example").expect("a configuration");
    let instance = Instance::new(config).key_source(source.clone());
    let verifier = Verifier::builder(instance).clock(clock.clone()).build().expect("a verifier");
    verifier.warm_up().await.expect("keys");
    source.always(Reply::keys(&[key(1)]));
    clock.clock.advance(secs(600));
    let operator = verifier.clone();
    // The first reading is that of the look, the second that of the decision to wait.
    *clock.next.lock().expect("no panic") = Some((1, Box::new(move || operator.forget_keys())));
    assert_eq!(kind_of(within(verifier.verify(&key(0).token())).await), UNKNOWN);
    assert!(clock.next.lock().expect("no panic").is_none());
}

#[tokio::test]
async fn a_key_replaced_under_its_kid_in_an_idle_time_is_found() {
    let (harness, successor) = (Harness::warm().await, key(1).under("ins_0"));
    harness.publish(std::slice::from_ref(&successor));
    idle(&harness).await;
    assert_eq!(within(harness.verify(&successor.token())).await, Ok(()));
    assert_eq!(harness.verify(&key(0).token()).await, Err(VerifyErrorKind::InvalidSignature));
}

#[tokio::test]
async fn a_token_of_another_issuer_neither_waits_nor_spends_the_budget() {
    let harness = Harness::warm().await;
    let foreign = || key(2).token_of("https://clerk.staging.example");
    for _ in 0..10 {
        assert_eq!(at_once(harness.verify(&foreign())), Some(UNKNOWN));
    }
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
    // The whole budget for unknown `kid`s is left.
    for (fetches, rotated) in [(2, 1), (3, 2)] {
        harness.publish(&[key(rotated)]);
        assert_eq!(harness.verify(&key(rotated).token()).await, Ok(()));
        assert_eq!(harness.source.fetches(), fetches);
    }
    harness.source.hold();
    idle(&harness).await;
    assert_eq!(at_once(harness.verify(&key(0).token_of("https://clerk.staging.example"))), Some(UNKNOWN));
}

#[tokio::test]
async fn an_unknown_kid_under_a_late_set_waits_as_under_any_other() {
    let harness = Harness::warm().await;
    harness.publish(&[key(1)]);
    idle(&harness).await;
    assert_eq!(within(harness.verify(&key(1).token())).await, Ok(()));
    assert_eq!(harness.source.fetches(), 2);
    assert_eq!(within(harness.verify(&stranger(0))).await, UNKNOWN);
}

#[tokio::test]
async fn the_age_counts_while_the_machine_is_suspended() {
    let (harness, cached) = (Harness::warm().await, key(0).token());
    assert_eq!(harness.verify(&cached).await, Ok(()));
    harness.publish(&[key(1)]);
    harness.clock.set(harness.clock.now() + 3 * DAY);
    assert_eq!(within(harness.verify(&cached)).await, UNKNOWN);
    assert_eq!(harness.source.fetches(), 2);
    assert_eq!(at_once(harness.verify(&key(1).token())), Some(Ok(())));
    assert_eq!(within(harness.verify(&key(0).token())).await, UNKNOWN);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_makes_no_key_unavailable() {
    let jumps: [fn(SystemTime) -> SystemTime; 4] =
        [|now| now + 365 * 20 * DAY, |now| now - 365 * 20 * DAY, |_| SystemTime::UNIX_EPOCH, |now| now + secs(600)];
    for jump in jumps {
        let harness = Harness::warm().await;
        let cached = key(0).token();
        assert_eq!(harness.verify(&cached).await, Ok(()));
        harness.source.always(Reply::Failure);
        harness.clock.set(jump(harness.clock.now()));
        for token in [&cached, &key(0).token(), &cached] {
            assert_eq!(within(harness.verify(token)).await, Ok(()));
        }
        assert!(harness.source.fetches() <= 2);
        assert_eq!(harness.verifier.keys_status().keys, 1);
    }
}

#[tokio::test]
async fn try_verify_does_not_wait_for_the_refresh_of_a_late_set() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    idle(&harness).await;
    let error = harness.verifier.try_verify(&token).expect_err("a fetch is in progress");
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::InProgress));
    harness.source.over(2).await;
    settle().await;
    assert_eq!(harness.try_verify(&token), Ok(()));
}

#[test]
fn a_fetch_whose_runtime_ends_does_not_make_a_late_set_usable() {
    let harness = runtime().block_on(Harness::warm());
    harness.source.hold();
    harness.clock.advance(secs(20 * 60 * 60));
    let token = key(0).token();
    let mut waiting = Box::pin(harness.verify(&token));
    runtime().block_on(async {
        assert_eq!(at_once(waiting.as_mut()), None);
        harness.source.started(2).await;
    });
    // The fetch is gone with its runtime. The token, and one that comes later, wait for another.
    harness.publish(&[key(1)]);
    runtime().block_on(async {
        assert_eq!(within(waiting).await, UNKNOWN);
        assert_eq!(within(harness.verify(&key(0).token())).await, UNKNOWN);
    });
}

#[tokio::test]
async fn a_token_waiting_for_a_late_set_waits_again_for_forgotten_keys() {
    let harness = Harness::warm().await;
    harness.source.hold();
    idle(&harness).await;
    let token = key(0).token();
    let verdicts = harness
        .herd([token], async || {
            harness.source.started(2).await;
            harness.verifier.forget_keys();
            harness.source.started(3).await;
            harness.publish(&[key(0)]);
        })
        .await;
    assert_eq!(verdicts, HashMap::from([(Ok(()), 1)]));
}

#[tokio::test]
async fn a_request_through_the_layer_waits_for_the_refresh_of_a_late_set() {
    let issuer = TestIssuer::start().await.expect("an issuer");
    let config = issuer.config().jwks_refresh_interval(secs(1)).expect("an interval");
    let clock = ManualClock::new();
    let issuer = issuer.clock(clock.clone());
    let verifier = Verifier::builder(config).clock(clock.clone()).build().expect("a verifier");
    let stolen = issuer.token("user_eve").lifetime(DAY).sign();
    verifier.verify(&stolen).await.expect("a token of the current key");
    issuer.rotate();
    clock.advance(secs(2));
    let layer = ClerkAuthLayer::from(verifier);
    let request = request("GET", "/", &[("authorization", &format!("Bearer {stolen}"))]);
    assert_eq!(send_through(&layer, request).await.status(), 401);
    assert_eq!(issuer.fetches(), 2);
}
