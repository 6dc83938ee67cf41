//! The requests for keys, and the proxies that they use.

use std::process::Command;

use tower_clerk::{ClerkConfig, Verifier};

use super::instance::{Instance, PATIENT, document, keys, response, successor};
use crate::support::issuer;
use crate::support::{server::Server, within};

/// The request line, then the headers in alphabetical order with lower-case names.
fn lines(head: &str) -> Vec<String> {
    let mut lines = head.trim_end().split("\r\n");
    let first = lines.next().expect("a request line").to_owned();
    let mut headers: Vec<String> = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").expect("a header");
            format!("{}: {value}", name.to_lowercase())
        })
        .collect();
    headers.sort();
    headers.insert(0, first);
    headers
}

fn user_agent() -> String {
    format!("user-agent: tower-clerk/{}", env!("CARGO_PKG_VERSION"))
}

#[tokio::test]
async fn the_frontend_api_request_contains_no_credentials() {
    let instance = Instance::warm(PATIENT, keys()).await;
    instance.verify(&instance.token_of(successor())).await.expect_err("an unknown key");
    let heads = instance.server.seen().heads;
    assert_eq!(heads.len(), 3);
    for head in heads {
        let host = format!("host: {}", instance.server.address());
        assert_eq!(
            lines(&head),
            ["GET /.well-known/jwks.json HTTP/1.1", "accept: application/json", &host, &user_agent()]
        );
    }
}

#[tokio::test]
async fn the_path_of_a_frontend_api_proxy_is_kept() {
    let server = Server::start(keys()).await;
    let config = ClerkConfig::from_frontend_api_url(format!("{}/__clerk/", server.url())).expect("a configuration");
    let verifier = Verifier::new(config).expect("a verifier");
    within(verifier.warm_up()).await.expect("keys");
    assert!(server.seen().heads[0].starts_with("GET /__clerk/.well-known/jwks.json HTTP/1.1\r\n"));
}

#[tokio::test]
async fn the_backend_api_request_contains_the_secret_key() {
    let server = Server::start(keys()).await;
    let config = ClerkConfig::from_secret_key("sk_test_abc").and_then(|config| config.api_url(server.url()));
    let verifier = Verifier::new(config.expect("a configuration")).expect("a verifier");
    within(verifier.warm_up()).await.expect("keys");
    let seen = server.seen();
    let host = format!("host: {}", server.address());
    assert_eq!(
        lines(&seen.heads[0]),
        [
            "GET /v1/jwks HTTP/1.1",
            "accept: application/json",
            "authorization: Bearer sk_test_abc",
            &host,
            &user_agent()
        ]
    );
}

#[tokio::test]
async fn the_frontend_api_request_never_contains_the_secret_key() {
    let instance = Instance::cold(PATIENT, keys()).await;
    let config = ClerkConfig::from_frontend_api_url(instance.server.url())
        .and_then(|config| config.secret_key("sk_test_abc"))
        .and_then(|config| config.api_url(instance.server.url()));
    let verifier = Verifier::new(config.expect("a configuration")).expect("a verifier");
    within(verifier.warm_up()).await.expect("keys");
    let heads = instance.server.seen().heads;
    assert!(heads.len() == 1 && heads[0].starts_with("GET /.well-known/jwks.json "), "{heads:?}");
    assert!(!heads[0].contains("sk_test_abc"), "{heads:?}");
}

#[tokio::test]
async fn each_fetch_opens_a_new_connection() {
    let instance = Instance::cold(PATIENT, keys()).await;
    for fetches in 1..4 {
        within(instance.verifier.refresh()).await.expect("keys");
        instance.server.until(|seen| seen.closed == fetches).await;
        assert_eq!(instance.server.connections().await, fetches);
    }
}

/// Environment variables belong to the process, so the test starts itself again with proxies in its environment.
#[tokio::test]
async fn environment_proxies_are_used_except_for_loopback() {
    if let Ok(url) = std::env::var(URL) {
        return fetch_among_proxies(&url).await;
    }
    let server = Server::start(document(&issuer().jwks())).await;
    let proxy = Server::start(response("502 Bad Gateway", &[], "")).await;
    let mut command = Command::new(std::env::current_exe().expect("this test's path"));
    command.args(["--exact", "faults::request::environment_proxies_are_used_except_for_loopback"]);
    command.env(URL, server.url());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, proxy.url()).env(name.to_lowercase(), proxy.url());
    }
    for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        command.env_remove(name);
    }
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = within(output).await.expect("a thread").expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.requests(), 2);
    let heads: Vec<Vec<String>> = proxy.seen().heads.iter().map(|head| lines(head)).collect();
    let asked = |start: &str| heads.iter().filter(|head| head[0].starts_with(start)).count();
    assert_eq!((asked("CONNECT clerk.test.example:443 "), asked(&format!("GET {}/", server.url()))), (1, 1));
    assert_eq!(heads.len(), 2);
    assert!(!format!("{heads:?}").contains("sk_test_abc"), "{heads:?}");
}

async fn fetch_among_proxies(url: &str) {
    let warm_up = |config: Result<ClerkConfig, _>, client: Option<reqwest::Client>| async move {
        let builder = Verifier::builder(config.expect("a configuration"));
        let builder = match client {
            Some(client) => builder.http_client(client),
            None => builder,
        };
        within(builder.build().expect("a verifier").warm_up()).await
    };
    let localhost = url.replace("127.0.0.1", "localhost");
    for url in [url, &localhost] {
        warm_up(ClerkConfig::from_frontend_api_url(url), None).await.expect("keys");
    }
    // The environment does apply to custom clients and to other hosts.
    warm_up(ClerkConfig::from_frontend_api_url(url), Some(reqwest::Client::new())).await.expect_err("the proxy's");
    let elsewhere =
        ClerkConfig::from_secret_key("sk_test_abc").and_then(|config| config.api_url("https://clerk.test.example"));
    warm_up(elsewhere, None).await.expect_err("the proxy's");
}

const URL: &str = "TOWER_CLERK_TEST_URL";
