use serde_json::{Value, json};
use tower_clerk::verify::VerifyErrorKind;

use super::api::{Api, SECRET, good};
use crate::support::server::Server;

fn header<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

/// The path, the key and the body of the one request for this token.
async fn asked(token: &str, machine_secret: Option<&str>) -> (String, String, Value) {
    let api = Api::at(Server::start(good()).await, |config| match machine_secret {
        Some(key) => config.machine_secret_key(key),
        None => Ok(config),
    });
    let _ = api.verify(token).await;
    let seen = api.server.seen();
    let ([head], [body]) = (&seen.heads[..], &seen.bodies[..]) else { panic!("{} requests", seen.heads.len()) };
    let mut words = head.split(' ');
    assert_eq!(words.next(), Some("POST"));
    let authorization = header(head, "authorization").concat();
    let key = authorization.strip_prefix("Bearer ").expect("a key");
    (words.next().expect("a path").to_owned(), key.to_owned(), serde_json::from_str(body).expect("JSON"))
}

#[tokio::test]
async fn each_kind_is_asked_about_at_its_own_path() {
    let own = |(path, key, body): (&str, &str, Value)| (path.to_owned(), key.to_owned(), body);
    let oauth = "/oauth_applications/access_tokens/verify";
    for (token, machine_secret, expected) in [
        ("ak_a", None, ("/api_keys/verify", SECRET, json!({ "secret": "ak_a" }))),
        ("ak_a", Some("ak_machine"), ("/api_keys/verify", SECRET, json!({ "secret": "ak_a" }))),
        ("oat_a", None, (oauth, SECRET, json!({ "access_token": "oat_a" }))),
        ("oat_a", Some("ak_machine"), (oauth, SECRET, json!({ "access_token": "oat_a" }))),
        ("mt_a/+=", None, ("/m2m_tokens/verify", SECRET, json!({ "token": "mt_a/+=" }))),
        ("mt_a/+=", Some("ak_machine"), ("/m2m_tokens/verify", "ak_machine", json!({ "token": "mt_a/+=" }))),
    ] {
        assert_eq!(asked(token, machine_secret).await, own(expected), "{token} {machine_secret:?}");
    }
}

#[tokio::test]
async fn the_headers_are_complete_and_no_others() {
    let api = Api::start(good()).await;
    api.verify("ak_a").await.expect("a good key");
    let head = api.server.seen().heads.concat();
    let authority = api.server.url().replace("http://", "");
    for (name, value) in [
        ("accept", "application/json"),
        ("authorization", "Bearer sk_test_hunter2"),
        ("clerk-api-version", "2026-05-12"),
        ("content-length", "17"),
        ("content-type", "application/json"),
        ("host", &authority),
        ("user-agent", concat!("tower-clerk/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(header(&head, name), [value], "{head}");
    }
    assert_eq!(head.trim_end().lines().count(), 8, "{head}");
}

#[tokio::test]
async fn the_url_may_have_a_version_and_a_path() {
    for (suffix, path) in [
        ("", "/api_keys/verify"),
        ("/", "/api_keys/verify"),
        ("/v1", "/api_keys/verify"),
        ("/v1/", "/api_keys/verify"),
        ("/clerk", "/clerk/api_keys/verify"),
        ("/clerk/v1", "/clerk/api_keys/verify"),
    ] {
        let server = Server::start(good()).await;
        let url = format!("{}{suffix}", server.url());
        let api = Api::at(server, |config| config.api_url(url));
        api.verify("ak_a").await.expect("a good key");
        assert!(api.server.seen().heads.concat().starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{suffix}");
    }
}

#[tokio::test]
async fn a_malformed_token_is_not_asked_about() {
    let api = Api::start(good()).await;
    let long = format!("ak_{}", "a".repeat(510));
    for token in ["ak_", "ak_a b", "ak_a\"b", "ak_\u{e9}", "mt_", "oat_", &long] {
        let error = api.verify(token).await.expect_err(token);
        assert_eq!(error.kind(), VerifyErrorKind::Malformed, "{token}");
    }
    assert_eq!(api.server.connections().await, 0);
    api.verify(&long[..512]).await.expect("a good key");
}
