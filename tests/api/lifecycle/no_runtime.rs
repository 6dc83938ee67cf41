use tokio::runtime::Builder;
use tower_clerk::{
    jwks::FetchErrorKind,
    verify::{VerifyError, VerifyErrorKind},
};

use super::support::{Rig, at_once, forged, key, runtime, secs, settle, stranger};

#[track_caller]
fn assert_no_runtime(error: &VerifyError) {
    assert_eq!(
        (error.kind(), error.fetch_error()),
        (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::NoRuntime))
    );
    assert_eq!(error.retry_after(), Some(secs(1)));
    assert!(error.to_string().contains("Tokio runtime"), "{error}");
}

#[test]
fn without_a_runtime_keys_are_unavailable_and_the_error_says_why() {
    let (rig, token) = (Rig::cold(), key(0).token());
    rig.publish(&[key(0)]);
    for _ in 0..3 {
        assert_no_runtime(&rig.verifier.try_verify(&token).expect_err("no runtime"));
        assert_no_runtime(&rig.verify_at_once(&token).expect("an answer").expect_err("no runtime"));
        assert_no_runtime(&at_once(rig.verifier.warm_up()).expect("an answer").expect_err("no runtime"));
        assert_no_runtime(&at_once(rig.verifier.refresh()).expect("an answer").expect_err("no runtime"));
    }
    assert_eq!((rig.source.fetches(), rig.verifier.keys_status().last_error), (0, None));
    assert_eq!(runtime().block_on(rig.verify(&token)), Ok(()));
    assert_eq!(rig.source.fetches(), 1);
}

#[test]
fn keys_at_hand_need_no_runtime() {
    let token = key(0).token();
    let rig = runtime().block_on(Rig::warm());
    for elapsed in [0, 270, 3600].map(secs) {
        rig.clock.advance(elapsed);
        assert_eq!(rig.try_verify(&token), Ok(()));
        assert_eq!(at_once(rig.verify(&token)), Some(Ok(())));
        assert_eq!(at_once(rig.verify(&key(0).token())), Some(Ok(())));
    }
    assert_eq!(rig.source.fetches(), 1);
    runtime().block_on(async {
        assert_eq!(rig.try_verify(&token), Ok(()));
        rig.source.over(2).await;
    });
}

#[test]
fn a_request_without_a_runtime_spends_no_budget() {
    let rig = runtime().block_on(Rig::warm());
    for number in 0..5 {
        assert_no_runtime(&rig.verifier.try_verify(&stranger(number)).expect_err("no runtime"));
    }
    runtime().block_on(async {
        for rotated in [1, 2] {
            rig.publish(&[key(rotated)]);
            assert_eq!(rig.verify(&key(rotated).token()).await, Ok(()));
        }
    });
    assert_eq!(rig.source.fetches(), 3);
}

#[test]
fn without_a_runtime_a_bad_signature_is_still_one() {
    let rig = runtime().block_on(Rig::warm());
    rig.clock.advance(secs(31));
    assert_eq!(at_once(rig.verify(&forged())), Some(Err(VerifyErrorKind::InvalidSignature)));
    assert_eq!(rig.try_verify(&forged()), Err(VerifyErrorKind::InvalidSignature));
}

#[test]
fn a_fetch_in_flight_is_of_no_use_without_a_runtime() {
    let (rig, token) = (Rig::cold(), key(0).token());
    let runtime = runtime();
    runtime.block_on(async {
        assert!(rig.try_verify(&token).is_err());
        rig.source.started(1).await;
    });
    assert_no_runtime(&rig.verify_at_once(&token).expect("an answer").expect_err("no runtime"));
    rig.publish(&[key(0)]);
    assert_eq!(runtime.block_on(rig.verify(&token)), Ok(()));
    assert_eq!(at_once(rig.verify(&token)), Some(Ok(())));
    assert_eq!(rig.source.fetches(), 1);
}

#[test]
fn a_runtime_without_timers_is_as_none() {
    let (rig, token) = (Rig::cold(), key(0).token());
    rig.publish(&[key(0)]);
    Builder::new_current_thread().build().expect("a runtime").block_on(async {
        for _ in 0..3 {
            assert_no_runtime(&rig.verifier.verify(&token).await.expect_err("no timers"));
            settle().await;
        }
    });
    assert_eq!(rig.verifier.keys_status().last_error, None);
    assert_eq!(runtime().block_on(rig.verify(&token)), Ok(()));
}

#[test]
fn on_a_runtime_without_timers_keys_at_hand_serve_although_a_refresh_is_due() {
    let (rig, token) = (runtime().block_on(Rig::warm()), key(0).token());
    rig.clock.advance(secs(270));
    Builder::new_current_thread().build().expect("a runtime").block_on(async {
        for _ in 0..3 {
            assert_eq!(rig.verify(&token).await, Ok(()));
            settle().await;
        }
    });
    runtime().block_on(async {
        rig.pass(secs(60)).await;
        assert_eq!(rig.try_verify(&token), Ok(()));
        settle().await;
        assert_eq!(rig.verifier.keys_status().age, Some(secs(0)));
    });
}
