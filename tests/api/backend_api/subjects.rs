//! Whose a token is, and for whom it is.

use serde_json::{Value, json};
use tower_clerk::{TokenKind, verify::VerifyErrorKind};

use super::asked::{KINDS, is_valid, rejection, with};

#[tokio::test]
async fn a_subject_is_of_a_kind_that_the_token_may_have() {
    for (subject, kinds) in [
        ("user_a", &[TokenKind::ApiKey, TokenKind::OAuth][..]),
        ("org_a", &[TokenKind::ApiKey]),
        ("mch_a", &[TokenKind::ApiKey, TokenKind::M2m]),
        ("agent_a", &[]),
        ("USER_a", &[]),
        ("user", &[]),
        ("", &[]),
    ] {
        for kind in KINDS {
            let answer = with(kind, "subject", Some(json!(subject)));
            assert_eq!(is_valid(kind, &answer).await, kinds.contains(&kind), "{kind} {subject}");
        }
    }
}

#[tokio::test]
async fn the_audience_of_an_oauth_token_must_be_accepted_if_one_is_set() {
    for (aud, accepted) in [
        (Some(json!("a")), true),
        (Some(json!(["x", "b"])), true),
        (Some(json!("x")), false),
        (Some(json!("A")), false),
        (Some(json!([])), false),
        (Some(json!("")), false),
        (Some(json!(["a", ""])), false),
        (Some(json!(["a", 1])), false),
        (Some(json!({ "a": "a" })), false),
        (Some(Value::Null), false),
        (None, false),
    ] {
        for kind in KINDS {
            let answer = with(kind, "aud", aud.clone());
            let found = rejection(kind, &answer, |config| config.oauth_audience(["a", "b"])).await;
            let is_rejected = kind == TokenKind::OAuth && !accepted;
            assert_eq!(found, is_rejected.then_some(VerifyErrorKind::InvalidAudience), "{kind} {aud:?}");
        }
    }
}

#[tokio::test]
async fn an_opaque_m2m_token_has_no_audience_that_could_be_accepted() {
    for aud in [None, Some(json!("a"))] {
        for kind in KINDS {
            let found = rejection(kind, &with(kind, "aud", aud.clone()), |config| config.m2m_audience(["a"])).await;
            let expected = (kind == TokenKind::M2m).then_some(VerifyErrorKind::InvalidAudience);
            assert_eq!(found, expected, "{kind} {aud:?}");
        }
    }
}

#[tokio::test]
async fn the_own_machine_must_be_among_the_scopes_of_an_m2m_token() {
    let refused = Some(VerifyErrorKind::MachineNotInScope);
    for (kind, scopes, expected) in [
        (TokenKind::M2m, Some(json!(["mch_a", "mch_own"])), None),
        (TokenKind::M2m, Some(json!(["mch_a", "mch_own2", "MCH_own", " mch_own"])), refused),
        (TokenKind::M2m, Some(json!([])), refused),
        (TokenKind::M2m, None, refused),
        (TokenKind::OAuth, Some(json!(["mch_a"])), None),
        (TokenKind::ApiKey, Some(json!(["mch_a"])), None),
    ] {
        let answer = with(kind, "scopes", scopes);
        assert_eq!(rejection(kind, &answer, |config| config.machine_id("mch_own")).await, expected, "{answer}");
        let with_machine_key =
            rejection(kind, &answer, |config| config.machine_id("mch_own")?.machine_secret_key("ak_machine"));
        assert_eq!(with_machine_key.await, expected, "{answer}");
    }
}

#[tokio::test]
async fn the_actor_of_an_oauth_token_has_a_subject() {
    for (act, accepted) in [
        (json!({ "sub": "agent_a" }), true),
        (json!({ "sub": "agent_a", "act": { "sub": "b", "act": 7 } }), true),
        (Value::Null, true),
        (json!({}), false),
        (json!({ "sub": 7 }), false),
        (json!({ "sub": "" }), false),
        (json!({ "sub": "agent_a", "act": {} }), false),
        (json!({ "sub": "agent_a", "act": null }), true),
        (json!("agent_a"), false),
        (json!(["agent_a"]), false),
    ] {
        for kind in KINDS {
            let found = rejection(kind, &with(kind, "act", Some(act.clone())), Ok).await;
            let is_rejected = kind == TokenKind::OAuth && !accepted;
            assert_eq!(found, is_rejected.then_some(VerifyErrorKind::InvalidActor), "{kind} {act}");
        }
    }
}
