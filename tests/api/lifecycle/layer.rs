use tower_clerk::{ClerkAuthLayer, Rejection, jwks::FetchErrorKind, rejection::RejectionKind, verify::VerifyErrorKind};

use crate::support::{Harness, NANO, Reply, forged, get, key, millis, secs, send_through, stranger};

/// Status, `Retry-After` and rejection of the layer's response to a request with this token. A request that passes has
/// a user.
async fn send(layer: &ClerkAuthLayer, token: &str) -> (u16, Option<u64>, Option<Rejection>) {
    let answer = send_through(layer, get(&[("authorization", &format!("Bearer {token}"))])).await;
    assert_eq!(answer.seen().is_some(), answer.user().is_some());
    let retry_after = answer.header("retry-after").map(|value| value.parse().expect("seconds"));
    (answer.status(), retry_after, answer.parts.extensions.get().cloned())
}

#[tokio::test]
async fn without_keys_the_response_is_503_with_retry_after() {
    let (harness, token) = (Harness::cold(), key(0).token());
    let layer = ClerkAuthLayer::from(harness.verifier.clone());
    harness.source.always(Reply::FailureUntil(millis(4200)));
    let error = harness.verifier.verify(&token).await.expect_err("no keys");
    let delay = error.retry_after().expect("a delay");
    assert!(delay >= millis(4200) && delay <= secs(5), "{delay:?}");
    harness.clock.advance(delay - millis(4200));
    // Whole seconds, rounded up.
    for (elapsed, seconds) in
        [(millis(0), 5), (millis(200) - NANO, 5), (NANO, 4), (secs(1), 3), (secs(2), 1), (secs(1) - NANO, 1)]
    {
        harness.clock.advance(elapsed);
        let (status, retry_after, rejection) = send(&layer, &token).await;
        assert_eq!((status, retry_after), (503, Some(seconds)), "{elapsed:?}");
        let rejection = rejection.expect("a rejection");
        assert_eq!((rejection.kind(), rejection.code()), (RejectionKind::KeysUnavailable, "keys_unavailable"));
        assert_eq!(rejection.fetch_error_kind(), Some(FetchErrorKind::Transport));
        assert_eq!(rejection.retry_after(), Some(secs(seconds)));
    }
    assert_eq!(harness.source.fetches(), 1);
    harness.publish(&[key(0)]);
    harness.clock.advance(NANO);
    let (status, retry_after, rejection) = send(&layer, &token).await;
    assert_eq!((status, retry_after, rejection.is_none()), (200, None, true));
}

#[tokio::test]
async fn past_the_hard_limit_the_response_is_503_and_not_401() {
    let harness = Harness::warm_with(|config| config.jwks_stale_limit(secs(300))).await;
    let (layer, token) = (ClerkAuthLayer::from(harness.verifier.clone()), key(0).token());
    harness.source.always(Reply::Failure);
    harness.clock.advance(secs(300) - NANO);
    assert_eq!(send(&layer, &token).await.0, 200);
    harness.clock.advance(NANO);
    for token in [token, forged(), stranger(0)] {
        let (status, retry_after, _) = send(&layer, &token).await;
        assert_eq!((status, retry_after), (503, Some(1)));
    }
}

#[tokio::test]
async fn an_unknown_key_is_401_and_a_failed_lookup_503() {
    let harness = Harness::warm().await;
    let layer = ClerkAuthLayer::from(harness.verifier.clone());
    let (status, retry_after, rejection) = send(&layer, &stranger(0)).await;
    assert_eq!((status, retry_after), (401, None));
    assert_eq!(rejection.and_then(|rejection| rejection.verify_error_kind()), Some(VerifyErrorKind::UnknownKey));
    harness.source.always(Reply::Failure);
    let (status, retry_after, _) = send(&layer, &stranger(0)).await;
    assert_eq!((status, retry_after), (503, Some(1)));
    harness.clock.advance(secs(31));
    let (status, retry_after, rejection) = send(&layer, &forged()).await;
    assert_eq!((status, retry_after), (401, None));
    assert_eq!(rejection.and_then(|rejection| rejection.verify_error_kind()), Some(VerifyErrorKind::InvalidSignature));
}
