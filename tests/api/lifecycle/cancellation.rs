use std::convert::Infallible;

use http::{Request, Response};
use tower::{ServiceExt, service_fn};
use tower_clerk::{ClerkAuthLayer, Verifier, verify::VerifyErrorKind};
use tower_layer::Layer;

use crate::support::{Harness, Reply, at_once, key, secs, settle, stranger};

#[tokio::test]
async fn a_cancelled_request_does_not_affect_other_waiters() {
    let (harness, token) = (Harness::cold(), key(0).token());
    let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(harness.verify(&token))).collect();
    for waiting in &mut waiting {
        assert_eq!(at_once(waiting.as_mut()), None);
    }
    harness.source.started(1).await;
    // The first of them started the fetch.
    let staying = waiting.split_off(5);
    drop(waiting);
    settle().await;
    assert_eq!(harness.source.ended(), 0);
    harness.source.once(Reply::keys(&[key(0)]));
    for staying in staying {
        assert_eq!(staying.await, Ok(()));
    }
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn the_fetch_continues_when_all_waiters_are_cancelled() {
    let (harness, token) = (Harness::cold(), key(0).token());
    for _ in 0..100 {
        assert_eq!(at_once(harness.verify(&token)), None);
    }
    harness.source.started(1).await;
    harness.source.once(Reply::keys(&[key(0)]));
    harness.source.over(1).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
    assert_eq!(harness.source.fetches(), 1);
}

#[tokio::test]
async fn a_failure_after_all_waiters_are_cancelled_is_recoverable() {
    let (harness, token) = (Harness::cold(), key(0).token());
    for answer in [Reply::Failure, Reply::Panic, Reply::Failure] {
        for _ in 0..10 {
            assert_eq!(at_once(harness.verify(&token)), None);
        }
        harness.source.once(answer);
        harness.pass(secs(0)).await;
        assert_eq!(at_once(harness.verify(&token)), Some(Err(VerifyErrorKind::KeysUnavailable)));
        harness.pass(secs(1)).await;
    }
    harness.publish(&[key(0)]);
    assert_eq!(harness.verify(&token).await, Ok(()));
    assert_eq!(harness.source.fetches(), 4);
}

#[tokio::test]
async fn cancelled_requests_for_a_rotated_key_cost_one_fetch() {
    let (harness, rotated) = (Harness::warm().await, key(1).token());
    harness.source.hold();
    for _ in 0..100 {
        assert_eq!(at_once(harness.verify(&rotated)), None);
        settle().await;
    }
    harness.source.once(Reply::keys(&[key(1)]));
    harness.source.over(2).await;
    assert_eq!(harness.try_verify(&rotated), Ok(()));
    assert_eq!(harness.source.fetches(), 2);
}

#[tokio::test]
async fn cancelling_before_the_fetch_starts_does_not_prevent_it() {
    let (harness, token) = (Harness::cold(), key(0).token());
    harness.publish(&[key(0)]);
    assert_eq!(at_once(harness.verify(&token)), None);
    assert_eq!(harness.source.fetches(), 0);
    harness.source.over(1).await;
    assert_eq!(harness.try_verify(&token), Ok(()));
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_fetch() {
    let Harness { source, verifier, .. } = Harness::cold();
    let token = key(0).token();
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let layer = ClerkAuthLayer::from(verifier.clone());
    let service = layer.layer(inner);
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).expect("a request");
    let mut response = Box::pin(service.clone().oneshot(request));
    assert!(at_once(response.as_mut()).is_none());
    source.started(1).await;

    let handles: [Box<dyn FnOnce()>; 4] = [
        Box::new(move || drop(verifier)),
        Box::new(move || drop(layer)),
        Box::new(move || drop(service)),
        Box::new(move || drop(response)),
    ];
    for drop_handle in handles {
        settle().await;
        assert_eq!((source.fetches(), source.ended()), (1, 0));
        drop_handle();
    }
    settle().await;
    assert_eq!(source.ended(), 1);
    source.once(Reply::keys(&[key(0)]));
    settle().await;
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn dropping_the_last_handle_stops_a_background_refresh() {
    let Harness { clock, source, verifier } = Harness::warm().await;
    source.hold();
    clock.advance(secs(270));
    verifier.try_verify(&key(0).token()).expect("a good token");
    source.started(2).await;
    assert_eq!(source.ended(), 1);
    drop(verifier);
    settle().await;
    assert_eq!(source.ended(), 2);
}

/// The task of a fetch must not hold a handle, or it would keep its verifier alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_a_verifier_during_the_reply_is_harmless() {
    for _ in 0..200 {
        let harness = Harness::cold();
        let token = stranger(0);
        assert_eq!(at_once(harness.verify(&token)), None);
        harness.source.started(1).await;
        let Harness { source, verifier, .. } = harness;
        let dropping = tokio::spawn(async move { drop::<Verifier>(verifier) });
        source.once(Reply::keys(&[key(0)]));
        dropping.await.expect("no panic");
        source.over(1).await;
    }
}
