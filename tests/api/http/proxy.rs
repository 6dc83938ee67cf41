//! An instance whose Frontend API is behind a proxy.

use tower_clerk::{ClerkAuthLayer, ClerkConfig, ConfigError, TokenSource};

use crate::support::{get, layer_with, send_through, token};

const PARTY: &str = "https://app.test.example";
const PROXY: &str = "https://app.test.example/__clerk";
/// It names the host `clerk.clerk.dev`. The suffix of its cookies is `QvfNY2dr`.
const KEY: &str = "pk_test_Y2xlcmsuY2xlcmsuZGV2JA";

fn proxied() -> ClerkAuthLayer {
    layer_with(|config| config.authorized_parties([PARTY])?.publishable_key(KEY)?.proxy_url(PROXY))
        .token_sources([TokenSource::authorization(), TokenSource::session_cookie()])
        .expect("parties are set")
}

#[tokio::test]
async fn tokens_of_the_proxy_and_of_the_host_behind_it_are_accepted() {
    for (issuer, status) in [
        (PROXY, 200),
        ("https://clerk.clerk.dev", 200),
        ("https://app.test.example", 401),
        ("https://app.test.example/__clerk/", 401),
    ] {
        let bearer = format!("Bearer {}", token().claim("iss", issuer).sign());
        let answer = send_through(&proxied(), get(&[("authorization", &bearer)])).await;
        assert_eq!(answer.status(), status, "{issuer}");
    }
}

#[tokio::test]
async fn the_publishable_key_names_the_cookies_of_a_proxied_instance() {
    let token = token().claim("iss", PROXY).sign();
    for (name, status) in [("__session_QvfNY2dr", 200), ("__session", 200), ("__session_other", 401)] {
        let answer = send_through(&proxied(), get(&[("cookie", &format!("{name}={token}"))])).await;
        assert_eq!(answer.status(), status, "{name}");
    }
}

#[test]
fn a_proxy_stands_beside_a_key_but_not_beside_another_frontend_api() {
    let config = || ClerkConfig::from_publishable_key(KEY).and_then(|config| config.proxy_url(PROXY));
    assert!(config().is_ok());
    assert!(config().and_then(|config| config.frontend_api_url(PROXY)).is_ok());
    let error = config().and_then(|config| config.frontend_api_url("https://clerk.clerk.dev")).expect_err("another");
    assert!(matches!(&error, ConfigError::Conflict { first, second, .. }
        if (first.name(), second.name()) == ("frontend_api_url", "proxy_url")));
    let before = ClerkConfig::from_frontend_api_url("https://clerk.clerk.dev").expect("a URL");
    assert!(matches!(before.proxy_url(PROXY), Err(ConfigError::Conflict { .. })));
}

#[test]
fn a_relative_proxy_url_is_an_error_that_asks_for_an_absolute_one() {
    let config = || ClerkConfig::from_publishable_key(KEY).expect("a key");
    for url in ["/__clerk", " /__clerk", "/"] {
        let error = config().proxy_url(url).expect_err("no host");
        assert!(error.to_string().starts_with("proxy_url must be absolute"), "{error}");
    }
    assert!(config().proxy_url("http://app.test.example/__clerk").is_err());
}
