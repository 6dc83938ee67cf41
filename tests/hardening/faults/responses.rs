//! What the layer's clients see of a server that misbehaves.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, Rejection,
    jwks::FetchErrorKind,
    rejection::{Refusals, RejectionKind},
};
use tower_layer::Layer;

use super::{
    instance::{HASTY, INTERVAL, Instance, PATIENT, held, keys, response},
    support::{Step, within},
};

type Answer = Response<Bytes>;

/// Sends a request through the layer to a service that answers with the user it sees.
async fn send(layer: ClerkAuthLayer, token: &str, call: bool) -> Answer {
    let request = Request::builder().uri("/path").header("authorization", format!("Bearer {token}"));
    let request = match call {
        true => request.method("POST").header("content-type", "application/grpc"),
        false => request,
    };
    let inner = service_fn(|request: Request<Body>| async move {
        let user = request.extensions().get::<ClerkAuth>().map(|user| user.user_id().to_owned());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(user.unwrap_or_default()))))
    });
    let request = request.body(Body::empty()).expect("a request");
    let response = layer.layer(inner).oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.expect("infallible").to_bytes())
}

async fn ask(instance: &Instance, layer: &ClerkAuthLayer) -> Answer {
    within(send(layer.clone(), &instance.token(), false)).await
}

fn layer(instance: &Instance) -> ClerkAuthLayer {
    ClerkAuthLayer::from(instance.verifier.clone())
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("ASCII"))
}

fn is_unavailable(answer: &Answer, kind: FetchErrorKind, retry_after: &str) {
    assert_eq!(answer.status(), 503);
    assert_eq!(header(answer, "retry-after"), Some(retry_after));
    assert_eq!(header(answer, "content-type"), Some("application/problem+json"));
    assert_eq!(header(answer, "cache-control"), Some("no-store"));
    assert_eq!(header(answer, "www-authenticate"), None);
    let problem: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some("keys_unavailable"), Some(503)));
    let rejection = answer.extensions().get::<Rejection>().expect("a rejection");
    assert_eq!((rejection.kind(), rejection.fetch_error()), (RejectionKind::KeysUnavailable, Some(kind)));
}

#[tokio::test]
async fn a_server_that_fails_is_a_503_that_says_when_to_come_back() {
    let asked = |value: &str| response("503 Service Unavailable", &[("Retry-After", value)], "no keys today");
    for (script, retry_after) in [
        (response("500 Internal Server Error", &[], ""), "1"),
        (asked("0"), "1"),
        (asked("3"), "3"),
        (asked("3600"), "5"),
    ] {
        let instance = Instance::cold(PATIENT, script).await;
        let layer = layer(&instance);
        for _ in 0..2 {
            is_unavailable(&ask(&instance, &layer).await, FetchErrorKind::Status, retry_after);
        }
        assert_eq!(instance.server.connections().await, 1);
        instance.server.answer(keys());
        instance.clock.advance(Duration::from_secs(5));
        assert_eq!(ask(&instance, &layer).await.body(), "user_ada");
        assert_eq!(instance.server.connections().await, 2);
    }
}

#[tokio::test]
async fn a_retry_after_counts_down_in_whole_seconds() {
    let script = response("429 Too Many Requests", &[("Retry-After", "3")], "");
    let instance = Instance::cold(PATIENT, script).await;
    let layer = layer(&instance);
    for (passed, retry_after) in [(0, "3"), (999, "3"), (1, "2"), (1001, "1"), (998, "1")] {
        instance.clock.advance(Duration::from_millis(passed));
        is_unavailable(&ask(&instance, &layer).await, FetchErrorKind::Status, retry_after);
    }
    assert_eq!(instance.server.connections().await, 1);
}

#[tokio::test]
async fn a_server_that_hangs_is_a_503_at_the_deadline() {
    let instance = Instance::cold(HASTY, vec![Step::Hang]).await;
    is_unavailable(&ask(&instance, &layer(&instance)).await, FetchErrorKind::Timeout, "1");
}

#[tokio::test]
async fn a_grpc_call_is_told_unavailable() {
    for (script, pushback) in [
        (response("500 Internal Server Error", &[], ""), "1000"),
        (response("429 Too Many Requests", &[("Retry-After", "4")], ""), "4000"),
    ] {
        let instance = Instance::cold(PATIENT, script).await;
        let token = instance.token();
        let answer = within(send(layer(&instance), &token, true)).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "content-type")), (200, Some("application/grpc")));
        assert_eq!(header(&answer, "grpc-status"), Some("14"));
        assert_eq!(header(&answer, "clerk-error-code"), Some("keys_unavailable"));
        assert_eq!(header(&answer, "grpc-retry-pushback-ms"), Some(pushback));
        assert!(answer.body().is_empty());
        let pinned = layer(&instance).refusals(Refusals::Http);
        let answer = within(send(pinned, &token, true)).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "grpc-status")), (503, None));
    }
}

#[tokio::test]
async fn an_outage_does_not_let_anyone_in_who_must_have_a_user() {
    let failing = || response("500 Internal Server Error", &[], "");
    let instance = Instance::cold(PATIENT, failing()).await;
    let anonymous = layer(&instance).allow_anonymous_requests();
    is_unavailable(&ask(&instance, &anonymous).await, FetchErrorKind::Status, "1");
    let open = layer(&instance).allow_unauthenticated_requests();
    let answer = ask(&instance, &open).await;
    assert_eq!((answer.status().as_u16(), answer.body().len()), (200, 0));
}

#[tokio::test]
async fn a_request_waits_for_a_slow_server_and_passes() {
    let instance = Instance::cold(PATIENT, held(keys())).await;
    let layer = layer(&instance);
    let (answer, ()) = tokio::join!(ask(&instance, &layer), async {
        instance.server.until(|seen| seen.heads.len() == 1).await;
        instance.server.release();
    });
    assert_eq!(answer.body(), "user_ada");
}

#[tokio::test]
async fn a_request_whose_key_is_known_is_answered_while_the_refresh_hangs() {
    let instance = Instance::warm(PATIENT, held(keys())).await;
    let layer = layer(&instance);
    let token = instance.token();
    for _ in 0..100 {
        let answer = send(layer.clone(), &token, false).now_or_never().expect("no waiting");
        assert_eq!(answer.body(), "user_ada");
    }
    instance.server.until(|seen| seen.heads.len() == 2).await;
    for _ in 0..100 {
        let answer = send(layer.clone(), &token, false).now_or_never().expect("no waiting");
        assert_eq!(answer.body(), "user_ada");
    }
    assert_eq!(instance.verifier.keys_status().age, Some(INTERVAL));
    assert_eq!(instance.server.connections().await, 2);
}
