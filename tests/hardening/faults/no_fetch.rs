//! Operations that must not fetch keys.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::json;
use tower::{Service, ServiceExt};
use tower_clerk::{ClerkAuthLayer, ClerkConfig, Verifier, verify::VerifyErrorKind};
use tower_layer::Layer;

use super::instance::{Instance, PATIENT, document, keys};
use crate::support::{Recorder, issuer, other_issuer, token};
use crate::support::{server::Server, within};

#[tokio::test]
async fn nothing_is_fetched_before_a_token_needs_it() {
    let server = Server::start(keys()).await;
    let config = ClerkConfig::from_frontend_api_url(server.url()).expect("a configuration");
    assert_eq!(server.connections().await, 0);
    let verifier = Verifier::new(config.clone()).expect("a verifier");
    let status = verifier.keys_status();
    assert_eq!((status.keys, status.last_error), (0, None));
    assert_eq!(server.connections().await, 0);
    let layers = [
        ClerkAuthLayer::from(verifier.clone()),
        ClerkAuthLayer::from_config(config).expect("a layer").allow_missing_token(),
        ClerkAuthLayer::new(server.url()).expect("a layer").oauth_resource_metadata(),
    ];
    assert_eq!(server.connections().await, 0);
    for layer in &layers {
        let mut service = layer.layer(Recorder::default());
        assert_eq!(server.connections().await, 0);
        ServiceExt::<Request<Body>>::ready(&mut service).await.expect("infallible");
        assert_eq!(server.connections().await, 0);
        let response = service.call(Request::new(Body::empty())).await.expect("infallible");
        assert_ne!(response.status(), 503);
        assert_eq!(server.connections().await, 0);
    }
    verifier.forget_keys();
    assert_eq!(server.connections().await, 0);
}

/// Tokens that are invalid under every key, and the reason of their rejection.
fn rejected_without_keys(url: &str) -> Vec<(String, VerifyErrorKind)> {
    let signed = |header: serde_json::Value| issuer().sign(&header.to_string(), &token().payload());
    let good = token().sign();
    let (rest, signature) = good.rsplit_once('.').expect("a signature");
    let kid = issuer().kid();
    let jwks = format!("{url}/.well-known/jwks.json");
    vec![
        (String::new(), VerifyErrorKind::Malformed),
        ("a.b.c".to_owned(), VerifyErrorKind::Malformed),
        (rest.to_owned(), VerifyErrorKind::Malformed),
        (format!("{good}.{signature}"), VerifyErrorKind::Malformed),
        (format!("{good}="), VerifyErrorKind::Malformed),
        (issuer().sign("[]", "{}"), VerifyErrorKind::Malformed),
        (issuer().sign("{}", "[]"), VerifyErrorKind::UnsupportedAlgorithm),
        (issuer().sign(&json!({ "alg": "RS256", "kid": kid }).to_string(), "[]"), VerifyErrorKind::Malformed),
        (signed(json!({ "alg": "none" })), VerifyErrorKind::UnsupportedAlgorithm),
        (signed(json!({ "alg": "none", "kid": kid })), VerifyErrorKind::UnsupportedAlgorithm),
        (signed(json!({ "alg": "nOnE", "kid": kid })), VerifyErrorKind::UnsupportedAlgorithm),
        (signed(json!({ "alg": "HS256", "kid": kid })), VerifyErrorKind::UnsupportedAlgorithm),
        (signed(json!({ "alg": "ES256", "kid": kid })), VerifyErrorKind::UnsupportedAlgorithm),
        (signed(json!({ "kid": kid })), VerifyErrorKind::UnsupportedAlgorithm),
        (signed(json!({ "alg": "RS256" })), VerifyErrorKind::InvalidKeyId),
        (signed(json!({ "alg": "RS256", "kid": "" })), VerifyErrorKind::InvalidKeyId),
        (signed(json!({ "alg": "RS256", "kid": null })), VerifyErrorKind::InvalidKeyId),
        (signed(json!({ "alg": "RS256", "kid": [kid] })), VerifyErrorKind::InvalidKeyId),
        (signed(json!({ "alg": "RS256", "kid": "k".repeat(256) })), VerifyErrorKind::InvalidKeyId),
        (signed(json!({ "alg": "RS256", "jku": jwks, "x5u": jwks })), VerifyErrorKind::InvalidKeyId),
        (signed(json!({ "alg": "none", "kid": kid, "jku": jwks })), VerifyErrorKind::UnsupportedAlgorithm),
        (signed(json!({ "alg": "RS256", "kid": kid, "crit": ["jku"], "jku": jwks })), VerifyErrorKind::CriticalHeader),
        (signed(json!({ "alg": "RS256", "kid": kid, "typ": "at+jwt" })), VerifyErrorKind::TokenKindNotAccepted),
        (
            signed(json!({ "alg": "RS256", "kid": kid, "cat": "cl_B7d4PD333AAA" })),
            VerifyErrorKind::TokenKindNotAccepted,
        ),
        (issuer().m2m_token("mch_a").sign(), VerifyErrorKind::TokenKindNotAccepted),
        (issuer().oauth_token("user_ada").sign(), VerifyErrorKind::TokenKindNotAccepted),
        (token().claim("sub", "mch_a").header("cat", "cl_I7d4PD111III").sign(), VerifyErrorKind::TokenKindNotAccepted),
        (token().claim("long", "a".repeat(16 * 1024)).sign(), VerifyErrorKind::TooLong),
    ]
}

