use std::{net::SocketAddr, time::Duration};

use futures_util::{FutureExt, future::join_all};
use tokio::net::{TcpListener, TcpStream};
use tower_clerk::jwks::FetchErrorKind;

use super::instance::{
    HASTY, Instance, PATIENT, bytes, document, held, is_accepted, keys, runs_out_of_time, successor,
};
use crate::support::issuer;
use crate::support::{
    server::{Server, Step},
    within,
};

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n";

fn write(text: &str) -> Step {
    Step::Write(text.as_bytes().to_vec())
}

fn drip(text: &str) -> Step {
    Step::Drip(text.as_bytes().to_vec(), Duration::from_millis(2))
}

#[tokio::test]
async fn a_server_that_never_responds_is_a_failure_at_the_deadline() {
    runs_out_of_time(vec![Step::Hang]).await;
}

#[tokio::test]
async fn headers_and_then_nothing_are_a_failure_at_the_deadline() {
    runs_out_of_time(bytes(HEAD)).await;
}

#[tokio::test]
async fn half_a_head_is_a_failure_at_the_deadline() {
    runs_out_of_time(bytes("HTTP/1.1 200 OK\r\nContent-Le")).await;
}

#[tokio::test]
async fn half_a_body_is_a_failure_at_the_deadline() {
    let jwks = issuer().jwks();
    runs_out_of_time(bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{jwks}", jwks.len() + 1))).await;
}

#[tokio::test]
async fn a_body_sent_too_slowly_is_a_failure_at_the_deadline() {
    runs_out_of_time(vec![write(HEAD), drip(" ")]).await;
    runs_out_of_time(vec![write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), drip("1\r\n \r\n")]).await;
}

#[tokio::test]
async fn a_head_sent_too_slowly_is_a_failure_at_the_deadline() {
    runs_out_of_time(vec![write("HTTP/1.1 200 OK\r\nX-Long: "), drip("a")]).await;
}

#[tokio::test]
async fn endless_interim_responses_are_a_failure_at_the_deadline() {
    runs_out_of_time(vec![drip("HTTP/1.1 103 Early Hints\r\n\r\n")]).await;
    runs_out_of_time(vec![drip("HTTP/1.1 100 Continue\r\n\r\n")]).await;
}

#[tokio::test]
async fn a_connection_that_is_never_accepted_is_a_failure_at_the_deadline() {
    let mut server = Server::down();
    let _listener = server.listen_only();
    let instance = Instance::at(server, HASTY);
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(FetchErrorKind::Timeout));
}

#[tokio::test]
async fn a_connection_that_is_never_established_is_a_failure_at_the_deadline() {
    let mut server = Server::down();
    let listener = server.listen_only();
    let _queued = fill(&listener, server.address()).await;
    let instance = Instance::at(server, HASTY);
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(FetchErrorKind::Timeout));
}

/// Fills the listener's queue with connections that nobody accepts, so that further ones hang.
async fn fill(_listener: &TcpListener, address: SocketAddr) -> Vec<TcpStream> {
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(HASTY, TcpStream::connect(address)).await {
        queued.push(stream.expect("a connection"));
        assert!(queued.len() < 64, "the queue has no end");
    }
    queued
}

#[tokio::test]
async fn the_connection_of_a_timed_out_fetch_is_closed() {
    let instance = Instance::cold(HASTY, vec![Step::Hang]).await;
    instance.failure().await;
    instance.server.until(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn a_hanging_refresh_without_waiters_ends_at_its_deadline() {
    let instance = Instance::warm(HASTY, vec![Step::Hang]).await;
    instance.start_refresh();
    instance.server.until(|seen| seen.closed == 2).await;
    assert_eq!(instance.verifier.keys_status().last_error, Some(FetchErrorKind::Timeout));
    assert_eq!(instance.server.connections().await, 2);
}

#[tokio::test]
async fn dropping_the_last_verifier_closes_the_connection() {
    let instance = Instance::cold(PATIENT, vec![Step::Hang]).await;
    let token = instance.token();
    let Instance { server, verifier, .. } = instance;
    let clone = verifier.clone();
    assert!(clone.try_verify(&token).is_err());
    server.until(|seen| seen.heads.len() == 1).await;
    drop(clone);
    assert_eq!((server.connections().await, server.seen().closed), (1, 0));
    drop(verifier);
    server.until(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn a_slow_response_within_the_deadline_is_accepted() {
    let instance = Instance::cold(PATIENT, held(keys())).await;
    let token = instance.token();
    let mut waiting = std::pin::pin!(instance.verify(&token));
    assert!((&mut waiting).now_or_never().is_none());
    instance.server.until(|seen| seen.heads.len() == 1).await;
    assert!((&mut waiting).now_or_never().is_none());
    instance.server.release();
    assert_eq!(waiting.await.expect("a good token").user_id(), "user_ada");
    assert_eq!(instance.server.connections().await, 1);
}

#[tokio::test]
async fn a_response_in_single_bytes_is_accepted() {
    let mut script = Vec::new();
    for step in keys() {
        let Step::Write(bytes) = step else { continue };
        script.extend(bytes.into_iter().map(|byte| Step::Write(vec![byte])));
    }
    is_accepted(script).await;
}

#[tokio::test]
async fn a_hanging_refresh_never_delays_tokens_of_known_keys() {
    let instance = Instance::warm(PATIENT, held(document(&successor().jwks()))).await;
    instance.verify_at_once().expect("a good token");
    instance.server.until(|seen| seen.heads.len() == 2).await;
    for _ in 0..100 {
        instance.verify_at_once().expect("a good token");
    }
    assert_eq!((instance.server.connections().await, instance.server.seen().closed), (2, 1));
    instance.server.release();
    instance.verify(&instance.token_of(successor())).await.expect("the new key");
    assert_eq!(instance.verifier.keys_status().age, Some(Duration::ZERO));
    assert_eq!(instance.server.connections().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_without_keys_make_one_request() {
    let instance = Instance::cold(PATIENT, held(keys())).await;
    let token = instance.token();
    let herd = (0..200).map(|_| {
        let (verifier, token) = (instance.verifier.clone(), token.clone());
        tokio::spawn(async move { verifier.verify(&token).await })
    });
    let herd = join_all(herd.collect::<Vec<_>>());
    instance.server.until(|seen| seen.heads.len() == 1).await;
    instance.server.release();
    let verified = within(herd).await;
    assert!(verified.into_iter().all(|task| task.expect("a task").is_ok()));
    assert_eq!(instance.server.connections().await, 1);
}

#[tokio::test]
async fn concurrent_requests_on_a_hanging_server_end_at_the_deadline() {
    let instance = Instance::cold(HASTY, vec![Step::Hang]).await;
    let token = instance.token();
    let verified = join_all((0..200).map(|_| instance.verify(&token))).await;
    let is_late = |error: tower_clerk::verify::VerifyError| error.fetch_error_kind() == Some(FetchErrorKind::Timeout);
    assert!(verified.into_iter().all(|result| result.is_err_and(is_late)));
    assert_eq!(instance.server.connections().await, 1);
}

#[tokio::test]
async fn a_cancelled_request_does_not_stop_the_fetch() {
    let instance = Instance::cold(PATIENT, held(keys())).await;
    let token = instance.token();
    assert!(instance.verifier.verify(&token).now_or_never().is_none());
    instance.server.until(|seen| seen.heads.len() == 1).await;
    instance.server.release();
    instance.verify(&token).await.expect("a good token");
    assert_eq!(instance.server.connections().await, 1);
}
