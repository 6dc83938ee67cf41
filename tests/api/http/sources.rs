use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use tower_clerk::TokenSource;

use crate::support::{get, layer, layer_with, send_through, token};

#[tokio::test]
async fn another_header_holds_a_token_with_or_without_bearer() {
    let layer =
        layer().token_sources([TokenSource::header(HeaderName::from_static("x-clerk-token"))]).expect("a source");
    let token = token().sign();
    for (value, status) in [
        (token.clone(), 200),
        (format!("Bearer {token}"), 200),
        ("a.b.c".to_owned(), 401),
        (format!("{token} x"), 400),
        (format!("{token},"), 400),
        ("Basic eDp5".to_owned(), 400),
    ] {
        assert_eq!(send_through(&layer, get(&[("x-clerk-token", &value)])).await.status(), status, "{value}");
    }
    let bearer = format!("Bearer {token}");
    assert_eq!(send_through(&layer, get(&[("authorization", &bearer)])).await.code(), "missing_token");
}

#[tokio::test]
async fn headers_that_may_hold_a_token_are_forwarded_as_sensitive() {
    let name = HeaderName::from_static("x-clerk-token");
    let layer = layer_with(|config| config.authorized_parties(["https://app.test.example"]))
        .token_sources([TokenSource::header(name), TokenSource::session_cookie()])
        .expect("parties are set");
    let token = token().sign();
    let headers = [("x-clerk-token", &*token), ("cookie", "a=b"), ("cookie", "c=d"), ("authorization", "Basic eDp5")];
    let seen = send_through(&layer, get(&[&headers[..], &[("x-other", "x")]].concat())).await.passed();
    for (name, value) in &seen.headers {
        assert_eq!(value.is_sensitive(), name != "x-other", "{name}");
    }
}

#[tokio::test]
async fn a_custom_source_finds_a_token_anywhere() {
    let subprotocol = |headers: &HeaderMap| -> Option<String> {
        let list = headers.get("sec-websocket-protocol")?.to_str().ok()?;
        list.split(", ").find_map(|item| item.strip_prefix("bearer.")).map(str::to_owned)
    };
    let layer = layer()
        .token_sources([TokenSource::custom(move |headers| subprotocol(headers).map(Cow::Owned))])
        .expect("a source");
    let list = format!("chat, bearer.{}", token().sign());
    assert_eq!(send_through(&layer, get(&[("sec-websocket-protocol", &list)])).await.user(), Some("user_ada"));
    assert_eq!(
        send_through(&layer, get(&[("sec-websocket-protocol", "chat, bearer.a b")])).await.code(),
        "invalid_token"
    );
    assert_eq!(send_through(&layer, get(&[])).await.code(), "missing_token");
}
