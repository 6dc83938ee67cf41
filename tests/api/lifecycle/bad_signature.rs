use std::collections::HashMap;

use tower_clerk::verify::VerifyErrorKind;

use crate::support::{
    Harness, Key, NANO, Reply, Verdict, at_once, forged, key, millis, secs, settle, stranger, with_header,
};

const REJECTED: Verdict = Err(VerifyErrorKind::InvalidSignature);

/// The successor of key 0 under the same `kid`.
fn successor() -> Key {
    key(1).under("ins_0")
}

#[tokio::test]
async fn it_triggers_a_fetch_only_if_the_set_is_half_a_minute_old() {
    let harness = Harness::warm().await;
    harness.publish(&[successor()]);
    harness.pass(secs(30) - NANO).await;
    assert_eq!(at_once(harness.verify(&successor().token())), Some(REJECTED));
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
    harness.pass(NANO).await;
    assert_eq!(harness.verify(&successor().token()).await, Ok(()));
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn it_triggers_one_fetch_a_minute() {
    let harness = Harness::warm().await;
    harness.pass(secs(30)).await;
    for fetches in 2..6 {
        assert_eq!(harness.verify(&forged()).await, REJECTED);
        assert_eq!(harness.source.fetches(), fetches);
        assert_eq!(at_once(harness.verify(&forged())), Some(REJECTED));
        harness.pass(secs(60) - NANO).await;
        assert_eq!(at_once(harness.verify(&forged())), Some(REJECTED));
        settle().await;
        assert_eq!(harness.source.fetches(), fetches);
        harness.pass(NANO).await;
    }
}

#[tokio::test]
async fn its_budget_does_not_accumulate() {
    let harness = Harness::warm().await;
    harness.pass(secs(200)).await;
    for _ in 0..2 {
        assert_eq!(harness.verify(&forged()).await, REJECTED);
        harness.pass(secs(30)).await;
    }
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn a_rotation_under_the_same_kid_replaces_the_old_key() {
    let (harness, old, new) = (Harness::warm().await, key(0).token(), successor().token());
    harness.pass(secs(31)).await;
    assert_eq!(harness.try_verify(&old), Ok(()));
    harness.publish(&[successor()]);
    assert_eq!(harness.verify(&new).await, Ok(()));
    assert_eq!(harness.verify(&old).await, REJECTED);
    assert_eq!(harness.try_verify(&new), Ok(()));
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_after_a_same_kid_rotation_fetch_once() {
    let (harness, new) = (Harness::warm().await, successor().token());
    harness.clock.advance(secs(31));
    harness.source.hold();
    let publish = async || {
        harness.source.started(2).await;
        harness.source.once(Reply::keys(&[successor()]));
    };
    assert_eq!(harness.herd(vec![new; 1_000], publish).await, HashMap::from([(Ok(()), 1_000)]));
    settle().await;
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn a_flood_spends_its_own_budget_and_not_that_of_unknown_kids() {
    let harness = Harness::warm().await;
    harness.pass(secs(31)).await;
    for _ in 0..1_000 {
        assert_eq!(harness.verify(&forged()).await, REJECTED);
    }
    assert_eq!(harness.source.fetches(), 2);
    for rotated in [1, 2] {
        harness.publish(&[key(rotated)]);
        assert_eq!(harness.verify(&key(rotated).token()).await, Ok(()));
    }
    assert_eq!(harness.source.fetches(), 4);
}

/// Successful refreshes for unknown kids would make the set too young, so the refreshes fail here.
#[tokio::test]
async fn a_flood_of_unknown_kids_does_not_spend_its_budget() {
    let harness = Harness::warm().await;
    harness.pass(secs(31)).await;
    harness.source.always(Reply::Failure);
    for number in 0..300 {
        assert!(harness.verify(&stranger(number)).await.is_err());
        harness.clock.advance(millis(10));
    }
    assert_eq!(harness.source.fetches(), 3);
    assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::UnknownKey));
    harness.publish(&[successor()]);
    assert_eq!(harness.verify(&successor().token()).await, Ok(()));
    assert_eq!(harness.source.fetches(), 4);
}

#[tokio::test]
async fn a_failed_or_unchanged_refresh_leaves_the_signature_invalid() {
    let token = forged();
    for answer in [
        Reply::Failure,
        Reply::FailureUntil(secs(60)),
        Reply::Panic,
        Reply::PanicInCall,
        Reply::document(""),
        Reply::document(r#"{"keys":[]}"#),
        Reply::keys(&[key(0)]),
        Reply::keys(&[key(1), key(0)]),
        Reply::keys(&[key(2).under("ins_0")]),
    ] {
        let harness = Harness::warm().await;
        harness.pass(secs(31)).await;
        harness.source.always(answer);
        let (mut own, mut joined) = (Box::pin(harness.verify(&token)), Box::pin(harness.verify(&token)));
        assert_eq!((at_once(own.as_mut()), at_once(joined.as_mut())), (None, None));
        assert_eq!((own.await, joined.await), (REJECTED, REJECTED));
        assert_eq!(at_once(harness.verify(&token)), Some(REJECTED));
        assert_eq!(harness.source.fetches(), 2);
    }
}

#[tokio::test]
async fn an_algorithm_mismatch_triggers_no_fetch() {
    let harness = Harness::warm().await;
    harness.pass(secs(31)).await;
    let other = with_header(r#"{"alg":"RS512","kid":"ins_0"}"#);
    assert_eq!(at_once(harness.verify(&other)), Some(Err(VerifyErrorKind::AlgorithmMismatch)));
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn a_kid_removed_from_the_set_is_unknown() {
    let harness = Harness::warm().await;
    harness.pass(secs(31)).await;
    harness.publish(&[key(1)]);
    assert_eq!(harness.verify(&forged()).await, Err(VerifyErrorKind::UnknownKey));
}

#[tokio::test]
async fn a_refresh_that_never_ends_leaves_the_signature_invalid() {
    let timeout = millis(50);
    let harness = Harness::warm_with(|config| config.jwks_timeout(timeout)).await;
    harness.pass(secs(31)).await;
    harness.source.hold();
    let start = std::time::Instant::now();
    assert_eq!(harness.verify(&forged()).await, REJECTED);
    assert!(start.elapsed() >= timeout && start.elapsed() < secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn while_backing_off_it_is_rejected_at_once() {
    let harness = Harness::warm().await;
    harness.pass(secs(31)).await;
    harness.source.always(Reply::FailureUntil(secs(60)));
    assert_eq!(harness.verify(&stranger(0)).await, Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(at_once(harness.verify(&forged())), Some(REJECTED));
    settle().await;
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn with_too_many_waiting_it_is_rejected_at_once() {
    let harness = Harness::warm().await;
    harness.pass(secs(31)).await;
    harness.source.hold();
    let strange = stranger(0);
    let mut waiting: Vec<_> = (0..16_384).map(|_| Box::pin(harness.verify(&strange))).collect();
    for waiting in &mut waiting {
        assert_eq!(at_once(waiting.as_mut()), None);
    }
    assert_eq!(at_once(harness.verify(&forged())), Some(REJECTED));
}
