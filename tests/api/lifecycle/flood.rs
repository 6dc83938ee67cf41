use std::collections::HashMap;

use tower_clerk::verify::VerifyErrorKind;

use crate::support::{Harness, Reply, at_once, key, kind_of, millis, secs, settle, stranger};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_concurrent_unknown_kids_fetch_at_most_twice() {
    let harness = Harness::warm().await;
    let verdicts = harness.herd((0..10_000).map(stranger), async || {}).await;
    assert_eq!(verdicts, HashMap::from([(Err(VerifyErrorKind::UnknownKey), 10_000)]));
    settle().await;
    assert!(harness.source.fetches() <= 3, "{}", harness.source.fetches());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_kids_on_a_cold_cache_fetch_twice_after_the_first_load() {
    let harness = Harness::cold();
    harness.publish(&[key(0)]);
    let verdicts = harness.herd((0..1_000).map(stranger), async || {}).await;
    assert_eq!(verdicts, HashMap::from([(Err(VerifyErrorKind::UnknownKey), 1_000)]));
    settle().await;
    assert!(harness.source.fetches() <= 3, "{}", harness.source.fetches());
    assert_eq!(harness.try_verify(&key(0).token()), Ok(()));
}

#[tokio::test]
async fn unknown_kids_fetch_twice_and_then_once_each_ten_seconds() {
    let harness = Harness::warm().await;
    for number in 0..10_000 {
        assert_eq!(harness.verify(&stranger(number)).await, Err(VerifyErrorKind::UnknownKey));
        let seconds = number / 100;
        assert_eq!(harness.source.fetches(), if number == 0 { 2 } else { 3 + seconds / 10 }, "after {seconds} s");
        harness.clock.advance(millis(10));
    }
}

#[tokio::test]
async fn a_rotation_under_a_flood_is_picked_up_within_ten_seconds() {
    let (harness, rotated) = (Harness::warm().await, key(1).token());
    let mut number = 0;
    let mut flood = async || {
        for _ in 0..10 {
            number += 1;
            assert_eq!(harness.verify(&stranger(number)).await, Err(VerifyErrorKind::UnknownKey));
        }
        harness.clock.advance(millis(100));
    };
    for _ in 0..333 {
        flood().await;
    }
    harness.publish(&[key(1)]);
    let mut delay = millis(0);
    while harness.verify(&rotated).await.is_err() {
        flood().await;
        delay += millis(100);
        assert!(delay <= secs(10));
    }
    let elapsed = 34 + delay.as_secs();
    assert!(u64::try_from(harness.source.fetches()).is_ok_and(|fetches| fetches <= 3 + elapsed / 10));
}

#[tokio::test]
async fn a_flood_on_a_failing_source_fails_at_once_without_more_fetches() {
    let (harness, known) = (Harness::warm().await, key(0).token());
    harness.source.always(Reply::Failure);
    let mut waited = 0;
    for number in 0..6_000 {
        match harness.verify_at_once(&stranger(number)) {
            Some(verified) => assert!(matches!(
                kind_of(verified),
                Err(VerifyErrorKind::UnknownKey | VerifyErrorKind::KeysUnavailable)
            )),
            None => waited += 1,
        }
        assert_eq!(harness.try_verify(&known), Ok(()));
        settle().await;
        harness.clock.advance(millis(10));
    }
    // Two, and one more after each ten seconds of the minute.
    assert_eq!((waited, harness.source.fetches()), (7, 8));
    assert_eq!(harness.try_verify(&known), Ok(()));
}

#[tokio::test]
async fn known_keys_never_wait_for_a_fetch_of_unknown_ones() {
    let (harness, known) = (Harness::warm().await, key(0).token());
    harness.source.hold();
    // A refresh is due as well. It joins the running fetch.
    harness.pass(secs(270)).await;
    let tokens: Vec<_> = (0..100).map(stranger).collect();
    let mut waiting: Vec<_> = tokens.iter().map(|token| Box::pin(harness.verify(token))).collect();
    for waiting in &mut waiting {
        assert_eq!(at_once(waiting.as_mut()), None);
        assert_eq!((harness.try_verify(&known), harness.try_verify(&key(0).token())), (Ok(()), Ok(())));
        assert!(harness.verify_at_once(&known).is_some_and(|verified| verified.is_ok()));
        settle().await;
    }
    assert_eq!((harness.source.fetches(), harness.source.ended()), (2, 1));
    harness.source.once(Reply::Failure);
    for waiting in waiting {
        assert_eq!(waiting.await, Err(VerifyErrorKind::KeysUnavailable));
        assert_eq!(harness.try_verify(&known), Ok(()));
    }
}
