use std::time::Duration;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::{
    source::Answer,
    support::{NANO, Rig, key, millis, secs, settle},
};

/// Fails once more without keys and answers how long the next attempt is off.
async fn fail(rig: &Rig, token: &str) -> Duration {
    let fetches = rig.source.fetches();
    let error = rig.verifier.verify(token).await.expect_err("no keys");
    assert_eq!((error.kind(), error.fetch_error()), (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Source)));
    assert_eq!(rig.source.fetches(), fetches + 1);
    error.retry_after().expect("a delay")
}

/// Uses the keys at hand and answers whether that started a fetch.
async fn is_refreshed(rig: &Rig, token: &str) -> bool {
    let fetches = rig.source.fetches();
    assert_eq!(rig.try_verify(token), Ok(()));
    settle().await;
    assert_eq!(rig.source.ended(), rig.source.fetches());
    rig.source.fetches() == fetches + 1
}

#[tokio::test]
async fn without_keys_it_doubles_from_a_quarter_second_to_one_and_is_jittered_shorter() {
    let (rig, token) = (Rig::cold(), key(0).token());
    rig.source.always(Answer::Failure);
    for full in [250, 500, 1000, 1000, 1000, 1000, 1000, 1000].map(millis) {
        let delay = fail(&rig, &token).await;
        assert!(delay <= full && delay >= full * 3 / 4, "{delay:?} of {full:?}");
        rig.pass(delay - NANO).await;
        let error = rig.verifier.verify(&token).await.expect_err("backing off");
        assert_eq!((error.fetch_error(), error.retry_after()), (Some(FetchErrorKind::Source), Some(NANO)));
        rig.pass(NANO).await;
    }
}

#[tokio::test]
async fn with_keys_it_doubles_to_half_a_minute() {
    let (rig, token) = (Rig::warm().await, key(0).token());
    rig.source.always(Answer::Failure);
    rig.pass(secs(270)).await;
    assert!(is_refreshed(&rig, &token).await);
    for full in [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000].map(millis) {
        rig.pass(full * 3 / 4 - NANO).await;
        assert!(!is_refreshed(&rig, &token).await, "before {full:?}");
        rig.pass(full / 4 + NANO).await;
        assert!(is_refreshed(&rig, &token).await, "after {full:?}");
    }
}

#[tokio::test]
async fn the_jitter_is_not_always_the_same() {
    let token = key(0).token();
    let mut delays = Vec::new();
    for _ in 0..40 {
        let rig = Rig::cold();
        rig.source.always(Answer::Failure);
        delays.push(fail(&rig, &token).await);
    }
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 1);
}

#[tokio::test]
async fn a_success_starts_it_anew() {
    let (rig, token) = (Rig::cold(), key(0).token());
    rig.source.always(Answer::Failure);
    for _ in 0..5 {
        rig.pass(fail(&rig, &token).await).await;
    }
    rig.publish(&[key(0)]);
    assert_eq!(rig.verify(&token).await, Ok(()));
    rig.source.always(Answer::Failure);
    rig.verifier.forget_keys();
    assert!(fail(&rig, &token).await <= millis(250));
}

#[tokio::test]
async fn without_keys_what_the_source_asks_for_is_honoured_up_to_five_seconds() {
    let token = key(0).token();
    for (asked, honoured) in [(secs(3), secs(3)), (secs(5), secs(5)), (secs(3600), secs(5)), (Duration::MAX, secs(5))] {
        let rig = Rig::cold();
        rig.source.always(Answer::FailureUntil(asked));
        assert_eq!(fail(&rig, &token).await, honoured);
        rig.pass(honoured - NANO).await;
        assert!(rig.verify_at_once(&token).is_some());
        rig.pass(NANO).await;
        assert_eq!(fail(&rig, &token).await, honoured);
    }
}

#[tokio::test]
async fn with_keys_what_the_source_asks_for_is_honoured_up_to_a_minute() {
    let token = key(0).token();
    for (asked, honoured) in [(secs(45), secs(45)), (secs(60), secs(60)), (secs(3600), secs(60))] {
        let rig = Rig::warm().await;
        rig.source.always(Answer::FailureUntil(asked));
        rig.pass(secs(270)).await;
        assert!(is_refreshed(&rig, &token).await);
        rig.pass(honoured - NANO).await;
        assert!(!is_refreshed(&rig, &token).await, "{asked:?}");
        rig.pass(NANO).await;
        assert!(is_refreshed(&rig, &token).await, "{asked:?}");
    }
}

#[tokio::test]
async fn the_source_cannot_ask_for_less_than_the_back_off() {
    let (rig, token) = (Rig::cold(), key(0).token());
    rig.source.always(Answer::FailureUntil(millis(1)));
    for full in [250, 500, 1000].map(millis) {
        let delay = fail(&rig, &token).await;
        assert!(delay >= full * 3 / 4, "{delay:?} of {full:?}");
        rig.pass(delay).await;
    }
}

#[tokio::test]
async fn once_the_keys_are_gone_the_shorter_caps_hold() {
    let (rig, token) = (Rig::warm().await, key(0).token());
    rig.source.always(Answer::FailureUntil(secs(3600)));
    rig.pass(secs(270)).await;
    assert!(is_refreshed(&rig, &token).await);
    rig.verifier.forget_keys();
    let error = rig.verifier.verify(&token).await.expect_err("backing off");
    assert_eq!((error.fetch_error(), error.retry_after()), (Some(FetchErrorKind::Source), Some(secs(5))));
    rig.publish(&[key(0)]);
    rig.pass(secs(5)).await;
    assert_eq!(rig.verify(&token).await, Ok(()));
}
