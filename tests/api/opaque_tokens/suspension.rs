//! The back-off of the whole Backend API.

use tower_clerk::jwks::FetchErrorKind;

use super::{Api, DOWN, Fixture, GOOD, IN_PROGRESS, INACTIVE, Reply, failed, key};
use crate::support::{at_once, millis, secs, settle};

/// Keys that the verifier knows, and whose answers have ended.
async fn known(fixture: &Fixture, count: usize) -> Vec<String> {
    let known: Vec<_> = (0..count).map(|number| key(format_args!("known_{number}"))).collect();
    for token in &known {
        fixture.api.about(token, Reply::Valid);
        assert_eq!(fixture.verify(token).await, GOOD);
    }
    fixture.api.state.send_modify(|state| state.replies.clear());
    fixture.clock.advance(secs(60));
    known
}

#[tokio::test]
async fn five_different_tokens_in_a_row_stop_all_calls_but_one_probe() {
    let fixture = Fixture::new(Api::new());
    let known = known(&fixture, 10).await;
    fixture.api.always(Reply::Status(500));
    for token in &known[..5] {
        assert_eq!(fixture.verify(token).await, GOOD);
    }
    assert_eq!(fixture.api.calls(), 10 + 5);
    // Nothing is asked for a second.
    for token in &known {
        assert_eq!(fixture.try_verify(token), GOOD);
    }
    let error = fixture.error("ak_a").await;
    assert_eq!((error.retry_after(), fixture.api.calls()), (Some(secs(1)), 15));
    fixture.clock.advance(millis(999));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (DOWN, 15));

    // Then one call finds out, and the others do not wait for it.
    fixture.clock.advance(millis(1));
    fixture.api.always(Reply::Hold);
    assert_eq!(fixture.try_verify(&known[5]), IN_PROGRESS);
    settle().await;
    for token in &known[6..] {
        assert_eq!(fixture.try_verify(token), GOOD);
    }
    assert_eq!((fixture.verify("ak_b").await, fixture.api.calls()), (DOWN, 16));

    // It fails, so the next one comes a second later.
    fixture.api.always(Reply::Status(500));
    fixture.api.over(16).await;
    settle().await;
    fixture.clock.advance(millis(999));
    assert_eq!((fixture.verify("ak_b").await, fixture.api.calls()), (DOWN, 16));
    fixture.clock.advance(millis(1));

    // An answer ends it, also one that says that the token is not valid.
    fixture.api.always(Reply::Unknown);
    assert_eq!((fixture.verify("ak_b").await, fixture.api.calls()), (INACTIVE, 17));
    fixture.api.always(Reply::Valid);
    for token in &known[5..] {
        assert_eq!(fixture.verify(token).await, GOOD);
    }
    assert_eq!(fixture.api.calls(), 22);
}

#[tokio::test]
async fn made_up_keys_on_which_the_api_fails_stop_no_calls_for_known_ones() {
    let fixture = Fixture::new(Api::new());
    let known = known(&fixture, 2).await;
    // So long ago that no answer can be used in place of a call.
    fixture.clock.advance(secs(1800));
    fixture.api.always(Reply::Status(500));
    fixture.api.about(&known[1], Reply::Valid);
    for number in 0..20 {
        assert_eq!(fixture.verify(&key(number)).await, DOWN);
    }
    assert_eq!(fixture.api.calls(), 2 + 5);
    assert_eq!((fixture.verify(&known[0]).await, fixture.api.calls()), (DOWN, 8));
    assert_eq!((fixture.verify(&known[1]).await, fixture.api.calls()), (GOOD, 9));
}

#[tokio::test]
async fn known_keys_on_which_the_api_fails_stop_all_calls() {
    let fixture = Fixture::new(Api::new());
    let known = known(&fixture, 6).await;
    fixture.api.always(Reply::Status(500));
    for token in &known[..5] {
        assert_eq!(fixture.verify(token).await, GOOD);
    }
    assert_eq!(fixture.try_verify(&known[5]), GOOD);
    assert_eq!((fixture.verify("ak_unknown").await, fixture.api.calls()), (DOWN, 11));
    // One of them finds out for all.
    fixture.pass(secs(1)).await;
    fixture.api.always(Reply::Hold);
    let mut probe = Box::pin(fixture.verify(&known[5]));
    assert_eq!(at_once(probe.as_mut()), None);
    fixture.api.started(12).await;
    assert_eq!((fixture.verify("ak_unknown").await, fixture.try_verify(&known[0])), (DOWN, GOOD));
    fixture.api.always(Reply::Valid);
    assert_eq!(probe.await, GOOD);
    assert_eq!((fixture.verify("ak_unknown").await, fixture.api.calls()), (GOOD, 13));
}

