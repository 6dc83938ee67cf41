//! `crit`, nested, compressed and encrypted tokens, and tokens of other kinds.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey},
};
use serde_json::{Value, json};
use tower_clerk::verify::VerifyErrorKind::{
    CriticalHeader, InvalidSessionId, InvalidSignature, InvalidSubject, Malformed, TokenKindNotAccepted,
    UnsupportedCategory, UnsupportedType,
};

use super::{
    forge::{encode, good, header, jwks, message, payload, stranger, trusted, with, without},
    table::{Class, Row, rows as table},
    targets::Targets,
};

pub(crate) fn rows() -> Vec<Row> {
    [critical(), wrapped(), of_other_kinds()].into_iter().flatten().collect()
}

#[tokio::test]
async fn critical_header_parameters_are_rejected() {
    Targets::start(&jwks()).await.check(&critical()).await;
}

#[tokio::test]
async fn a_nested_compressed_or_encrypted_token_is_rejected() {
    Targets::start(&jwks()).await.check(&wrapped()).await;
}

#[tokio::test]
async fn tokens_of_other_kinds_are_rejected() {
    Targets::start(&jwks()).await.check(&of_other_kinds()).await;
}

fn critical() -> Vec<Row> {
    let signed = |crit: Value| trusted().sign(&with(header(), "crit", crit), &payload());
    let mut attacks: Vec<_> = [
        json!(["x-foo"]),
        json!([]),
        json!("exp"),
        json!(["exp"]),
        json!(["alg"]),
        json!(["kid", "alg"]),
        json!(["crit"]),
        json!([""]),
        json!([null]),
        json!(null),
        json!(false),
        json!({}),
        json!(0),
    ]
    .into_iter()
    .map(|crit| (crit.to_string(), signed(crit), CriticalHeader))
    .collect();
    let unencoded = with(with(header(), "crit", ["b64"]), "b64", false);
    // RFC 7797, section 3: the unencoded payload. This one is also valid base64url.
    let raw = |header: &Value, payload: &str| trusted().seal(&format!("{}.{payload}", encode(header.to_string())));
    let as_base64 = encode(payload().to_string());
    let b64_alone = with(header(), "b64", false);
    attacks.extend([
        ("b64".to_owned(), trusted().sign(&unencoded, &payload()), CriticalHeader),
        ("b64, raw payload that could be encoded".to_owned(), raw(&unencoded, &as_base64), CriticalHeader),
        ("b64, raw payload".to_owned(), raw(&unencoded, r#"{"sub":"user_eve"}"#), CriticalHeader),
        ("b64, raw payload of several members".to_owned(), raw(&unencoded, &payload().to_string()), Malformed),
        ("b64 not critical, raw payload".to_owned(), raw(&b64_alone, r#"{"sub":"user_eve"}"#), Malformed),
        ("by a stranger".to_owned(), stranger().sign(&unencoded, &payload()), CriticalHeader),
    ]);
    table(Class::CriticalHeader, &trusted().sign(&b64_alone, &payload()), attacks)
}

fn wrapped() -> Vec<Row> {
    let nested = with(header(), "cty", "JWT");
    let eve = with(payload(), "sub", "user_eve").to_string();
    let unsigned = format!("{}.", message(json!({ "alg": "none" }).to_string(), &eve));
    let zipped = with(header(), "zip", "DEF");
    // One stored block (RFC 1951, section 3.2.4).
    let length = u16::try_from(eve.len()).expect("a short payload");
    let stored = [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), eve.as_bytes()].concat();
    let json_form = json!({ "payload": encode(&eve), "protected": encode(header().to_string()), "signature": "AAAA" });
    let whole = good();
    let [first, second, third] = *whole.split('.').collect::<Vec<_>>() else { panic!("three segments") };
    let attacks = [
        ("an unsigned token within", trusted().sign_bytes(nested.to_string(), unsigned.clone()), Malformed),
        ("an unsigned token in a text", trusted().sign(&nested, &json!(unsigned)), Malformed),
        ("a good token within", trusted().sign_bytes(nested.to_string(), &whole), Malformed),
        ("a good token within a stranger's", stranger().sign_bytes(nested.to_string(), &whole), Malformed),
        ("good claims within a stranger's", stranger().sign(&nested, &payload()), InvalidSignature),
        ("a compressed payload", trusted().sign_bytes(zipped.to_string(), stored), Malformed),
        ("a bomb", trusted().sign_bytes(zipped.to_string(), bomb()), Malformed),
        ("compressed by a stranger", stranger().sign(&zipped, &payload()), InvalidSignature),
        ("encrypted to the public key", encrypted(&eve), Malformed),
        ("encrypted, with an empty key", format!("{first}..{second}.{third}.AAAA"), Malformed),
        ("four segments", format!("{first}.{second}.{third}."), Malformed),
        ("in the JSON form", json_form.to_string(), Malformed),
        ("in a text", format!("\"{whole}\""), Malformed),
        ("encoded again", encode(&whole), Malformed),
    ];
    let neighbour = trusted().sign(&with(nested, "zip", "DEF"), &payload());
    table(Class::WrappedToken, &neighbour, attacks)
}

/// A megabyte of zeros in DEFLATE (RFC 1951, section 3.2.6): a literal, then copies of the greatest length.
fn bomb() -> Vec<u8> {
    let mut bits = vec![true, true, false];
    bits.extend([false, false, true, true, false, false, false, false]);
    for _ in 0..1024 * 1024 / 258 {
        bits.extend([true, true, false, false, false, true, false, true]);
        bits.extend([false; 5]);
    }
    bits.extend([false; 7]);
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

/// A JWE (RFC 7516, section 3.1) that only the holder of the private key can decrypt.
fn encrypted(payload: &str) -> String {
    let header = encode(json!({ "alg": "RSA-OAEP", "cty": "JWT", "enc": "A256GCM" }).to_string());
    let key = [7; 32];
    let public = PublicEncryptingKey::from_der(&trusted().spki()).expect("a key");
    let public = OaepPublicEncryptingKey::new(public).expect("a key");
    let mut wrapped = vec![0; public.ciphertext_size()];
    let wrapped = public.encrypt(&OAEP_SHA1_MGF1SHA1, &key, &mut wrapped, None).expect("a wrapped key");
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("a key"));
    let (nonce, mut text) = ([0; NONCE_LEN], payload.as_bytes().to_vec());
    let sealed =
        cipher.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header.as_bytes()), &mut text);
    let tag = sealed.expect("a ciphertext");
    format!("{header}.{}.{}.{}.{}", encode(wrapped), encode(nonce), encode(text), encode(tag))
}

fn of_other_kinds() -> Vec<Row> {
    let mut attacks = Vec::new();
    for typ in [
        json!("AT+JWT"),
        json!("at+jwt "),
        json!("application/AT+jwt"),
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("dpop+jwt"),
        json!("JWE"),
        json!("JOSE"),
        json!("JOSE+JSON"),
        json!("jwt"),
        json!("application/jwt"),
        json!("JWT\u{0}"),
        json!(""),
        json!(null),
        json!(["JWT"]),
    ] {
        let token = trusted().sign(&with(header(), "typ", &typ), &payload());
        attacks.push((format!("typ: {typ}"), token, UnsupportedType));
    }
    for typ in ["at+jwt", "application/at+jwt"] {
        let token = trusted().sign(&with(header(), "typ", typ), &payload());
        attacks.push((format!("typ: {typ}"), token, TokenKindNotAccepted));
    }
    for cat in [
        json!("cl_B7d4PD222AAA"),
        json!("cl_b7d4pd111aaa"),
        json!("cl_B7d4PD111AAA "),
        json!(""),
        json!(null),
        json!(["cl_B7d4PD111AAA"]),
    ] {
        let token = trusted().sign(&with(header(), "cat", &cat), &payload());
        attacks.push((format!("cat: {cat}"), token, UnsupportedCategory));
    }
    let machine = with(payload(), "sub", "mch_2xhFjEI5X2qWRvtV13BzSj8H6Dk");
    let escaped = machine.to_string().replace("mch_", r"\u006dch_");
    let handshake = json!({ "handshake": ["__session=x; Path=/"] });
    let of_machine = with(header(), "cat", "cl_B7d4PD333AAA");
    let of_session = with(header(), "cat", "cl_B7d4PD111AAA");
    attacks.extend([
        ("a session's as a machine's".to_owned(), trusted().sign(&of_machine, &payload()), TokenKindNotAccepted),
        ("a machine's".to_owned(), trusted().sign(&of_machine, &machine), TokenKindNotAccepted),
        ("a machine's without cat".to_owned(), trusted().sign(&header(), &machine), TokenKindNotAccepted),
        ("a machine's as a session's".to_owned(), trusted().sign(&of_session, &machine), TokenKindNotAccepted),
        ("a machine's, escaped".to_owned(), trusted().sign_bytes(header().to_string(), escaped), TokenKindNotAccepted),
        ("a template's".to_owned(), trusted().sign(&header(), &without(payload(), "sid")), InvalidSessionId),
        ("a handshake's".to_owned(), trusted().sign(&header(), &handshake), InvalidSubject),
    ]);
    let mut rows = table(Class::OtherTokenKind, &trusted().sign(&of_session, &payload()), attacks);
    let typed = with(header(), "typ", "at+jwt");
    let scoped = with(without(payload(), "sid"), "scope", "profile email");
    let oauth = ("an OAuth access token", trusted().sign(&typed, &scoped), TokenKindNotAccepted);
    rows.extend(table(Class::OtherTokenKind, &trusted().sign(&without(header(), "typ"), &payload()), [oauth]));
    rows
}

/// Otherwise the token would be rejected for its length.
#[test]
fn the_compression_bomb_is_within_the_token_length_limit() {
    assert!(encode(bomb()).len() < 12 * 1024);
}
