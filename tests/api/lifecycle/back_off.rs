use std::time::Duration;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use crate::support::{Harness, NANO, Reply, key, millis, secs, settle};

/// Fails once more without keys, and returns the delay of the next attempt.
async fn fail(harness: &Harness, token: &str) -> Duration {
    let fetches = harness.source.fetches();
    let error = harness.verifier.verify(token).await.expect_err("no keys");
    assert_eq!(
        (error.kind(), error.fetch_error_kind()),
        (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Transport))
    );
    assert_eq!(harness.source.fetches(), fetches + 1);
    error.retry_after().expect("a delay")
}

/// Asserts that a delay is the one the server asked for, or up to a half longer.
#[track_caller]
fn assert_honoured(delay: Duration, asked: Duration) {
    assert!(delay >= asked && delay <= asked * 3 / 2, "{delay:?} of {asked:?}");
}

/// Uses the loaded keys, and returns whether that started a fetch.
async fn is_refreshed(harness: &Harness, token: &str) -> bool {
    let fetches = harness.source.fetches();
    assert_eq!(harness.try_verify(token), Ok(()));
    settle().await;
    assert_eq!(harness.source.ended(), harness.source.fetches());
    harness.source.fetches() == fetches + 1
}

#[tokio::test]
async fn without_keys_it_doubles_from_250_ms_to_1_s_with_negative_jitter() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.source.always(Reply::Failure);
    for full in [250, 500, 1000, 1000, 1000, 1000, 1000, 1000].map(millis) {
        let delay = fail(&harness, &token).await;
        assert!(delay <= full && delay >= full * 3 / 4, "{delay:?} of {full:?}");
        harness.pass(delay - NANO).await;
        let error = harness.verifier.verify(&token).await.expect_err("backing off");
        assert_eq!((error.fetch_error_kind(), error.retry_after()), (Some(FetchErrorKind::Transport), Some(NANO)));
        harness.pass(NANO).await;
    }
}

#[tokio::test]
async fn with_keys_it_doubles_to_half_a_minute() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.source.always(Reply::Failure);
    harness.pass(secs(270)).await;
    assert!(is_refreshed(&harness, &token).await);
    for full in [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000].map(millis) {
        harness.pass(full * 3 / 4 - NANO).await;
        assert!(!is_refreshed(&harness, &token).await, "before {full:?}");
        harness.pass(full / 4 + NANO).await;
        assert!(is_refreshed(&harness, &token).await, "after {full:?}");
    }
}

#[tokio::test]
async fn the_jitter_varies() {
    let token = key(0).token();
    for reply in [Reply::Failure, Reply::FailureUntil(secs(3))] {
        let mut delays = Vec::new();
        for _ in 0..40 {
            let harness = Harness::cold();
            harness.source.always(reply.clone());
            delays.push(fail(&harness, &token).await);
        }
        delays.sort_unstable();
        delays.dedup();
        assert!(delays.len() > 10, "{delays:?}");
    }
}

#[tokio::test]
async fn a_success_resets_it() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.source.always(Reply::Failure);
    for _ in 0..5 {
        harness.pass(fail(&harness, &token).await).await;
    }
    harness.publish(&[key(0)]);
    assert_eq!(harness.verify(&token).await, Ok(()));
    harness.source.always(Reply::Failure);
    harness.verifier.forget_keys();
    assert!(fail(&harness, &token).await <= millis(250));
}

#[tokio::test]
async fn without_keys_retry_after_is_honoured_up_to_five_seconds() {
    let token = key(0).token();
    for (asked, honoured) in [(secs(3), secs(3)), (secs(5), secs(5)), (secs(3600), secs(5)), (Duration::MAX, secs(5))] {
        let harness = Harness::cold();
        harness.source.always(Reply::FailureUntil(asked));
        let delay = fail(&harness, &token).await;
        assert_honoured(delay, honoured);
        harness.pass(delay - NANO).await;
        assert!(harness.verify_at_once(&token).is_some());
        harness.pass(NANO).await;
        assert_honoured(fail(&harness, &token).await, honoured);
    }
}

#[tokio::test]
async fn with_keys_retry_after_is_honoured_up_to_a_minute() {
    let token = key(0).token();
    for (asked, honoured) in [(secs(45), secs(45)), (secs(60), secs(60)), (secs(3600), secs(60))] {
        let harness = Harness::warm().await;
        harness.source.always(Reply::FailureUntil(asked));
        harness.pass(secs(270)).await;
        assert!(is_refreshed(&harness, &token).await);
        harness.pass(honoured - NANO).await;
        assert!(!is_refreshed(&harness, &token).await, "{asked:?}");
        harness.pass((honoured / 2).min(secs(60) - honoured) + NANO).await;
        assert!(is_refreshed(&harness, &token).await, "{asked:?}");
    }
}

#[tokio::test]
async fn retry_after_cannot_shorten_the_back_off() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.source.always(Reply::FailureUntil(millis(1)));
    for full in [250, 500, 1000].map(millis) {
        let delay = fail(&harness, &token).await;
        assert!(delay >= full * 3 / 4, "{delay:?} of {full:?}");
        harness.pass(delay).await;
    }
}

#[tokio::test]
async fn a_later_failure_that_asks_for_nothing_backs_off_as_ever() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.source.always(Reply::FailureUntil(secs(5)));
    let delay = fail(&harness, &token).await;
    assert_honoured(delay, secs(5));
    harness.source.always(Reply::Failure);
    harness.pass(delay).await;
    assert!(fail(&harness, &token).await <= millis(500));
}

#[tokio::test]
async fn the_shorter_caps_apply_once_the_keys_are_gone() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.source.always(Reply::FailureUntil(secs(3600)));
    harness.pass(secs(270)).await;
    assert!(is_refreshed(&harness, &token).await);
    harness.verifier.forget_keys();
    let error = harness.verifier.verify(&token).await.expect_err("backing off");
    assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Transport));
    let delay = error.retry_after().expect("a delay");
    assert_honoured(delay, secs(5));
    harness.publish(&[key(0)]);
    harness.pass(delay).await;
    assert_eq!(harness.verify(&token).await, Ok(()));
}
