use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::Ordering,
    task::{Context, Poll, Waker},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_clerk::authorize::RequireLayer;
use tower_layer::Layer;

use super::{call, layer_that_waits, may_read, member, of, reader};
use crate::support::{InnerError, PanicsUnlessReady, Recorder, Scripted, bearer, get, layer, send};

fn guard() -> RequireLayer {
    RequireLayer::new(may_read())
}

#[tokio::test]
async fn only_a_ready_service_is_called() {
    let mut service = guard().layer(PanicsUnlessReady::default());
    for (token, status) in [(reader(), 200), (member(), 403), (member(), 403), (reader(), 200), (reader(), 200)] {
        let response = call(&mut service, of(&token, Body::empty())).await.await;
        assert_eq!(response.expect("infallible").status(), status);
    }
    for clerk in [layer(), layer_that_waits()] {
        let mut service = clerk.layer(guard().layer(PanicsUnlessReady::default()));
        for (token, status) in [(reader(), 200), (member(), 403), (reader(), 200)] {
            let request = get(&[("authorization", &bearer(&token))]);
            let response = call(&mut service, request).await.await;
            assert_eq!(response.expect("infallible").status(), status);
        }
    }
}

#[tokio::test]
async fn readiness_and_errors_are_those_of_the_inner_service() {
    let inner = Scripted::default();
    inner.breaks_when_called.store(true, Ordering::SeqCst);
    let mut service = guard().layer(inner.clone());
    let mut context = Context::from_waker(Waker::noop());
    inner.is_busy.store(true, Ordering::SeqCst);
    assert!(service.poll_ready(&mut context).is_pending());
    inner.is_busy.store(false, Ordering::SeqCst);
    assert_eq!(service.poll_ready(&mut context), Poll::Ready(Ok(())));
    assert_eq!(service.call(of(&member(), Body::empty())).await.expect("a rejection is a response").status(), 403);
    assert_eq!(service.poll_ready(&mut context), Poll::Ready(Ok(())));
    assert_eq!(service.call(of(&reader(), Body::empty())).await.err(), Some(InnerError("when called")));
    inner.is_broken.store(true, Ordering::SeqCst);
    assert_eq!(service.poll_ready(&mut context), Poll::Ready(Err(InnerError("when polled"))));
    assert_eq!(inner.polls(), 4);
}

#[tokio::test]
async fn a_rejected_call_holds_no_capacity() {
    let inner = Recorder::default();
    let limited = guard().layer(ConcurrencyLimitLayer::new(1).layer(inner.clone()));
    for _ in 0..3 {
        let answer = send(&limited.clone(), of(&member(), ())).await;
        assert_eq!((answer.status(), inner.calls()), (403, 0));
    }
    let mut first = limited.clone();
    let unpolled = call(&mut first, of(&member(), ())).await;
    drop(first);
    assert_eq!(send(&limited.clone(), of(&reader(), ())).await.status(), 200);
    assert_eq!(unpolled.await.expect("infallible").status(), 403);
    let mut again = limited;
    for (token, status) in [(member(), 403), (reader(), 200), (member(), 403), (reader(), 200)] {
        let response = call(&mut again, of(&token, ())).await.await;
        assert_eq!(response.expect("infallible").status(), status);
    }
}

#[tokio::test]
async fn an_admitted_call_holds_its_capacity_until_it_ends() {
    let (done, wait) = tokio::sync::watch::channel(false);
    let slow = service_fn(move |_: Request<()>| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|done| *done).await.expect("a sender");
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let limited = guard().layer(ConcurrencyLimitLayer::new(1).layer(slow));
    let mut first = limited.clone();
    let running = call(&mut first, of(&reader(), ())).await;
    let mut second = limited;
    poll_fn(|context| {
        assert!(second.poll_ready(context).is_pending());
        Poll::Ready(())
    })
    .await;
    done.send(true).expect("a receiver");
    assert_eq!(running.await.expect("infallible").status(), 200);
    // Not a clone: `second` itself waits for the capacity.
    assert_eq!(second.oneshot(of(&member(), ())).await.expect("infallible").status(), 403);
}

#[tokio::test]
async fn a_rejection_is_ready_at_the_first_poll_without_a_call() {
    let inner = Recorder::default();
    let mut service = guard().layer(inner.clone());
    let mut future = pin!(call(&mut service, of(&member(), ())).await);
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(response)) if response.status() == 403));
    assert_eq!(inner.calls(), 0);
}

#[tokio::test]
#[should_panic(expected = "`ResponseFuture` polled after completion")]
async fn a_rejection_panics_when_polled_after_completion() {
    let mut service = guard().layer(Recorder::default());
    let mut future = pin!(call(&mut service, of(&member(), ())).await);
    for _ in 0..2 {
        let _ = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}
