use tower_clerk::jwks::FetchErrorKind;

use super::instance::{Instance, PATIENT, bytes, is_a_failure, is_accepted, keys, response};
use crate::support::server::Step;
use crate::support::{issuer, other_issuer};

/// A status other than 200 is a failure even if the body has keys.
async fn status_is_a_failure(status: &str) {
    is_a_failure(
        response(status, &[("Content-Type", "application/json")], other_issuer().jwks()),
        FetchErrorKind::UnexpectedStatus,
    )
    .await;
}

#[tokio::test]
async fn a_500_is_a_failure() {
    status_is_a_failure("500 Internal Server Error").await;
}

#[tokio::test]
async fn a_503_is_a_failure() {
    status_is_a_failure("503 Service Unavailable").await;
}

#[tokio::test]
async fn a_404_is_a_failure() {
    status_is_a_failure("404 Not Found").await;
}

#[tokio::test]
async fn a_429_is_a_failure() {
    status_is_a_failure("429 Too Many Requests").await;
}

#[tokio::test]
async fn a_401_is_a_failure() {
    is_a_failure(response("401 Unauthorized", &[("WWW-Authenticate", "Basic")], ""), FetchErrorKind::UnexpectedStatus)
        .await;
}

#[tokio::test]
async fn a_success_other_than_200_is_a_failure() {
    for status in ["201 Created", "203 Non-Authoritative Information", "299 Fine"] {
        status_is_a_failure(status).await;
    }
    let partial = response("206 Partial Content", &[("Content-Range", "bytes 0-9/10")], other_issuer().jwks());
    is_a_failure(partial, FetchErrorKind::UnexpectedStatus).await;
}

#[tokio::test]
async fn a_response_without_content_is_a_failure() {
    is_a_failure(bytes("HTTP/1.1 204 No Content\r\n\r\n"), FetchErrorKind::UnexpectedStatus).await;
    is_a_failure(bytes("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"), FetchErrorKind::UnexpectedStatus).await;
}

#[tokio::test]
async fn a_switch_of_protocols_is_a_failure() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    is_a_failure(bytes(switch), FetchErrorKind::UnexpectedStatus).await;
}

#[tokio::test]
async fn interim_responses_before_the_final_one_are_skipped() {
    let mut script = vec![
        Step::Write(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        Step::Write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec()),
    ];
    script.extend(keys());
    is_accepted(script).await;
}

#[tokio::test]
async fn an_outage_makes_one_request_for_many_tokens() {
    let down = response("503 Service Unavailable", &[], issuer().jwks());
    let instance = Instance::cold(PATIENT, down.clone()).await;
    instance.failure().await;
    for _ in 0..500 {
        assert_eq!(
            instance.verify_at_once().expect_err("no keys").fetch_error_kind(),
            Some(FetchErrorKind::UnexpectedStatus)
        );
    }
    assert_eq!(instance.server.connections().await, 1);
    let instance = Instance::warm(PATIENT, down).await;
    instance.refresh_failure().await;
    for _ in 0..500 {
        instance.verify_at_once().expect("the old key");
    }
    assert_eq!(instance.server.connections().await, 2);
}
