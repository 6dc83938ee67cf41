//! A custom `reqwest` client that follows redirects and has no timeout.

use std::time::Duration;

use tower_clerk::{ClerkConfig, Verifier, jwks::FetchErrorKind, testing::ManualClock, verify::VerifyErrorKind};

use super::instance::{HASTY, INTERVAL, Instance, PATIENT, bytes, document, keys, response};
use crate::support::{issuer, other_issuer};
use crate::support::{
    server::{Script, Server, Step},
    within,
};

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

fn verifier(config: ClerkConfig, clock: &ManualClock, timeout: Duration) -> Verifier {
    let config = config.jwks_timeout(timeout).expect("a timeout");
    Verifier::builder(config).clock(clock.clone()).http_client(client()).build().expect("a verifier")
}

async fn instance(timeout: Duration, script: Script) -> Instance {
    let instance = Instance::cold(timeout, script).await;
    let config = ClerkConfig::from_frontend_api_url(instance.server.url()).expect("a configuration");
    let verifier = verifier(config, &instance.clock, timeout);
    Instance { verifier, ..instance }
}

/// Asserts that this response is a failure, with keys and without.
async fn is_a_failure(timeout: Duration, script: Script, kind: FetchErrorKind) {
    let instance = instance(timeout, script.clone()).await;
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(kind));
    instance.server.respond(keys());
    instance.clock.advance(Duration::from_secs(5));
    instance.verify(&instance.token()).await.expect("a good token");
    instance.clock.advance(INTERVAL);
    instance.server.respond(script);
    assert_eq!(instance.refresh_failure().await.fetch_error_kind(), Some(kind));
    instance.verify_at_once().expect("the old key");
    let forged = instance.verify(&instance.token_of(other_issuer())).await.expect_err("forged");
    assert_eq!(forged.kind(), VerifyErrorKind::InvalidSignature);
}

#[tokio::test]
async fn it_fetches_with_the_client_given() {
    let instance = instance(PATIENT, keys()).await;
    instance.verify(&instance.token()).await.expect("a good token");
    // The crate's own client sends a user agent.
    assert!(!instance.server.seen().heads[0].contains("user-agent"));
}

#[tokio::test]
async fn a_response_redirected_to_another_host_is_rejected() {
    let elsewhere = Server::start(document(&other_issuer().jwks())).await;
    let location = format!("{}/.well-known/jwks.json", elsewhere.url());
    is_a_failure(PATIENT, response("302 Found", &[("Location", &location)], ""), FetchErrorKind::UnexpectedRedirect)
        .await;
    assert!(elsewhere.requests() > 0);
}

#[tokio::test]
async fn a_response_redirected_on_the_same_host_is_rejected() {
    let instance = instance(PATIENT, keys()).await;
    instance.server.respond_with(|head| match head.starts_with("GET /.well-known/jwks.json ") {
        true => response("302 Found", &[("Location", "/keys")], ""),
        false => document(&other_issuer().jwks()),
    });
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(FetchErrorKind::UnexpectedRedirect));
    assert_eq!(instance.server.requests(), 2);
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let loops = response("302 Found", &[("Location", "/.well-known/jwks.json")], "");
    is_a_failure(PATIENT, loops, FetchErrorKind::Transport).await;
}

#[tokio::test]
async fn a_secret_does_not_follow_a_redirect_to_another_host() {
    let elsewhere = Server::start(document(&other_issuer().jwks())).await;
    let location = format!("{}/v1/jwks", elsewhere.url());
    let server = Server::start(response("307 Temporary Redirect", &[("Location", &location)], "")).await;
    let config = ClerkConfig::from_secret_key("sk_test_abc").and_then(|config| config.api_url(server.url()));
    let verifier = verifier(config.expect("a configuration"), &ManualClock::new(), PATIENT);
    let error = within(verifier.warm_up()).await.expect_err("no keys");
    assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::UnexpectedRedirect));
    assert!(server.seen().heads[0].contains("sk_test_abc"));
    let heads = elsewhere.seen().heads;
    assert!(heads.len() == 1 && !heads[0].to_lowercase().contains("authorization"), "{heads:?}");
}

#[tokio::test]
async fn the_configured_timeout_applies() {
    is_a_failure(HASTY, vec![Step::Hang], FetchErrorKind::Timeout).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
    is_a_failure(HASTY, bytes(head), FetchErrorKind::Timeout).await;
    let drip = Step::Drip(b" ".to_vec(), Duration::from_millis(2));
    is_a_failure(HASTY, vec![Step::Write(head.into()), drip], FetchErrorKind::Timeout).await;
}

#[tokio::test]
async fn a_shorter_timeout_of_the_client_applies() {
    let instance = Instance::cold(PATIENT, vec![Step::Hang]).await;
    let config = ClerkConfig::from_frontend_api_url(instance.server.url()).expect("a configuration");
    let hasty = reqwest::Client::builder().no_proxy().timeout(HASTY).build().expect("a client");
    let verifier = Verifier::builder(config).http_client(hasty).build().expect("a verifier");
    let error = within(verifier.warm_up()).await.expect_err("no keys");
    assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Timeout));
    instance.server.until(|seen| seen.closed == 1).await;
}

#[tokio::test]
async fn the_size_limit_applies() {
    let jwks = issuer().jwks();
    let padded = |length: usize| document(&(jwks.clone() + &" ".repeat(length - jwks.len())));
    let instance = instance(PATIENT, padded(512 * 1024)).await;
    instance.verify(&instance.token()).await.expect("a good token");
    is_a_failure(PATIENT, padded(512 * 1024 + 1), FetchErrorKind::TooLarge).await;
}

#[tokio::test]
async fn a_content_encoding_is_rejected() {
    let script = response("200 OK", &[("Content-Encoding", "gzip")], other_issuer().jwks());
    is_a_failure(PATIENT, script, FetchErrorKind::UnexpectedEncoding).await;
}

#[tokio::test]
async fn a_status_other_than_200_is_rejected() {
    let script = response("500 Internal Server Error", &[], other_issuer().jwks());
    is_a_failure(PATIENT, script, FetchErrorKind::UnexpectedStatus).await;
}
