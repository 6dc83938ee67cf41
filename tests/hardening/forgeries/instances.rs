//! Two instances whose keys have the same `kid`, as happens when an instance is cloned.

use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, Verifier,
    testing::ManualClock,
    verify::{
        Instance,
        VerifyErrorKind::{InvalidIssuer, InvalidSignature},
    },
};
use tower_layer::Layer;

use super::{
    forge::{ISSUER, KID, Signer, header, jwks_of, payload, stranger, trusted, with},
    servers::Endpoint,
    table::{verifier_at, verifier_of},
};
use crate::support::{GatedSource, Recorder, get, send};

const OTHER_ISSUER: &str = "https://clerk.other.example";

#[tokio::test]
async fn a_token_is_rejected_by_another_instance_with_the_same_kid() {
    for (own, other) in [(trusted(), stranger()), (stranger(), trusted())] {
        let endpoint = Endpoint::serve(set_of(own)).await;
        for (case, verifier) in verifiers(own, &endpoint) {
            // The first verdict must not influence the second.
            for _ in 0..2 {
                let rejected = verifier.verify(&token(other)).await.expect_err(case);
                assert_eq!(rejected.kind(), InvalidSignature, "{case}");
                assert!(verifier.verify(&token(own)).await.is_ok(), "{case}");
            }
        }
    }
}

#[test]
fn instances_with_a_shared_key_still_compare_the_issuer() {
    let other_issuer = trusted().sign(&header(), &with(payload(), "iss", OTHER_ISSUER));
    let (here, there) = (verifier_of(&set_of(trusted())), verifier_for(OTHER_ISSUER));
    assert!(here.try_verify(&token(trusted())).is_ok() && there.try_verify(&other_issuer).is_ok());
    assert_eq!(here.try_verify(&other_issuer).expect_err("rejected").kind(), InvalidIssuer);
    assert_eq!(there.try_verify(&token(trusted())).expect_err("rejected").kind(), InvalidIssuer);
}

#[tokio::test]
async fn two_layers_in_one_process_reject_each_others_tokens() {
    let layers = [trusted(), stranger()].map(|signer| ClerkAuthLayer::from(verifier_of(&set_of(signer))));
    for (at, layer) in layers.iter().enumerate() {
        for (by, signer) in [trusted(), stranger()].into_iter().enumerate() {
            let inner = Recorder::default();
            let request = get(&[("authorization", &format!("Bearer {}", token(signer)))]);
            let answer = send(&layer.layer(inner.clone()), request).await;
            let (status, calls) = if at == by { (200, 1) } else { (401, 0) };
            assert_eq!((answer.status(), inner.calls()), (status, calls), "{by} at {at}");
        }
    }
}

fn token(signer: &Signer) -> String {
    signer.sign(&header(), &payload())
}

fn set_of(signer: &Signer) -> String {
    jwks_of(&[signer.jwk(KID)]).to_string()
}

fn verifier_for(issuer: &str) -> Verifier {
    let config = ClerkConfig::from_jwks(set_of(trusted())).and_then(|config| config.add_issuer(issuer));
    let builder = Verifier::builder(config.expect("a configuration")).clock(ManualClock::new());
    builder.build().expect("a verifier")
}

/// A verifier of the signer's tokens for each way to get its key.
fn verifiers(signer: &Signer, endpoint: &Endpoint) -> [(&'static str, Verifier); 4] {
    let source = GatedSource::serving(set_of(signer));
    let instance = |config: Result<ClerkConfig, _>| {
        Instance::new(config.and_then(|config| config.add_issuer(ISSUER)).expect("a configuration"))
    };
    let build = |instance: Instance| Verifier::builder(instance).clock(ManualClock::new()).build().expect("a verifier");
    [
        ("PEM", build(instance(ClerkConfig::from_jwt_key(signer.pem())))),
        ("document", verifier_of(&set_of(signer))),
        ("source", build(instance(ClerkConfig::from_frontend_api_url(ISSUER)).key_source(source))),
        ("endpoint", verifier_at(endpoint)),
    ]
}
