use std::{collections::HashMap, time::Instant};

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use crate::support::{Harness, Reply, at_once, key, millis, secs, settle};

#[tokio::test]
async fn a_panic_of_the_source_is_a_failed_fetch() {
    let token = key(0).token();
    for panic in [Reply::Panic, Reply::PanicInCall] {
        let harness = Harness::cold();
        harness.source.always(panic);
        let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(harness.verifier.verify(&token))).collect();
        for waiting in &mut waiting {
            assert!(at_once(waiting.as_mut()).is_none());
        }
        for waiting in waiting {
            let error = waiting.await.expect_err("no keys");
            assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
            assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Panicked));
            assert!(error.retry_after().is_some_and(|delay| !delay.is_zero() && delay <= millis(250)));
        }
        assert_eq!(at_once(harness.verify(&token)), Some(Err(VerifyErrorKind::KeysUnavailable)));
        assert_eq!(harness.verifier.keys_status().last_error, Some(FetchErrorKind::Panicked));
        harness.pass(millis(250)).await;
        assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
        harness.publish(&[key(0)]);
        harness.pass(millis(500)).await;
        assert_eq!(harness.verify(&token).await, Ok(()));
        assert_eq!((harness.source.fetches(), harness.verifier.keys_status().last_error), (3, None));
    }
}

#[tokio::test]
async fn a_panic_during_a_refresh_fails_no_request() {
    let token = key(0).token();
    for panic in [Reply::Panic, Reply::PanicInCall] {
        let harness = Harness::warm().await;
        harness.source.always(panic);
        harness.pass(secs(270)).await;
        for _ in 0..10 {
            assert_eq!(harness.try_verify(&token), Ok(()));
            settle().await;
        }
        assert_eq!(harness.source.fetches(), 2);
        assert_eq!(harness.verifier.keys_status().last_error, Some(FetchErrorKind::Panicked));
        harness.publish(&[key(1)]);
        harness.pass(millis(250)).await;
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.over(3).await;
        assert_eq!(harness.try_verify(&key(1).token()), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_panics_under_load_is_backed_off() {
    let token = key(0).token();
    for _ in 0..20 {
        let harness = Harness::cold();
        harness.source.always(Reply::Panic);
        let verdicts = harness.herd(vec![token.clone(); 200], async || {}).await;
        assert_eq!(verdicts, HashMap::from([(Err(VerifyErrorKind::KeysUnavailable), 200)]));
        assert_eq!(harness.source.fetches(), 1);
    }
}

#[tokio::test]
async fn a_fetch_times_out_for_everyone_who_waits() {
    let timeout = secs(2);
    let (harness, token) = (Harness::cold_with(|config| config.jwks_timeout(timeout)), key(0).token());
    let start = Instant::now();
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(harness.verifier.verify(&token))).collect();
    for waiting in &mut waiting {
        assert!(at_once(waiting.as_mut()).is_none());
    }
    while start.elapsed() < timeout / 2 {
        tokio::task::yield_now().await;
    }
    let mut late = Box::pin(harness.verifier.verify(&token));
    assert!(at_once(late.as_mut()).is_none());
    waiting.push(late);
    for waiting in waiting {
        let error = waiting.await.expect_err("no keys");
        assert_eq!(
            (error.kind(), error.fetch_error_kind()),
            (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Timeout))
        );
        // Sooner than a request gives up on a fetch whose task does not run.
        assert!(start.elapsed() >= timeout && start.elapsed() < timeout + millis(400), "{:?}", start.elapsed());
    }
    assert_eq!((harness.source.fetches(), harness.source.ended()), (1, 1));
    harness.publish(&[key(0)]);
    harness.clock.advance(millis(250));
    assert_eq!(harness.verify(&token).await, Ok(()));
}

#[tokio::test]
async fn the_timeout_defaults_to_three_seconds_and_can_be_changed() {
    let token = key(0).token();
    for (change, deadline) in [(None, 3000), (Some(10), 10), (Some(500), 500)] {
        let config = tower_clerk::ClerkConfig::from_frontend_api_url("https://clerk.test.example").expect("a URL");
        let harness =
            Harness::cold_with(|_| change.map_or(Ok(config.clone()), |timeout| config.jwks_timeout(millis(timeout))));
        let start = Instant::now();
        assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
        let deadline = millis(deadline);
        assert!(start.elapsed() >= deadline && start.elapsed() < deadline + secs(2), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_refresh_that_times_out_fails_no_request_and_is_retried() {
    let harness = Harness::warm_with(|config| config.jwks_timeout(millis(20))).await;
    let token = key(0).token();
    harness.source.hold();
    harness.pass(secs(270)).await;
    for fetches in 2..5 {
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.over(fetches).await;
        assert_eq!(harness.verifier.keys_status().last_error, Some(FetchErrorKind::Timeout));
        harness.clock.advance(secs(1));
    }
    harness.publish(&[key(1)]);
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.over(5).await;
    assert_eq!(harness.try_verify(&key(1).token()), Ok(()));
}
