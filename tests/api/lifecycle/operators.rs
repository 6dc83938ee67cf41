use std::time::Duration;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use crate::support::{Harness, Reply, at_once, key, kind_of, secs, settle, stranger};

#[tokio::test]
async fn warming_up_fetches_only_if_there_are_no_keys() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.publish(&[key(0)]);
    for _ in 0..3 {
        harness.verifier.warm_up().await.expect("keys");
        assert_eq!(harness.try_verify(&token), Ok(()));
        settle().await;
        assert_eq!(harness.source.fetches(), 1);
    }
    harness.verifier.forget_keys();
    harness.verifier.warm_up().await.expect("keys");
    assert_eq!(harness.source.fetches(), 2);
    harness.pass(secs(24 * 60 * 60)).await;
    harness.verifier.warm_up().await.expect("keys");
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().age), (3, Some(Duration::ZERO)));
}

#[tokio::test]
async fn warming_up_joins_the_fetch_in_flight() {
    let (harness, token) = (Harness::cold(), key(0).token());
    let (mut request, mut warm_up) = (Box::pin(harness.verify(&token)), Box::pin(harness.verifier.warm_up()));
    assert_eq!(at_once(request.as_mut()), None);
    assert!(at_once(warm_up.as_mut()).is_none());
    harness.source.once(Reply::keys(&[key(0)]));
    assert_eq!((request.await, kind_of(warm_up.await)), (Ok(()), Ok(())));
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn a_failed_warm_up_is_an_error_and_requests_retry() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.source.always(Reply::Failure);
    for _ in 0..3 {
        let error = harness.verifier.warm_up().await.expect_err("no keys");
        assert_eq!(
            (error.kind(), error.fetch_error_kind()),
            (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Transport))
        );
        assert_eq!(harness.source.fetches(), 1);
    }
    harness.publish(&[key(0)]);
    harness.pass(secs(1)).await;
    assert_eq!(harness.verify(&token).await, Ok(()));
}

#[tokio::test]
async fn refresh_ignores_age_budgets_and_back_off() {
    let harness = Harness::warm().await;
    for number in 0..100 {
        harness.publish(&[key(number % 3)]);
        harness.verifier.refresh().await.expect("keys");
        assert_eq!(harness.try_verify(&key(number % 3).token()), Ok(()));
        assert_eq!(harness.source.fetches(), number + 2);
    }
    for number in 0..5 {
        assert_eq!(harness.verify(&stranger(number)).await, Err(VerifyErrorKind::UnknownKey));
    }
    assert_eq!(harness.source.fetches(), 103);
    harness.publish(&[key(3)]);
    assert_eq!(harness.verify(&key(3).token()).await, Err(VerifyErrorKind::UnknownKey));
    harness.verifier.refresh().await.expect("keys");
    assert_eq!(harness.try_verify(&key(3).token()), Ok(()));

    harness.source.always(Reply::FailureUntil(secs(60)));
    for fetches in 105..110 {
        let error = harness.verifier.refresh().await.expect_err("no keys");
        assert_eq!(
            (error.kind(), error.fetch_error_kind()),
            (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Transport))
        );
        assert!(error.retry_after().is_some_and(|delay| delay == secs(60)));
        assert_eq!(harness.source.fetches(), fetches);
        assert_eq!(harness.try_verify(&key(3).token()), Ok(()));
    }
    harness.publish(&[key(0)]);
    harness.verifier.refresh().await.expect("keys");
    assert_eq!(harness.try_verify(&key(0).token()), Ok(()));
}

/// The reply of the fetch in flight may be older than the change that the operator knows of.
#[tokio::test]
async fn refresh_does_not_join_an_earlier_fetch() {
    for under_way in [Reply::keys(&[key(0)]), Reply::Failure] {
        let (harness, token) = (Harness::warm().await, key(0).token());
        harness.source.hold();
        harness.pass(secs(270)).await;
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.started(2).await;
        let mut refreshes = [harness.verifier.refresh(), harness.verifier.refresh()].map(Box::pin);
        for refresh in &mut refreshes {
            assert!(at_once(refresh.as_mut()).is_none());
        }
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.once(under_way);
        harness.source.once(Reply::keys(&[key(1)]));
        let [first, second] = refreshes;
        let (first, second) = tokio::join!(first, second);
        assert_eq!((kind_of(first), kind_of(second)), (Ok(()), Ok(())));
        assert_eq!((harness.source.fetches(), harness.try_verify(&key(1).token())), (3, Ok(())));
    }
}

#[tokio::test]
async fn a_cancelled_refresh_call_still_refreshes() {
    let harness = Harness::warm().await;
    harness.publish(&[key(1)]);
    assert!(at_once(harness.verifier.refresh()).is_none());
    harness.source.over(2).await;
    assert_eq!(harness.try_verify(&key(1).token()), Ok(()));
}
