use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_clerk::{ClerkAuthLayer, verify::Clock};
use tower_layer::Layer;

use crate::support::{Harness, NANO, forged, key, millis, secs, settle, with_header};

#[tokio::test]
async fn a_fresh_set_is_used_without_another_fetch() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    for _ in 0..239 {
        harness.pass(secs(1)).await;
        assert_eq!((harness.try_verify(&token), harness.try_verify(&key(0).token())), (Ok(()), Ok(())));
    }
    harness.pass(secs(1) - NANO).await;
    assert_eq!((harness.try_verify(&token), harness.try_verify(&key(0).token())), (Ok(()), Ok(())));
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn a_refresh_is_due_at_90_percent_of_the_interval_or_earlier() {
    let token = key(0).token();
    let mut early = 0;
    for _ in 0..40 {
        let harness = Harness::warm().await;
        let fetches_after = async |time| {
            harness.pass(time).await;
            assert_eq!(harness.try_verify(&token), Ok(()));
            settle().await;
            harness.source.fetches()
        };
        assert_eq!(fetches_after(secs(240) - NANO).await, 1);
        early += fetches_after(secs(15) + NANO).await - 1;
        assert_eq!(fetches_after(secs(15)).await, 2);
    }
    assert!((1..40).contains(&early), "{early} of 40 before 85 %");
}

#[tokio::test]
async fn the_interval_can_be_a_second() {
    let harness = Harness::warm_with(|config| config.jwks_refresh_interval(secs(1))).await;
    let token = key(0).token();
    for fetches in 1..20 {
        harness.pass(millis(800) - NANO).await;
        assert_eq!(harness.try_verify(&token), Ok(()));
        settle().await;
        assert_eq!(harness.source.fetches(), fetches);
        harness.pass(millis(100) + NANO).await;
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.over(fetches + 1).await;
    }
}

#[tokio::test]
async fn one_refresh_runs_in_the_background_without_waiters() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.source.hold();
    harness.pass(secs(270)).await;
    for _ in 0..100 {
        assert!(harness.verify_at_once(&token).is_some_and(|verified| verified.is_ok()));
        assert_eq!((harness.try_verify(&token), harness.try_verify(&key(0).token())), (Ok(()), Ok(())));
        settle().await;
        assert_eq!((harness.source.fetches(), harness.source.ended()), (2, 1));
    }
    harness.publish(&[key(0), key(1)]);
    settle().await;
    let status = harness.verifier.keys_status();
    assert_eq!((status.keys, status.age), (2, Some(Duration::ZERO)));

    harness.pass(secs(240) - NANO).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
    settle().await;
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn a_refresh_starts_only_on_use() {
    let harness = Harness::warm().await;
    for _ in 0..48 {
        harness.pass(secs(1800)).await;
        let _ = harness.verifier.keys_status();
    }
    assert_eq!(harness.source.fetches(), 1);
    assert!(harness.try_verify("no token").is_err());
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
}

/// A cached token needs no signature verification, but still counts as a use of the keys.
#[tokio::test]
async fn every_use_of_the_keys_can_start_a_refresh() {
    let remembered = key(0).token();
    for token in [remembered.clone(), key(0).token(), forged(), with_header(r#"{"alg":"RS256","kid":"ins_0"}"#)] {
        let harness = Harness::warm().await;
        assert_eq!(harness.try_verify(&remembered), Ok(()));
        harness.pass(secs(270)).await;
        let _ = harness.try_verify(&token);
        settle().await;
        assert_eq!((harness.source.fetches(), harness.source.ended()), (2, 2));
        assert_eq!(harness.verifier.keys_status().age, Some(Duration::ZERO));
    }
}

#[tokio::test]
async fn a_verifier_that_is_not_used_never_fetches() {
    let harness = Harness::cold();
    let layer = ClerkAuthLayer::from(harness.verifier.clone());
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let mut service = layer.clone().layer(inner);
    for _ in 0..3 {
        harness.pass(secs(24 * 60 * 60)).await;
        service.ready().await.expect("ready");
        let status = layer.verifier().keys_status();
        assert_eq!((status.age, status.keys, status.last_error, status.last_success), (None, 0, None, None));
        harness.verifier.forget_keys();
    }
    let anonymous = service.oneshot(Request::new(())).await.expect("infallible");
    assert_eq!(anonymous.status(), 401);
    settle().await;
    assert_eq!(harness.source.fetches(), 0);
}

#[tokio::test]
async fn a_wall_clock_that_goes_back_or_ahead_a_little_affects_no_refresh() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    let (start, year) = (harness.clock.now(), secs(365 * 24 * 60 * 60));
    for now in [start + secs(239), SystemTime::UNIX_EPOCH, start - secs(1), start - 20 * year] {
        harness.clock.set(now);
        assert_eq!(harness.try_verify(&token), Ok(()));
        settle().await;
        assert_eq!((harness.source.fetches(), harness.verifier.keys_status().age), (1, Some(Duration::ZERO)));
    }
    // The monotonic clock alone makes a refresh due, however far the wall clock is behind.
    harness.pass(secs(270)).await;
    harness.clock.set(start - 20 * year);
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.over(2).await;
}

#[tokio::test]
async fn a_wall_clock_that_is_ahead_makes_a_refresh_due_once() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.clock.set(harness.clock.now() + secs(300));
    for _ in 0..3 {
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.over(2).await;
        settle().await;
    }
    assert_eq!(harness.source.fetches(), 2);
}
