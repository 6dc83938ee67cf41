//! A Backend API that fails: known keys pass for a while, and nobody asks it all the time.

use tower_clerk::{backend_api::OpaqueTokenLimits, jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::{Api, DOWN, Fixture, GOOD, INACTIVE, Reply, failed, key};
use crate::support::{millis, secs};

#[tokio::test]
async fn an_outage_of_four_minutes_refuses_no_known_key() {
    let fixture = Fixture::new(Api::valid());
    let known: Vec<_> = (0..20).map(key).collect();
    for token in &known {
        assert_eq!(fixture.verify(token).await, GOOD);
        fixture.pass(secs(1)).await;
    }
    fixture.api.always(Reply::Status(503));
    for second in 0..240 {
        for token in &known {
            assert_eq!(fixture.verify(token).await, GOOD, "{token} after {second} s");
        }
        assert_eq!(fixture.verify("ak_unknown").await, DOWN);
        fixture.pass(secs(1)).await;
    }
    // About one call a second finds out whether the API is back.
    let calls = fixture.api.calls() - known.len();
    assert!((200..=260).contains(&calls), "{calls} calls");

    fixture.api.always(Reply::Valid);
    assert_eq!(fixture.verify("ak_unknown").await, GOOD);
}

#[tokio::test]
async fn an_outage_of_six_minutes_refuses_a_known_key_as_unavailable() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.api.always(Reply::Status(503));
    fixture.clock.advance(millis(359_999));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(millis(1));
    let error = fixture.error("ak_a").await;
    assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
    assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::UnexpectedStatus));
    assert!(error.retry_after().is_some_and(|delay| delay <= secs(1)));
    assert_eq!(fixture.verifier.opaque_tokens_status().last_error, Some(FetchErrorKind::UnexpectedStatus));

    fixture.api.always(Reply::Valid);
    fixture.clock.advance(secs(1));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    assert_eq!(fixture.verifier.opaque_tokens_status().last_error, None);
}

#[tokio::test]
async fn the_stale_limit_is_that_of_the_configuration() {
    let change = |config: tower_clerk::ClerkConfig| config.opaque_token_stale(secs(0));
    let fixture = Fixture::with(Api::valid(), change, OpaqueTokenLimits::new());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.api.always(Reply::Failure);
    fixture.clock.advance(millis(59_999));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(millis(1));
    assert_eq!(fixture.verify("ak_a").await, failed(FetchErrorKind::Transport));
}

#[tokio::test]
async fn a_known_key_is_tried_after_1_2_4_and_at_most_30_seconds() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(secs(60));
    fixture.api.always(Reply::Status(500));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 2));
    for (calls, delay) in [1, 2, 4, 8, 16, 30, 30, 30].into_iter().enumerate() {
        fixture.clock.advance(secs(delay) - millis(1));
        // Served without a call, and without a wait.
        assert_eq!((fixture.try_verify("ak_a"), fixture.api.calls()), (GOOD, calls + 2));
        fixture.clock.advance(millis(1));
        assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, calls + 3));
    }
    // A good answer ends it: the next failure counts from the start.
    fixture.clock.advance(secs(30));
    fixture.api.always(Reply::Valid);
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.api.always(Reply::Status(500));
    fixture.clock.advance(secs(60));
    let calls = fixture.api.calls();
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, calls + 1));
    fixture.clock.advance(secs(1));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, calls + 2));
}

#[tokio::test]
async fn an_unknown_key_is_tried_each_second() {
    let fixture = Fixture::new(Api::new());
    fixture.api.always(Reply::Status(500));
    for calls in 1..=10 {
        let error = fixture.error("ak_a").await;
        assert_eq!((error.retry_after(), fixture.api.calls()), (Some(secs(1)), calls));
        fixture.clock.advance(millis(999));
        let error = fixture.error("ak_a").await;
        assert_eq!((error.retry_after(), fixture.api.calls()), (Some(millis(1)), calls));
        fixture.clock.advance(millis(1));
    }
    fixture.api.always(Reply::Unknown);
    assert_eq!(fixture.verify("ak_a").await, INACTIVE);
}

#[tokio::test]
async fn a_key_whose_answer_ends_in_a_long_back_off_is_tried_within_a_second() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.api.always(Reply::Status(500));
    fixture.clock.advance(secs(60));
    // The last call is 15 seconds before the end, and the back-off 30 seconds long.
    for delay in [0, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30, 30, 14] {
        fixture.clock.advance(secs(delay));
        assert_eq!(fixture.verify("ak_a").await, GOOD);
    }
    fixture.clock.advance(secs(16));
    let calls = fixture.api.calls();
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (DOWN, calls + 1));
    fixture.clock.advance(millis(999));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (DOWN, calls + 1));
    fixture.api.always(Reply::Valid);
    fixture.clock.advance(millis(1));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
}

#[tokio::test]
async fn a_known_token_that_may_not_be_shown_to_this_service_any_more_gets_503() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("mt_a").await, GOOD);
    fixture.api.always(Reply::Status(403));
    fixture.clock.advance(secs(60));
    for _ in 0..3 {
        assert_eq!(fixture.verify("mt_a").await, failed(FetchErrorKind::Unauthorized));
        fixture.clock.advance(secs(1));
    }
    fixture.api.always(Reply::Valid);
    assert_eq!(fixture.verify("mt_a").await, GOOD);
}

#[tokio::test]
async fn every_failure_serves_a_known_key_and_none_an_unknown_one() {
    for (reply, kind) in [
        (Reply::Status(500), FetchErrorKind::UnexpectedStatus),
        (Reply::Status(401), FetchErrorKind::Unauthorized),
        (Reply::TooMany("0"), FetchErrorKind::UnexpectedStatus),
        (Reply::Status(200), FetchErrorKind::InvalidDocument),
        (Reply::Failure, FetchErrorKind::Transport),
        (Reply::Panic, FetchErrorKind::Panicked),
        (Reply::PanicInCall, FetchErrorKind::Panicked),
    ] {
        let fixture = Fixture::new(Api::valid());
        assert_eq!(fixture.verify("ak_known").await, GOOD);
        fixture.api.always(reply.clone());
        fixture.clock.advance(secs(60));
        assert_eq!(fixture.verify("ak_known").await, GOOD, "{reply:?}");
        assert_eq!(fixture.verify("ak_unknown").await, failed(kind), "{reply:?}");
        assert_eq!(fixture.verifier.opaque_tokens_status().last_error, Some(kind));
        fixture.clock.advance(secs(1));
        fixture.api.always(Reply::Valid);
        assert_eq!(fixture.verify("ak_unknown").await, GOOD, "{reply:?}");
    }
}
