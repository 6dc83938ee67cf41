//! A custom `reqwest` client that follows redirects and has no timeout.

use std::time::Duration;

use tower_clerk::{Verifier, jwks::FetchErrorKind, testing::ManualClock};

use super::api::{Api, config, good, good_body};
use crate::{
    faults::instance::response,
    support::server::{Script, Server, Step},
};

async fn start(script: Script) -> Api {
    start_with(reqwest::Client::builder(), script).await
}

async fn start_with(client: reqwest::ClientBuilder, script: Script) -> Api {
    let server = Server::start(script).await;
    let client = client.no_proxy().build().expect("a client");
    let builder = Verifier::builder(config(&server.url())).clock(ManualClock::new()).http_client(client);
    Api { verifier: builder.build().expect("a verifier"), server }
}

#[tokio::test]
async fn it_asks_with_the_client_given() {
    let api = start(good()).await;
    for number in 0..10 {
        api.verify(&format!("ak_{number}")).await.expect("a good key");
    }
    assert_eq!(api.server.connections().await, 1);
    // Before it was asked, no connection is kept.
    start(vec![Step::Close]).await.fails(FetchErrorKind::Transport).await;
}

#[tokio::test]
async fn a_response_that_was_redirected_is_rejected() {
    let elsewhere = Server::start(good()).await;
    let location = format!("{}/api_keys/verify", elsewhere.url());
    for status in ["301 Any", "302 Any", "303 Any", "307 Any", "308 Any"] {
        let api = start(response(status, &[("Location", &location)], "")).await;
        api.fails(FetchErrorKind::UnexpectedRedirect).await;
    }
    let heads = elsewhere.seen().heads;
    assert!(heads.len() == 5 && heads.iter().all(|head| !head.contains("hunter2")), "{heads:?}");
}

#[tokio::test]
async fn a_connection_that_has_died_idle_is_no_failure() {
    let api = start(good()).await;
    api.verify("ak_0").await.expect("a good key");
    api.server.respond_by_turn(|_, turn| if turn == 0 { good() } else { vec![Step::Reset] });
    api.verify("ak_1").await.expect("a good key");
    assert_eq!(api.server.requests(), 3);
}

#[tokio::test]
async fn limits_of_size_and_time_apply() {
    let large = format!("{}{}", good_body(), " ".repeat(65_536));
    start(response("200 OK", &[], large)).await.fails(FetchErrorKind::TooLarge).await;
    start(response("200 OK", &[("Content-Encoding", "gzip")], good_body()))
        .await
        .fails(FetchErrorKind::UnexpectedEncoding)
        .await;
    let begin = std::time::Instant::now();
    start(vec![Step::Hang]).await.fails(FetchErrorKind::Timeout).await;
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_time_out_of_the_client_is_not_tried_again() {
    let api = start_with(reqwest::Client::builder().timeout(Duration::from_secs(1)), good()).await;
    api.verify("ak_first").await.expect("a good key");
    api.server.respond(vec![Step::Hang]);
    api.fails(FetchErrorKind::Timeout).await;
}
