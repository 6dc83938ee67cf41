use std::sync::OnceLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::{
    prelude::{prop_assert, prop_assert_eq, proptest},
    sample::select,
};
use serde_json::Value;

use super::mutation::{near, near_or_any, text_near};
use super::{Outcome, cases, full_token, good_token, summary, verify};
use crate::support::{header, issuer, with_member};

/// The first two are valid, the others are not.
fn tokens() -> Vec<String> {
    let unsigned = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    vec![
        good_token().to_owned(),
        good_v1_token().to_owned(),
        full_token().expired().sign(),
        format!("{unsigned}.{}.", BASE64_URL_SAFE_NO_PAD.encode(full_token().payload())),
        format!("Bearer {}", good_token()),
        "..".to_owned(),
    ]
}

fn headers() -> Vec<String> {
    vec![
        header(),
        r#"{"alg":"none","crit":["exp"],"b64":false,"jwk":{"kty":"RSA","n":"AQAB","e":"AQAB"}}"#.to_owned(),
        r#"{ "\u0061lg" : "RS256", "kid" : "ins_\ud83e\udd80", "x" : [1e400, {"y": null}] }"#.to_owned(),
    ]
}

fn payloads() -> Vec<String> {
    vec![
        full_token().payload(),
        full_token().v1().payload(),
        full_token().claim("o", serde_json::json!({ "id": 7, "fpm": ["1"], "per": null })).payload(),
        r#"{"exp":1.8e9,"nbf":-0,"iat":1e-400,"fva":[1e99,-1],"v":2.0,"act":{"sub":"a","sub":"b"}}"#.to_owned(),
    ]
}

fn good_v1_token() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| full_token().v1().sign())
}

/// Accepted JSON as another parser reads it; `None` if it contains a number beyond f64, which that parser rejects.
fn read(json: &str) -> Option<Value> {
    match serde_json::from_str(json) {
        Ok(value) => Some(value),
        Err(error) if error.to_string().starts_with("number out of range") => None,
        Err(error) => panic!("{error} in {json}"),
    }
}

/// The properties of an accepted payload, read by another parser.
fn assert_believable(payload: &str) -> Outcome {
    let Some(claims) = read(payload) else { return Ok(()) };
    prop_assert!(claims["sub"].as_str().is_some_and(|sub| !sub.is_empty() && !sub.starts_with("mch_")));
    prop_assert!(claims["sid"].as_str().is_some_and(|sid| !sid.is_empty()));
    prop_assert_eq!(claims["iss"].as_str(), Some(issuer().url()));
    prop_assert!(claims["exp"].as_f64().is_some_and(|exp| exp > 1_799_999_995.0));
    for name in ["nbf", "iat"] {
        let holds = claims.get(name).is_none_or(|time| time.as_f64().is_some_and(|time| time < 1_800_000_005.1));
        prop_assert!(holds, "{}", name);
    }
    prop_assert!(claims.get("azp").is_none_or(Value::is_string));
    prop_assert!(claims.get("sts").is_none_or(|sts| sts.is_string() && sts != "pending"));
    prop_assert!(claims.get("act").is_none_or(|act| act["sub"].is_string()));
    Ok(())
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn no_variant_of_a_token_is_accepted(text in text_near(&tokens())) {
        prop_assert_eq!(verify(&text).is_ok(), [good_token(), good_v1_token()].contains(&text.as_str()));
    }

    #[test]
    fn no_token_is_accepted_unsigned(
        header in near_or_any(&headers()),
        payload in near_or_any(&payloads()),
        signature in near_or_any(&[String::new(), "A".repeat(256)]),
    ) {
        let [header, payload, signature] =
            [header, payload, signature].map(|segment| BASE64_URL_SAFE_NO_PAD.encode(segment));
        let token = [header, payload, signature].join(".");
        prop_assert!(verify(&token).is_err());
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn every_claim_of_an_accepted_payload_can_be_read(payload in near(&payloads())) {
        let Ok(payload) = String::from_utf8(payload) else { return Ok(()) };
        if let Ok(claims) = verify(&issuer().sign(&header(), &payload)) {
            assert_believable(&payload)?;
            prop_assert_eq!(claims.as_json(), &payload);
            prop_assert!(!summary(&claims).is_empty());
        }
    }

    #[test]
    fn a_signed_header_is_accepted_or_rejected(header in text_near(&headers())) {
        let is_accepted = verify(&issuer().sign(&header, &full_token().payload())).is_ok();
        if let Some(header) = Some(header).filter(|_| is_accepted).as_deref().and_then(read) {
            prop_assert_eq!(header["alg"].as_str(), Some("RS256"));
            prop_assert_eq!(&header["kid"], &Value::String(issuer().kid()));
            prop_assert!(header.get("typ").is_none_or(|typ| typ == "JWT"));
            prop_assert!(header.get("crit").is_none());
        }
    }

    #[test]
    fn a_claim_of_any_value_is_accepted_or_rejected(
        name in select(&CLAIMS[..]),
        value in text_near(&VALUES.map(str::to_owned)),
    ) {
        let payload = with_member(&full_token().without_claim(name).payload(), name, &value);
        if let Ok(claims) = verify(&issuer().sign(&header(), &payload)) {
            assert_believable(&payload)?;
            prop_assert!(!summary(&claims).is_empty());
        }
    }
}

const CLAIMS: [&str; 17] = [
    "act",
    "aud",
    "azp",
    "exp",
    "fea",
    "fva",
    "iat",
    "iss",
    "jti",
    "nbf",
    "o",
    "org_id",
    "org_permissions",
    "pla",
    "sid",
    "sts",
    "v",
];

const VALUES: [&str; 14] = [
    "1800000060",
    "1.80000006e9",
    "-8.64e12",
    "null",
    "true",
    "\"pending\"",
    "\"https://clerk.test.example\"",
    "[5,-1]",
    "[\"a\",\"b\"]",
    "\"o:a,u:b,uo:c\"",
    "{\"sub\":\"user_root\",\"sid\":\"s\"}",
    "{\"id\":\"org_a\",\"per\":\"a,b\",\"fpm\":\"3,18446744073709551616\"}",
    "\"\\ud83e\\udd80\"",
    "2",
];
