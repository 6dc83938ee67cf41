use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::Notify;
use tower::{
    BoxError, Service, ServiceExt,
    buffer::Buffer,
    limit::ConcurrencyLimit,
    load_shed::{LoadShed, error::Overloaded},
    service_fn,
    util::BoxCloneSyncService,
};
use tower_clerk::{
    ClerkAuthLayer, RequireLayer, Requirement,
    testing::{ManualClock, TestIssuer},
};
use tower_layer::Layer;

use super::arms;
use crate::support::{
    Answer, BAD, Gate, bearer, cold_layer, gated_layer, get_path, good, layer, poll_once, send, whoami,
};

type Inner = BoxCloneSyncService<Request<Body>, Response<Full<Bytes>>, BoxError>;

/// The services that reserve capacity when they are ready, each with a capacity of `room`.
fn limits(room: usize) -> [(&'static str, Inner); 3] {
    let plain = service_fn(whoami::<Body>);
    [
        ("limit", BoxCloneSyncService::new(ConcurrencyLimit::new(plain, room).map_err(BoxError::from))),
        ("buffer", BoxCloneSyncService::new(Buffer::new(plain, room))),
        ("load shed", BoxCloneSyncService::new(LoadShed::new(ConcurrencyLimit::new(plain, room)))),
    ]
}

/// The output of a future that only needs the other tasks of this thread to run.
async fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..1000 {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return output;
        }
        tokio::task::yield_now().await;
    }
    panic!("no capacity is left")
}

/// A layer that has the key of the first token. The fetch for the key of the second waits at the gate.
async fn layer_with_one_known_key() -> (ClerkAuthLayer, Gate, String, String) {
    let issuer = TestIssuer::new().clock(ManualClock::new());
    let (old, known) = (issuer.jwks(), bearer(&issuer.token("user_ada")));
    issuer.rotate();
    let unknown = bearer(&issuer.token("user_bob"));
    let (clerk, gate) = gated_layer(issuer.config(), vec![old, issuer.jwks()]);
    gate.open();
    clerk.verifier().warm_up().await.expect("keys");
    gate.reached().await;
    (clerk, gate, known, unknown)
}

#[tokio::test]
async fn requests_that_wait_for_a_key_hold_no_capacity() {
    for (name, inner) in limits(2) {
        let (clerk, gate, known, unknown) = layer_with_one_known_key().await;
        let mut service = clerk.layer(inner);
        let mut waiting = Vec::new();
        for _ in 0..2 {
            let future = drive(service.ready()).await.expect("capacity").call(get_path("/", Some(&unknown)));
            waiting.push(tokio::spawn(future));
        }
        gate.reached().await;
        let third = drive(service.ready()).await.expect("capacity").call(get_path("/", Some(&known)));
        assert_eq!(Answer::of(drive(third).await.expect("a response")).await.outcome(), (200, "user_ada"), "{name}");
        assert!(waiting.iter().all(|waiter| !waiter.is_finished()), "{name}");
        gate.open();
        for waiter in waiting {
            let response = drive(waiter).await.expect("no panic").expect("a response");
            assert_eq!(Answer::of(response).await.outcome(), (200, "user_bob"), "{name}");
        }
    }
}

