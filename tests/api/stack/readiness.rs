use std::{
    pin::pin,
    sync::atomic::Ordering,
    task::{Context, Poll, Waker},
};

use axum::body::Body;
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

use super::arms;
use crate::support::{
    Answer, BAD, InnerError, PanicsUnlessReady, Scripted, cold_layer, get_path, good, layer, layer_without_keys,
    poll_once, whoami,
};

#[tokio::test]
async fn only_a_ready_service_is_called() {
    for (arm, clerk) in arms() {
        let mut service = clerk.layer(PanicsUnlessReady::default());
        for (authorization, status) in
            [(Some(good()), 200), (Some(good()), 200), (None, 401), (Some(BAD.to_owned()), 401), (Some(good()), 200)]
        {
            let response =
                service.ready().await.expect("infallible").call(get_path("/", authorization.as_deref())).await;
            assert_eq!(response.expect("infallible").status(), status, "{arm}");
        }
    }
}

#[tokio::test]
async fn a_service_stays_usable_while_an_earlier_call_waits() {
    let (clerk, gate) = cold_layer();
    let mut service = clerk.layer(PanicsUnlessReady::default());
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(Box::pin(service.ready().await.expect("infallible").call(get_path("/", Some(&good())))));
    }
    assert!(waiting.iter_mut().all(|future| poll_once(future.as_mut()).is_pending()));
    let rejected = service.ready().await.expect("infallible").call(get_path("/", None)).await;
    assert_eq!(rejected.expect("infallible").status(), 401);
    gate.open();
    for future in waiting {
        assert_eq!(Answer::of(future.await.expect("infallible")).await.outcome(), (200, "user_ada"));
    }
}

#[tokio::test]
async fn poll_ready_only_polls_the_inner_service() {
    let (clerk, gate) = cold_layer();
    for clerk in [clerk, layer(), layer_without_keys()] {
        let inner = Scripted::default();
        let mut service = clerk.layer(inner.clone());
        let mut context = Context::from_waker(Waker::noop());
        inner.is_busy.store(true, Ordering::SeqCst);
        assert!(service.poll_ready(&mut context).is_pending());
        assert!(service.poll_ready(&mut context).is_pending());
        inner.is_busy.store(false, Ordering::SeqCst);
        assert_eq!(service.poll_ready(&mut context), Poll::Ready(Ok(())));
        inner.is_broken.store(true, Ordering::SeqCst);
        assert_eq!(service.poll_ready(&mut context), Poll::Ready(Err(InnerError("when polled"))));
        assert_eq!(inner.polls(), 4);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(gate.arrivals(), 0);
}

#[tokio::test]
async fn a_call_with_a_known_key_does_not_poll_readiness() {
    let inner = Scripted::default();
    let mut service = layer().layer(inner.clone());
    for authorization in [Some(good()), None] {
        service.ready().await.expect("ready");
        let polls = inner.polls();
        service.call(get_path("/", authorization.as_deref())).await.expect("a response");
        assert_eq!(inner.polls(), polls);
    }
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_returned_with_and_without_a_wait() {
    for (arm, clerk) in arms() {
        let inner = Scripted::default();
        inner.breaks_when_called.store(true, Ordering::SeqCst);
        let outcome = clerk.layer(inner).oneshot(get_path("/", Some(&good()))).await;
        assert_eq!(outcome.err(), Some(InnerError("when called")), "{arm}");
    }
}

#[tokio::test]
async fn a_service_that_fails_during_the_wait_fails_the_call() {
    let (clerk, gate) = cold_layer();
    let inner = Scripted::default();
    let mut service = clerk.layer(inner.clone());
    let future = service.ready().await.expect("ready").call(get_path("/", Some(&good())));
    let mut future = pin!(future);
    assert!(poll_once(future.as_mut()).is_pending());
    inner.is_broken.store(true, Ordering::SeqCst);
    gate.open();
    assert_eq!(future.await.err(), Some(InnerError("when polled")));
}

#[tokio::test]
async fn a_rejection_after_a_wait_does_not_poll_the_inner_service() {
    let inner = Scripted::default();
    let mut service = layer_without_keys().layer(inner.clone());
    let future = service.ready().await.expect("ready").call(get_path("/", Some(&good())));
    inner.is_broken.store(true, Ordering::SeqCst);
    assert_eq!(future.await.expect("a rejection is a response").status(), 503);
    assert_eq!(inner.polls(), 1);
}

#[tokio::test]
async fn after_the_wait_the_call_waits_for_a_busy_service() {
    let (clerk, gate) = cold_layer();
    let inner = Scripted::default();
    let mut service = clerk.layer(inner.clone());
    let future = service.ready().await.expect("ready").call(get_path("/", Some(&good())));
    inner.is_busy.store(true, Ordering::SeqCst);
    gate.open();
    clerk.verifier().warm_up().await.expect("keys");
    let mut future = pin!(future);
    assert!(poll_once(future.as_mut()).is_pending());
    assert!(poll_once(future.as_mut()).is_pending());
    assert_eq!(inner.polls(), 3);
    inner.is_busy.store(false, Ordering::SeqCst);
    assert_eq!(future.await.expect("a response").status(), 200);
}

#[tokio::test]
#[should_panic(expected = "`ResponseFuture` polled after completion")]
async fn a_rejection_panics_when_polled_after_completion() {
    let mut service = layer().layer(service_fn(whoami::<Body>));
    let mut future = pin!(service.ready().await.expect("ready").call(get_path("/", None)));
    assert!(poll_once(future.as_mut()).is_ready());
    let _ = poll_once(future.as_mut());
}

#[tokio::test]
#[should_panic(expected = "`ResponseFuture` polled after completion")]
async fn a_failed_call_after_a_wait_panics_when_polled_again() {
    let (clerk, gate) = cold_layer();
    let inner = Scripted::default();
    let mut service = clerk.layer(inner.clone());
    let mut future = pin!(service.ready().await.expect("ready").call(get_path("/", Some(&good()))));
    assert!(poll_once(future.as_mut()).is_pending());
    inner.is_broken.store(true, Ordering::SeqCst);
    gate.open();
    assert_eq!(future.as_mut().await.err(), Some(InnerError("when polled")));
    let _ = poll_once(future.as_mut());
}
