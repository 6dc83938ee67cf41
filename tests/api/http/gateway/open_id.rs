//! The layer of a policy that names an issuer and a URL of keys.

use serde_json::{Value, json};
use tower_clerk::{ClerkAuthLayer, ClerkConfig, Verifier, testing::TestIssuer, testing::TokenBuilder};

use super::{layer, open_id, send_bearer, with};
use crate::support::{get, request, send_through};

/// On another host than the keys, and with a slash at its end.
const ISSUER: &str = "https://login.example.com/";

/// A layer that fetches the keys of `keys` for tokens of [`ISSUER`].
fn layer_of(keys: &TestIssuer, more: &Value) -> ClerkAuthLayer {
    let required = json!({ "issuer": ISSUER, "jwkUrl": format!("{}/.well-known/jwks.json", keys.url()) });
    layer(&open_id(&with(required, more)))
}

fn token(keys: &TestIssuer) -> TokenBuilder {
    keys.token("user_ada").claim("iss", ISSUER)
}

/// As Clerk makes it from a JWT template: without a session.
fn template(keys: &TestIssuer) -> TokenBuilder {
    token(keys).header("cat", "cl_B7d4PD222AAA").without_claim("sid")
}

async fn status(layer: &ClerkAuthLayer, token: TokenBuilder) -> u16 {
    send_bearer(layer, &token.sign()).await.status()
}

#[tokio::test]
async fn keys_come_from_the_url_whatever_its_host() {
    let (keys, stranger) = (TestIssuer::start().await.expect("a socket"), TestIssuer::new());
    let layer = layer_of(&keys, &json!({}));
    let answer = send_bearer(&layer, &token(&keys).sign()).await;
    assert_eq!((answer.status(), answer.user()), (200, Some("user_ada")));
    assert_eq!((keys.fetches(), keys.last_authorization()), (1, None));
    assert_eq!(send_through(&layer, get(&[])).await.status(), 401);
    assert_eq!(status(&layer, token(&stranger)).await, 401);
    keys.rotate();
    assert_eq!(status(&layer, token(&keys)).await, 200);
    // The same policy written down twice is served by one verifier.
    let policy = open_id(&json!({ "issuer": ISSUER, "jwkUrl": format!("{}/v1/jwks", keys.url()) }));
    let policy = super::parse(&policy).expect("a policy");
    let verifier = Verifier::new(ClerkConfig::from(&policy)).expect("a verifier");
    let before = keys.fetches();
    for _ in 0..2 {
        let layer = policy.layer_from_verifier(verifier.clone()).expect("a layer");
        assert_eq!(status(&layer, token(&keys)).await, 200);
    }
    assert_eq!(keys.fetches(), before + 1);
}

#[tokio::test]
async fn the_issuer_is_compared_exactly_as_it_is_written() {
    let keys = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&keys, &json!({}));
    for issuer in ["https://login.example.com", "https://login.example.com//", "https://LOGIN.example.com/", keys.url()]
    {
        assert_eq!(status(&layer, token(&keys).claim("iss", issuer)).await, 401, "{issuer}");
    }
    assert_eq!(status(&layer, token(&keys)).await, 200);
    let without_slash = layer_of(&keys, &json!({ "issuer": "https://login.example.com" }));
    assert_eq!(status(&without_slash, token(&keys)).await, 401);
    assert_eq!(status(&without_slash, token(&keys).claim("iss", "https://login.example.com")).await, 200);
}

#[tokio::test]
async fn a_token_must_have_one_of_the_audiences() {
    let keys = TestIssuer::start().await.expect("a socket");
    for audience in [json!("api"), json!(["api"]), json!(["other", "api"])] {
        let layer = layer_of(&keys, &json!({ "audience": audience }));
        for (aud, expected) in [
            (json!("api"), 200),
            (json!(["web", "api"]), 200),
            (json!("web"), 401),
            (json!(["web"]), 401),
            (json!("API"), 401),
            (json!([]), 401),
            (json!(["api", 7]), 401),
            (Value::Null, 401),
        ] {
            for token in [token(&keys), template(&keys)] {
                assert_eq!(status(&layer, token.claim("aud", &aud)).await, expected, "{audience} {aud}");
            }
        }
        // A session token as Clerk makes it by default, and a template without audience.
        assert_eq!(status(&layer, token(&keys)).await, 401);
        assert_eq!(status(&layer, template(&keys)).await, 401);
    }
}

