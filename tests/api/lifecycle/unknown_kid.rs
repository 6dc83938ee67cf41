use std::collections::HashMap;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::{
    source::Answer,
    support::{NANO, Rig, at_once, key, millis, secs, settle, stranger},
};

const REFUSED: Option<Result<(), VerifyErrorKind>> = Some(Err(VerifyErrorKind::UnknownKey));

#[tokio::test]
async fn the_first_token_of_a_rotated_key_passes_on_the_very_first_request() {
    let rig = Rig::warm().await;
    rig.publish(&[key(1)]);
    assert_eq!(rig.verify(&key(1).token()).await, Ok(()));
    assert_eq!(rig.source.fetches(), 2);
}

#[tokio::test]
async fn trying_a_token_of_a_rotated_key_starts_the_refresh_for_the_next_try() {
    let (rig, rotated) = (Rig::warm().await, key(1).token());
    rig.publish(&[key(1)]);
    let error = rig.verifier.try_verify(&rotated).expect_err("no key yet");
    assert_eq!((error.kind(), error.fetch_error()), (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::InFlight)));
    rig.source.over(2).await;
    assert_eq!(rig.try_verify(&rotated), Ok(()));
}

#[tokio::test]
async fn two_rotations_at_once_pass_and_a_third_after_ten_seconds() {
    let rig = Rig::warm().await;
    for rotated in [1, 2] {
        rig.publish(&[key(rotated)]);
        assert_eq!(rig.verify(&key(rotated).token()).await, Ok(()));
        assert_eq!(rig.source.fetches(), 1 + rotated);
    }
    rig.publish(&[key(3)]);
    let third = key(3).token();
    assert_eq!(at_once(rig.verify(&third)), REFUSED);
    rig.pass(secs(10) - NANO).await;
    assert_eq!(at_once(rig.verify(&third)), REFUSED);
    assert_eq!(rig.source.fetches(), 3);
    rig.pass(NANO).await;
    assert_eq!(rig.verify(&third).await, Ok(()));
    assert_eq!(rig.source.fetches(), 4);
}

