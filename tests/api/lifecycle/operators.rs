use std::time::Duration;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::{
    source::Answer,
    support::{Rig, at_once, key, kind_of, secs, settle, stranger},
};

#[tokio::test]
async fn warming_up_fetches_only_if_there_are_no_keys() {
    let (rig, token) = (Rig::cold(), key(0).token());
    rig.publish(&[key(0)]);
    for _ in 0..3 {
        rig.verifier.warm_up().await.expect("keys");
        assert_eq!(rig.try_verify(&token), Ok(()));
        settle().await;
        assert_eq!(rig.source.fetches(), 1);
    }
    rig.verifier.forget_keys();
    rig.verifier.warm_up().await.expect("keys");
    assert_eq!(rig.source.fetches(), 2);
    rig.pass(secs(24 * 60 * 60)).await;
    rig.verifier.warm_up().await.expect("keys");
    assert_eq!((rig.source.fetches(), rig.verifier.keys_status().age), (3, Some(Duration::ZERO)));
}

#[tokio::test]
async fn warming_up_joins_the_fetch_in_flight() {
    let (rig, token) = (Rig::cold(), key(0).token());
    let (mut request, mut warm_up) = (Box::pin(rig.verify(&token)), Box::pin(rig.verifier.warm_up()));
    assert_eq!(at_once(request.as_mut()), None);
    assert!(at_once(warm_up.as_mut()).is_none());
    rig.source.once(Answer::keys(&[key(0)]));
    assert_eq!((request.await, kind_of(warm_up.await)), (Ok(()), Ok(())));
    settle().await;
    assert_eq!(rig.source.fetches(), 1);
}

#[tokio::test]
async fn warming_up_in_vain_says_so_and_requests_try_again() {
    let (rig, token) = (Rig::cold(), key(0).token());
    rig.source.always(Answer::Failure);
    for _ in 0..3 {
        let error = rig.verifier.warm_up().await.expect_err("no keys");
        assert_eq!(
            (error.kind(), error.fetch_error()),
            (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Source))
        );
        assert_eq!(rig.source.fetches(), 1);
    }
    rig.publish(&[key(0)]);
    rig.pass(secs(1)).await;
    assert_eq!(rig.verify(&token).await, Ok(()));
}

#[tokio::test]
async fn refreshing_takes_no_heed_of_age_budgets_and_back_off() {
    let rig = Rig::warm().await;
    for number in 0..100 {
        rig.publish(&[key(number % 3)]);
        rig.verifier.refresh().await.expect("keys");
        assert_eq!(rig.try_verify(&key(number % 3).token()), Ok(()));
        assert_eq!(rig.source.fetches(), number + 2);
    }
    for number in 0..5 {
        assert_eq!(rig.verify(&stranger(number)).await, Err(VerifyErrorKind::UnknownKey));
    }
    assert_eq!(rig.source.fetches(), 103);
    rig.publish(&[key(3)]);
    assert_eq!(rig.verify(&key(3).token()).await, Err(VerifyErrorKind::UnknownKey));
    rig.verifier.refresh().await.expect("keys");
    assert_eq!(rig.try_verify(&key(3).token()), Ok(()));

    rig.source.always(Answer::FailureUntil(secs(60)));
    for fetches in 105..110 {
        let error = rig.verifier.refresh().await.expect_err("no keys");
        assert_eq!(
            (error.kind(), error.fetch_error()),
            (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Source))
        );
        assert_eq!(error.retry_after(), Some(secs(60)));
        assert_eq!(rig.source.fetches(), fetches);
        assert_eq!(rig.try_verify(&key(3).token()), Ok(()));
    }
    rig.publish(&[key(0)]);
    rig.verifier.refresh().await.expect("keys");
    assert_eq!(rig.try_verify(&key(0).token()), Ok(()));
}

/// The fetch in flight may have been answered before whatever the operator knows of.
#[tokio::test]
async fn refreshing_does_not_settle_for_a_fetch_that_was_under_way() {
    for under_way in [Answer::keys(&[key(0)]), Answer::Failure] {
        let (rig, token) = (Rig::warm().await, key(0).token());
        rig.source.hold();
        rig.pass(secs(270)).await;
        assert_eq!(rig.try_verify(&token), Ok(()));
        rig.source.started(2).await;
        let mut refreshes = [rig.verifier.refresh(), rig.verifier.refresh()].map(Box::pin);
        for refresh in &mut refreshes {
            assert!(at_once(refresh.as_mut()).is_none());
        }
        assert_eq!(rig.try_verify(&token), Ok(()));
        rig.source.once(under_way);
        rig.source.once(Answer::keys(&[key(1)]));
        let [first, second] = refreshes;
        let (first, second) = tokio::join!(first, second);
        assert_eq!((kind_of(first), kind_of(second)), (Ok(()), Ok(())));
        assert_eq!((rig.source.fetches(), rig.try_verify(&key(1).token())), (3, Ok(())));
    }
}

#[tokio::test]
async fn who_asks_for_a_refresh_and_hangs_up_has_it_all_the_same() {
    let rig = Rig::warm().await;
    rig.publish(&[key(1)]);
    assert!(at_once(rig.verifier.refresh()).is_none());
    rig.source.over(2).await;
    assert_eq!(rig.try_verify(&key(1).token()), Ok(()));
}
