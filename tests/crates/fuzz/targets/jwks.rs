//! A JWKS document, and what a verifier with its keys accepts.

#![no_main]

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, value::RawValue};
use tower_clerk::{ClerkConfig, Verifier, testing::ManualClock};
use tower_clerk_fuzz::{ISSUER, JWKS, TOKENS};

/// The members of a document that another parser can read.
fn members(document: &str) -> Vec<Value> {
    #[derive(serde::Deserialize)]
    struct Document {
        keys: Vec<Box<RawValue>>,
    }
    let document = document.strip_prefix('\u{feff}').unwrap_or(document);
    let keys = serde_json::from_str::<Document>(document).map(|document| document.keys).unwrap_or_default();
    keys.iter().filter_map(|key| serde_json::from_str(key.get()).ok()).collect()
}

fn modulus(key: &Value) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(key["n"].as_str()?).ok()?;
    Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

/// Whether a member meets the minimum conditions of a usable key.
fn may_be_key(key: &Value) -> bool {
    let is = |name: &str, values: &[&str]| key.get(name).is_none_or(|value| values.iter().any(|known| value == known));
    key["kty"] == "RSA"
        && key["kid"].as_str().is_some_and(|kid| (1..=255).contains(&kid.len()))
        && is("use", &["sig"])
        && is("alg", &["RS256", "RS384", "RS512"])
        && key.get("key_ops").is_none_or(|operations| {
            operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
        })
        && modulus(key).is_some_and(|modulus| {
            (256..=1024).contains(&modulus.len()) && modulus.last().is_some_and(|last| last % 2 == 1)
        })
}

fuzz_target!(|document: &str| {
    let Ok(config) = ClerkConfig::from_jwks(document).and_then(|config| config.add_issuer(ISSUER)) else { return };
    let verifier = Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier");
    let keys: Vec<Value> = members(document).into_iter().filter(may_be_key).collect();
    let count = verifier.keys_status().keys;
    assert!((1..=keys.len().min(1024)).contains(&count), "{count} of {}", keys.len());

    let own = members(JWKS).first().and_then(modulus);
    let is_there = keys.iter().any(|key| modulus(key) == own);
    for token in TOKENS {
        assert!(is_there || verifier.try_verify(token).is_err());
    }
});
