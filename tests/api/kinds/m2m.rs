use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use tower_clerk::verify::VerifyErrorKind;

use super::{accepted_m2m, assert_rejected, m2m, rejected, verifier_with, verify_by};
use crate::support::{header, issuer, other_issuer, secs, with_member};

#[test]
fn the_claims_of_an_m2m_token_are_read() {
    let token = accepted_m2m(&m2m().claim("scopes", "mch_billing mch_mail").claim("jti", "mt_1"));
    assert_eq!(token.machine_id(), "mch_orders");
    assert!(token.scopes().eq(["mch_billing", "mch_mail"]));
    assert_eq!(token.id(), Some("mt_1"));
    assert_eq!(token.instance(), issuer().url());
    assert!(token.expires_at().is_some());
}

#[test]
fn the_header_of_an_m2m_token_has_no_type_or_jwt() {
    accepted_m2m(&m2m().without_header("typ"));
    accepted_m2m(&m2m().header("typ", "JWT"));
    for typ in [json!("jwt"), json!("at+jwt"), json!("application/at+jwt"), json!("mt+jwt"), json!(""), json!(null)] {
        assert_rejected(&m2m().header("typ", typ), VerifyErrorKind::UnsupportedType);
    }
}

#[test]
fn the_category_of_an_m2m_token_is_absent_or_its_own_or_ignored() {
    accepted_m2m(&m2m().without_header("cat"));
    accepted_m2m(&m2m().header("cat", "cl_B7d4PD333AAA"));
    accepted_m2m(&m2m().header("cat", "cl_I7d4PD111III"));
    for cat in [
        json!("cl_B7d4PD111AAA"),
        json!("cl_B7d4PD222AAA"),
        json!("cl_b7d4pd333aaa"),
        json!("cl_B7d4PD333AAA "),
        json!(""),
        json!(null),
        json!(["cl_B7d4PD333AAA"]),
    ] {
        assert_rejected(&m2m().header("cat", &cat), VerifyErrorKind::UnsupportedCategory);
        let allowed = rejected(&m2m().header("cat", &cat), |config| Ok(config.allow_template_tokens()));
        assert_eq!(allowed, Some(VerifyErrorKind::UnsupportedCategory), "{cat}");
    }
    // The category of a machine makes no user one, and none of a machine a user.
    let user = crate::support::token().header("cat", "cl_B7d4PD333AAA");
    assert_rejected(&user, VerifyErrorKind::UnsupportedCategory);
}

#[test]
fn the_rest_of_the_header_is_as_strict_as_that_of_a_session() {
    for (token, kind) in [
        (m2m().header("crit", ["exp"]), VerifyErrorKind::CriticalHeader),
        (m2m().header("alg", "none"), VerifyErrorKind::UnsupportedAlgorithm),
        (m2m().without_header("kid"), VerifyErrorKind::InvalidKeyId),
        (m2m().header("kid", "ins_other"), VerifyErrorKind::UnknownKey),
        (other_issuer().m2m_token("mch_orders"), VerifyErrorKind::InvalidSignature),
        (m2m().without_claim("iss"), VerifyErrorKind::InvalidIssuer),
        (m2m().claim("iss", "https://clerk.evil.example"), VerifyErrorKind::InvalidIssuer),
        (m2m().claim("exp", 1_800_000_000_u64 - 5), VerifyErrorKind::Expired),
        (m2m().without_claim("exp"), VerifyErrorKind::InvalidExpiry),
        (m2m().claim("nbf", 1_800_000_006_u64), VerifyErrorKind::NotYetValid),
        (m2m().claim("iat", json!(null)), VerifyErrorKind::InvalidIssuedAt),
    ] {
        assert_rejected(&token, kind);
    }
    accepted_m2m(&m2m().claim("exp", 1_800_000_000_u64 - 4));
}

#[test]
fn an_m2m_token_has_a_longest_lifetime_of_its_own() {
    let hour = m2m();
    assert_eq!(rejected(&hour, |config| config.max_m2m_token_lifetime(secs(3600))), None);
    let too_long = Some(VerifyErrorKind::LifetimeTooLong);
    assert_eq!(rejected(&hour, |config| config.max_m2m_token_lifetime(secs(3599))), too_long);
    assert_eq!(rejected(&hour, |config| config.max_oauth_token_lifetime(secs(1))), None);
    assert_eq!(rejected(&hour, |config| config.max_token_lifetime(secs(1))), None);
}

#[test]
fn claims_of_sessions_and_actors_are_never_looked_at() {
    for (name, value) in [
        ("azp", json!("https://evil.example")),
        ("azp", json!(null)),
        ("sid", json!(null)),
        ("sts", json!("pending")),
        ("act", json!(null)),
        ("act", json!({ "sub": 7 })),
        ("client_id", json!(7)),
        ("scp", json!(["a"])),
        ("org_id", json!(null)),
    ] {
        accepted_m2m(&m2m().claim(name, &value));
        let parties = |config: tower_clerk::ClerkConfig| config.authorized_parties(["https://app.test.example"]);
        assert_eq!(rejected(&m2m().claim(name, &value), parties), None, "{name}: {value}");
    }
    for cnf in [json!(null), json!({}), json!({ "jkt": "x" })] {
        assert_rejected(&m2m().claim("cnf", cnf), VerifyErrorKind::KeyBound);
    }
}

