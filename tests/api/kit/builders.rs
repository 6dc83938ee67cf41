//! The builders of tokens, and of what handlers take.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tower_clerk::{
    ApiKey, ClerkAuth, M2mToken, OAuthToken, Principal, Requirement, Subject, TokenKind, testing::TokenBuilder,
};

use crate::support::issuer;

fn payload(token: &TokenBuilder) -> Value {
    serde_json::from_str(&token.payload()).expect("JSON")
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    texts.collect()
}

#[test]
fn tokens_of_each_kind_have_the_claims_of_their_kind() {
    let oauth = issuer().oauth_token("user_ada").scopes(["a", "b"]).client_id("client_a").audience(["https://a"]);
    let claims = payload(&oauth.organization_id("org_acme").permission("invoices", "read").v1());
    assert_eq!((&claims["scope"], &claims["client_id"]), (&json!("a b"), &json!("client_a")));
    assert_eq!((&claims["aud"], &claims["org_id"]), (&json!(["https://a"]), &json!("org_acme")));
    assert_eq!(claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(exp, iat)| exp - iat), Some(86_400));
    for of_sessions in ["sid", "azp", "v", "fea", "org_permissions", "scopes"] {
        assert!(claims.get(of_sessions).is_none(), "{of_sessions}");
    }
    let claims = payload(&issuer().m2m_token("mch_a").scopes(["mch_b", "mch_c"]));
    assert_eq!((&claims["sub"], &claims["scopes"]), (&json!("mch_a"), &json!("mch_b mch_c")));
    assert!(claims.get("scope").is_none() && claims.get("sid").is_none());
    assert_eq!(claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(exp, iat)| exp - iat), Some(3600));
    let claims = payload(&issuer().token("user_ada").permission("invoices", "read").organization("org_a", "admin"));
    assert_eq!((&claims["v"], &claims["fea"]), (&json!(2), &json!("o:invoices")));
}

#[test]
fn an_oauth_token_is_built_from_what_a_client_may_do() {
    let token = OAuthToken::builder()
        .user_id("user_ada")
        .client_id("client_a")
        .scopes(["things:read", "profile"])
        .audience(["https://api.example.com"])
        .organization_id("org_acme")
        .claim("act", json!({ "sub": "agent_a" }))
        .build();
    assert_eq!((token.user_id(), token.client_id()), ("user_ada", Some("client_a")));
    assert_eq!(list(token.scopes()), ["things:read", "profile"]);
    assert_eq!((list(token.audience()), token.organization_id()), (vec!["https://api.example.com"], Some("org_acme")));
    assert_eq!(token.actor().map(|actor| actor.user_id()), Some("agent_a"));
    assert!(OAuthToken::builder().build().scopes().next().is_none());
}

#[test]
fn an_m2m_token_is_built_for_a_machine() {
    let token = M2mToken::builder().machine_id("mch_a").scopes(["mch_b"]).claim("plan", "pro").build();
    assert_eq!((token.machine_id(), list(token.scopes())), ("mch_a", vec!["mch_b"]));
    assert_eq!(token.custom::<Value>().expect("claims")["plan"], "pro");
}

fn api_key() -> ApiKey {
    ApiKey::builder().organization_id("org_acme").id("ak_1").name("export").scopes(["a"]).claim("plan", "pro").build()
}

fn assert_is_that_key(key: &ApiKey) {
    assert_eq!((key.subject(), key.id(), key.name()), (Subject::Organization("org_acme"), "ak_1", Some("export")));
    assert_eq!((list(key.scopes()), key.expires_at()), (vec!["a"], None));
    assert_eq!(key.custom::<Value>().expect("claims"), json!({ "plan": "pro" }));
}

#[test]
fn an_api_key_is_built_outside_of_a_runtime() {
    assert_is_that_key(&api_key());
    assert_eq!(ApiKey::builder().machine_id("mch_a").build().machine_id(), Some("mch_a"));
    assert_eq!(ApiKey::builder().build().user_id(), Some("user_test"));
    let now = SystemTime::now();
    let expires_at = ApiKey::builder().lifetime(Duration::from_secs(3600)).build().expires_at().expect("a lifetime");
    let in_an_hour = now + Duration::from_secs(3599)..now + Duration::from_secs(3700);
    assert!(in_an_hour.contains(&expires_at), "{expires_at:?}");
}

#[tokio::test]
async fn an_api_key_is_built_inside_of_a_runtime() {
    assert_is_that_key(&api_key());
}

#[test]
#[should_panic(expected = "a key that would be accepted: ")]
fn a_key_of_nobody_cannot_be_built() {
    let _ = ApiKey::builder().user_id("acme").build();
}

#[test]
#[should_panic(expected = "a token that would be accepted: ")]
fn an_oauth_token_of_nobody_cannot_be_built() {
    let _ = OAuthToken::builder().user_id("").build();
}

#[test]
#[should_panic(expected = "a token that would be accepted: ")]
fn an_oauth_token_of_a_machine_cannot_be_built() {
    let _ = OAuthToken::builder().user_id("mch_a").build();
}

#[test]
fn what_was_built_becomes_a_principal_that_requirements_judge() {
    let scope = Requirement::scope("a");
    for (principal, kind, subject, holds) in [
        (Principal::from(ClerkAuth::builder().build()), TokenKind::Session, "user_test", false),
        (OAuthToken::builder().scopes(["a"]).build().into(), TokenKind::OAuth, "user_test", true),
        (M2mToken::builder().scopes(["a"]).build().into(), TokenKind::M2m, "mch_test", false),
        (api_key().into(), TokenKind::ApiKey, "org_acme", true),
    ] {
        assert_eq!((principal.kind(), principal.subject()), (kind, subject));
        assert_eq!(principal.has(&scope), holds, "{kind}");
    }
}