#[tokio::test]
async fn nothing_is_fetched_for_a_token_that_no_key_could_verify() {
    let cold = Instance::cold(PATIENT, keys()).await;
    let warm = Instance::warm(PATIENT, keys()).await;
    within(warm.verifier.refresh()).await.expect("keys");
    for (instance, connections) in [(cold, 0), (warm, 2)] {
        for (token, kind) in rejected_without_keys(&instance.server.url()) {
            let error = instance.verify(&token).await.expect_err("rejected");
            assert_eq!(error.kind(), kind, "{token}");
        }
        assert_eq!(instance.server.connections().await, connections);
    }
}

#[tokio::test]
async fn urls_in_tokens_are_not_fetched() {
    let elsewhere = Server::start(document(&other_issuer().jwks())).await;
    let jwks = format!("{}/.well-known/jwks.json", elsewhere.url());
    let jwk: serde_json::Value = serde_json::from_str(&other_issuer().jwks()).expect("JSON");
    let header = json!({
        "alg": "RS256", "typ": "JWT", "kid": issuer().kid(), "jku": jwks, "x5u": jwks, "jwk": jwk["keys"][0],
    });
    let instance = Instance::cold(PATIENT, keys()).await;
    let payload = |iss: String| token().claim("iss", iss).lifetime(Duration::from_secs(3600)).payload();
    let own = payload(instance.server.url());
    for (signer, payload, kind) in [
        (other_issuer(), payload(elsewhere.url()), VerifyErrorKind::InvalidSignature),
        (other_issuer(), own.clone(), VerifyErrorKind::InvalidSignature),
        (issuer(), payload(elsewhere.url()), VerifyErrorKind::InvalidIssuer),
    ] {
        let error = instance.verify(&signer.sign(&header.to_string(), &payload)).await.expect_err("forged");
        assert_eq!(error.kind(), kind);
    }
    instance.verify(&issuer().sign(&header.to_string(), &own)).await.expect("members that are ignored");
    assert_eq!((instance.server.connections().await, elsewhere.connections().await), (1, 0));
}

#[tokio::test]
async fn loaded_keys_are_not_fetched_again() {
    let instance = Instance::cold(PATIENT, keys()).await;
    for _ in 0..100 {
        instance.verify(&instance.token()).await.expect("a good token");
    }
    instance.verifier.warm_up().await.expect("keys");
    assert_eq!(instance.server.connections().await, 1);
}