#[test]
fn the_machines_are_those_of_scopes_or_else_of_the_audience() {
    for (scopes, aud, expected) in [
        (Some(json!("mch_a mch_b")), Some(json!(["mch_c"])), &["mch_a", "mch_b"][..]),
        (Some(json!("  mch_a  ")), None, &["mch_a"]),
        (Some(json!("")), Some(json!(["mch_c"])), &[]),
        (Some(json!(null)), Some(json!(["mch_c"])), &[]),
        (Some(json!(["mch_a"])), Some(json!(["mch_c"])), &[]),
        (Some(json!(7)), Some(json!(["mch_c"])), &[]),
        (None, Some(json!(["mch_c", "mch_d"])), &["mch_c", "mch_d"]),
        (None, Some(json!("mch_c")), &["mch_c"]),
        (None, Some(json!([])), &[]),
        (None, Some(json!(["mch_c", ""])), &[]),
        (None, Some(json!(["mch_c", 7])), &[]),
        (None, None, &[]),
    ] {
        let mut token = m2m().without_claim("scopes");
        if let Some(scopes) = &scopes {
            token = token.claim("scopes", scopes);
        }
        if let Some(aud) = &aud {
            token = token.claim("aud", aud);
        }
        assert!(accepted_m2m(&token).scopes().eq(expected.iter().copied()), "{scopes:?} {aud:?}");
        let is_for_c = rejected(&token, |config| config.machine_id("mch_c")).is_none();
        assert_eq!(is_for_c, expected.contains(&"mch_c"), "{scopes:?} {aud:?}");
    }
}

#[test]
fn a_machine_id_admits_only_tokens_for_this_machine() {
    let not_in_scope = Some(VerifyErrorKind::MachineNotInScope);
    for (scopes, expected) in [
        ("mch_billing", None),
        ("mch_mail mch_billing", None),
        ("mch_billing_2", not_in_scope),
        ("mch_billin", not_in_scope),
        ("MCH_BILLING", not_in_scope),
        ("mch_mail", not_in_scope),
        ("mch_mail,mch_billing", not_in_scope),
        ("mch_mail\tmch_billing", not_in_scope),
        ("", not_in_scope),
    ] {
        let token = m2m().claim("scopes", scopes);
        assert_eq!(rejected(&token, |config| config.machine_id("mch_billing")), expected, "{scopes}");
        // The machine secret makes no difference to a JWT.
        let with_secret =
            |config: tower_clerk::ClerkConfig| config.machine_id("mch_billing")?.machine_secret_key("ak_x");
        assert_eq!(rejected(&token, with_secret), expected, "{scopes}");
        assert_eq!(rejected(&token, Ok), None, "{scopes}");
    }
    for id in ["", "billing", "mch_", "mch billing", "mch_a mch_b", "MCH_billing", "mch_a,mch_b"] {
        assert!(issuer().config().machine_id(id).is_err(), "{id}");
    }
    // It concerns M2M tokens alone.
    assert_eq!(rejected(&super::oauth(), |config| config.machine_id("mch_billing")), None);
}

#[test]
fn all_but_six_members_are_custom() {
    #[derive(Deserialize, Debug, PartialEq)]
    struct Custom {
        region: String,
        limits: Vec<u32>,
    }
    let token = m2m().claim("region", "eu").claim("limits", [1, 2]).claim("azp", json!(null)).claim("aud", ["mch_a"]);
    let token = accepted_m2m(&token.claim("scopes", "mch_a"));
    assert_eq!(
        token.custom::<Custom>().expect("custom claims"),
        Custom { region: "eu".to_owned(), limits: vec![1, 2] }
    );
    let all: BTreeMap<String, Value> = token.custom().expect("a map");
    assert!(all.keys().eq(["aud", "azp", "limits", "region", "scopes"]), "{all:?}");
    let json: Value = serde_json::from_str(token.custom_json().expect("custom claims")).expect("JSON");
    assert_eq!(json, json!(all));
    let error = token.custom::<Vec<u8>>().expect_err("another type");
    assert!(!error.to_string().contains("eu"));
    assert_eq!(accepted_m2m(&m2m().without_claim("scopes")).custom_json(), None);
}

#[test]
fn custom_members_are_kept_as_they_are_written() {
    let payload = with_member(&m2m().payload(), r"na\u006de", r#"{"n":12345678901234567890123,"s":"\ud83e\udd80"}"#);
    let token = verify_by(&verifier_with(Ok), &issuer().sign(&header(), &payload)).expect("a principal");
    let tower_clerk::Principal::M2m(token) = token else { panic!("{token:?}") };
    let expected = r#""name":{"n":12345678901234567890123,"s":"\ud83e\udd80"}"#;
    assert!(token.custom_json().is_some_and(|json| json.contains(expected)), "{:?}", token.custom_json());
    let twice = with_member(&payload, "name", "1");
    let twice = verify_by(&verifier_with(Ok), &issuer().sign(&header(), &twice));
    assert_eq!(twice.err(), Some(VerifyErrorKind::Malformed));
}

#[test]
fn debug_shows_nothing_of_a_token() {
    let token = m2m().claim("sub", "mch_secret").claim("scopes", "mch_secret").claim("x", "secret");
    let token = accepted_m2m(&token);
    let shown = format!("{token:?} {:?}", tower_clerk::Principal::M2m(token.clone()));
    assert!(shown.contains("M2mToken") && !shown.contains("secret"), "{shown}");
}
