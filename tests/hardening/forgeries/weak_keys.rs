//! Keys that allow forged signatures, published beside the valid one.

use serde_json::Value;
use tower_clerk::verify::VerifyErrorKind::{InvalidSignature, UnknownKey};

use super::{
    forge::{KID, good, jwks_of, texts, trusted, vectors, with},
    table::{Class, Row, rows as table},
    targets::Targets,
};

pub(crate) fn rows() -> Vec<Row> {
    [of_weak_keys(), of_small_exponents()].into_iter().flatten().collect()
}

#[tokio::test]
async fn a_weak_key_in_the_set_is_ignored() {
    Targets::start(&hostile_jwks()).await.check(&of_weak_keys()).await;
}

#[tokio::test]
async fn a_root_is_not_a_signature_with_a_small_exponent() {
    Targets::start(&hostile_jwks()).await.check(&of_small_exponents()).await;
}

/// Every weak key, under its own `kid` and under the trusted one, then the valid keys.
fn hostile_jwks() -> Value {
    let mut keys = Vec::new();
    for weak in vectors("weak_keys").as_object().expect("a group").values() {
        keys.push(weak["jwk"].clone());
        keys.push(with(weak["jwk"].clone(), "kid", KID));
    }
    keys.push(vectors("small_exponent")["jwk"].clone());
    keys.push(trusted().jwk(KID));
    jwks_of(&keys)
}

fn of_weak_keys() -> Vec<Row> {
    let attacks = vectors("weak_keys").as_object().expect("a group").iter().flat_map(|(name, weak)| {
        let [own, shared] = ["own_kid", "trusted_kid"].map(|form| weak[form].as_str().expect("a token").to_owned());
        [(format!("{name}, own kid"), own, UnknownKey), (format!("{name}, trusted kid"), shared, InvalidSignature)]
    });
    table(Class::BadKeys, &good(), attacks)
}

fn of_small_exponents() -> Vec<Row> {
    let vectors = vectors("small_exponent");
    let [message, signature] = ["message", "good"].map(|name| vectors[name].as_str().expect("a text"));
    let attacks =
        texts(&vectors["forged"]).map(|(name, signature)| (name, format!("{message}.{signature}"), InvalidSignature));
    table(Class::BadKeys, &format!("{message}.{signature}"), attacks)
}
