use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tower_clerk::jwks::FetchErrorKind;

use super::api::{Api, good, good_body};
use crate::support::server::{Script, Server, Step};

fn write(text: impl Into<Vec<u8>>) -> Step {
    Step::Write(text.into())
}

/// Asserts that all of these end at the deadline of three seconds. They run at the same time.
async fn run_out_of_time(scripts: Vec<Script>) {
    join_all(scripts.into_iter().map(|script| async {
        let api = Api::start(script).await;
        let start = Instant::now();
        api.fails(FetchErrorKind::Timeout).await;
        let took = start.elapsed();
        assert!(took > Duration::from_millis(2500) && took < Duration::from_secs(10), "{took:?}");
        api.server.until(|seen| seen.closed == 1).await;
    }))
    .await;
}

#[tokio::test]
async fn a_response_that_never_ends_is_a_failure_at_the_deadline() {
    let drip = |text: &str| Step::Drip(text.as_bytes().to_vec(), Duration::from_millis(2));
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let whole = format!("{head}{}", good_body());
    run_out_of_time(vec![
        vec![Step::Hang],
        vec![write("HTTP/1.1 200 OK\r\nContent-Le"), Step::Hang],
        vec![write(head), Step::Hang],
        vec![write(whole), Step::Hang],
        vec![write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), drip(" ")],
        vec![write("HTTP/1.1 200 OK\r\nX-Long: "), drip("a")],
        vec![drip("HTTP/1.1 103 Early Hints\r\n\r\n")],
    ])
    .await;
}

#[tokio::test]
async fn a_failure_does_not_wait_for_its_body() {
    for (status, kind) in [("500 Any", FetchErrorKind::UnexpectedStatus), ("401 Any", FetchErrorKind::Unauthorized)] {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 1000\r\n\r\n");
        let start = Instant::now();
        Api::start(vec![write(head), Step::Hang]).await.fails(kind).await;
        assert!(start.elapsed() < Duration::from_millis(2500));
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_a_failure_at_once() {
    let api = Api::at(Server::down(), Ok);
    let start = Instant::now();
    assert_eq!(api.failure().await.fetch_error_kind(), Some(FetchErrorKind::Transport));
    assert!(start.elapsed() < Duration::from_millis(2500));
}

#[tokio::test]
async fn dropping_the_verifier_closes_the_connection() {
    let api = Api::start(vec![Step::Hang]).await;
    assert!(api.verifier.try_verify_principal("ak_a").is_err());
    api.server.until(|seen| seen.heads.len() == 1).await;
    drop(api.verifier);
    api.server.until(|seen| seen.closed == 1).await;

    let api = Api::start(good()).await;
    api.verify("ak_a").await.expect("a good key");
    assert_eq!(api.server.seen().closed, 0);
    drop(api.verifier);
    api.server.until(|seen| seen.closed == 1).await;
}
