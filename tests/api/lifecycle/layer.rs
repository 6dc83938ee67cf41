use std::convert::Infallible;

use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, Rejection, jwks::FetchErrorKind, rejection::RejectionKind, verify::VerifyErrorKind,
};
use tower_layer::Layer;

use super::{
    source::Answer,
    support::{NANO, Rig, forged, key, millis, secs, stranger},
};

/// What the layer makes of a token: status, `Retry-After`, the typed refusal.
async fn send(layer: &ClerkAuthLayer, token: &str) -> (u16, Option<u64>, Option<Rejection>) {
    let inner = service_fn(|request: Request<()>| async move {
        assert!(request.extensions().get::<ClerkAuth>().is_some());
        Ok::<_, Infallible>(Response::new(String::new()))
    });
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).expect("a request");
    let response = layer.layer(inner).oneshot(request).await.expect("infallible");
    let retry_after =
        response.headers().get("retry-after").map(|value| value.to_str().expect("ASCII").parse().expect("seconds"));
    (response.status().as_u16(), retry_after, response.extensions().get().cloned())
}

#[tokio::test]
async fn without_keys_the_answer_is_503_and_says_when_to_come_again() {
    let (rig, token) = (Rig::cold(), key(0).token());
    let layer = ClerkAuthLayer::from(rig.verifier.clone());
    rig.source.always(Answer::FailureUntil(millis(4200)));
    // Whole seconds, rounded up.
    for (elapsed, seconds) in
        [(millis(0), 5), (millis(200) - NANO, 5), (NANO, 4), (secs(1), 3), (secs(2), 1), (secs(1) - NANO, 1)]
    {
        rig.clock.advance(elapsed);
        let (status, retry_after, rejection) = send(&layer, &token).await;
        assert_eq!((status, retry_after), (503, Some(seconds)), "{elapsed:?}");
        let rejection = rejection.expect("a rejection");
        assert_eq!((rejection.kind(), rejection.code()), (RejectionKind::KeysUnavailable, "keys_unavailable"));
        assert_eq!(rejection.fetch_error(), Some(FetchErrorKind::Source));
        assert_eq!(rejection.retry_after(), Some(secs(seconds)));
    }
    assert_eq!(rig.source.fetches(), 1);
    rig.publish(&[key(0)]);
    rig.clock.advance(NANO);
    let (status, retry_after, rejection) = send(&layer, &token).await;
    assert_eq!((status, retry_after, rejection.is_none()), (200, None, true));
}

#[tokio::test]
async fn past_the_hard_limit_the_answer_is_503_and_not_401() {
    let rig = Rig::warm_with(|config| config.jwks_stale_limit(secs(300))).await;
    let (layer, token) = (ClerkAuthLayer::from(rig.verifier.clone()), key(0).token());
    rig.source.always(Answer::Failure);
    rig.clock.advance(secs(300) - NANO);
    assert_eq!(send(&layer, &token).await.0, 200);
    rig.clock.advance(NANO);
    for token in [token, forged(), stranger(0)] {
        let (status, retry_after, _) = send(&layer, &token).await;
        assert_eq!((status, retry_after), (503, Some(1)));
    }
}

#[tokio::test]
async fn a_key_that_is_unknown_is_401_and_one_that_cannot_be_looked_up_503() {
    let rig = Rig::warm().await;
    let layer = ClerkAuthLayer::from(rig.verifier.clone());
    let (status, retry_after, rejection) = send(&layer, &stranger(0)).await;
    assert_eq!((status, retry_after), (401, None));
    assert_eq!(rejection.and_then(|rejection| rejection.verify_error_kind()), Some(VerifyErrorKind::UnknownKey));
    rig.source.always(Answer::Failure);
    let (status, retry_after, _) = send(&layer, &stranger(0)).await;
    assert_eq!((status, retry_after), (503, Some(1)));
    rig.clock.advance(secs(31));
    let (status, retry_after, rejection) = send(&layer, &forged()).await;
    assert_eq!((status, retry_after), (401, None));
    assert_eq!(rejection.and_then(|rejection| rejection.verify_error_kind()), Some(VerifyErrorKind::InvalidSignature));
}
