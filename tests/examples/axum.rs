//! The axum example as a user starts it: a process with an environment, called over a socket.

use std::time::SystemTime;

use http_body_util::Empty;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tower_clerk::testing::TestIssuer;

use super::process::{Example, assert_names_bad_settings, assert_rejects};
use crate::support::{Answer, system_clock_issuer};

fn start(variables: &[(&str, &str)]) -> Example {
    Example::start("axum", "/optional", variables)
}

impl Example {
    async fn ask(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let mut request = http::Request::get(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request.body(Empty::<bytes::Bytes>::new()).expect("a request")).await;
        let answer = Answer::of(response.expect("a response")).await;
        (answer.status(), serde_json::from_str(&answer.text).unwrap_or(Value::Null))
    }
}

#[cfg(unix)]
#[test]
fn sigterm_ends_it_with_status_0_whoever_is_connected() {
    let example = start(&[]);
    let address = example.url.strip_prefix("http://").expect("a URL");
    let _idle = std::net::TcpStream::connect(address).expect("a connection");
    assert!(example.terminate().success());
}

#[tokio::test]
async fn without_an_environment_it_prints_a_token_that_works() {
    let example = start(&[]);
    let printed = example.lines.concat();
    let (_, rest) = printed.split_once("Bearer ").expect("a token");
    let token = rest.split('\'').next().expect("a token");
    assert_eq!(example.ask("/", None).await.0, 200);
    assert_eq!(example.ask("/missing", None).await.0, 404);
    assert_eq!(
        example.ask("/protected", None).await,
        (401, json!({ "type": "about:blank", "title": "Unauthorized", "status": 401, "code": "missing_token" }))
    );
    let (status, user) = example.ask("/protected", Some(token)).await;
    assert_eq!(status, 200);
    assert_eq!(user["sub"], "user_ada");
    assert_eq!(
        user["organization"],
        json!({ "id": "org_acme", "slug": "acme", "role": "org:admin", "permissions": ["org:invoices:create", "org:invoices:read"] })
    );
    assert_eq!((&user["features"], &user["plans"]), (&json!(["o:invoices", "u:beta"]), &json!(["o:business"])));
    assert_eq!(user["claims"]["email"], "ada@example.com");
    assert_eq!(example.ask("/optional", None).await.1, json!({ "authenticated": false, "sub": null }));
    assert_eq!(example.ask("/optional", Some("a.b.c")).await.1, json!({ "authenticated": false, "sub": null }));
    assert_eq!(example.ask("/optional", Some(token)).await.1, json!({ "authenticated": true, "sub": "user_ada" }));
}

#[tokio::test]
async fn it_trusts_the_instance_that_the_environment_names() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let token = issuer.token("user_bob").sign();
    let pem = issuer.public_key_pem();
    let with_version = format!("{}/v1/", issuer.url());
    for variables in [
        vec![("CLERK_FRONTEND_API_URL", issuer.url())],
        vec![("CLERK_JWT_KEY", pem.as_str())],
        vec![("CLERK_SECRET_KEY", "sk_test_abc"), ("CLERK_API_URL", issuer.url())],
        vec![("CLERK_SECRET_KEY", "sk_test_abc"), ("CLERK_API_URL", &with_version)],
        // `clerk.test.invalid$`: the key names no host that exists, so its keys come from the proxy.
        vec![("CLERK_PROXY_URL", issuer.url()), ("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsudGVzdC5pbnZhbGlkJA")],
        vec![
            ("CLERK_FRONTEND_API_URL", issuer.url()),
            ("CLERK_AUTHORIZED_PARTIES", "https://a.example, HTTPS://App.Test.Example:443"),
        ],
        vec![("CLERK_FRONTEND_API_URL", issuer.url()), ("CLERK_JWKS_REFRESH_SECONDS", "1")],
    ] {
        let example = start(&variables);
        let (status, user) = example.ask("/protected", Some(&token)).await;
        assert_eq!(
            (status, &user["sub"], &user["organization"]),
            (200, &json!("user_bob"), &Value::Null),
            "{variables:?}"
        );
        let stranger = system_clock_issuer().token("user_eve").claim("iss", issuer.url()).sign();
        assert_eq!(example.ask("/protected", Some(&stranger)).await.0, 401, "{variables:?}");
    }
    assert_eq!(issuer.last_authorization(), None);
    let parties = [("CLERK_FRONTEND_API_URL", issuer.url()), ("CLERK_AUTHORIZED_PARTIES", "https://a.example")];
    assert_eq!(start(&parties).ask("/protected", Some(&token)).await.0, 401);
}