#[tokio::test]
async fn four_tokens_in_a_row_or_one_that_fails_again_stop_no_calls() {
    let fixture = Fixture::new(Api::new());
    fixture.api.about("ak_good", Reply::Valid);
    fixture.api.always(Reply::Status(500));
    for round in 0..3 {
        for number in 0..4 {
            assert_eq!(fixture.verify(&key(format_args!("{round}_{number}"))).await, DOWN);
        }
        fixture.clock.advance(secs(60));
        assert_eq!(fixture.verify("ak_good").await, GOOD);
    }
    assert_eq!(fixture.api.calls(), 15);
    for _ in 0..20 {
        assert_eq!(fixture.verify("ak_bad").await, DOWN);
        fixture.clock.advance(secs(1));
    }
    fixture.clock.advance(secs(60));
    assert_eq!((fixture.verify("ak_good").await, fixture.api.calls()), (GOOD, 36));
}

#[tokio::test]
async fn retry_after_stops_all_calls_for_up_to_a_minute() {
    for (reply, delay) in [
        (Reply::TooMany("7"), secs(7)),
        (Reply::TooMany("60"), secs(60)),
        (Reply::TooMany("3600"), secs(60)),
        (Reply::FailureUntil(secs(7)), secs(7)),
        (Reply::FailureUntil(secs(3600)), secs(60)),
    ] {
        let fixture = Fixture::new(Api::new());
        let known = known(&fixture, 1).await;
        fixture.api.always(reply.clone());
        let error = fixture.error("ak_a").await;
        assert_eq!((error.retry_after(), fixture.api.calls()), (Some(delay), 2), "{reply:?}");
        fixture.api.always(Reply::Valid);
        assert_eq!(fixture.try_verify(&known[0]), GOOD, "{reply:?}");
        fixture.clock.advance(delay - millis(1));
        for token in ["ak_a", "ak_b"] {
            assert_eq!(fixture.error(token).await.retry_after(), Some(millis(1)), "{reply:?}");
        }
        assert_eq!(fixture.api.calls(), 2, "{reply:?}");
        fixture.clock.advance(millis(1));
        for token in ["ak_b", "ak_a", &known[0]] {
            assert_eq!(fixture.verify(token).await, GOOD, "{reply:?}");
        }
        assert_eq!(fixture.api.calls(), 5, "{reply:?}");
    }
}

#[tokio::test]
async fn a_failure_that_says_nothing_does_not_shorten_a_retry_after() {
    let fixture = Fixture::new(Api::new());
    fixture.api.always(Reply::Hold);
    for number in 0..10 {
        assert_eq!(fixture.try_verify(&key(number)), IN_PROGRESS);
    }
    fixture.api.started(10).await;
    fixture.api.about("ak_0", Reply::TooMany("30"));
    fixture.api.over(1).await;
    fixture.api.always(Reply::Status(500));
    fixture.api.over(10).await;
    settle().await;
    assert_eq!(fixture.error("ak_other").await.retry_after(), Some(secs(30)));
}

#[tokio::test]
async fn calls_that_wait_for_a_place_when_the_api_fails_are_not_made() {
    let fixture = Fixture::new(Api::new());
    fixture.api.always(Reply::Hold);
    for number in 0..100 {
        assert_eq!(fixture.try_verify(&key(number)), IN_PROGRESS);
    }
    settle().await;
    assert_eq!(fixture.api.calls(), 48);
    for number in 0..5 {
        fixture.api.about(&key(number), Reply::Status(500));
    }
    fixture.api.over(5).await;
    settle().await;
    let calls = fixture.api.calls();
    assert!(calls < 48 + 5, "{calls}");
    fixture.api.always(Reply::Status(500));
    fixture.api.over(calls).await;
    settle().await;
    assert_eq!((fixture.verify("ak_99").await, fixture.api.calls()), (DOWN, calls));
}

#[tokio::test]
async fn a_key_that_the_api_refuses_holds_up_no_other_token() {
    let fixture = Fixture::new(Api::new());
    for status in [401, 403] {
        fixture.api.always(Reply::Status(status));
        let calls = fixture.api.calls();
        for number in 0..20 {
            let token = key(format_args!("{status}_{number}"));
            assert_eq!(fixture.verify(&token).await, failed(FetchErrorKind::Unauthorized));
            assert_eq!(fixture.verify(&token).await, failed(FetchErrorKind::Unauthorized));
        }
        assert_eq!(fixture.api.calls(), calls + 20);
    }
    fixture.api.always(Reply::Valid);
    assert_eq!(fixture.verify("mt_other").await, GOOD);
}
