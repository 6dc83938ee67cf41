//! The budget for tokens that were never seen valid.

use tower_clerk::{
    backend_api::OpaqueTokenLimits,
    verify::{Clock, UnavailableReason, VerifyErrorKind},
};

use super::{Api, DOWN, Fixture, GOOD, INACTIVE, Reply, SPENT, key, unavailable};
use crate::support::{millis, secs};

#[tokio::test]
async fn a_hundred_unknown_keys_are_asked_about_and_twenty_more_a_second() {
    let fixture = Fixture::new(Api::new());
    for number in 0..100 {
        assert_eq!(fixture.verify(&key(number)).await, INACTIVE);
    }
    let error = fixture.error("ak_next").await;
    assert_eq!(error.unavailable_reason(), Some(UnavailableReason::TooManyOpaqueTokens));
    assert_eq!(error.retry_after(), Some(millis(50)));
    fixture.clock.advance(millis(49));
    assert_eq!((fixture.verify("ak_next").await, fixture.api.calls()), (SPENT, 100));
    fixture.clock.advance(millis(1));
    assert_eq!((fixture.verify("ak_next").await, fixture.api.calls()), (INACTIVE, 101));
    assert_eq!(fixture.verify("ak_other").await, SPENT);
    assert_eq!(fixture.verifier.opaque_tokens_status().refused_by_budget, 3);
}

#[tokio::test]
async fn a_start_with_a_thousand_good_keys_is_no_flood() {
    let fixture = Fixture::new(Api::valid());
    for number in 0..1000 {
        assert_eq!(fixture.verify(&key(number)).await, GOOD);
    }
    // The whole budget is there, and not more than it.
    fixture.api.always(Reply::Unknown);
    for number in 0..100 {
        assert_eq!(fixture.verify(&key(format_args!("made_up_{number}"))).await, INACTIVE);
    }
    assert_eq!(fixture.verify("ak_last").await, SPENT);
    assert_eq!(fixture.api.calls(), 1100);
}

#[tokio::test]
async fn what_is_refused_without_a_call_spends_nothing() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(2).unknown_tokens_per_second(1);
    let fixture = Fixture::with(Api::new(), Ok, limits);
    assert_eq!(fixture.verify("ak_a").await, INACTIVE);
    for _ in 0..10 {
        assert_eq!(fixture.verify("ak_a").await, INACTIVE);
        assert_eq!(fixture.verify("ak_").await, Err((VerifyErrorKind::Malformed, None)));
        assert_eq!(fixture.verify("ak_ö").await, Err((VerifyErrorKind::Malformed, None)));
        assert_eq!(fixture.verify(&key("x".repeat(510))).await, Err((VerifyErrorKind::Malformed, None)));
    }
    assert_eq!(fixture.verify("ak_b").await, INACTIVE);
    for _ in 0..10 {
        assert_eq!(fixture.verify("ak_c").await, SPENT);
    }
    fixture.clock.advance(secs(1));
    assert_eq!((fixture.verify("ak_c").await, fixture.api.calls()), (INACTIVE, 3));
}

#[test]
fn a_call_that_cannot_start_outside_a_runtime_spends_nothing() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(1).unknown_tokens_per_second(1);
    let fixture = Fixture::with(Api::valid(), Ok, limits);
    for _ in 0..10 {
        assert_eq!(fixture.try_verify("ak_a"), unavailable(UnavailableReason::NoRuntime));
    }
    crate::support::runtime().block_on(async { assert_eq!(fixture.verify("ak_a").await, GOOD) });
}

#[tokio::test]
async fn a_key_is_known_for_an_hour_after_its_last_good_answer() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(1).unknown_tokens_per_second(1);
    for (pause, end) in [(millis(3_599_999), GOOD), (secs(3600), SPENT)] {
        let fixture = Fixture::with(Api::valid(), Ok, limits);
        assert_eq!(fixture.verify("ak_a").await, GOOD);
        fixture.clock.advance(pause);
        fixture.api.about("ak_made_up", Reply::Unknown);
        assert_eq!(fixture.verify("ak_made_up").await, INACTIVE);
        assert_eq!(fixture.verify("ak_a").await, end);
    }
}

