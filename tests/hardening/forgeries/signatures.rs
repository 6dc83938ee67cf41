//! Tokens with no signature, a changed one, or one of other data.

use base64::{Engine, prelude::BASE64_STANDARD};
use tower_clerk::verify::VerifyErrorKind::{InvalidSignature, Malformed, UnknownKey, UnsupportedAlgorithm};

use super::{
    forge::{attach, good, header, jwks, message, payload, stranger, texts, trusted, vectors, with},
    table::{Class, Row, rows as table},
    targets::Targets,
};

pub(crate) fn rows() -> Vec<Row> {
    [of_something_else(), rewritten(), changed()].into_iter().flatten().collect()
}

#[tokio::test]
async fn a_signature_of_other_data_is_rejected() {
    Targets::start(&jwks()).await.check(&of_something_else()).await;
}

#[tokio::test]
async fn a_missing_or_reencoded_signature_is_rejected() {
    Targets::start(&jwks()).await.check(&rewritten()).await;
}

#[tokio::test]
async fn an_arithmetic_variant_of_a_signature_is_rejected() {
    Targets::start(&jwks()).await.check(&changed()).await;
}

/// Message and signature of the valid token.
fn parts() -> (String, String) {
    let token = good();
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    (message.to_owned(), signature.to_owned())
}

fn of_something_else() -> Vec<Row> {
    let (good_message, signature) = parts();
    let (good_header, good_payload) = good_message.split_once('.').expect("two segments");
    let eve = with(payload(), "sub", "user_eve");
    let later = with(header(), "oiat", 1);
    let of_stranger = |kid: &str| stranger().sign(&with(header(), "kid", kid), &eve);
    let attacks = [
        (
            "another payload",
            format!("{}.{signature}", message(header().to_string(), eve.to_string())),
            InvalidSignature,
        ),
        (
            "another header",
            format!("{}.{signature}", message(later.to_string(), payload().to_string())),
            InvalidSignature,
        ),
        ("header and payload exchanged", format!("{good_payload}.{good_header}.{signature}"), UnsupportedAlgorithm),
        ("of the payload alone", signed(&good_message, good_payload), InvalidSignature),
        ("of the decoded payload", signed(&good_message, &payload().to_string()), InvalidSignature),
        ("without the dot", signed(&good_message, &good_message.replace('.', "")), InvalidSignature),
        ("of nothing", signed(&good_message, ""), InvalidSignature),
        ("by a stranger", stranger().sign(&header(), &eve), InvalidSignature),
        ("by a stranger, same payload", stranger().sign(&header(), &payload()), InvalidSignature),
        ("by a stranger under his kid", of_stranger("ins_stranger"), UnknownKey),
    ];
    table(Class::BadSignature, &good(), attacks)
}

/// The message with the trusted key's signature of another one.
fn signed(message: &str, other: &str) -> String {
    let sealed = trusted().seal(other);
    let (_, signature) = sealed.rsplit_once('.').expect("a signature");
    format!("{message}.{signature}")
}

fn rewritten() -> Vec<Row> {
    let (message, signature) = parts();
    let bytes = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(&signature).expect("base64url");
    let attacks = [
        ("none", format!("{message}."), InvalidSignature),
        ("none, nor its dot", message.clone(), Malformed),
        ("a text", attach(&message, "signature"), InvalidSignature),
        ("the message", attach(&message, &message), InvalidSignature),
        ("the modulus", attach(&message, trusted().modulus()), InvalidSignature),
        ("the PKCS#1 key", attach(&message, trusted().pkcs1()), InvalidSignature),
        ("padded", format!("{message}.{signature}=="), Malformed),
        ("in base64", format!("{message}.{}", BASE64_STANDARD.encode(&bytes)), Malformed),
        ("twice", format!("{message}.{signature}.{signature}"), Malformed),
        ("before the message", format!("{signature}.{message}"), Malformed),
        ("as a JSON string", format!("{message}.\"{signature}\""), Malformed),
        ("as long as no key makes", attach(&message, [7; 1025]), Malformed),
        ("as long as any key makes", attach(&message, [7; 1024]), InvalidSignature),
    ];
    table(Class::BadSignature, &good(), attacks)
}

fn changed() -> Vec<Row> {
    let vectors = vectors("trusted");
    let [message, signature] = ["message", "good"].map(|name| vectors[name].as_str().expect("a text"));
    let attacks =
        texts(&vectors["arithmetic"]).map(|(name, changed)| (name, format!("{message}.{changed}"), InvalidSignature));
    table(Class::BadSignature, &format!("{message}.{signature}"), attacks)
}
