use std::sync::OnceLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower_clerk::{ClerkConfig, Verifier, testing::ManualClock, verify::Instance};

use super::mutation::{near_or_any, text_near};
use super::{cases, good_token};
use crate::support::{GatedSource, issuer};

fn documents() -> Vec<String> {
    let jwks = issuer().jwks();
    let keys: Value = serde_json::from_str(&jwks).expect("JSON");
    let key = &keys["keys"][0];
    let mut deep = json!(null);
    for _ in 0..120 {
        deep = json!([deep]);
    }
    let mut weak = key.clone();
    weak["n"] = json!(BASE64_URL_SAFE_NO_PAD.encode([0x81; 128]));
    vec![
        jwks,
        json!({ "keys": [7, null, {}, { "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }, key, key] }).to_string(),
        json!({ "keys": [{ "kty": "oct", "kid": "a", "k": "AAAA" }, weak, { "kty": "X" }], "more": deep }).to_string(),
        json!({ "keys": [], "x": "\u{1f980}" }).to_string(),
    ]
}

/// Whether the document contains the modulus of the issuer's key. It is read by another parser, or searched as text if
/// an unrelated member makes that parser fail.
fn holds_the_key(document: &str) -> bool {
    let own: Value = serde_json::from_str(&issuer().jwks()).expect("JSON");
    if document.contains(own["keys"][0]["n"].as_str().expect("a modulus")) {
        return true;
    }
    let Ok(document) = serde_json::from_str::<Value>(document.trim_start_matches('\u{feff}')) else { return false };
    let modulus = |key: &Value| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(key["n"].as_str()?).ok()?;
        Some(bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>())
    };
    let keys = document["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().any(|key| modulus(key).is_some() && modulus(key) == modulus(&own["keys"][0]))
}

fn verifier_of(config: ClerkConfig) -> Option<Verifier> {
    Verifier::builder(config).clock(ManualClock::new()).build().ok()
}

fn accepts(verifier: &Verifier) -> bool {
    verifier.try_verify(good_token()).is_ok()
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_time().build().expect("a runtime"))
}

/// A verifier that has fetched this document, if it has keys now.
fn fetched(document: Vec<u8>) -> Option<Verifier> {
    let source = GatedSource::serving(document);
    let builder = Verifier::builder(Instance::new(issuer().config()).key_source(source)).clock(ManualClock::new());
    let verifier = builder.build().expect("a verifier");
    runtime().block_on(verifier.warm_up()).ok().map(|()| verifier)
}

proptest! {
    #![proptest_config(cases(1_200))]

    #[test]
    fn a_document_gives_keys_or_an_error(text in text_near(&documents())) {
        if let Some(verifier) = ClerkConfig::from_jwks(text.as_str()).ok().and_then(verifier_of) {
            prop_assert!((1..=1024).contains(&verifier.keys_status().keys));
            prop_assert!(!accepts(&verifier) || holds_the_key(&text));
        }
    }

    #[test]
    fn fetched_and_configured_documents_get_the_same_verdict(document in near_or_any(&documents())) {
        let at_hand = std::str::from_utf8(&document).ok().and_then(|text| {
            verifier_of(ClerkConfig::from_jwks(text).and_then(|config| config.add_issuer(issuer().url())).ok()?)
        });
        let fetched = fetched(document);
        let keys = |verifier: &Option<Verifier>| verifier.as_ref().map(|verifier| verifier.keys_status().keys);
        prop_assert_eq!(keys(&fetched), keys(&at_hand));
        prop_assert_eq!(fetched.is_some_and(|verifier| accepts(&verifier)), at_hand.is_some_and(|verifier| accepts(&verifier)));
    }
}

fn pems() -> Vec<String> {
    let pem = issuer().public_key_pem();
    let one_line = pem.replace(['\r', '\n'], "");
    let bare: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    vec![
        pem.replace("PUBLIC", "RSA PUBLIC"),
        pem.replace("PUBLIC", "PRIVATE"),
        pem.replace('\n', "\\n"),
        one_line,
        bare,
        "MAA=".to_owned(),
        pem,
    ]
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn a_pem_gives_a_key_or_an_error(text in text_near(&pems())) {
        let parsed = ClerkConfig::from_jwt_key(&text);
        if let Ok(config) = &parsed {
            let shown = format!("{config:?}");
            prop_assert!(shown.contains("jwt_key: Some(JwtKey(..))"));
        }
        if let Ok(config) = parsed {
            let verifier = verifier_of(config).expect("a key that was parsed is a key that verifies");
            prop_assert_eq!(verifier.keys_status().keys, 1);
            let modulus = pems()[4].split_at(64).1.split_at(256).0.to_owned();
            let text: String = text.split_ascii_whitespace().collect();
            prop_assert!(!accepts(&verifier) || text.replace("\\n", "").replace("\\r", "").contains(&modulus));
        }
    }
}
