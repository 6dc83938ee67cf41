//! Responses of the layer while the key server misbehaves.

use std::time::Duration;

use futures_util::FutureExt;
use tower_clerk::{
    ClerkAuthLayer,
    jwks::FetchErrorKind,
    rejection::{RejectionFormat, RejectionKind},
};

use super::instance::{HASTY, INTERVAL, Instance, PATIENT, held, keys, response};
use crate::support::{Answer, request, send_through, server::Step, within};

/// Sends a request with this token through the layer.
async fn send(layer: ClerkAuthLayer, token: &str, is_grpc: bool) -> Answer {
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("authorization", authorization.as_str())];
    headers.extend(is_grpc.then_some(("content-type", "application/grpc")));
    let method = if is_grpc { "POST" } else { "GET" };
    send_through(&layer, request(method, "/path", &headers)).await
}

async fn ask(instance: &Instance, layer: &ClerkAuthLayer) -> Answer {
    within(send(layer.clone(), &instance.token(), false)).await
}

fn layer(instance: &Instance) -> ClerkAuthLayer {
    ClerkAuthLayer::from(instance.verifier.clone())
}

fn is_unavailable(answer: &Answer, kind: FetchErrorKind, retry_after: &str) {
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("retry-after"), Some(retry_after));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("www-authenticate"), None);
    let problem: serde_json::Value = serde_json::from_str(&answer.text).expect("JSON");
    assert_eq!((problem["code"].as_str(), problem["status"].as_u64()), (Some("keys_unavailable"), Some(503)));
    let rejection = answer.rejection();
    assert_eq!((rejection.kind(), rejection.fetch_error_kind()), (RejectionKind::KeysUnavailable, Some(kind)));
}

/// Fails once, and lets the random part of the delay pass that follows.
async fn until_the_time_asked_for(instance: &Instance, seconds: &str) {
    let asked = Duration::from_secs(seconds.parse().expect("seconds"));
    let delay = instance.failure().await.retry_after().expect("a delay");
    assert!(delay <= asked * 3 / 2, "{delay:?} of {asked:?}");
    instance.clock.advance(delay.saturating_sub(asked));
}

#[tokio::test]
async fn a_failing_server_is_a_503_with_retry_after() {
    let asked = |value: &str| response("503 Service Unavailable", &[("Retry-After", value)], "no keys today");
    for (script, retry_after) in [
        (response("500 Internal Server Error", &[], ""), "1"),
        (asked("0"), "1"),
        (asked("3"), "3"),
        (asked("3600"), "5"),
    ] {
        let instance = Instance::cold(PATIENT, script).await;
        let layer = layer(&instance);
        until_the_time_asked_for(&instance, retry_after).await;
        for _ in 0..2 {
            is_unavailable(&ask(&instance, &layer).await, FetchErrorKind::UnexpectedStatus, retry_after);
        }
        assert_eq!(instance.server.connections().await, 1);
        instance.server.respond(keys());
        instance.clock.advance(Duration::from_secs(5));
        assert_eq!(ask(&instance, &layer).await.text, "user_ada");
        assert_eq!(instance.server.connections().await, 2);
    }
}

#[tokio::test]
async fn a_retry_after_counts_down_in_whole_seconds() {
    let script = response("429 Too Many Requests", &[("Retry-After", "3")], "");
    let instance = Instance::cold(PATIENT, script).await;
    let layer = layer(&instance);
    until_the_time_asked_for(&instance, "3").await;
    for (passed, retry_after) in [(0, "3"), (999, "3"), (1, "2"), (1001, "1"), (998, "1")] {
        instance.clock.advance(Duration::from_millis(passed));
        is_unavailable(&ask(&instance, &layer).await, FetchErrorKind::UnexpectedStatus, retry_after);
    }
    assert_eq!(instance.server.connections().await, 1);
}

#[tokio::test]
async fn a_hanging_server_is_a_503_at_the_deadline() {
    let instance = Instance::cold(HASTY, vec![Step::Hang]).await;
    is_unavailable(&ask(&instance, &layer(&instance)).await, FetchErrorKind::Timeout, "1");
}

#[tokio::test]
async fn a_grpc_call_gets_unavailable() {
    for (script, pushback) in [
        (response("500 Internal Server Error", &[], ""), "1000"),
        (response("429 Too Many Requests", &[("Retry-After", "4")], ""), "4000"),
    ] {
        let instance = Instance::cold(PATIENT, script).await;
        until_the_time_asked_for(&instance, &pushback[..1]).await;
        let token = instance.token();
        let answer = within(send(layer(&instance), &token, true)).await;
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/grpc")));
        assert_eq!(answer.header("grpc-status"), Some("14"));
        assert_eq!(answer.header("clerk-error-code"), Some("keys_unavailable"));
        assert_eq!(answer.header("grpc-retry-pushback-ms"), Some(pushback));
        assert!(answer.text.is_empty());
        let pinned = layer(&instance).rejection_format(RejectionFormat::Http);
        let answer = within(send(pinned, &token, true)).await;
        assert_eq!((answer.status(), answer.header("grpc-status")), (503, None));
    }
}

#[tokio::test]
async fn an_outage_does_not_admit_requests_that_need_a_user() {
    let failing = || response("500 Internal Server Error", &[], "");
    let instance = Instance::cold(PATIENT, failing()).await;
    let anonymous = layer(&instance).allow_missing_token();
    is_unavailable(&ask(&instance, &anonymous).await, FetchErrorKind::UnexpectedStatus, "1");
    let open = layer(&instance).allow_unauthenticated_requests();
    let answer = ask(&instance, &open).await;
    assert_eq!(answer.outcome(), (200, "nobody"));
}

#[tokio::test]
async fn a_request_waits_for_a_slow_server_and_passes() {
    let instance = Instance::cold(PATIENT, held(keys())).await;
    let layer = layer(&instance);
    let (answer, ()) = tokio::join!(ask(&instance, &layer), async {
        instance.server.until(|seen| seen.heads.len() == 1).await;
        instance.server.release();
    });
    assert_eq!(answer.text, "user_ada");
}

#[tokio::test]
async fn a_known_key_is_served_while_the_refresh_hangs() {
    let instance = Instance::warm(PATIENT, held(keys())).await;
    let layer = layer(&instance);
    let token = instance.token();
    for _ in 0..100 {
        let answer = send(layer.clone(), &token, false).now_or_never().expect("no waiting");
        assert_eq!(answer.text, "user_ada");
    }
    instance.server.until(|seen| seen.heads.len() == 2).await;
    for _ in 0..100 {
        let answer = send(layer.clone(), &token, false).now_or_never().expect("no waiting");
        assert_eq!(answer.text, "user_ada");
    }
    assert_eq!(instance.verifier.keys_status().age, Some(INTERVAL));
    assert_eq!(instance.server.connections().await, 2);
}
