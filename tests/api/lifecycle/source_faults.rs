use std::collections::HashMap;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::{
    source::Answer,
    support::{Rig, at_once, key, millis, secs, settle},
};

#[tokio::test]
async fn a_panic_of_the_source_is_a_failed_fetch() {
    let token = key(0).token();
    for panic in [Answer::Panic, Answer::PanicInCall] {
        let rig = Rig::cold();
        rig.source.always(panic);
        let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(rig.verifier.verify(&token))).collect();
        for waiting in &mut waiting {
            assert!(at_once(waiting.as_mut()).is_none());
        }
        for waiting in waiting {
            let error = waiting.await.expect_err("no keys");
            assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
            assert_eq!(error.fetch_error(), Some(FetchErrorKind::Panicked));
            assert!(error.retry_after().is_some_and(|delay| !delay.is_zero() && delay <= millis(250)));
        }
        assert_eq!(at_once(rig.verify(&token)), Some(Err(VerifyErrorKind::KeysUnavailable)));
        assert_eq!(rig.verifier.keys_status().last_error, Some(FetchErrorKind::Panicked));
        rig.pass(millis(250)).await;
        assert_eq!(rig.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
        rig.publish(&[key(0)]);
        rig.pass(millis(500)).await;
        assert_eq!(rig.verify(&token).await, Ok(()));
        assert_eq!((rig.source.fetches(), rig.verifier.keys_status().last_error), (3, None));
    }
}

#[tokio::test]
async fn a_panic_of_a_refresh_costs_no_request() {
    let token = key(0).token();
    for panic in [Answer::Panic, Answer::PanicInCall] {
        let rig = Rig::warm().await;
        rig.source.always(panic);
        rig.pass(secs(270)).await;
        for _ in 0..10 {
            assert_eq!(rig.try_verify(&token), Ok(()));
            settle().await;
        }
        assert_eq!(rig.source.fetches(), 2);
        assert_eq!(rig.verifier.keys_status().last_error, Some(FetchErrorKind::Panicked));
        rig.publish(&[key(1)]);
        rig.pass(millis(250)).await;
        assert_eq!(rig.try_verify(&token), Ok(()));
        rig.source.over(3).await;
        assert_eq!(rig.try_verify(&key(1).token()), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_panics_under_load_is_backed_off_from_as_well() {
    let token = key(0).token();
    for _ in 0..20 {
        let rig = Rig::cold();
        rig.source.always(Answer::Panic);
        let verdicts = rig.herd(vec![token.clone(); 200], async || {}).await;
        assert_eq!(verdicts, HashMap::from([(Err(VerifyErrorKind::KeysUnavailable), 200)]));
        assert_eq!(rig.source.fetches(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_is_ended_after_three_seconds() {
    let (rig, token) = (Rig::cold_with(|config| config.jwks_timeout(secs(3))), key(0).token());
    let start = tokio::time::Instant::now();
    let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(rig.verifier.verify(&token))).collect();
    for waiting in &mut waiting {
        assert!(at_once(waiting.as_mut()).is_none());
    }
    tokio::time::sleep(secs(2)).await;
    let mut late = Box::pin(rig.verifier.verify(&token));
    assert!(at_once(late.as_mut()).is_none());
    waiting.push(late);
    for waiting in waiting {
        let error = waiting.await.expect_err("no keys");
        assert_eq!(
            (error.kind(), error.fetch_error()),
            (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Timeout))
        );
        assert!(start.elapsed() >= secs(3) && start.elapsed() < millis(3100));
    }
    assert_eq!((rig.source.fetches(), rig.source.ended()), (1, 1));
    rig.publish(&[key(0)]);
    rig.clock.advance(millis(250));
    assert_eq!(rig.verify(&token).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_default_deadline_is_three_seconds_and_can_be_another() {
    let token = key(0).token();
    for (change, deadline) in [(None, 3000), (Some(10), 10), (Some(60_000), 60_000)] {
        let config = tower_clerk::ClerkConfig::from_frontend_api_url("https://clerk.test.example").expect("a URL");
        let rig = Rig::cold_with(|_| change.map_or(Ok(config.clone()), |timeout| config.jwks_timeout(millis(timeout))));
        let start = tokio::time::Instant::now();
        assert_eq!(rig.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
        let deadline = millis(deadline);
        assert!(start.elapsed() >= deadline && start.elapsed() <= deadline + millis(100), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_never_ends_costs_no_request_and_is_tried_again() {
    let rig = Rig::warm_with(|config| config.jwks_timeout(secs(3))).await;
    let token = key(0).token();
    rig.source.hold();
    rig.pass(secs(270)).await;
    for fetches in 2..5 {
        assert_eq!(rig.try_verify(&token), Ok(()));
        rig.source.over(fetches).await;
        assert_eq!(rig.verifier.keys_status().last_error, Some(FetchErrorKind::Timeout));
        rig.clock.advance(secs(1));
    }
    rig.publish(&[key(1)]);
    assert_eq!(rig.try_verify(&token), Ok(()));
    rig.source.over(5).await;
    assert_eq!(rig.try_verify(&key(1).token()), Ok(()));
}