#[tokio::test]
async fn the_budget_is_whole_again_after_twenty_seconds_and_never_more() {
    let rig = Rig::warm().await;
    for (fetches, pause) in [(3, 20), (5, 200), (7, 0)] {
        for number in 0..10 {
            assert_eq!(rig.verify(&stranger(number)).await, Err(VerifyErrorKind::UnknownKey));
        }
        assert_eq!(rig.source.fetches(), fetches);
        rig.pass(secs(pause)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_herd_on_a_rotated_key_is_one_fetch() {
    let (rig, token) = (Rig::warm().await, key(1).token());
    rig.source.hold();
    let publish = async || {
        rig.source.started(2).await;
        rig.source.once(Answer::keys(&[key(1)]));
    };
    assert_eq!(rig.herd(vec![token; 1_000], publish).await, HashMap::from([(Ok(()), 1_000)]));
    settle().await;
    assert_eq!(rig.source.fetches(), 2);
}

#[tokio::test]
async fn a_kid_that_is_not_in_the_refreshed_set_is_refused() {
    let rig = Rig::warm().await;
    let token = stranger(0);
    let mut waiting = Box::pin(rig.verify(&token));
    assert_eq!(at_once(waiting.as_mut()), None);
    assert_eq!(waiting.await, Err(VerifyErrorKind::UnknownKey));
    assert_eq!(rig.source.fetches(), 2);
}

/// The fetch in flight may have been answered before the key existed.
#[tokio::test]
async fn a_request_that_joined_the_fetch_of_another_asks_once_more_for_its_own() {
    let rig = Rig::warm().await;
    rig.source.hold();
    let (strange, rotated) = (stranger(0), key(1).token());
    let (mut first, mut second) = (Box::pin(rig.verify(&strange)), Box::pin(rig.verify(&rotated)));
    assert_eq!((at_once(first.as_mut()), at_once(second.as_mut())), (None, None));
    rig.source.once(Answer::keys(&[key(0)]));
    rig.source.once(Answer::keys(&[key(1)]));
    assert_eq!((first.await, second.await), (Err(VerifyErrorKind::UnknownKey), Ok(())));
    assert_eq!(rig.source.fetches(), 3);
}

#[tokio::test]
async fn a_request_that_joined_the_background_refresh_asks_once_more_for_its_own() {
    let (rig, rotated) = (Rig::warm().await, key(1).token());
    rig.source.hold();
    rig.pass(secs(270)).await;
    assert_eq!(rig.try_verify(&key(0).token()), Ok(()));
    rig.source.started(2).await;
    let mut waiting = Box::pin(rig.verify(&rotated));
    assert_eq!(at_once(waiting.as_mut()), None);
    rig.source.once(Answer::keys(&[key(0)]));
    rig.source.once(Answer::keys(&[key(1)]));
    assert_eq!(waiting.await, Ok(()));
    assert_eq!(rig.source.fetches(), 3);
}

#[tokio::test]
async fn a_request_waits_for_two_fetches_of_others_at_most() {
    let rig = Rig::warm().await;
    rig.source.hold();
    let strange = stranger(0);
    let mut waiting = Box::pin(rig.verify(&strange));
    for fetches in 2..4 {
        assert!(at_once(rig.verifier.refresh()).is_none());
        assert_eq!(at_once(waiting.as_mut()), None);
        rig.source.once(Answer::keys(&[key(0)]));
        rig.source.over(fetches).await;
    }
    assert!(at_once(rig.verifier.refresh()).is_none());
    rig.source.started(4).await;
    assert_eq!(at_once(waiting.as_mut()), REFUSED);
}

#[tokio::test]
async fn those_who_wait_for_a_refresh_that_fails_are_not_refused_but_told_to_come_again() {
    let rig = Rig::warm().await;
    rig.source.hold();
    let tokens: Vec<_> = (0..50).map(stranger).collect();
    let mut waiting: Vec<_> = tokens.iter().map(|token| Box::pin(rig.verifier.verify(token))).collect();
    for waiting in &mut waiting {
        assert!(at_once(waiting.as_mut()).is_none());
    }
    rig.source.once(Answer::Failure);
    for waiting in waiting {
        let error = waiting.await.expect_err("no key");
        assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
        assert_eq!(error.fetch_error(), Some(FetchErrorKind::Source));
        assert!(error.retry_after().is_some_and(|delay| !delay.is_zero()));
    }
    assert_eq!(rig.source.fetches(), 2);
    assert_eq!(rig.try_verify(&key(0).token()), Ok(()));
}

#[tokio::test]
async fn while_backing_off_with_budget_left_the_answer_is_to_come_again() {
    let rig = Rig::warm().await;
    rig.source.always(Answer::Failure);
    assert_eq!(rig.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    let error = rig.verify_at_once(&stranger(1)).expect("an answer").expect_err("backing off");
    assert_eq!((error.kind(), error.fetch_error()), (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Source)));
    let delay = error.retry_after().expect("a delay");
    rig.publish(&[key(1)]);
    rig.pass(delay).await;
    assert_eq!(rig.verify(&key(1).token()).await, Ok(()));
    assert_eq!(rig.source.fetches(), 3);
}

#[tokio::test]
async fn with_the_budget_spent_on_failures_an_unknown_kid_is_refused_at_once() {
    let rig = Rig::warm().await;
    rig.source.always(Answer::Failure);
    for fetches in [2, 3] {
        assert_eq!(rig.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
        assert_eq!(rig.source.fetches(), fetches);
        rig.pass(secs(1)).await;
    }
    assert_eq!(at_once(rig.verify(&stranger(0))), REFUSED);
    rig.pass(secs(8) - NANO).await;
    assert_eq!(at_once(rig.verify(&stranger(0))), REFUSED);
    rig.pass(NANO).await;
    assert_eq!(rig.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(rig.source.fetches(), 4);
}

#[tokio::test]
async fn with_the_budget_spent_an_unknown_kid_is_refused_while_backing_off_too() {
    let rig = Rig::warm().await;
    rig.source.always(Answer::Failure);
    assert_eq!(rig.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    rig.pass(secs(1)).await;
    assert_eq!(rig.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(at_once(rig.verify(&stranger(0))), REFUSED);
    assert_eq!(rig.source.fetches(), 3);
}

#[tokio::test]
async fn with_the_budget_spent_a_refresh_that_is_due_starts_all_the_same() {
    let rig = Rig::warm_with(|config| config.jwks_refresh_interval(secs(10))).await;
    rig.source.always(Answer::Failure);
    for passed in [6, 1] {
        rig.pass(secs(passed)).await;
        assert_eq!(rig.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    }
    rig.publish(&[key(1)]);
    rig.pass(millis(999)).await;
    assert_eq!(at_once(rig.verify(&key(1).token())), REFUSED);
    rig.pass(secs(1) + millis(1)).await;
    assert_eq!(rig.verify(&key(1).token()).await, Ok(()));
    assert_eq!(rig.source.fetches(), 4);
}