#[tokio::test]
async fn the_clock_skew_is_read_in_seconds() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_secs();
    let expired =
        issuer.token("user_bob").claim("iat", now - 180).claim("nbf", now - 180).claim("exp", now - 60).sign();
    for (seconds, status) in [("300", 200), ("0", 401)] {
        let variables = [("CLERK_FRONTEND_API_URL", issuer.url()), ("CLERK_CLOCK_SKEW_SECONDS", seconds)];
        assert_eq!(start(&variables).ask("/protected", Some(&expired)).await.0, status, "{seconds}");
    }
}

#[tokio::test]
async fn it_listens_although_the_issuer_is_down() {
    // Nothing listens on port 9 (discard) of loopback.
    let example = start(&[("CLERK_FRONTEND_API_URL", "http://127.0.0.1:9")]);
    assert_eq!(example.ask("/", None).await.0, 200);
    assert_eq!(example.ask("/protected", None).await.0, 401);
    let token = system_clock_issuer().token("user_ada").sign();
    let (status, problem) = example.ask("/protected", Some(&token)).await;
    assert_eq!((status, &problem["code"]), (503, &json!("keys_unavailable")));
    assert_eq!(example.ask("/optional", Some(&token)).await.0, 200);
    let (status, health) = example.ask("/healthz", None).await;
    assert_eq!((status, &health["keys"], &health["age"]), (200, &json!(0), &Value::Null));
    assert_eq!(health["last_error"], "could not fetch the JWKS document");
}

#[tokio::test]
async fn a_publishable_key_names_the_instance_to_trust() {
    // `clerk.test.invalid$`: no such host, so the instance cannot be reached.
    let example = start(&[("CLERK_PUBLISHABLE_KEY", "pk_test_Y2xlcmsudGVzdC5pbnZhbGlkJA")]);
    let token = system_clock_issuer().token("user_ada").sign();
    assert_eq!(example.ask("/protected", Some(&token)).await.0, 503);
    assert_eq!(example.ask("/protected", Some("a.b.c")).await.0, 401);
}

#[tokio::test]
async fn healthz_reports_the_key_status() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let example = start(&[("CLERK_FRONTEND_API_URL", issuer.url())]);
    let cold = json!({ "keys": 0, "age": null, "last_success": null, "last_error": null });
    assert_eq!(example.ask("/healthz", None).await, (200, cold));
    assert_eq!(example.ask("/protected", Some(&issuer.token("user_ada").sign())).await.0, 200);
    let (_, warm) = example.ask("/healthz", None).await;
    assert_eq!((&warm["keys"], &warm["last_error"]), (&json!(1), &Value::Null));
    assert!(warm["age"].is_u64() && warm["last_success"].is_u64());
}

#[test]
fn a_bad_setting_exits_with_one_line_that_names_it() {
    assert_names_bad_settings("axum");
}

/// As in a slim container image.
#[tokio::test]
async fn without_certificates_it_starts_unless_keys_come_over_https() {
    let none = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let issuer = TestIssuer::start().await.expect("a socket");
    let token = issuer.token("user_ada").sign();
    let pem = issuer.public_key_pem();
    for setting in [("CLERK_FRONTEND_API_URL", issuer.url()), ("CLERK_JWT_KEY", pem.as_str())] {
        let example = start(&[&none[..], &[setting]].concat());
        assert_eq!(example.ask("/protected", Some(&token)).await.0, 200, "{setting:?}");
    }
    let https = ("CLERK_FRONTEND_API_URL", "https://clerk.test.example");
    assert_rejects("axum", &[&none[..], &[https]].concat(), "SSL_CERT_FILE");
}

#[test]
fn a_proxy_that_cannot_be_used_is_a_line_that_names_its_variable() {
    let https = ("CLERK_FRONTEND_API_URL", "https://clerk.test.example");
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        assert_rejects("axum", &[https, (variable, "socks://hunter2:1080")], variable);
    }
}