#[tokio::test]
async fn many_requests_wait_behind_a_small_limit_and_all_pass() {
    let (clerk, gate) = cold_layer();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    let inner = service_fn(move |_: Request<Body>| {
        let (running, most) = (Arc::clone(&running), Arc::clone(&counted));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let service = clerk.layer(ConcurrencyLimit::new(inner, 2));
    let waiting: Vec<_> =
        (0..16).map(|_| tokio::spawn(service.clone().oneshot(get_path("/", Some(&good()))))).collect();
    gate.reached().await;
    gate.open();
    for waiter in waiting {
        assert_eq!(drive(waiter).await.expect("no panic").expect("a response").status(), 200);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn each_limit_serves_admitted_and_rejected_requests_in_turn() {
    for arm in [0, 1] {
        for (name, inner) in limits(1) {
            let (arm, clerk) = arms()[arm].clone();
            let service = clerk.layer(inner);
            for _ in 0..3 {
                let admitted = drive(send(&service, get_path("/", Some(&good())))).await;
                assert_eq!(admitted.outcome(), (200, "user_ada"), "{arm} {name}");
                drive(send(&service, get_path("/", None))).await.assert_rejected(401, "missing_token");
                drive(send(&service, get_path("/", Some(BAD)))).await.assert_rejected(401, "invalid_token");
            }
        }
    }
}

#[tokio::test]
async fn a_service_called_repeatedly_keeps_its_capacity() {
    for arm in [0, 1] {
        for (name, inner) in limits(1) {
            let (arm, clerk) = arms()[arm].clone();
            let mut service = clerk.layer(inner);
            for authorization in [Some(good()), None, None, Some(BAD.to_owned()), Some(good()), Some(good())] {
                let expected = if authorization == Some(good()) { 200 } else { 401 };
                let call =
                    drive(service.ready()).await.expect("capacity").call(get_path("/", authorization.as_deref()));
                assert_eq!(drive(call).await.expect("a response").status(), expected, "{arm} {name}");
            }
        }
    }
}

#[tokio::test]
async fn a_ready_service_that_is_dropped_releases_its_capacity() {
    for (name, inner) in limits(1) {
        let service = layer().layer(inner);
        let mut reserved = service.clone();
        reserved.ready().await.expect("capacity");
        drop(reserved);
        let answer = drive(send(&service, get_path("/", Some(&good())))).await;
        assert_eq!(answer.outcome(), (200, "user_ada"), "{name}");
    }
}

#[tokio::test]
async fn a_held_reservation_is_respected() {
    let service = layer().layer(ConcurrencyLimit::new(service_fn(whoami::<Body>), 1));
    let mut reserved = service.clone();
    reserved.ready().await.expect("capacity");
    let mut other = Box::pin(service.oneshot(get_path("/", Some(&good()))));
    assert!(poll_once(other.as_mut()).is_pending());
    drop(reserved);
    assert_eq!(drive(other).await.expect("a response").status(), 200);
}

#[tokio::test]
async fn a_full_service_is_overloaded_only_after_the_wait() {
    let (clerk, gate) = cold_layer();
    let leave = Arc::new(Notify::new());
    let leaving = Arc::clone(&leave);
    let inner = service_fn(move |_: Request<Body>| {
        let leaving = Arc::clone(&leaving);
        async move {
            leaving.notified().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }
    });
    let mut limit = ConcurrencyLimit::new(inner, 1);
    let mut service = clerk.layer(LoadShed::new(limit.clone()));
    let waiting = tokio::spawn(drive(service.ready()).await.expect("ready").call(get_path("/", Some(&good()))));
    gate.reached().await;
    let busy = tokio::spawn(drive(limit.ready()).await.expect("capacity").call(get_path("/", None)));
    gate.open();
    let error = drive(waiting).await.expect("no panic").expect_err("no capacity");
    assert!(error.is::<Overloaded>(), "{error}");
    leave.notify_one();
    assert_eq!(drive(busy).await.expect("no panic").expect("a response").status(), 200);
}

#[tokio::test]
async fn a_rejection_takes_no_capacity_from_a_waiting_request() {
    for (name, inner) in limits(1) {
        let (clerk, gate) = cold_layer();
        let mut service = clerk.layer(inner);
        let mut waiting = Box::pin(service.ready().await.expect("capacity").call(get_path("/", Some(&good()))));
        assert!(poll_once(waiting.as_mut()).is_pending());
        let rejected = drive(service.ready()).await.expect("capacity").call(get_path("/", None)).await;
        assert_eq!(rejected.expect("a response").status(), 401, "{name}");
        gate.open();
        clerk.verifier().warm_up().await.expect("keys");
        let response = drive(waiting).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn a_rejection_takes_no_capacity_from_a_request_that_gets_ready() {
    // A buffer and a semaphore keep the reserved place. Load shedding reserves none.
    for (name, inner) in limits(1).into_iter().filter(|(name, _)| *name != "load shed") {
        let (clerk, gate) = cold_layer();
        let mut service = clerk.layer(inner.clone());
        let mut waiting = Box::pin(service.ready().await.expect("capacity").call(get_path("/", Some(&good()))));
        assert!(poll_once(waiting.as_mut()).is_pending());
        // Another service reserves the only place before the request has its key.
        let mut other = clerk.layer(inner);
        drive(other.ready()).await.expect("capacity");
        gate.open();
        clerk.verifier().warm_up().await.expect("keys");
        assert!(poll_once(waiting.as_mut()).is_pending(), "{name}");
        let rejected = other.call(get_path("/", None)).await.expect("a response");
        assert_eq!(rejected.status(), 401, "{name}");
        let response = drive(waiting).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn a_rejection_keeps_its_reservation_once_nobody_waits() {
    let (clerk, gate) = cold_layer();
    gate.open();
    let limit = ConcurrencyLimit::new(service_fn(whoami::<Body>), 1);
    let mut service = clerk.layer(limit.clone());
    for (authorization, status) in [(Some(good()), 200), (None, 401)] {
        let call = drive(service.ready()).await.expect("capacity").call(get_path("/", authorization.as_deref()));
        assert_eq!(call.await.expect("a response").status(), status);
    }
    let mut other = limit.clone();
    assert!(poll_once(pin!(other.ready())).is_pending());
}

#[tokio::test]
async fn a_forbidden_request_takes_no_capacity_from_a_waiting_one() {
    let (clerk, gate, known, unknown) = layer_with_one_known_key().await;
    let only_bob = RequireLayer::new(Requirement::predicate(|user| user.user_id() == "user_bob"));
    let limited = ConcurrencyLimit::new(service_fn(whoami::<Body>), 1);
    // The buffer keeps its service without calling it, and with it what the service has reserved.
    let service = Buffer::new(clerk.layer(only_bob.layer(limited)), 4);
    let waiting = tokio::spawn(service.clone().oneshot(get_path("/", Some(&unknown))));
    gate.reached().await;
    let forbidden = drive(service.clone().oneshot(get_path("/", Some(&known)))).await.expect("a response");
    assert_eq!(forbidden.status(), 403);
    gate.open();
    assert_eq!(drive(waiting).await.expect("no panic").expect("a response").status(), 200);
}

#[tokio::test]
async fn limits_around_the_layer_serve_requests_with_and_without_a_wait() {
    for (arm, clerk) in arms() {
        let whoami = clerk.layer(service_fn(whoami::<Body>));
        let around: [(&str, BoxCloneSyncService<_, _, BoxError>); 3] = [
            ("limit", BoxCloneSyncService::new(ConcurrencyLimit::new(whoami.clone(), 1).map_err(BoxError::from))),
            ("buffer", BoxCloneSyncService::new(Buffer::new(whoami.clone(), 1))),
            ("load shed", BoxCloneSyncService::new(LoadShed::new(whoami))),
        ];
        for (name, service) in around {
            let admitted = drive(send(&service, get_path("/", Some(&good())))).await;
            assert_eq!(admitted.outcome(), (200, "user_ada"), "{arm} {name}");
            drive(send(&service, get_path("/", None))).await.assert_rejected(401, "missing_token");
        }
    }
}

#[tokio::test]
async fn a_buffered_service_lets_several_requests_wait() {
    let (clerk, gate) = cold_layer();
    let service = Buffer::new(clerk.layer(ConcurrencyLimit::new(service_fn(whoami::<Body>), 2)), 4);
    let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(service.clone().oneshot(get_path("/", Some(&good()))))).collect();
    gate.reached().await;
    drive(send(&service, get_path("/", None))).await.assert_rejected(401, "missing_token");
    gate.open();
    for waiter in waiting {
        let response = drive(waiter).await.expect("no panic").expect("a response");
        assert_eq!(Answer::of(response).await.outcome(), (200, "user_ada"));
    }
    assert_eq!(gate.arrivals(), 0);
}
