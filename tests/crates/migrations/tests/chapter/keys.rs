//! What happens when keys change, and while they cannot be fetched.

use serde_json::{Value, json};
use tower_clerk::testing::TestIssuer;

use crate::{
    apps::{App, VERSIONS, Version, token},
    table::{assert_in_chapter, row},
};

const HEAD: &str = "| keys | by hand | clerk-rs | jwt-authorizer | tower-clerk |";
const NO_START: &str = "does not start";
const UNKNOWN: usize = 20;

#[tokio::test]
async fn the_chapter_says_what_changes_and_outages_of_keys_do() {
    let rows = [
        line("a token of a new key", rotated).await,
        line("then one of the old key, which the issuer has withdrawn", withdrawn).await,
        line("a token of a new key, while the issuer answers 503", outage).await,
        line("a session token after a start while the issuer answers 503", cold).await,
        line("a session token, with a key of an unknown type beside the others", odd).await,
        line("fetches by 20 tokens with a `kid` that no key has", unknown).await,
    ];
    assert_in_chapter(HEAD, &rows);
}

async fn line(name: &str, story: impl AsyncFn(Version, TestIssuer) -> String) -> String {
    let mut cells = Vec::new();
    for version in VERSIONS {
        cells.push(story(version, issuer().await).await);
    }
    row(name, &cells)
}

async fn rotated(version: Version, issuer: TestIssuer) -> String {
    let app = warm(version, &issuer).await;
    issuer.rotate();
    app.status(&token(&issuer).sign()).await
}

async fn withdrawn(version: Version, issuer: TestIssuer) -> String {
    let app = warm(version, &issuer).await;
    let old = token(&issuer).sign();
    issuer.rotate();
    app.status(&token(&issuer).sign()).await;
    app.status(&old).await
}

async fn outage(version: Version, issuer: TestIssuer) -> String {
    let app = warm(version, &issuer).await;
    issuer.rotate();
    issuer.serve_status(503);
    app.status(&token(&issuer).sign()).await
}

async fn cold(version: Version, issuer: TestIssuer) -> String {
    issuer.serve_status(503);
    match App::start(version, &issuer).await {
        Some(app) => app.status(&token(&issuer).sign()).await,
        None => NO_START.to_owned(),
    }
}

async fn odd(version: Version, issuer: TestIssuer) -> String {
    let mut keys: Value = serde_json::from_str(&issuer.jwks()).expect("keys");
    let odd = json!({ "kty": "AKP", "kid": "ins_next", "alg": "ML-DSA-44", "use": "sig", "pub": "AAAA" });
    keys["keys"].as_array_mut().expect("an array").push(odd);
    issuer.serve_document(keys.to_string());
    match App::start(version, &issuer).await {
        Some(app) => app.status(&token(&issuer).sign()).await,
        None => NO_START.to_owned(),
    }
}

async fn unknown(version: Version, issuer: TestIssuer) -> String {
    let app = warm(version, &issuer).await;
    let fetched = issuer.fetches();
    for number in 0..UNKNOWN {
        let made_up = token(&issuer).header("kid", format!("ins_{number}")).sign();
        assert_ne!(app.status(&made_up).await, "200");
    }
    (issuer.fetches() - fetched).to_string()
}

async fn issuer() -> TestIssuer {
    TestIssuer::start().await.expect("a loopback socket")
}

/// A program that has verified a token.
async fn warm(version: Version, issuer: &TestIssuer) -> App {
    let app = App::start(version, issuer).await.expect("a program");
    assert_eq!(app.status(&token(issuer).sign()).await, "200");
    app
}
