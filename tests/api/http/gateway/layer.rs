//! The layer of a policy that names a Frontend API.

use http::Request;
use serde_json::{Value, json};
use tower_clerk::{ClerkConfig, Verifier, rejection::RejectionFormat, testing::TestIssuer};

use super::{clerk, layer_of, parse, send_bearer};
use crate::support::{get, request, send_through};

#[tokio::test]
async fn the_layer_responds_like_the_gateway() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&issuer, &json!({}));
    assert_eq!(send_through(&layer, get(&[])).await.status(), 401);
    assert_eq!(send_bearer(&layer, "a.b.c").await.status(), 401);
    let answer = send_bearer(&layer, &issuer.token("user_ada").sign()).await;
    assert_eq!((answer.status(), answer.user()), (200, Some("user_ada")));
    assert!(answer.passed().authorization.is_some());
}

#[tokio::test]
async fn the_layer_admits_what_the_policy_admits() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&issuer, &json!({ "allowUnauthenticatedRequests": true }));
    for answer in [send_through(&layer, get(&[])).await, send_bearer(&layer, "a.b.c").await] {
        assert_eq!((answer.status(), answer.user()), (200, None));
    }
    assert_eq!(send_bearer(&layer, &issuer.token("user_ada").sign()).await.user(), Some("user_ada"));
}

#[tokio::test]
async fn resource_metadata_is_served_and_named_in_challenges() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&issuer, &json!({ "oAuthResourceMetadataEnabled": true }));
    let rejected = send_through(&layer, request("GET", "/path?query", &[("host", "api.example.com")])).await;
    let url = "https://api.example.com/.well-known/oauth-protected-resource/path";
    assert_eq!(rejected.header("www-authenticate"), Some(format!("Bearer resource_metadata=\"{url}\"").as_str()));
    let headers = [("host", "api.example.com"), ("authorization", "Bearer a")];
    let bad = send_through(&layer, request("GET", "/path?query", &headers)).await;
    let expected = format!("Bearer error=\"invalid_token\", resource_metadata=\"{url}\"");
    assert_eq!(bad.header("www-authenticate"), Some(expected.as_str()));

    let ask = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "api.example.com");
        request.body(axum::body::Body::empty()).expect("a request")
    };
    let metadata = send_through(&layer, ask("GET", "/.well-known/oauth-protected-resource/path")).await;
    assert_eq!((metadata.status(), metadata.header("content-type")), (200, Some("application/json")));
    assert_eq!(metadata.header("cache-control"), Some("max-age=3600"));
    let document: Value = serde_json::from_str(&metadata.text).expect("JSON");
    assert_eq!(
        document,
        json!({
            "resource": "https://api.example.com/path",
            "authorization_servers": [issuer.url()],
            "bearer_methods_supported": ["header"],
        })
    );
    let head = send_through(&layer, ask("HEAD", "/.well-known/oauth-protected-resource")).await;
    assert_eq!((head.status(), head.text.len()), (200, 0));
    for method in ["POST", "PUT", "DELETE", "TRACE"] {
        let other = send_through(&layer, ask(method, "/.well-known/oauth-protected-resource")).await;
        assert_eq!((other.status(), other.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    assert_eq!(send_through(&layer, ask("GET", "/.well-known/oauth-protected-resources")).await.status(), 401);
}

#[tokio::test]
async fn a_page_of_another_origin_can_read_the_metadata_document() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&issuer, &json!({ "oAuthResourceMetadataEnabled": true }));
    let path = "/.well-known/oauth-protected-resource/mcp";
    let preflight = [
        ("host", "api.example.com"),
        ("origin", "https://inspector.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,mcp-protocol-version,x-secret-name"),
    ];
    let allowed = send_through(&layer, request("OPTIONS", path, &preflight)).await;
    assert_eq!(allowed.outcome(), (204, ""));
    assert!(allowed.seen().is_none());
    assert_eq!(allowed.header("access-control-allow-origin"), Some("*"));
    assert_eq!(allowed.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(allowed.header("access-control-allow-headers"), Some("authorization, *"));
    assert_eq!(allowed.header("access-control-allow-credentials"), None);
    // Nor does it need a host.
    assert_eq!(send_through(&layer, request("OPTIONS", path, &[])).await.status(), 204);
    for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 405)] {
        let answer = send_through(&layer, request(method, path, &preflight[..2])).await;
        assert_eq!((answer.status(), answer.header("access-control-allow-origin")), (status, Some("*")), "{method}");
    }
    // Other paths are not exempted.
    assert_eq!(send_through(&layer, request("OPTIONS", "/mcp", &preflight)).await.status(), 401);
}

#[tokio::test]
async fn an_invalid_host_is_not_echoed() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&issuer, &json!({ "oAuthResourceMetadataEnabled": true }));
    for hosts in [
        vec![],
        vec![("host", "a\"b")],
        vec![("host", "a b")],
        vec![("host", "u@a")],
        vec![("host", "a"), ("host", "b")],
    ] {
        assert_eq!(send_through(&layer, get(&hosts)).await.header("www-authenticate"), Some("Bearer"), "{hosts:?}");
    }
    let off = layer_of(&issuer, &json!({}));
    let asked = request("GET", "/", &[("host", "api.example.com")]);
    assert_eq!(send_through(&off, asked).await.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_layer_is_made_around_a_verifier_with_more_settings() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let options = json!({ "frontendApiUrl": issuer.url(), "oAuthResourceMetadataEnabled": true });
    let policy = parse(&clerk(&options)).expect("a policy");
    let config = ClerkConfig::from(&policy).authorized_parties(["https://app.test.example"]).expect("a configuration");
    let verifier = Verifier::new(config).expect("a verifier");
    let layer = policy.layer_from_verifier(verifier).expect("a layer").rejection_format(RejectionFormat::Http);
    assert_eq!(send_bearer(&layer, &issuer.token("user_ada").sign()).await.status(), 200);
    let other = issuer.token("user_ada").authorized_party("https://evil.example.com").sign();
    assert_eq!(send_bearer(&layer, &other).await.status(), 401);
    let grpc = [("content-type", "application/grpc"), ("host", "api.example.com")];
    let rejected = send_through(&layer, request("POST", "/", &grpc)).await;
    assert_eq!(rejected.status(), 401);
    assert!(rejected.header("www-authenticate").is_some_and(|challenge| challenge.contains("resource_metadata")));
}
