//! Calls that hang, are stopped, or whose runtime ends.

use std::time::Instant;

use tower_clerk::{backend_api::OpaqueTokenLimits, jwks::FetchErrorKind};

use super::{Api, Fixture, GOOD, IN_PROGRESS, INACTIVE, Reply, failed};
use crate::support::{at_once, millis, runtime, secs, settle};

/// A test that waits in real time. A call that gets no place ends after two seconds, one that hangs after three.
#[tokio::test]
async fn a_call_that_hangs_ends_after_three_seconds() {
    let fixture = Fixture::with(Api::valid(), Ok, OpaqueTokenLimits::new().max_concurrent_calls(1));
    assert_eq!(fixture.verify("ak_known").await, GOOD);
    fixture.clock.advance(secs(60));
    fixture.api.always(Reply::Hold);
    let start = Instant::now();
    let timed = |token| {
        let fixture = &fixture;
        async move { (fixture.verify(token).await, start.elapsed()) }
    };
    let (known, unknown) = tokio::join!(timed("ak_known"), timed("ak_unknown"));
    assert_eq!((known.0, unknown.0), (GOOD, failed(FetchErrorKind::TooManyFetches)));
    assert!(known.1 >= millis(2900) && known.1 < secs(10), "{known:?}");
    assert!(unknown.1 >= millis(1900) && unknown.1 < known.1, "{unknown:?}");
    // The call was dropped with its place.
    settle().await;
    assert_eq!(fixture.api.running(), 0);
    assert_eq!(fixture.verifier.opaque_tokens_status().last_error, Some(FetchErrorKind::Timeout));
    // That there was no place says nothing about its token, so no back-off holds it up.
    fixture.api.always(Reply::Valid);
    assert_eq!(fixture.verify("ak_unknown").await, GOOD);
}

#[tokio::test]
async fn dropping_the_verifier_stops_its_calls() {
    let Fixture { api, verifier, clock } = Fixture::new(Api::valid());
    api.always(Reply::Hold);
    let fixture = Fixture { api: api.clone(), verifier: verifier.clone(), clock };
    for token in ["ak_a", "ak_b"] {
        assert_eq!(fixture.try_verify(token), IN_PROGRESS);
    }
    api.started(2).await;
    drop(fixture);
    settle().await;
    assert_eq!(api.running(), 2);
    drop(verifier);
    api.over(2).await;
    assert_eq!(api.running(), 0);
}

#[tokio::test]
async fn forgetting_asks_again_about_every_token_good_or_bad() {
    let fixture = Fixture::new(Api::new());
    fixture.api.about("ak_a", Reply::Valid);
    assert_eq!((fixture.verify("ak_a").await, fixture.verify("ak_b").await), (GOOD, INACTIVE));
    fixture.api.about("ak_a", Reply::Unknown);
    fixture.api.about("ak_b", Reply::Valid);
    assert_eq!((fixture.verify("ak_a").await, fixture.verify("ak_b").await), (GOOD, INACTIVE));
    fixture.verifier.forget_opaque_tokens();
    assert_eq!((fixture.verify("ak_a").await, fixture.verify("ak_b").await), (INACTIVE, GOOD));
    assert_eq!(fixture.api.calls(), 4);
}

#[tokio::test]
async fn one_token_is_forgotten_by_its_id_and_no_other() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!((fixture.verify("ak_a").await, fixture.verify("mt_a").await), (GOOD, GOOD));
    fixture.api.always(Reply::Unknown);
    fixture.verifier.forget_opaque_token("another id");
    assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 2));
    fixture.verifier.forget_opaque_token("ak_id");
    assert_eq!((fixture.verify("ak_a").await, fixture.verify("mt_a").await), (INACTIVE, GOOD));
    assert_eq!(fixture.api.calls(), 3);
}

#[tokio::test]
async fn a_call_in_flight_when_its_token_is_forgotten_keeps_no_answer() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.clock.advance(secs(60));
    fixture.api.always(Reply::Hold);
    let mut waiting = Box::pin(fixture.verify("ak_a"));
    assert_eq!(at_once(waiting.as_mut()), None);
    fixture.api.started(2).await;
    fixture.verifier.forget_opaque_token("ak_id");
    fixture.api.over(2).await;
    assert_eq!(at_once(waiting.as_mut()), None);
    fixture.api.always(Reply::Unknown);
    assert_eq!(waiting.await, INACTIVE);
}

