use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tower_clerk::{ApiKey, M2mToken, OAuthToken, Principal, Subject, TokenKind};

use super::asked::{NOW, verify, with};

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) async fn api_key(answer: &Value) -> ApiKey {
    match verify(TokenKind::ApiKey, answer).await.expect("valid") {
        Principal::ApiKey(key) => key,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn oauth_token(answer: &Value) -> OAuthToken {
    match verify(TokenKind::OAuth, answer).await.expect("valid") {
        Principal::OAuth(token) => token,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn m2m_token(answer: &Value) -> M2mToken {
    match verify(TokenKind::M2m, answer).await.expect("valid") {
        Principal::M2m(token) => token,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_api_key_has_the_values_of_its_answer() {
    let key = api_key(&json!({
        "object": "api_key", "id": "ak_1", "type": "api_key", "name": "deploy", "subject": "org_acme",
        "scopes": ["read", "write"], "claims": { "tier": { "is": "gold" } }, "revoked": false,
        "revocation_reason": null, "expired": false, "expiration": null, "created_by": "user_ada",
        "last_used_at": 1_700_000_000_000_u64, "created_at": 1_700_000_000_000_u64,
        "updated_at": 1_700_000_000_000_u64, "description": "for CI",
    }))
    .await;
    assert_eq!((key.id(), key.name(), key.subject()), ("ak_1", Some("deploy"), Subject::Organization("org_acme")));
    assert_eq!((key.user_id(), key.organization_id(), key.machine_id()), (None, Some("org_acme"), None));
    assert_eq!((key.expires_at(), key.instance()), (None, "https://clerk.test.example"));
    assert!(key.scopes().eq(["read", "write"]) && key.has_scope("read") && !key.has_scope("rea"));
    assert_eq!(key.custom_json(), Some(r#"{"tier":{"is":"gold"}}"#));
}

#[tokio::test]
async fn an_oauth_token_has_the_values_of_its_answer() {
    let token = oauth_token(&json!({
        "object": "clerk_idp_oauth_access_token", "id": "oat_1", "client_id": "client_a", "type": "oauth:access_token",
        "subject": "user_ada", "scopes": ["email", "profile"], "revoked": false, "revocation_reason": null,
        "expired": false, "expiration": NOW + 60, "created_at": NOW - 60, "updated_at": NOW - 60,
        "aud": ["https://a.example"], "act": { "sub": "agent_a", "iss": "b", "act": { "sub": "c" } },
        "org_id": "org_acme", "claims": { "never": "read" }, "name": "never read",
    }))
    .await;
    assert_eq!((token.id(), token.client_id(), token.user_id()), (Some("oat_1"), Some("client_a"), "user_ada"));
    assert_eq!((token.organization_id(), token.expires_at()), (Some("org_acme"), Some(time(NOW + 60))));
    assert!(token.audience().eq(["https://a.example"]) && token.scopes().eq(["email", "profile"]));
    let actor = token.actor().expect("an actor");
    assert_eq!((actor.user_id(), actor.issuer()), ("agent_a", Some("b")));
    assert_eq!(actor.actor().map(|actor| actor.user_id()), Some("c"));
}

#[tokio::test]
async fn an_m2m_token_has_the_values_of_its_answer() {
    let mut answer = with(TokenKind::M2m, "claims", Some(json!({ "a": 1 })));
    for name in ["client_id", "name", "aud", "act", "org_id"] {
        answer[name] = json!("never read");
    }
    let token = m2m_token(&answer).await;
    assert_eq!((token.id(), token.machine_id(), token.custom_json()), (Some("id_1"), "mch_a", Some(r#"{"a":1}"#)));
    assert!(token.scopes().eq(["a", "b"]));
    assert_eq!(token.expires_at(), Some(time(NOW + 60)));
}

#[tokio::test]
async fn scopes_are_none_by_default_for_m2m_tokens_alone() {
    let token = m2m_token(&with(TokenKind::M2m, "scopes", None)).await;
    assert_eq!(token.scopes().count(), 0);
    let key = api_key(&with(TokenKind::ApiKey, "scopes", Some(json!([])))).await;
    assert_eq!(key.scopes().count(), 0);
}

#[tokio::test]
async fn escapes_in_an_answer_are_read() {
    let mut answer = with(TokenKind::ApiKey, "name", Some(json!("a \"quoted\" \u{1F600} name\n")));
    answer["claims"] = json!({ "quote\"": "\u{e9}" });
    let key = api_key(&answer).await;
    assert_eq!(key.name(), Some("a \"quoted\" \u{1F600} name\n"));
    let custom: Value = key.custom().expect("JSON");
    assert_eq!(custom, json!({ "quote\"": "\u{e9}" }));
}
