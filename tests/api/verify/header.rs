use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_clerk::verify::VerifyErrorKind;

use super::{accepted, assert_rejected, signed, verify, verify_with};
use crate::support::{header, other_issuer, token};

#[test]
fn crit_is_rejected_in_any_form() {
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("exp"), json!(null), json!({}), json!(false)] {
        assert_rejected(&token().header("crit", crit), VerifyErrorKind::CriticalHeader);
    }
}

#[test]
fn typ_is_absent_or_exactly_jwt() {
    accepted(&token().without_header("typ"));
    accepted(&token().header("typ", "JWT"));
    for typ in [
        json!("jwt"),
        json!(""),
        json!("AT+JWT"),
        json!("at+jwt "),
        json!("application/at+JWT"),
        json!("JWT "),
        json!(null),
        json!(1),
        json!(["JWT"]),
    ] {
        assert_rejected(&token().header("typ", typ), VerifyErrorKind::UnsupportedType);
    }
    for typ in ["at+jwt", "application/at+jwt"] {
        assert_rejected(&token().header("typ", typ), VerifyErrorKind::TokenKindNotAccepted);
    }
}

#[test]
fn cat_is_absent_or_that_of_a_session_or_ignored_kind() {
    accepted(&token().without_header("cat"));
    accepted(&token().header("cat", "cl_B7d4PD111AAA"));
    accepted(&token().header("cat", "cl_I7d4PD111III"));
    for cat in [json!("cl_B7d4PD222AAA"), json!("other"), json!(""), json!(null), json!(1)] {
        assert_rejected(&token().header("cat", cat), VerifyErrorKind::UnsupportedCategory);
    }
    assert_rejected(&token().header("cat", "cl_B7d4PD333AAA"), VerifyErrorKind::TokenKindNotAccepted);
}

#[test]
fn template_tokens_pass_when_allowed_and_machine_tokens_never() {
    let allow = |config: tower_clerk::ClerkConfig| Ok(config.allow_template_tokens());
    let template = token().header("cat", "cl_B7d4PD222AAA").without_claim("sid");
    assert!(verify_with(&template.sign(), allow).is_ok());
    let machine = token().header("cat", "cl_B7d4PD333AAA").claim("sub", "mch_a").sign();
    assert_eq!(verify_with(&machine, allow).err(), Some(VerifyErrorKind::TokenKindNotAccepted));
    let machine = token().claim("sub", "mch_a").sign();
    assert_eq!(verify_with(&machine, allow).err(), Some(VerifyErrorKind::TokenKindNotAccepted));
}

#[test]
fn alg_is_one_of_three_and_compared_exactly() {
    for alg in [
        json!("none"),
        json!("nOnE"),
        json!("HS256"),
        json!("PS256"),
        json!("ES256"),
        json!("EdDSA"),
        json!("rs256"),
        json!("RS256 "),
        json!("RS256\u{0}"),
        json!(""),
        json!(null),
        json!(0),
        json!(["RS256"]),
        json!({}),
    ] {
        assert_rejected(&token().header("alg", alg), VerifyErrorKind::UnsupportedAlgorithm);
    }
    assert_rejected(&token().without_header("alg"), VerifyErrorKind::UnsupportedAlgorithm);
}

#[test]
fn alg_must_match_the_key() {
    assert_rejected(&token().header("alg", "RS384"), VerifyErrorKind::AlgorithmMismatch);
    assert_rejected(&token().header("alg", "RS512"), VerifyErrorKind::AlgorithmMismatch);
}

#[test]
fn kid_is_a_string_of_1_to_255_bytes() {
    assert_rejected(&token().without_header("kid"), VerifyErrorKind::InvalidKeyId);
    for kid in [json!(""), json!(null), json!(7), json!(["ins_test_1"]), json!("a".repeat(256))] {
        assert_rejected(&token().header("kid", kid), VerifyErrorKind::InvalidKeyId);
    }
    for kid in [json!("a".repeat(255)), json!("undefined"), json!("../../dev/null"), json!("__proto__")] {
        assert_rejected(&token().header("kid", kid), VerifyErrorKind::UnknownKey);
    }
}

#[test]
fn unknown_header_parameters_are_ignored() {
    for (name, value) in [
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!(7)),
        ("jwk", json!({ "kty": "RSA" })),
        ("x5c", json!(["AAAA"])),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("enc", json!(null)),
        ("b64", json!(false)),
        ("oiat", json!(1)),
    ] {
        accepted(&token().header(name, value));
    }
}

