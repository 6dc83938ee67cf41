//! Several instances at the URL of the Backend API, which differ only in their secret keys.

use tower_clerk::{
    ClerkConfig, Verifier,
    testing::{ManualClock, TestIssuer},
    verify::VerifyErrorKind,
};

use super::instance::{document, response};
use crate::support::{issuer, other_issuer};
use crate::support::{server::Server, within};

/// Both instances' keys have the same `kid`.
async fn server() -> Server {
    let server = Server::start(response("401 Unauthorized", &[], "")).await;
    server.respond_with(|head| match authorization(head) {
        Some("Bearer sk_test_one") => document(&issuer().jwks()),
        Some("Bearer sk_test_two") => document(&other_issuer().jwks()),
        _ => response("401 Unauthorized", &[], ""),
    });
    server
}

fn authorization(head: &str) -> Option<&str> {
    head.split("\r\n").find_map(|line| line.strip_prefix("authorization: "))
}

fn verifier(server: &Server, secret: &str) -> Verifier {
    let config = ClerkConfig::from_secret_key(secret).and_then(|config| config.api_url(server.url()));
    Verifier::builder(config.expect("a configuration")).clock(ManualClock::new()).build().expect("a verifier")
}

fn token(issuer: &TestIssuer) -> String {
    issuer.token("user_ada").sign()
}

#[tokio::test]
async fn a_token_passes_only_at_the_verifier_of_its_instance() {
    assert_eq!(issuer().kid(), other_issuer().kid());
    let server = server().await;
    let (one, two) = (verifier(&server, "sk_test_one"), verifier(&server, "sk_test_two"));
    for _ in 0..2 {
        for (verifier, own, other) in [(&one, issuer(), other_issuer()), (&two, other_issuer(), issuer())] {
            within(verifier.verify(&token(own))).await.expect("a good token");
            let error = within(verifier.verify(&token(other))).await.expect_err("another instance's");
            assert_eq!(error.kind(), VerifyErrorKind::InvalidSignature);
        }
    }
    assert_eq!(server.connections().await, 2);
}

#[tokio::test]
async fn a_secret_is_sent_only_for_its_instance() {
    let server = server().await;
    let (one, two) = (verifier(&server, "sk_test_one"), verifier(&server, "sk_test_two"));
    for verifier in [&one, &two, &one, &two, &two] {
        within(verifier.refresh()).await.expect("keys");
    }
    let heads = server.seen().heads;
    let sent: Vec<_> = heads.iter().map(|head| authorization(head).expect("a secret")).collect();
    let [one, two] = ["Bearer sk_test_one", "Bearer sk_test_two"];
    assert_eq!(sent, [one, two, one, two, two]);
    assert_eq!(server.connections().await, 5);
}

#[tokio::test]
async fn a_wrong_secret_gets_no_keys_of_another_instance() {
    let server = server().await;
    let (good, bad) = (verifier(&server, "sk_test_one"), verifier(&server, "sk_test_three"));
    within(good.verify(&token(issuer()))).await.expect("a good token");
    let error = within(bad.verify(&token(issuer()))).await.expect_err("no keys");
    assert_eq!(error.kind(), VerifyErrorKind::KeysUnavailable);
    assert!(!format!("{error} {error:?}").contains("sk_test"));
    assert_eq!(bad.keys_status().keys, 0);
    within(good.verify(&token(issuer()))).await.expect("a good token");
}
