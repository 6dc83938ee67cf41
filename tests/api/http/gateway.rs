use http::Request;
use serde_json::{Value, json};
use tower_clerk::{ClerkAuthLayer, ConfigError, gateway::GatewayPolicy, testing::TestIssuer};

use crate::support::{Answer, get, request, send_through};

/// The policy document with these options.
fn policy(options: &Value) -> Value {
    json!({
        "name": "my-clerk-jwt-auth-inbound-policy",
        "policyType": "clerk-jwt-auth-inbound",
        "handler": {
            "export": "ClerkJwtInboundPolicy",
            "module": "$import(@zuplo/runtime)",
            "options": options,
        },
    })
}

fn parse(document: &Value) -> Result<GatewayPolicy, ConfigError> {
    GatewayPolicy::from_json_with(&document.to_string(), None, |name| {
        (name == "CLERK_FRONTEND_API_URL").then(|| "https://clerk.example.com".to_owned())
    })
}

fn error(document: &Value) -> String {
    parse(document).expect_err("a mistake").to_string()
}

async fn layer_of(issuer: &TestIssuer, more: Value) -> ClerkAuthLayer {
    let mut options = json!({ "frontendApiUrl": issuer.url() });
    options.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    ClerkAuthLayer::from_gateway_policy(&parse(&policy(&options)).expect("a policy")).expect("a layer")
}

async fn send_bearer(layer: &ClerkAuthLayer, token: &str) -> Answer {
    send_through(layer, get(&[("authorization", &format!("Bearer {token}"))])).await
}

#[test]
fn a_policy_is_read_alone_or_in_a_list() {
    let alone = policy(&json!({ "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" }));
    for document in [alone.clone(), json!({ "policies": [alone] })] {
        let policy = parse(&document).expect("a policy");
        assert_eq!(policy.name(), "my-clerk-jwt-auth-inbound-policy");
        assert_eq!(policy.options().frontend_api().as_str(), "https://clerk.example.com");
        assert!(!policy.options().allow_unauthenticated_requests());
        assert!(!policy.options().oauth_resource_metadata_enabled());
    }
    let all = policy(&json!({
        "allowUnauthenticatedRequests": true,
        "frontendApiUrl": "https://clerk.example.com/",
        "oAuthResourceMetadataEnabled": true,
    }));
    let policy = parse(&all).expect("a policy");
    assert!(policy.options().allow_unauthenticated_requests() && policy.options().oauth_resource_metadata_enabled());
}

#[test]
fn one_policy_of_several_is_chosen_by_name() {
    let one = policy(&json!({ "frontendApiUrl": "https://a.example" }));
    let other = json!({ "name": "limit", "policyType": "rate-limit-inbound", "handler": {} });
    let document = json!({ "policies": [other, one] }).to_string();
    let policy = GatewayPolicy::from_json_named(&document, "my-clerk-jwt-auth-inbound-policy").expect("a policy");
    assert_eq!(policy.options().frontend_api().as_str(), "https://a.example");
    assert!(GatewayPolicy::from_json(&document).is_err());
    assert!(GatewayPolicy::from_json_named(&document, "missing").is_err());
    let error = GatewayPolicy::from_json_named(&document, "limit").expect_err("another type").to_string();
    assert!(error.starts_with("policies[0].policyType"), "{error}");
}

#[test]
fn an_unknown_field_is_an_error_in_every_object() {
    for (object, field) in [("", "extra"), ("/handler", "handler.extra"), ("/handler/options", "handler.options.extra")]
    {
        let mut document = policy(&json!({ "frontendApiUrl": "https://a.example" }));
        document.pointer_mut(object).expect("an object")["extra"] = json!("hunter2");
        assert_eq!(error(&document), format!("{field} is not a known field"));
    }
}

#[test]
fn a_variable_that_is_blank_counts_as_not_set() {
    let document = policy(&json!({ "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" })).to_string();
    for blank in ["", " \t\n"] {
        let read = GatewayPolicy::from_json_with(&document, None, |_| Some(blank.to_owned()));
        assert!(matches!(read, Err(ConfigError::Missing { .. })), "{blank:?}");
    }
}

#[test]
fn a_bad_url_names_the_field_the_variable_and_what_to_do() {
    let document = policy(&json!({ "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" })).to_string();
    let key_set = "https://clerk.example.com/.well-known/jwks.json";
    let error = GatewayPolicy::from_json_with(&document, None, |_| Some(key_set.to_owned())).expect_err("a document");
    assert_eq!(
        error.to_string(),
        "handler.options.frontendApiUrl (CLERK_FRONTEND_API_URL) must be the base URL, without /.well-known/ and all \
         after it"
    );
    let written = policy(&json!({ "frontendApiUrl": key_set })).to_string();
    let error = GatewayPolicy::from_json(&written).expect_err("a document");
    assert!(error.to_string().starts_with("handler.options.frontendApiUrl must be the base URL"), "{error}");
}

