use std::{
    pin::Pin,
    sync::{Arc, Mutex},
};

use tower_clerk::{
    ClerkConfig, Verifier,
    jwks::FetchError,
    verify::{Instance, VerifyError, VerifyErrorKind},
};

use crate::support::{Harness, Key, at_once, key, kind_of, secs, settle};

#[tokio::test]
async fn forgotten_keys_are_fetched_again_for_the_next_token() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.publish(&[key(1)]);
    harness.pass(secs(5)).await;
    harness.verifier.forget_keys();
    let status = harness.verifier.keys_status();
    assert_eq!((status.age, status.keys, status.last_error, status.last_success), (None, 0, None, Some(secs(5))));
    settle().await;
    assert_eq!(harness.source.fetches(), 1);
    assert_eq!(harness.verify(&key(1).token()).await, Ok(()));
    assert_eq!(harness.source.fetches(), 2);
    assert_eq!(harness.verify(&token).await, Err(VerifyErrorKind::UnknownKey));
}

#[tokio::test]
async fn forgetting_bypasses_the_budgets_and_does_not_spend_them() {
    let harness = Harness::warm().await;
    for fetches in 2..20 {
        harness.verifier.forget_keys();
        assert_eq!(harness.verify(&key(0).token()).await, Ok(()));
        assert_eq!(harness.source.fetches(), fetches);
    }
    for rotated in [1, 2] {
        harness.publish(&[key(rotated)]);
        assert_eq!(harness.verify(&key(rotated).token()).await, Ok(()));
    }
}

#[tokio::test]
async fn forgetting_discards_the_fetch_in_flight() {
    let (harness, withdrawn, rotated) = (Harness::cold(), key(0).token(), key(1).token());
    let mut waiting = [&withdrawn, &rotated, &rotated].map(|token| Box::pin(harness.verify(token)));
    for waiting in &mut waiting {
        assert_eq!(at_once(waiting.as_mut()), None);
    }
    harness.source.started(1).await;
    harness.verifier.forget_keys();
    settle().await;
    assert_eq!(harness.source.ended(), 1);
    harness.publish(&[key(1)]);
    let [first, second, third] = waiting;
    assert_eq!((second.await, third.await), (Ok(()), Ok(())));
    assert_eq!(first.await, Err(VerifyErrorKind::UnknownKey));
    // One fetch for all, and one more for the removed key.
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().last_error), (3, None));
}

/// The verifier forgets its keys when the reply of the fetch can no longer be stopped.
#[tokio::test]
async fn the_document_of_an_abandoned_fetch_is_discarded() {
    let (token, forgetting) = (key(0).token(), Arc::new(Mutex::new(None::<Verifier>)));
    let forget = Arc::clone(&forgetting);
    let source = move || {
        if let Some(verifier) = forget.lock().expect("no panic").take() {
            verifier.forget_keys();
        }
        async { Ok::<_, FetchError>(Key::jwks(&[key(0)]).into()) }
    };
    let config = ClerkConfig::from_frontend_api_url("https://clerk.test.example").expect("a URL");
    let verifier = Verifier::builder(Instance::new(config).key_source(source)).build().expect("a verifier");
    *forgetting.lock().expect("no panic") = Some(verifier.clone());
    assert!(verifier.try_verify(&token).is_err());
    settle().await;
    let status = verifier.keys_status();
    assert_eq!((status.keys, status.last_success), (0, None));
    assert_eq!(kind_of(verifier.verify(&token).await), Ok(()));
    assert_eq!(verifier.keys_status().keys, 1);
}

#[tokio::test]
async fn forgetting_ends_pending_warm_up_and_refresh_calls() {
    let harness = Harness::cold();
    let forget_under = async |mut waiting: Pin<Box<dyn Future<Output = Result<(), VerifyError>> + '_>>, fetches| {
        assert!(at_once(waiting.as_mut()).is_none());
        harness.source.started(fetches).await;
        harness.verifier.forget_keys();
        assert_eq!(kind_of(waiting.await), Err(VerifyErrorKind::KeysUnavailable));
    };
    forget_under(Box::pin(harness.verifier.warm_up()), 1).await;
    forget_under(Box::pin(harness.verifier.refresh()), 2).await;
    harness.publish(&[key(0)]);
    harness.verifier.warm_up().await.expect("keys");
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().last_error), (3, None));
}

#[tokio::test]
async fn forgetting_during_a_background_refresh_stops_it() {
    let (harness, token) = (Harness::warm().await, key(0).token());
    harness.source.hold();
    harness.pass(secs(270)).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
    harness.source.started(2).await;
    harness.verifier.forget_keys();
    settle().await;
    assert_eq!(harness.source.ended(), 2);
    harness.publish(&[key(1)]);
    assert_eq!(harness.verify(&key(1).token()).await, Ok(()));
    assert_eq!((harness.source.fetches(), harness.verifier.keys_status().last_error), (3, None));
}

#[tokio::test]
async fn forgetting_without_keys_does_nothing() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.verifier.forget_keys();
    harness.publish(&[key(0)]);
    assert_eq!(harness.verify(&token).await, Ok(()));
    assert_eq!(harness.source.fetches(), 1);
}
