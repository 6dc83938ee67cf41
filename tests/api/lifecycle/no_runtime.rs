use tokio::runtime::Builder;
use tower_clerk::{
    jwks::FetchErrorKind,
    verify::{UnavailableReason, VerifyError, VerifyErrorKind},
};

use crate::support::{Harness, at_once, forged, key, millis, runtime, secs, settle, stranger};

#[track_caller]
fn assert_no_runtime(error: &VerifyError) {
    assert_eq!(
        (error.kind(), error.unavailable_reason()),
        (VerifyErrorKind::KeysUnavailable, Some(UnavailableReason::NoRuntime))
    );
    assert_eq!(error.retry_after(), Some(secs(1)));
    assert!(error.to_string().contains("Tokio runtime"), "{error}");
}

#[test]
fn without_a_runtime_keys_are_unavailable_and_the_error_says_why() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.publish(&[key(0)]);
    for _ in 0..3 {
        assert_no_runtime(&harness.verifier.try_verify(&token).expect_err("no runtime"));
        assert_no_runtime(&harness.verify_at_once(&token).expect("a response").expect_err("no runtime"));
        assert_no_runtime(&at_once(harness.verifier.warm_up()).expect("a response").expect_err("no runtime"));
        assert_no_runtime(&at_once(harness.verifier.refresh()).expect("a response").expect_err("no runtime"));
    }
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().last_error), (0, None));
    assert_eq!(runtime().block_on(harness.verify(&token)), Ok(()));
    assert_eq!(harness.source.fetches(), 1);
}

#[test]
fn loaded_keys_need_no_runtime() {
    let token = key(0).token();
    let harness = runtime().block_on(Harness::warm());
    for elapsed in [0, 270, 3600].map(secs) {
        harness.clock.advance(elapsed);
        assert_eq!(harness.try_verify(&token), Ok(()));
        assert_eq!(at_once(harness.verify(&token)), Some(Ok(())));
        assert_eq!(at_once(harness.verify(&key(0).token())), Some(Ok(())));
    }
    assert_eq!(harness.source.fetches(), 1);
    runtime().block_on(async {
        assert_eq!(harness.verify(&token).await, Ok(()));
        assert_eq!(harness.source.fetches(), 2);
    });
}

#[test]
fn a_request_without_a_runtime_spends_no_budget() {
    let harness = runtime().block_on(Harness::warm());
    for number in 0..5 {
        assert_no_runtime(&harness.verifier.try_verify(&stranger(number)).expect_err("no runtime"));
    }
    runtime().block_on(async {
        for rotated in [1, 2] {
            harness.publish(&[key(rotated)]);
            assert_eq!(harness.verify(&key(rotated).token()).await, Ok(()));
        }
    });
    assert_eq!(harness.source.fetches(), 3);
}

#[test]
fn without_a_runtime_an_invalid_signature_is_rejected() {
    let harness = runtime().block_on(Harness::warm());
    harness.clock.advance(secs(31));
    assert_eq!(at_once(harness.verify(&forged())), Some(Err(VerifyErrorKind::InvalidSignature)));
    assert_eq!(harness.try_verify(&forged()), Err(VerifyErrorKind::InvalidSignature));
}

#[test]
fn without_a_runtime_a_fetch_in_flight_elsewhere_is_awaited() {
    let (harness, token) = (Harness::cold(), key(0).token());
    let runtime = runtime();
    runtime.block_on(async {
        assert!(harness.try_verify(&token).is_err());
        harness.source.started(1).await;
    });
    let mut waiting = Box::pin(harness.verify(&token));
    assert_eq!(at_once(waiting.as_mut()), None);
    harness.publish(&[key(0)]);
    assert_eq!(runtime.block_on(harness.verify(&token)), Ok(()));
    assert_eq!(at_once(waiting), Some(Ok(())));
    assert_eq!(at_once(harness.verify(&token)), Some(Ok(())));
    assert_eq!(harness.source.fetches(), 1);
}

#[test]
fn a_runtime_without_timers_is_enough_to_fetch_keys() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.publish(&[key(0)]);
    let without_timers = Builder::new_current_thread().build().expect("a runtime");
    assert_eq!(without_timers.block_on(harness.verify(&token)), Ok(()));
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().last_error), (1, None));
}

#[test]
fn a_fetch_times_out_on_a_runtime_without_timers() {
    let (harness, token) = (Harness::cold_with(|config| config.jwks_timeout(millis(20))), key(0).token());
    let without_timers = Builder::new_current_thread().build().expect("a runtime");
    assert_eq!(without_timers.block_on(harness.verify(&token)), Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(harness.verifier.keys_status().last_error, Some(FetchErrorKind::Timeout));
}

#[test]
fn a_runtime_without_timers_is_enough_to_refresh_keys() {
    let (harness, token) = (runtime().block_on(Harness::warm()), key(0).token());
    harness.clock.advance(secs(270));
    Builder::new_current_thread().build().expect("a runtime").block_on(async {
        for _ in 0..3 {
            assert_eq!(harness.verify(&token).await, Ok(()));
            settle().await;
        }
    });
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().age), (2, Some(secs(0))));
}