#[tokio::test]
async fn a_key_in_use_is_known_when_its_answer_ends_however_long_the_ttl() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(1).unknown_tokens_per_second(1);
    let change = |config: tower_clerk::ClerkConfig| config.opaque_token_ttl(secs(3600))?.opaque_token_stale(secs(0));
    let fixture = Fixture::with(Api::valid(), change, limits);
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(secs(3600));
    fixture.api.about("ak_made_up", Reply::Unknown);
    assert_eq!(fixture.verify("ak_made_up").await, INACTIVE);
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 3));
}

#[tokio::test]
async fn a_wall_clock_that_jumps_makes_no_stranger_of_a_known_key() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(1).unknown_tokens_per_second(1);
    let fixture = Fixture::with(Api::valid(), Ok, limits);
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.set(fixture.clock.now() + secs(2 * 3600));
    fixture.api.about("ak_made_up", Reply::Unknown);
    assert_eq!(fixture.verify("ak_made_up").await, INACTIVE);
    assert_eq!(fixture.verify("ak_next").await, SPENT);
    // It is asked about, because its answer may be old.
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 3));
}

#[tokio::test]
async fn requests_are_counted_by_what_has_become_of_them() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(3).unknown_tokens_per_second(1);
    let fixture = Fixture::with(Api::new(), Ok, limits);
    let counts = || {
        let status = fixture.verifier.opaque_tokens_status();
        let refused = (status.refused_by_budget, status.refused_unavailable);
        (status.calls, status.answered_from_cache, status.answered_stale, refused)
    };
    fixture.api.about("ak_good", Reply::Valid);
    assert_eq!((fixture.verify("ak_good").await, counts()), (GOOD, (1, 0, 0, (0, 0))));
    assert_eq!((fixture.verify("ak_good").await, counts()), (GOOD, (1, 1, 0, (0, 0))));
    assert_eq!((fixture.verify("ak_bad").await, counts()), (INACTIVE, (2, 1, 0, (0, 0))));
    assert_eq!((fixture.verify("ak_bad").await, counts()), (INACTIVE, (2, 2, 0, (0, 0))));

    // An outage: first by a call, then without one, because that has failed a moment ago.
    fixture.clock.advance(secs(60));
    fixture.api.about("ak_good", Reply::Status(500));
    fixture.api.always(Reply::Status(500));
    assert_eq!((fixture.verify("ak_good").await, counts()), (GOOD, (3, 2, 1, (0, 0))));
    assert_eq!((fixture.verify("ak_good").await, counts()), (GOOD, (3, 2, 2, (0, 0))));
    assert_eq!((fixture.verify("ak_a").await, counts()), (DOWN, (4, 2, 2, (0, 1))));
    assert_eq!((fixture.verify("ak_a").await, counts()), (DOWN, (4, 2, 2, (0, 2))));
    // No call at all may start.
    fixture.api.always(Reply::TooMany("30"));
    assert_eq!((fixture.verify("ak_b").await, counts()), (DOWN, (5, 2, 2, (0, 3))));
    fixture.clock.advance(secs(1));
    assert_eq!((fixture.verify("ak_good").await, counts()), (GOOD, (5, 2, 3, (0, 3))));
    assert_eq!((fixture.verify("ak_c").await, counts()), (DOWN, (5, 2, 3, (0, 4))));

    fixture.clock.advance(secs(29));
    fixture.api.always(Reply::Unknown);
    for name in ["d", "e", "f"] {
        assert_eq!(fixture.verify(&key(name)).await, INACTIVE);
    }
    assert_eq!((fixture.verify("ak_g").await, counts()), (SPENT, (8, 2, 3, (1, 4))));
}

#[tokio::test]
async fn forgotten_keys_are_asked_about_again_outside_of_the_budget() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(1).unknown_tokens_per_second(1);
    let fixture = Fixture::with(Api::valid(), Ok, limits);
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.api.about("ak_made_up", Reply::Unknown);
    assert_eq!(fixture.verify("ak_made_up").await, INACTIVE);
    fixture.verifier.forget_opaque_tokens();
    assert_eq!(fixture.verify("ak_made_up").await, SPENT);
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 3));
}
