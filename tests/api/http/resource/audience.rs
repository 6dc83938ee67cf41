//! OAuth tokens that were issued for another resource.

use serde_json::{Value, json};
use tower_clerk::{ClerkAuthLayer, ProtectedResource, TokenKind, testing::TokenBuilder, verify::VerifyErrorKind};

use super::{MCP, layer_for, oauth_layer, resource};
use crate::support::{Answer, bearer, good, issuer, layer_with, request, send_through};

async fn present(layer: &ClerkAuthLayer, token: &TokenBuilder) -> Answer {
    send_through(layer, request("GET", "/", &[("authorization", &bearer(token)), ("host", "evil.example")])).await
}

fn for_audience(audience: &Value) -> TokenBuilder {
    issuer().oauth_token("user_ada").claim("aud", audience)
}

fn assert_wrong_audience(answer: &Answer) {
    answer.assert_rejected(401, "invalid_token");
    assert_eq!(answer.rejection().verify_error_kind(), Some(VerifyErrorKind::InvalidAudience));
    assert!(
        answer.header("www-authenticate").is_some_and(|value| value.starts_with(r#"Bearer error="invalid_token", "#))
    );
}

#[tokio::test]
async fn a_resource_of_each_request_does_not_replace_a_named_one() {
    let layer = layer_for(resource(MCP).require_audience()).oauth_resource_metadata();
    assert_wrong_audience(&present(&layer, &for_audience(&json!("https://evil.example"))).await);
    assert_eq!(present(&layer, &for_audience(&json!(MCP))).await.status(), 200);
}

#[tokio::test]
async fn a_token_must_name_exactly_this_resource() {
    let layer = layer_for(resource(MCP).require_audience());
    for audience in [json!(MCP), json!([MCP]), json!(["https://other.example", MCP])] {
        assert_eq!(present(&layer, &for_audience(&audience)).await.status(), 200, "{audience}");
    }
    for audience in [
        json!("https://api.example.com/mcp/"),
        json!("https://api.example.com/mc"),
        json!("https://api.example.com/mcpx"),
        json!("https://api.example.com/mcp/x"),
        json!("https://api.example.com"),
        json!("https://API.example.com/mcp"),
        json!("https://api.example.com:443/mcp"),
        json!("http://api.example.com/mcp"),
        json!("https://evil.example/mcp"),
        json!("https://evil.example"),
        json!(" https://api.example.com/mcp"),
        json!(["https://other.example"]),
        json!([]),
        json!(""),
        json!([MCP, ""]),
        json!([MCP, 7]),
        json!([[MCP]]),
        json!({ "aud": MCP }),
        json!(null),
    ] {
        assert_wrong_audience(&present(&layer, &for_audience(&audience)).await);
    }
    assert_wrong_audience(&present(&layer, &issuer().oauth_token("user_ada")).await);
}

#[tokio::test]
async fn an_empty_path_may_have_its_slash_in_the_audience() {
    for url in ["https://api.example.com", "https://api.example.com/"] {
        let layer = layer_for(resource(url).require_audience());
        for audience in ["https://api.example.com", "https://api.example.com/"] {
            assert_eq!(present(&layer, &for_audience(&json!(audience))).await.status(), 200, "{audience}");
        }
        for audience in ["https://api.example.com//", "https://api.example.com/mcp", "https://api.example.co/", "/", ""]
        {
            assert_wrong_audience(&present(&layer, &for_audience(&json!(audience))).await);
        }
    }
    let layer = layer_for(resource("https://api.example.com/mcp/").require_audience());
    assert_eq!(present(&layer, &for_audience(&json!("https://api.example.com/mcp/"))).await.status(), 200);
    assert_wrong_audience(&present(&layer, &for_audience(&json!(MCP))).await);
}

#[tokio::test]
async fn without_the_rule_any_audience_passes() {
    for layer in [layer_for(resource(MCP)), layer_for(ProtectedResource::from_request()), oauth_layer()] {
        for audience in [json!("https://other.example"), json!(null), json!(7)] {
            assert_eq!(present(&layer, &for_audience(&audience)).await.status(), 200, "{audience}");
        }
    }
}

#[tokio::test]
async fn the_rule_concerns_oauth_tokens_alone() {
    let layer = layer_for(resource(MCP).require_audience());
    let session = send_through(&layer, request("GET", "/", &[("authorization", &good())])).await;
    assert_eq!((session.status(), session.user()), (200, Some("user_ada")));
    for machine in [issuer().m2m_token("mch_a"), issuer().m2m_token("mch_a").claim("aud", "https://other.example")] {
        assert_eq!(present(&layer, &machine).await.status(), 200);
    }
}

#[tokio::test]
async fn a_derived_resource_cannot_be_required() {
    let error = oauth_layer().protected_resource(ProtectedResource::from_request().require_audience()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "protected_resource must have a URL (ProtectedResource::new) for require_audience: clients choose Host"
    );
    assert!(oauth_layer().protected_resource(ProtectedResource::from_request()).is_ok());
}

#[tokio::test]
async fn the_audiences_of_the_configuration_must_be_met_as_well() {
    let layer = layer_with(|config| config.accept([TokenKind::OAuth])?.oauth_audience(["https://api.example.com"]));
    let layer = layer.protected_resource(resource(MCP).require_audience()).expect("a layer");
    assert_eq!(present(&layer, &for_audience(&json!([MCP, "https://api.example.com"]))).await.status(), 200);
    for audience in [json!(MCP), json!("https://api.example.com"), json!(["https://other.example"])] {
        assert_wrong_audience(&present(&layer, &for_audience(&audience)).await);
    }
}

#[tokio::test]
async fn two_layers_around_one_verifier_have_their_own_resource() {
    let verifier = oauth_layer().verifier().clone();
    let layer = |url| ClerkAuthLayer::from(verifier.clone()).protected_resource(resource(url).require_audience());
    let (mcp, other) = (layer(MCP).expect("a layer"), layer("https://api.example.com/other").expect("a layer"));
    let token = for_audience(&json!(MCP));
    // The first one puts the token into the cache that both share.
    for _ in 0..2 {
        assert_eq!(present(&mcp, &token).await.status(), 200);
        assert_wrong_audience(&present(&other, &token).await);
    }
}

#[tokio::test]
async fn a_visitor_with_a_token_for_another_resource_has_no_principal() {
    let layer = layer_for(resource(MCP).require_audience()).allow_unauthenticated_requests();
    let answer = present(&layer.strip_unverified_credentials(), &for_audience(&json!("https://other.example"))).await;
    let seen = answer.passed();
    let kind = seen.rejection.as_ref().and_then(tower_clerk::Rejection::verify_error_kind);
    assert_eq!((answer.status(), kind), (200, Some(VerifyErrorKind::InvalidAudience)));
    assert!(seen.authorization.is_none() && seen.user.is_none());
}
