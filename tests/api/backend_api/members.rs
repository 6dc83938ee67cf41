use serde_json::{Value, json};
use tower_clerk::{TokenKind, verify::VerifyErrorKind};

use super::{
    answers::{api_key, m2m_token},
    asked::{KINDS, NOW, is_inactive, is_valid, object_name, rejection, sound, with},
};

#[tokio::test]
async fn a_required_member_must_be_there_in_its_type() {
    for kind in KINDS {
        assert!(is_valid(kind, &sound(kind)).await, "{kind}");
        for name in ["object", "id", "subject", "scopes", "revoked", "expired", "expiration"] {
            let has_default = kind == TokenKind::M2m && name == "scopes";
            assert_eq!(is_inactive(kind, &with(kind, name, None)).await, !has_default, "{kind} {name}");
            let may_be_null = kind != TokenKind::OAuth && name == "expiration";
            assert_eq!(is_inactive(kind, &with(kind, name, Some(Value::Null))).await, !may_be_null, "{kind} {name}");
            for value in [json!({}), json!([1]), json!([null]), json!(""), json!(true)] {
                assert!(is_inactive(kind, &with(kind, name, Some(value.clone()))).await, "{kind} {name} {value}");
            }
        }
        for name in ["object", "id", "subject", "scopes", "revoked", "expired"] {
            assert!(is_inactive(kind, &with(kind, name, Some(json!(0)))).await, "{kind} {name}");
        }
        for name in ["object", "scopes", "revoked", "expired", "expiration"] {
            assert!(is_inactive(kind, &with(kind, name, Some(json!("false")))).await, "{kind} {name}");
        }
    }
}

#[tokio::test]
async fn the_object_is_that_of_the_kind() {
    for kind in KINDS {
        for other in KINDS {
            let answer = with(kind, "object", Some(json!(object_name(other))));
            assert_eq!(is_valid(kind, &answer).await, kind == other, "{kind} {other}");
        }
        assert!(is_inactive(kind, &with(kind, "object", Some(json!(object_name(kind).to_uppercase())))).await);
    }
}

#[tokio::test]
async fn a_revoked_or_expired_token_is_rejected() {
    for kind in KINDS {
        for name in ["revoked", "expired"] {
            assert!(is_inactive(kind, &with(kind, name, Some(json!(true)))).await, "{kind} {name}");
        }
    }
}

#[tokio::test]
async fn an_expiration_may_have_passed_by_less_than_the_clock_skew() {
    for kind in KINDS {
        // The clock skew is five seconds.
        for (seconds, accepted) in [(NOW + 1, true), (NOW, true), (NOW - 4, true), (NOW - 5, false), (0, false)] {
            for number in [seconds, seconds * 1000] {
                let answer = with(kind, "expiration", Some(json!(number)));
                assert_eq!(is_valid(kind, &answer).await, accepted, "{kind} {number}");
            }
        }
        for (number, accepted) in [
            (json!(NOW * 1000 - 4999), true),
            (json!(NOW * 1000 - 5000), false),
            (json!(-1), false),
            (json!(9e15), false),
            // The last number of seconds, and the first of milliseconds.
            (json!(99_999_999_999_u64), true),
            (json!(100_000_000_000_u64), false),
            (Value::Null, kind != TokenKind::OAuth),
        ] {
            let answer = with(kind, "expiration", Some(number.clone()));
            assert_eq!(is_valid(kind, &answer).await, accepted, "{kind} {number}");
        }
    }
}

#[tokio::test]
async fn members_on_which_validity_does_not_depend_may_have_any_type() {
    for kind in KINDS {
        for value in [Value::Null, json!(7), json!("a"), json!([1]), json!({ "a": 1 })] {
            for name in ["name", "client_id", "type", "created_at", "description", "aud", "org_id", "claims", "new"] {
                assert!(is_valid(kind, &with(kind, name, Some(value.clone()))).await, "{kind} {name} {value}");
            }
        }
    }
}

#[tokio::test]
async fn claims_that_are_no_object_are_none() {
    for (value, json) in [
        (json!({ "a": 1 }), Some(r#"{"a":1}"#)),
        (json!({}), Some("{}")),
        (Value::Null, None),
        (json!([1]), None),
        (json!("a"), None),
    ] {
        assert_eq!(api_key(&with(TokenKind::ApiKey, "claims", Some(value.clone()))).await.custom_json(), json);
        assert_eq!(m2m_token(&with(TokenKind::M2m, "claims", Some(value))).await.custom_json(), json);
    }
    assert_eq!(api_key(&with(TokenKind::ApiKey, "claims", None)).await.custom_json(), None);
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    for kind in KINDS {
        for cnf in [json!({ "jkt": "a" }), json!({}), json!("a"), json!(false)] {
            let found = rejection(kind, &with(kind, "cnf", Some(cnf.clone())), Ok).await;
            assert_eq!(found, Some(VerifyErrorKind::KeyBound), "{kind} {cnf}");
        }
        // The API writes `null` for what is absent.
        assert!(is_valid(kind, &with(kind, "cnf", Some(Value::Null))).await, "{kind}");
    }
}
