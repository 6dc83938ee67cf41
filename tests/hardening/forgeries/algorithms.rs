//! `alg` that is `none`, of the wrong type, misspelt or another than the key's, and trivial signature values.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA512, RsaEncoding,
    },
};
use serde::Serialize;
use serde_json::json;
use tower_clerk::verify::VerifyErrorKind::{AlgorithmMismatch, InvalidSignature, Malformed, UnsupportedAlgorithm};

use super::{
    forge::{attach, good, header, jwks, message, message_with_alg, payload, texts, trusted, vectors, with, without},
    table::{Class, Row, rows as table},
    targets::Targets,
};

pub(crate) fn rows() -> Vec<Row> {
    [unsigned(), with_alg_of_wrong_type(), with_misspelt_alg(), of_another_algorithm(), with_trivial_signatures()]
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test]
async fn alg_none_is_rejected_in_every_spelling() {
    Targets::start(&jwks()).await.check(&unsigned()).await;
}

#[tokio::test]
async fn an_alg_that_is_absent_or_not_a_string_is_rejected() {
    Targets::start(&jwks()).await.check(&with_alg_of_wrong_type()).await;
}

#[tokio::test]
async fn an_alg_that_resembles_rs256_is_rejected() {
    Targets::start(&jwks()).await.check(&with_misspelt_alg()).await;
}

#[tokio::test]
async fn a_signature_of_another_algorithm_is_rejected() {
    Targets::start(&jwks()).await.check(&of_another_algorithm()).await;
}

#[tokio::test]
async fn trivial_signature_values_are_rejected() {
    Targets::start(&jwks()).await.check(&with_trivial_signatures()).await;
}

fn signed_with_alg(alg: impl Serialize) -> String {
    trusted().sign(&with(header(), "alg", alg), &payload())
}

fn unsigned() -> Vec<Row> {
    let mut attacks = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "none ", " none", "none\u{0}", "n\u{43e}ne", "null", ""] {
        attacks.push((format!("{alg:?}, no signature"), format!("{}.", message_with_alg(alg)), UnsupportedAlgorithm));
        attacks.push((format!("{alg:?}, a signature"), signed_with_alg(alg), UnsupportedAlgorithm));
    }
    let escaped = header().to_string().replace("RS256", "n\\u006fne");
    let without_kid = json!({ "alg": "none" }).to_string();
    let kept = good().rsplit_once('.').map(|(_, signature)| signature.to_owned()).expect("a signature");
    let none = message_with_alg("none");
    attacks.extend([
        ("escaped".to_owned(), format!("{}.", message(&escaped, payload().to_string())), UnsupportedAlgorithm),
        ("alone".to_owned(), format!("{}.", message(without_kid, payload().to_string())), UnsupportedAlgorithm),
        ("a good token's signature".to_owned(), format!("{none}.{kept}"), UnsupportedAlgorithm),
        ("two segments".to_owned(), none, Malformed),
    ]);
    table(Class::AlgNone, &good(), attacks)
}

fn with_alg_of_wrong_type() -> Vec<Row> {
    let values = [
        json!(["RS256"]),
        json!(null),
        json!(0),
        json!(256),
        json!(1.5),
        json!(true),
        json!(false),
        json!({}),
        json!({ "alg": "RS256" }),
        json!([]),
    ];
    let mut attacks: Vec<_> =
        values.into_iter().map(|alg| (alg.to_string(), signed_with_alg(&alg), UnsupportedAlgorithm)).collect();
    let absent = trusted().sign(&without(header(), "alg"), &payload());
    attacks.push(("absent".to_owned(), absent, UnsupportedAlgorithm));
    table(Class::AlgOfWrongType, &good(), attacks)
}

