use std::time::Duration;

use tower_clerk::{
    ClerkConfig, ConfigError,
    jwks::{FetchErrorKind, KeysStatus},
    verify::VerifyErrorKind,
};

use crate::support::{Harness, NANO, Reply, at_once, key, secs, settle};

fn short(config: ClerkConfig) -> Result<ClerkConfig, ConfigError> {
    config.jwks_refresh_interval(secs(60))?.jwks_stale_limit(secs(300))
}

type Figures = (Option<Duration>, usize, Option<FetchErrorKind>, Option<Duration>);

fn figures(harness: &Harness) -> Figures {
    let KeysStatus { age, keys, last_error, last_success, .. } = harness.verifier.keys_status();
    (age, keys, last_error, last_success)
}

#[tokio::test]
async fn the_last_set_is_served_up_to_the_hard_limit_while_refreshes_fail() {
    let (harness, token) = (Harness::warm_with(short).await, key(0).token());
    harness.source.always(Reply::Failure);
    for second in 1..300 {
        harness.pass(secs(1)).await;
        for token in [&token, &key(0).token()] {
            assert!(harness.verify_at_once(token).is_some_and(|verified| verified.is_ok()), "{second}");
        }
        settle().await;
        let (age, keys, last_error, last_success) = figures(&harness);
        assert_eq!((age, keys, last_success), (Some(secs(second)), 1, Some(secs(second))));
        match second {
            ..48 => assert_eq!(last_error, None, "{second}"),
            54.. => assert_eq!(last_error, Some(FetchErrorKind::Transport), "{second}"),
            48..54 => {}
        }
    }
    harness.pass(secs(1) - NANO).await;
    assert_eq!((harness.try_verify(&token), harness.try_verify(&key(0).token())), (Ok(()), Ok(())));
    settle().await;
    harness.pass(NANO).await;
    assert_eq!(harness.verify(&key(0).token()).await, Err(VerifyErrorKind::KeysUnavailable));
    let error = harness.verifier.verify(&token).await.expect_err("no keys");
    assert_eq!(
        (error.kind(), error.fetch_error_kind()),
        (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Transport))
    );
    assert!(error.retry_after().is_some_and(|delay| delay > Duration::ZERO && delay <= secs(1)));
    assert_eq!(figures(&harness), (None, 0, Some(FetchErrorKind::Transport), Some(secs(300))));

    harness.pass(secs(1)).await;
    assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
    assert_eq!(figures(&harness), (None, 0, Some(FetchErrorKind::Transport), Some(secs(301))));

    harness.publish(&[key(0)]);
    harness.pass(secs(1)).await;
    assert_eq!(harness.verify(&token).await, Ok(()));
    assert_eq!(figures(&harness), (Some(Duration::ZERO), 1, None, Some(Duration::ZERO)));
}

#[tokio::test]
async fn by_default_the_hard_limit_is_a_day() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.source.always(Reply::Failure);
    harness.pass(secs(270)).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.over(2).await;
    settle().await;
    harness.pass(secs(24 * 60 * 60 - 270) - NANO).await;
    assert_eq!((harness.try_verify(&token), harness.try_verify(&key(0).token())), (Ok(()), Ok(())));
    settle().await;
    harness.pass(NANO).await;
    for token in [token, key(0).token()] {
        assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::KeysUnavailable));
    }
}

#[tokio::test]
async fn a_hard_limit_before_the_first_refresh_is_enforced() {
    let day = |config: ClerkConfig| config.jwks_refresh_interval(secs(24 * 60 * 60))?.jwks_stale_limit(secs(300));
    let (harness, token) = (Harness::warm_with(day).await, key(0).token());
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.always(Reply::Failure);
    harness.pass(secs(300) - NANO).await;
    assert_eq!((harness.try_verify(&token), harness.try_verify(&key(0).token())), (Ok(()), Ok(())));
    harness.source.over(2).await;
    harness.pass(NANO).await;
    for token in [&token, &key(0).token()] {
        assert_eq!(harness.verify(token).await, Err(VerifyErrorKind::KeysUnavailable));
    }
    assert_eq!(harness.verifier.keys_status().keys, 0);
}

#[tokio::test]
async fn a_set_is_refreshed_before_its_hard_limit_however_long_the_interval() {
    let day = |config: ClerkConfig| config.jwks_refresh_interval(secs(24 * 60 * 60))?.jwks_stale_limit(secs(300));
    let (harness, token) = (Harness::warm_with(day).await, key(0).token());
    harness.pass(secs(270)).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.over(2).await;
    harness.pass(secs(270)).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
}

#[tokio::test]
async fn a_refresh_that_succeeds_after_failures_makes_the_set_fresh_again() {
    let (harness, token) = (Harness::warm_with(short).await, key(0).token());
    harness.source.once(Reply::Failure);
    harness.source.once(Reply::Failure);
    harness.pass(secs(54)).await;
    for fetches in [2, 3] {
        assert_eq!(harness.try_verify(&token), Ok(()));
        harness.source.over(fetches).await;
        assert_eq!(harness.verifier.keys_status().last_error, Some(FetchErrorKind::Transport));
        harness.pass(secs(1)).await;
    }
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.over(4).await;
    assert_eq!(figures(&harness), (Some(Duration::ZERO), 1, None, Some(Duration::ZERO)));
    harness.pass(secs(119)).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
}

#[tokio::test]
async fn at_the_hard_limit_requests_wait_for_the_refresh_in_flight() {
    let (harness, token) = (Harness::warm_with(short).await, key(0).token());
    harness.source.once(Reply::Failure);
    harness.pass(secs(60)).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.over(2).await;
    settle().await;
    harness.source.hold();
    harness.pass(secs(240) - NANO).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.started(3).await;
    harness.pass(NANO).await;
    let mut waiting = Box::pin(harness.verify(&token));
    assert_eq!(at_once(waiting.as_mut()), None);
    harness.source.once(Reply::keys(&[key(0)]));
    assert_eq!(waiting.await, Ok(()));
    assert_eq!(harness.source.fetches(), 3);
}