#[test]
fn a_header_is_one_json_object_with_unique_members() {
    let payload = token().payload();
    let good = header();
    assert!(verify(&signed(&good, &payload)).is_ok());
    assert!(verify(&signed(&format!(" {good}\n"), &payload)).is_ok());
    assert!(verify(&signed(&good.replace("alg", "\\u0061lg"), &payload)).is_ok());
    for bad in [
        good.replace(r#""typ":"JWT""#, r#""alg":"RS256""#),
        good.replace(r#""typ":"JWT""#, r#""\u0061lg":"RS256""#),
        good.replace(r#""typ":"JWT""#, r#""x":1,"x":1"#),
        good.replace(r#""typ":"JWT""#, r#""x":"\ud800""#),
        good.replace(r#""typ":"JWT""#, &format!(r#""x":{}{}"#, "[".repeat(200), "]".repeat(200))),
        format!("[{good}]"),
        format!("{good}{good}"),
        good.replace('}', ",}"),
        "null".to_owned(),
        "[\"RS256\"]".to_owned(),
        String::new(),
    ] {
        assert_eq!(verify(&signed(&bad, &payload)).err(), Some(VerifyErrorKind::Malformed), "{bad}");
    }
}

#[test]
fn a_token_is_three_segments_of_canonical_base64url() {
    let good = token().sign();
    assert!(verify(&good).is_ok());
    let last = good.chars().last().expect("a signature");
    // The last character carries two of the 2048 bits, so it has fifteen other spellings.
    let aliases = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        .chars()
        .filter(|alias| *alias != last)
        .map(|alias| format!("{}{alias}", good.strip_suffix(last).expect("its end")));
    for bad in aliases {
        assert!(verify(&bad).is_err(), "{bad}");
    }
    let (rest, signature) = good.rsplit_once('.').expect("a signature");
    for bad in [
        format!("{good}="),
        format!("{good}."),
        format!("{good}.{signature}"),
        format!(" {good}"),
        format!("{good}\n"),
        rest.to_owned(),
        good.replacen('.', "..", 1),
        format!("{rest}.{}", signature.replace(['-', '_'], "+")) + "+",
    ] {
        assert_eq!(verify(&bad).err(), Some(VerifyErrorKind::Malformed), "{bad}");
    }
    assert_eq!(verify(&format!("{rest}.")).err(), Some(VerifyErrorKind::InvalidSignature));
    for text in ["null", "undefined", "", "whatever", "42", "aaa.bbb.ccc", "YWJj.YWJj.YWJj", "..", "."] {
        assert_eq!(verify(text).err(), Some(VerifyErrorKind::Malformed), "{text}");
    }
}

#[test]
fn the_token_length_limit_is_exact() {
    let limit = 2048;
    let of_length = |length: usize| {
        let padded = |count: usize| token().claim("pad", "x".repeat(count)).sign();
        let count = (0..2048).find(|count| padded(*count).len() >= length).expect("a token of that length");
        padded(count)
    };
    let longest = of_length(limit - 2);
    assert!(longest.len() <= limit && longest.len() > limit - 6, "{}", longest.len());
    assert!(verify_with(&longest, |config| config.max_token_length(longest.len())).is_ok());
    let rejected = verify_with(&longest, |config| config.max_token_length(longest.len() - 1));
    assert_eq!(rejected.err(), Some(VerifyErrorKind::TooLong));
}

#[test]
fn a_changed_character_anywhere_is_rejected() {
    let good = token().sign();
    for (at, original) in good.char_indices().step_by(7) {
        let changed = if original == 'A' { 'B' } else { 'A' };
        let mut bad = good.clone();
        bad.replace_range(at..=at, &changed.to_string());
        assert!(verify(&bad).is_err(), "{at}");
    }
}

#[test]
fn a_signature_of_another_payload_or_key_is_rejected() {
    let good = token().sign();
    let other = token().claim("sub", "user_eve").sign();
    let (_, signature) = good.rsplit_once('.').expect("a signature");
    let (rest, _) = other.rsplit_once('.').expect("a signature");
    assert_eq!(verify(&format!("{rest}.{signature}")).err(), Some(VerifyErrorKind::InvalidSignature));
    let forged = other_issuer().sign(&header(), &token().payload());
    assert_eq!(verify(&forged).err(), Some(VerifyErrorKind::InvalidSignature));
}

#[test]
fn a_payload_that_is_not_utf_8_is_malformed() {
    let header = BASE64_URL_SAFE_NO_PAD.encode(header());
    for bytes in [&b"{\"a\":\"\xff\"}"[..], b"{\"a\":\"\xc0\xa2\"}", b"{\"a\":\"\xed\xa0\x80\"}", b"\xff\xfe{\x00}\x00"]
    {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(verify(&format!("{header}.{payload}.AAAA")).err(), Some(VerifyErrorKind::Malformed));
    }
}

#[test]
fn an_unsupported_alg_is_rejected_without_a_key() {
    let unsigned: Value = json!({ "alg": "none" });
    let token =
        format!("{}.{}.", BASE64_URL_SAFE_NO_PAD.encode(unsigned.to_string()), BASE64_URL_SAFE_NO_PAD.encode("{}"));
    assert_eq!(verify(&token).err(), Some(VerifyErrorKind::UnsupportedAlgorithm));
}
