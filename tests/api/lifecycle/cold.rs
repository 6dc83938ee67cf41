use std::collections::HashMap;

use tower_clerk::{
    jwks::FetchErrorKind,
    verify::{UnavailableReason, VerifyErrorKind},
};

use crate::support::{Harness, Reply, at_once, key, millis, secs, settle, with_header};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_on_a_cold_cache_fetch_once() {
    let (harness, token) = (Harness::cold(), key(0).token());
    let publish = async || {
        harness.source.started(1).await;
        harness.source.once(Reply::keys(&[key(0)]));
    };
    let verdicts = harness.herd(vec![token; 10_000], publish).await;
    assert_eq!(verdicts, HashMap::from([(Ok(()), 10_000)]));
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn beyond_16384_waiters_requests_fail_at_once() {
    let (harness, token) = (Harness::cold(), key(0).token());
    let wait = || {
        let mut waiting = Box::pin(harness.verify(&token));
        assert_eq!(at_once(waiting.as_mut()), None);
        waiting
    };
    let assert_there_is_no_room = || {
        let error = harness.verify_at_once(&token).expect("a response").expect_err("too many waiters");
        assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
        assert_eq!(error.unavailable_reason(), Some(UnavailableReason::TooManyWaiting));
        assert_eq!(error.retry_after(), Some(secs(1)));
    };
    let mut waiting: Vec<_> = (0..16_384).map(|_| wait()).collect();
    for _ in 0..100 {
        assert_there_is_no_room();
    }
    // A cancelled waiter makes room for one.
    waiting.pop();
    waiting.push(wait());
    assert_there_is_no_room();

    harness.source.once(Reply::keys(&[key(0)]));
    for waiting in waiting {
        assert_eq!(waiting.await, Ok(()));
    }
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn tokens_that_can_be_rejected_without_keys_start_no_fetch() {
    let harness = Harness::cold();
    for (token, kind) in [
        (String::new(), VerifyErrorKind::Malformed),
        ("a.b".to_owned(), VerifyErrorKind::Malformed),
        ("a".repeat(20_000), VerifyErrorKind::TooLong),
        (with_header(r#"{"alg":"none","kid":"ins_0"}"#), VerifyErrorKind::UnsupportedAlgorithm),
        (with_header(r#"{"alg":"HS256","kid":"ins_0"}"#), VerifyErrorKind::UnsupportedAlgorithm),
        (with_header(r#"{"alg":"RS256"}"#), VerifyErrorKind::InvalidKeyId),
        (with_header(r#"{"alg":"RS256","kid":""}"#), VerifyErrorKind::InvalidKeyId),
        (with_header(r#"{"alg":"RS256","kid":"ins_0","typ":"at+jwt"}"#), VerifyErrorKind::TokenKindNotAccepted),
        (with_header(r#"{"alg":"RS256","kid":"ins_0","crit":[]}"#), VerifyErrorKind::CriticalHeader),
    ] {
        assert_eq!(harness.verify(&token).await, Err(kind), "{token:.60}");
    }
    settle().await;
    assert_eq!(harness.source.fetches(), 0);
    assert_eq!(at_once(harness.verify(&with_header(r#"{"alg":"RS256","kid":"ins_0"}"#))), None);
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn sequential_requests_fetch_once_per_back_off() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.source.always(Reply::Failure);
    assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
    for _ in 0..299 {
        let error = harness.verify_at_once(&token).expect("a response").expect_err("no keys");
        assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
        assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Transport));
        assert!(error.retry_after().is_some_and(|delay| !delay.is_zero() && delay <= millis(250)));
    }
    settle().await;
    assert_eq!(harness.source.fetches(), 1);

    for _ in 0..300 {
        assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
        harness.clock.advance(millis(10));
    }
    // Three seconds of back-off: 0.25, 0.5, 1, 1 and 1 s, each up to a quarter shorter.
    assert!((5..=6).contains(&harness.source.fetches()), "{}", harness.source.fetches());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_on_a_failing_source_fetch_once() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.source.always(Reply::Failure);
    let verdicts = harness.herd(vec![token; 1_000], async || {}).await;
    assert_eq!(verdicts, HashMap::from([(Err(VerifyErrorKind::KeysUnavailable), 1_000)]));
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn requests_pass_within_a_second_of_the_sources_recovery() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.source.always(Reply::Failure);
    for _ in 0..600 {
        assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
        harness.clock.advance(millis(100));
    }
    assert!(harness.source.fetches() <= 60 * 4 / 3 + 3, "{}", harness.source.fetches());

    harness.publish(&[key(0)]);
    let mut downtime = millis(0);
    while harness.verify(&token).await.is_err() {
        harness.clock.advance(millis(10));
        downtime += millis(10);
        assert!(downtime <= secs(1));
    }
}

#[tokio::test]
async fn try_verify_on_a_cold_cache_starts_the_fetch() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.publish(&[key(0)]);
    for _ in 0..3 {
        let error = harness.verifier.try_verify(&token).expect_err("no keys yet");
        assert_eq!(
            (error.kind(), error.unavailable_reason()),
            (VerifyErrorKind::KeysUnavailable, Some(UnavailableReason::InProgress))
        );
        assert_eq!(error.retry_after(), Some(secs(1)));
    }
    settle().await;
    assert_eq!(harness.try_verify(&token), Ok(()));
    assert_eq!(harness.source.fetches(), 1);
}
