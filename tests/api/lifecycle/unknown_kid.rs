use std::collections::HashMap;

use tower_clerk::{
    jwks::FetchErrorKind,
    verify::{UnavailableReason, VerifyErrorKind},
};

use crate::support::{Harness, NANO, Reply, at_once, key, millis, secs, settle, stranger};

const REJECTED: Option<Result<(), VerifyErrorKind>> = Some(Err(VerifyErrorKind::UnknownKey));

#[tokio::test]
async fn the_first_token_of_a_rotated_key_passes_on_the_first_request() {
    let harness = Harness::warm().await;
    harness.publish(&[key(1)]);
    assert_eq!(harness.verify(&key(1).token()).await, Ok(()));
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn try_verify_of_a_rotated_key_starts_a_refresh() {
    let (harness, rotated) = (Harness::warm().await, key(1).token());
    harness.publish(&[key(1)]);
    let error = harness.verifier.try_verify(&rotated).expect_err("no key yet");
    assert_eq!(
        (error.kind(), error.unavailable_reason()),
        (VerifyErrorKind::KeysUnavailable, Some(UnavailableReason::InProgress))
    );
    harness.source.over(2).await;
    assert_eq!(harness.try_verify(&rotated), Ok(()));
}

#[tokio::test]
async fn two_rotations_at_once_pass_and_a_third_after_ten_seconds() {
    let harness = Harness::warm().await;
    for rotated in [1, 2] {
        harness.publish(&[key(rotated)]);
        assert_eq!(harness.verify(&key(rotated).token()).await, Ok(()));
        assert_eq!(harness.source.fetches(), 1 + rotated);
    }
    harness.publish(&[key(3)]);
    let third = key(3).token();
    assert_eq!(at_once(harness.verify(&third)), REJECTED);
    harness.pass(secs(10) - NANO).await;
    assert_eq!(at_once(harness.verify(&third)), REJECTED);
    assert_eq!(harness.source.fetches(), 3);
    harness.pass(NANO).await;
    assert_eq!(harness.verify(&third).await, Ok(()));
    assert_eq!(harness.source.fetches(), 4);
}

#[tokio::test]
async fn the_budget_is_full_after_twenty_seconds_and_never_exceeds_two() {
    let harness = Harness::warm().await;
    for (fetches, pause) in [(3, 20), (5, 200), (7, 0)] {
        for number in 0..10 {
            assert_eq!(harness.verify(&stranger(number)).await, Err(VerifyErrorKind::UnknownKey));
        }
        assert_eq!(harness.source.fetches(), fetches);
        harness.pass(secs(pause)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_for_a_rotated_key_fetch_once() {
    let (harness, token) = (Harness::warm().await, key(1).token());
    harness.source.hold();
    let publish = async || {
        harness.source.started(2).await;
        harness.source.once(Reply::keys(&[key(1)]));
    };
    assert_eq!(harness.herd(vec![token; 1_000], publish).await, HashMap::from([(Ok(()), 1_000)]));
    settle().await;
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn a_kid_that_is_not_in_the_refreshed_set_is_rejected() {
    let harness = Harness::warm().await;
    let token = stranger(0);
    let mut waiting = Box::pin(harness.verify(&token));
    assert_eq!(at_once(waiting.as_mut()), None);
    assert_eq!(waiting.await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(harness.source.fetches(), 2);
}

/// The reply of the fetch in flight may be older than the key.
#[tokio::test]
async fn a_request_that_joined_anothers_fetch_fetches_once_more() {
    let harness = Harness::warm().await;
    harness.source.hold();
    let (strange, rotated) = (stranger(0), key(1).token());
    let (mut first, mut second) = (Box::pin(harness.verify(&strange)), Box::pin(harness.verify(&rotated)));
    assert_eq!((at_once(first.as_mut()), at_once(second.as_mut())), (None, None));
    harness.source.once(Reply::keys(&[key(0)]));
    harness.source.once(Reply::keys(&[key(1)]));
    assert_eq!((first.await, second.await), (Err(VerifyErrorKind::UnknownKey), Ok(())));
    assert_eq!(harness.source.fetches(), 3);
}

#[tokio::test]
async fn a_request_that_joined_the_background_refresh_fetches_once_more() {
    let (harness, rotated) = (Harness::warm().await, key(1).token());
    harness.source.hold();
    harness.pass(secs(270)).await;
    assert_eq!(harness.try_verify(&key(0).token()), Ok(()));
    harness.source.started(2).await;
    let mut waiting = Box::pin(harness.verify(&rotated));
    assert_eq!(at_once(waiting.as_mut()), None);
    harness.source.once(Reply::keys(&[key(0)]));
    harness.source.once(Reply::keys(&[key(1)]));
    assert_eq!(waiting.await, Ok(()));
    assert_eq!(harness.source.fetches(), 3);
}

#[tokio::test]
async fn a_request_waits_for_at_most_two_fetches_of_others() {
    let harness = Harness::warm().await;
    harness.source.hold();
    let strange = stranger(0);
    let mut waiting = Box::pin(harness.verify(&strange));
    for fetches in 2..4 {
        assert!(at_once(harness.verifier.refresh()).is_none());
        assert_eq!(at_once(waiting.as_mut()), None);
        harness.source.once(Reply::keys(&[key(0)]));
        harness.source.over(fetches).await;
    }
    assert!(at_once(harness.verifier.refresh()).is_none());
    harness.source.started(4).await;
    assert_eq!(at_once(waiting.as_mut()), REJECTED);
}

#[tokio::test]
async fn waiters_get_503_when_the_refresh_fails() {
    let harness = Harness::warm().await;
    harness.source.hold();
    let tokens: Vec<_> = (0..50).map(stranger).collect();
    let mut waiting: Vec<_> = tokens.iter().map(|token| Box::pin(harness.verifier.verify(token))).collect();
    for waiting in &mut waiting {
        assert!(at_once(waiting.as_mut()).is_none());
    }
    harness.source.once(Reply::Failure);
    for waiting in waiting {
        let error = waiting.await.expect_err("no key");
        assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
        assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Transport));
        assert!(error.retry_after().is_some_and(|delay| !delay.is_zero()));
    }
    assert_eq!(harness.source.fetches(), 2);
    assert_eq!(harness.try_verify(&key(0).token()), Ok(()));
}

#[tokio::test]
async fn while_backing_off_with_budget_left_the_error_is_keys_unavailable() {
    let harness = Harness::warm().await;
    harness.source.always(Reply::Failure);
    assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    let error = harness.verify_at_once(&stranger(1)).expect("a response").expect_err("backing off");
    assert_eq!(
        (error.kind(), error.fetch_error_kind()),
        (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Transport))
    );
    let delay = error.retry_after().expect("a delay");
    harness.publish(&[key(1)]);
    harness.pass(delay).await;
    assert_eq!(harness.verify(&key(1).token()).await, Ok(()));
    assert_eq!(harness.source.fetches(), 3);
}

#[tokio::test]
async fn with_the_budget_spent_on_failures_an_unknown_kid_is_rejected_at_once() {
    let harness = Harness::warm().await;
    harness.source.always(Reply::Failure);
    for fetches in [2, 3] {
        assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
        assert_eq!(harness.source.fetches(), fetches);
        harness.pass(secs(1)).await;
    }
    assert_eq!(at_once(harness.verify(&stranger(0))), REJECTED);
    harness.pass(secs(8) - NANO).await;
    assert_eq!(at_once(harness.verify(&stranger(0))), REJECTED);
    harness.pass(NANO).await;
    assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(harness.source.fetches(), 4);
}

#[tokio::test]
async fn with_the_budget_spent_an_unknown_kid_is_rejected_while_backing_off_too() {
    let harness = Harness::warm().await;
    harness.source.always(Reply::Failure);
    assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    harness.pass(secs(1)).await;
    assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(at_once(harness.verify(&stranger(0))), REJECTED);
    assert_eq!(harness.source.fetches(), 3);
}

#[tokio::test]
async fn with_the_budget_spent_a_due_refresh_still_starts() {
    let harness = Harness::warm_with(|config| config.jwks_refresh_interval(secs(10))).await;
    harness.source.always(Reply::Failure);
    for passed in [6, 1] {
        harness.pass(secs(passed)).await;
        assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    }
    harness.publish(&[key(1)]);
    harness.pass(millis(999)).await;
    assert_eq!(at_once(harness.verify(&key(1).token())), REJECTED);
    harness.pass(secs(1) + millis(1)).await;
    assert_eq!(harness.verify(&key(1).token()).await, Ok(()));
    assert_eq!(harness.source.fetches(), 4);
}