#[tokio::test]
async fn a_first_call_keeps_no_answer_about_an_id_that_is_forgotten() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    let mut waiting = Box::pin(fixture.verify("ak_a"));
    let mut other = Box::pin(fixture.verify("mt_a"));
    assert_eq!((at_once(waiting.as_mut()), at_once(other.as_mut())), (None, None));
    fixture.api.started(2).await;
    // Only the answers, which may be older, say which of them has this id.
    fixture.verifier.forget_opaque_token("ak_id");
    fixture.api.about("ak_a", Reply::Valid);
    fixture.api.about("mt_a", Reply::Valid);
    fixture.api.over(2).await;
    fixture.api.always(Reply::Unknown);
    fixture.api.about("ak_a", Reply::Unknown);
    assert_eq!((waiting.await, other.await, fixture.api.calls()), (INACTIVE, GOOD, 3));
    // A call that starts later has read its answer later.
    fixture.api.about("ak_b", Reply::Valid);
    assert_eq!((fixture.verify("ak_b").await, fixture.verify("ak_b").await, fixture.api.calls()), (GOOD, GOOD, 4));
}

#[tokio::test]
async fn calls_start_anew_if_more_ids_are_forgotten_than_are_noted() {
    for (ids, calls) in [(1024, 1), (1025, 2)] {
        let fixture = Fixture::new(Api::valid());
        fixture.api.always(Reply::Hold);
        let mut waiting = Box::pin(fixture.verify("ak_a"));
        assert_eq!(at_once(waiting.as_mut()), None);
        fixture.api.started(1).await;
        for id in 0..ids {
            fixture.verifier.forget_opaque_token(&format!("ak_{id}"));
        }
        fixture.api.always(Reply::Valid);
        assert_eq!((waiting.await, fixture.api.calls()), (GOOD, calls), "{ids}");
    }
}

#[tokio::test]
async fn what_was_forgotten_is_not_served_in_an_outage() {
    let fixture = Fixture::new(Api::valid());
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    fixture.verifier.forget_opaque_tokens();
    fixture.api.always(Reply::Status(500));
    assert_eq!(fixture.verify("ak_a").await, super::DOWN);
}

#[tokio::test]
async fn a_call_in_flight_when_all_is_forgotten_keeps_no_answer() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    let mut waiting = Box::pin(fixture.verify("ak_a"));
    assert_eq!(at_once(waiting.as_mut()), None);
    fixture.api.started(1).await;
    fixture.verifier.forget_opaque_tokens();
    // The call may have read its answer before. The request that waits for it asks again.
    fixture.api.over(1).await;
    assert_eq!(at_once(waiting.as_mut()), None);
    fixture.api.started(2).await;
    fixture.api.always(Reply::Unknown);
    assert_eq!(waiting.await, INACTIVE);
    assert_eq!((fixture.try_verify("ak_a"), fixture.api.calls()), (INACTIVE, 2));
}

#[tokio::test]
async fn a_request_whose_second_call_is_stopped_too_gets_unavailable() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    let mut waiting = Box::pin(fixture.verify("ak_a"));
    for calls in 1..=2 {
        assert_eq!(at_once(waiting.as_mut()), None);
        fixture.api.started(calls).await;
        fixture.verifier.forget_opaque_tokens();
        fixture.api.over(calls).await;
        settle().await;
    }
    assert_eq!(waiting.await, failed(FetchErrorKind::Timeout));
}

#[test]
fn a_runtime_that_ends_with_a_call_does_not_block_the_next_one() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    runtime().block_on(async {
        assert_eq!(fixture.try_verify("ak_a"), IN_PROGRESS);
        fixture.api.started(1).await;
    });
    fixture.api.always(Reply::Valid);
    runtime().block_on(async { assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 2)) });
}

#[test]
fn a_call_whose_runtime_is_not_polled_is_replaced_when_it_is_overdue() {
    let fixture = Fixture::new(Api::valid());
    fixture.api.always(Reply::Hold);
    let parked = runtime();
    parked.block_on(async {
        assert_eq!(fixture.try_verify("ak_a"), IN_PROGRESS);
        fixture.api.started(1).await;
    });
    fixture.api.always(Reply::Valid);
    runtime().block_on(async {
        fixture.clock.advance(millis(3499));
        assert_eq!((fixture.try_verify("ak_a"), fixture.api.calls()), (IN_PROGRESS, 1));
        fixture.clock.advance(millis(1));
        assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 2));
    });
    // The old call ends late, with an older answer.
    fixture.api.always(Reply::Unknown);
    parked.block_on(settle());
    runtime().block_on(async { assert_eq!((fixture.verify("ak_a").await, fixture.api.calls()), (GOOD, 2)) });
}
