//! Answers that are kept, good and bad.

use std::time::SystemTime;

use tower_clerk::{backend_api::OpaqueTokenLimits, testing::ManualClock, verify::Clock};

use super::{Api, DOWN, Fixture, GOOD, IN_PROGRESS, INACTIVE, Reply, key};
use crate::support::{millis, secs, settle};

#[tokio::test]
async fn a_thousand_requests_with_one_key_are_one_call_in_each_ttl() {
    let fixture = Fixture::new(Api::valid());
    for expected in 1..=3 {
        for _ in 0..1000 {
            assert_eq!(fixture.verify("ak_a").await, GOOD);
        }
        assert_eq!(fixture.api.calls(), expected);
        fixture.clock.advance(millis(59_999));
        assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, expected));
        fixture.clock.advance(millis(1));
    }
    let status = fixture.verifier.opaque_tokens_status();
    assert_eq!((status.calls, status.answered_from_cache, status.refused_by_budget), (3, 3 * 1000, 0));
    assert_eq!((status.last_error, status.last_success), (None, Some(secs(60))));
}

#[tokio::test]
async fn each_kind_of_token_is_kept_by_its_whole_text() {
    let fixture = Fixture::new(Api::valid());
    let tokens = ["ak_a", "ak_b", "ak_aa", "mt_a", "oat_a"];
    for _ in 0..3 {
        for token in tokens {
            assert_eq!(fixture.verify(token).await, GOOD);
        }
    }
    assert_eq!(fixture.api.calls(), tokens.len());
}

#[tokio::test]
async fn a_revoked_key_dies_within_its_ttl_and_an_outage_does_not_revive_it() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.api.always(Reply::Unknown);
    fixture.clock.advance(millis(59_999));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(millis(1));
    assert_eq!(fixture.verify("ak_a").await, INACTIVE);

    // It has left the good answers, so no outage brings it back.
    fixture.api.always(Reply::Status(500));
    fixture.clock.advance(millis(59_999));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (INACTIVE, 2));
    fixture.clock.advance(millis(1));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (DOWN, 3));
}

#[tokio::test]
async fn a_key_that_is_not_valid_is_asked_about_once_a_minute() {
    let fixture = Fixture::new(Api::new());
    for expected in 1..=3 {
        for _ in 0..100 {
            assert_eq!(fixture.verify("ak_a").await, INACTIVE);
        }
        fixture.clock.advance(millis(59_999));
        assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (INACTIVE, expected));
        fixture.clock.advance(millis(1));
    }
    fixture.api.always(Reply::Valid);
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    assert_eq!(fixture.verifier.opaque_tokens_status().answered_from_cache, 300);
}

#[tokio::test]
async fn a_ttl_of_zero_makes_each_request_a_call() {
    let fixture = Fixture::with(Api::valid(), |config| config.opaque_token_ttl(secs(0)), OpaqueTokenLimits::new());
    for _ in 0..200 {
        assert_eq!(fixture.verify("ak_a").await, GOOD);
    }
    assert_eq!(fixture.api.calls(), 200);
    // The answer is remembered for an outage all the same, and a revoked key dies at once.
    fixture.api.always(Reply::Status(500));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.pass(secs(1)).await;
    fixture.api.always(Reply::Unknown);
    assert_eq!(fixture.verify("ak_a").await, INACTIVE);
}

#[tokio::test]
async fn the_ttl_is_that_of_the_configuration() {
    let fixture = Fixture::with(Api::valid(), |config| config.opaque_token_ttl(secs(3600)), OpaqueTokenLimits::new());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(millis(3_599_999));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 1));
    fixture.clock.advance(millis(1));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 2));
}

#[tokio::test]
async fn an_answer_is_as_old_as_its_request() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    assert_eq!(fixture.try_verify("ak_a"), IN_PROGRESS);
    fixture.api.started(1).await;
    fixture.clock.advance(secs(2));
    fixture.api.always(Reply::Valid);
    fixture.api.over(1).await;
    settle().await;
    // The key may have been revoked when the server had read it.
    fixture.clock.advance(millis(57_999));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 1));
    fixture.clock.advance(millis(1));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 2));
}

/// Milliseconds since 1970 after so many seconds.
fn in_seconds(clock: &ManualClock, seconds: u64) -> u64 {
    let since = clock.now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("a time") + seconds * 1000
}

#[tokio::test]
async fn no_answer_is_used_past_the_expiration_of_its_token() {
    let fixture = Fixture::new(Api::new());
    fixture.api.always(Reply::ValidUntil(in_seconds(&fixture.clock, 30)));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(millis(29_999));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 1));
    // From then on only a new answer counts. The clock of the Backend API may be behind by the clock skew, 5 seconds.
    fixture.clock.advance(millis(1));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 2));
    fixture.clock.advance(millis(4999));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 3));
    fixture.clock.advance(millis(1));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (INACTIVE, 4));
}

#[tokio::test]
async fn no_outage_prolongs_an_answer_past_the_expiration_of_its_token() {
    let fixture = Fixture::new(Api::new());
    fixture.api.always(Reply::ValidUntil(in_seconds(&fixture.clock, 90)));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.api.always(Reply::Status(500));
    fixture.clock.advance(millis(89_999));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(millis(1));
    assert_eq!(fixture.verify("ak_a").await, DOWN);
    // With the clock skew of 5 seconds it is certain that the token has expired.
    fixture.clock.advance(millis(4999));
    assert_eq!(fixture.verify("ak_a").await, DOWN);
    fixture.clock.advance(millis(1));
    let calls = fixture.api.calls();
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (INACTIVE, calls));
    // It is asked about again after the back-off.
    fixture.clock.advance(millis(1000));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (INACTIVE, calls + 1));
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (INACTIVE, calls + 1));
    // A clock that was wrong costs nothing.
    fixture.clock.set(fixture.clock.now() - secs(30));
    fixture.clock.advance(millis(1000));
    fixture.api.always(Reply::Valid);
    assert_eq!(fixture.verify("ak_a").await, GOOD);
}

#[tokio::test]
async fn a_machine_that_was_suspended_does_not_keep_a_revoked_key_alive() {
    for (is_down, end) in [(false, INACTIVE), (true, DOWN)] {
        let fixture = Fixture::new(Api::valid());
        assert_eq!(fixture.verify("ak_a").await, GOOD);
        fixture.api.always(if is_down { Reply::Status(500) } else { Reply::Unknown });
        // The monotonic clock stands still meanwhile.
        fixture.clock.set(fixture.clock.now() + secs(360));
        assert_eq!(fixture.verify("ak_a").await, end);
    }
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_does_not_prolong_an_answer() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.api.always(Reply::Unknown);
    fixture.clock.set(fixture.clock.now() - secs(3600));
    fixture.clock.advance(millis(59_999));
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(millis(1));
    assert_eq!(fixture.verify("ak_a").await, INACTIVE);
}

#[tokio::test]
async fn a_flood_of_bad_keys_does_not_push_out_good_ones() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(100_000).unknown_tokens_per_second(100_000);
    let fixture = Fixture::with(Api::new(), Ok, limits);
    for number in 0..100 {
        fixture.api.about(&key(number), Reply::Valid);
        assert_eq!(fixture.verify(&key(number)).await, GOOD);
    }
    for number in 0..15_000 {
        assert_eq!(fixture.verify(&key(format_args!("made_up_{number}"))).await, INACTIVE);
    }
    let calls = fixture.api.calls();
    for number in 0..100 {
        assert_eq!(fixture.verify(&key(number)).await, GOOD);
    }
    assert_eq!(fixture.api.calls(), calls);
}