#[tokio::test]
async fn without_an_audience_only_session_tokens_are_accepted() {
    let keys = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&keys, &json!({}));
    assert_eq!(status(&layer, token(&keys).claim("aud", "anything")).await, 200);
    assert_eq!(status(&layer, template(&keys)).await, 401);
    assert_eq!(status(&layer, template(&keys).claim("aud", "api")).await, 401);
}

#[tokio::test]
async fn another_header_holds_the_token_alone_or_after_its_scheme() {
    let keys = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&keys, &json!({ "authHeader": "X-Token" }));
    let token = token(&keys).sign();
    for value in [token.clone(), format!("Bearer {token}"), format!("bearer  {token} ")] {
        let answer = send_through(&layer, get(&[("x-token", &value)])).await;
        assert_eq!((answer.status(), answer.user()), (200, Some("user_ada")), "{value}");
        // `Authorization` is then no credential.
        assert_eq!(send_through(&layer, get(&[("authorization", &value)])).await.status(), 401);
    }
    for value in ["", "Bearer"] {
        assert_eq!(send_through(&layer, get(&[("x-token", value)])).await.status(), 401, "{value:?}");
    }
    for value in [format!("Basic {token}"), format!("{token}, {token}")] {
        assert_eq!(send_through(&layer, get(&[("x-token", &value)])).await.status(), 400, "{value}");
    }
    assert_eq!(send_through(&layer, get(&[("x-token", &token), ("x-token", &token)])).await.status(), 400);
    let answer = send_through(&layer, get(&[("x-token", &token), ("authorization", "Basic YTpi")])).await;
    assert_eq!(answer.passed().authorization.expect("passed on"), "Basic YTpi");
}

#[tokio::test]
async fn the_usual_header_holds_the_token_after_its_scheme_only() {
    let keys = TestIssuer::start().await.expect("a socket");
    let token = token(&keys).sign();
    for more in [json!({}), json!({ "authHeader": "Authorization" })] {
        let layer = layer_of(&keys, &more);
        assert_eq!(send_bearer(&layer, &token).await.status(), 200);
        assert_eq!(send_through(&layer, get(&[("authorization", &token)])).await.status(), 401);
        assert_eq!(send_through(&layer, get(&[("authorization", "Basic YTpi")])).await.status(), 401);
    }
}

#[tokio::test]
async fn the_layer_admits_and_announces_what_the_policy_does() {
    let keys = TestIssuer::start().await.expect("a socket");
    let more = json!({ "allowUnauthenticatedRequests": true, "authHeader": "X-Token", "audience": "api" });
    let layer = layer_of(&keys, &more);
    let wrong = token(&keys).sign();
    for headers in [&[][..], &[("x-token", "a.b.c")], &[("x-token", &wrong)]] {
        let answer = send_through(&layer, get(headers)).await;
        assert_eq!((answer.status(), answer.user()), (200, None));
    }
    let right = template(&keys).claim("aud", "api").sign();
    assert_eq!(send_through(&layer, get(&[("x-token", &right)])).await.user(), Some("user_ada"));

    let fetches = keys.fetches();
    let layer = layer_of(&keys, &json!({ "oAuthResourceMetadataEnabled": true }));
    let path = "/.well-known/oauth-protected-resource";
    let answer = send_through(&layer, request("GET", path, &[("host", "api.example.com")])).await;
    let document: Value = serde_json::from_str(&answer.text).expect("JSON");
    assert_eq!(document["authorization_servers"], json!([ISSUER]));
    assert_eq!(keys.fetches(), fetches);
}