#[test]
fn an_error_names_the_field_and_not_the_value() {
    let good = policy(&json!({ "frontendApiUrl": "https://a.example" }));
    let with = |pointer: &str, value: Value| {
        let mut document = good.clone();
        *document.pointer_mut(pointer).expect("a field") = value;
        error(&document)
    };
    for (pointer, value, field) in [
        ("/name", json!(7), "name"),
        ("/policyType", json!("hunter2"), "policyType"),
        ("/handler", json!("hunter2"), "handler"),
        ("/handler/export", json!("hunter2"), "handler.export"),
        ("/handler/module", json!("hunter2"), "handler.module"),
        ("/handler/options", json!(["hunter2"]), "handler.options"),
        ("/handler/options/frontendApiUrl", json!(7), "handler.options.frontendApiUrl"),
        ("/handler/options/frontendApiUrl", json!("http://hunter2.example"), "handler.options.frontendApiUrl"),
        (
            "/handler/options/frontendApiUrl",
            json!("$env(NOT_SET_HERE)"),
            "handler.options.frontendApiUrl (NOT_SET_HERE)",
        ),
        ("/handler/options/frontendApiUrl", json!("$env(a b)"), "handler.options.frontendApiUrl"),
        ("/handler/options/frontendApiUrl", json!("$env(hunter2"), "handler.options.frontendApiUrl"),
        (
            "/handler/options",
            json!({ "frontendApiUrl": "https://a.example", "allowUnauthenticatedRequests": "true" }),
            "handler.options.allowUnauthenticatedRequests",
        ),
        (
            "/handler/options",
            json!({ "frontendApiUrl": "https://a.example", "oAuthResourceMetadataEnabled": null }),
            "handler.options.oAuthResourceMetadataEnabled",
        ),
        (
            "/handler/options",
            json!({ "frontendApiUrl": "https://a.example", "frontendApiURL": "hunter2" }),
            "handler.options.frontendApiURL",
        ),
        ("/handler/options", json!({}), "handler.options.frontendApiUrl"),
    ] {
        let error = with(pointer, value);
        assert!(error.starts_with(field), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for document in [
        json!([]),
        json!({ "policies": {} }),
        json!({ "policies": [7] }),
        json!({ "policies": [], "x": 1 }),
        json!({ "policies": [] }),
        json!({}),
    ] {
        assert!(parse(&document).is_err(), "{document}");
    }
    for text in ["", "{", "null", r#"{"name":"a","name":"b"}"#] {
        assert!(GatewayPolicy::from_json(text).is_err(), "{text}");
    }
}

#[tokio::test]
async fn the_layer_responds_like_the_gateway() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&issuer, json!({})).await;
    assert_eq!(send_through(&layer, get(&[])).await.status(), 401);
    assert_eq!(send_bearer(&layer, "a.b.c").await.status(), 401);
    let answer = send_bearer(&layer, &issuer.token("user_ada").sign()).await;
    assert_eq!((answer.status(), answer.user()), (200, Some("user_ada")));
    assert!(answer.passed().authorization.is_some());
}

#[tokio::test]
async fn the_layer_admits_what_the_policy_admits() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&issuer, json!({ "allowUnauthenticatedRequests": true })).await;
    for answer in [send_through(&layer, get(&[])).await, send_bearer(&layer, "a.b.c").await] {
        assert_eq!((answer.status(), answer.user()), (200, None));
    }
    assert_eq!(send_bearer(&layer, &issuer.token("user_ada").sign()).await.user(), Some("user_ada"));
}

#[tokio::test]
async fn resource_metadata_is_served_and_named_in_challenges() {
    let issuer = TestIssuer::start().await.expect("a socket");
    let layer = layer_of(&issuer, json!({ "oAuthResourceMetadataEnabled": true })).await;
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
    let layer = layer_of(&issuer, json!({ "oAuthResourceMetadataEnabled": true })).await;
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
    assert_eq!(allowed.header("access-control-allow-headers"), Some("authorization,mcp-protocol-version,*"));
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
    let layer = layer_of(&issuer, json!({ "oAuthResourceMetadataEnabled": true })).await;
    for hosts in [
        vec![],
        vec![("host", "a\"b")],
        vec![("host", "a b")],
        vec![("host", "u@a")],
        vec![("host", "a"), ("host", "b")],
    ] {
        assert_eq!(send_through(&layer, get(&hosts)).await.header("www-authenticate"), Some("Bearer"), "{hosts:?}");
    }
    let off = layer_of(&issuer, json!({})).await;
    let asked = request("GET", "/", &[("host", "api.example.com")]);
    assert_eq!(send_through(&off, asked).await.header("www-authenticate"), Some("Bearer"));
}