fn with_misspelt_alg() -> Vec<Row> {
    let spellings = [
        "rs256",
        "Rs256",
        "RS256 ",
        " RS256",
        "RS256\u{0}",
        "RS\u{200b}256",
        "\u{ff32}S256",
        "RS-256",
        "RS2560",
        "RS25",
        "RS",
        "RS1",
        "SHA256withRSA",
        "RSASSA-PKCS1-v1_5",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "RS256,none",
        "__proto__",
        "constructor",
        "toString",
    ];
    let attacks = spellings.map(|alg| (format!("{alg:?}"), signed_with_alg(alg), UnsupportedAlgorithm));
    let escaped = header().to_string().replace("RS256", "\\u0052S256");
    table(Class::AlgMisspelt, &trusted().sign_bytes(escaped, payload().to_string()), attacks)
}

fn of_another_algorithm() -> Vec<Row> {
    let signed = |alg: &str, encoding: &'static dyn RsaEncoding| {
        let message = message_with_alg(alg);
        attach(&message, trusted().signature(encoding, &message))
    };
    let mut attacks = vec![
        ("RS384".to_owned(), signed("RS384", &RSA_PKCS1_SHA384), AlgorithmMismatch),
        ("RS512".to_owned(), signed("RS512", &RSA_PKCS1_SHA512), AlgorithmMismatch),
        ("RS384 by name".to_owned(), signed_with_alg("RS384"), AlgorithmMismatch),
        ("PS256".to_owned(), signed("PS256", &RSA_PSS_SHA256), UnsupportedAlgorithm),
        ("PS512".to_owned(), signed("PS512", &RSA_PSS_SHA512), UnsupportedAlgorithm),
        ("PS256 by name".to_owned(), signed_with_alg("PS256"), UnsupportedAlgorithm),
        ("ES256 by name".to_owned(), signed_with_alg("ES256"), UnsupportedAlgorithm),
        ("RSA-OAEP by name".to_owned(), signed_with_alg("RSA-OAEP"), UnsupportedAlgorithm),
        ("RS256 over SHA-384".to_owned(), signed("RS256", &RSA_PKCS1_SHA384), InvalidSignature),
        ("RS256 over SHA-512".to_owned(), signed("RS256", &RSA_PKCS1_SHA512), InvalidSignature),
        ("RS256 over PSS".to_owned(), signed("RS256", &RSA_PSS_SHA256), InvalidSignature),
    ];
    let vectors = vectors("trusted");
    let message = vectors["message"].as_str().expect("a message");
    attacks.extend(texts(&vectors["algorithm"]).map(|(name, signature)| {
        (format!("RS256 over {name}, a vector"), format!("{message}.{signature}"), InvalidSignature)
    }));
    table(Class::OtherAlgorithm, &good(), attacks)
}

fn with_trivial_signatures() -> Vec<Row> {
    // The order of P-256 (FIPS 186-4, D.1.2.3). With r = s = n a verifier that does not check the range accepts.
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut identity = vec![0; 64];
    identity[0] = 1;
    let signatures = [
        ("ES256", "zeros", vec![0; 64]),
        ("ES256", "r = s = n", [order, order].concat()),
        ("ES256", "r = s = 0 in DER", vec![0x30, 6, 2, 1, 0, 2, 1, 0]),
        ("ES256", "nothing", Vec::new()),
        ("ES384", "zeros", vec![0; 96]),
        ("ES512", "zeros", vec![0; 132]),
        ("EdDSA", "the identity", identity),
        ("EdDSA", "zeros", vec![0; 64]),
        ("PS256", "zeros", vec![0; 256]),
    ];
    let mut attacks = Vec::new();
    for (alg, name, signature) in signatures {
        attacks.push((format!("{alg}: {name}"), attach(&message_with_alg(alg), &signature), UnsupportedAlgorithm));
        attacks.push((format!("{name} as RS256"), attach(&message_with_alg("RS256"), &signature), InvalidSignature));
    }
    let message = message_with_alg("ES256");
    let curve = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
    let signature = curve.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
    attacks.push(("ES256 by a stranger".to_owned(), attach(&message, signature), UnsupportedAlgorithm));
    let edwards = Ed25519KeyPair::generate().expect("a key");
    let message = message_with_alg("EdDSA");
    attacks.push((
        "EdDSA by a stranger".to_owned(),
        attach(&message, edwards.sign(message.as_bytes())),
        UnsupportedAlgorithm,
    ));
    table(Class::TrivialSignature, &good(), attacks)
}
