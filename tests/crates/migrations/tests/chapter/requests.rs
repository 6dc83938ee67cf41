//! The statuses of the same requests, with keys in memory.

use http::{Request, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tower_clerk::testing::{TestIssuer, TokenBuilder};

use crate::{
    apps::{App, VERSIONS, bearer, token},
    table::{assert_in_chapter, row},
};

const HEAD: &str = "| request | by hand | clerk-rs | jwt-authorizer | tower-clerk |";

fn requests(issuer: &TestIssuer) -> Vec<(&'static str, Request<()>)> {
    let good = || token(issuer);
    let me = |token: TokenBuilder| bearer("/me", &token.sign());
    let get = |path: &str| Request::get(path);
    let with = |name: &str, value: String| get("/me").header(name, value).body(()).expect("a request");
    let admin = || good().organization("org_acme", "admin").organization_slug("acme").permission("invoices", "read");
    let cookie = || get("/me").header("cookie", format!("__session={}", good().sign()));
    let mut two = me(good());
    two.headers_mut().append(AUTHORIZATION, format!("Bearer {}", good().sign()).parse().expect("a value"));
    vec![
        ("a session token", me(good())),
        ("no token", get("/me").body(()).expect("a request")),
        ("another signature", bearer("/me", &forged(&good().sign()))),
        ("`alg` is `none`, no signature", bearer("/me", &unsigned(issuer))),
        ("`alg` is HS256, signed with the public key as the secret", bearer("/me", &hmac(issuer))),
        ("expired two minutes ago", me(expired(good(), 120))),
        ("expired 30 seconds ago", me(expired(good(), 30))),
        ("`nbf` is in an hour", me(good().claim("nbf", seconds() + 3600))),
        ("`iss` of another instance", me(good().claim("iss", "https://clerk.other.example"))),
        ("no `iss`", me(good().without_claim("iss"))),
        ("`azp` of another origin", me(good().authorized_party("https://evil.example.com"))),
        ("`sts` is `pending`: the user has not finished signing in", me(good().claim("sts", "pending"))),
        ("a header with `crit`", me(good().header("crit", ["b64"]))),
        ("an OAuth token that the user granted to another application", me(issuer.oauth_token("user_ada"))),
        ("an M2M token: `sub` is a machine", me(issuer.m2m_token("mch_reports"))),
        ("a token of a JWT template, without `sid`", me(good().without_claim("sid"))),
        ("the same with an `aud`", me(good().without_claim("sid").claim("aud", "api"))),
        ("`Authorization: bearer …`", with("authorization", format!("bearer {}", good().sign()))),
        ("the token without `Bearer`", with("authorization", good().sign())),
        ("two `Authorization` fields", two),
        ("cookie `__session`", cookie().body(()).expect("a request")),
        (
            "the same, with the `Origin` of another site",
            cookie().header("origin", "https://evil.example.com").body(()).expect("a request"),
        ),
        ("`/admin`, `org:admin` in a token of version 1", bearer("/admin", &admin().v1().sign())),
        ("`/admin`, `org:admin` in a token of version 2", bearer("/admin", &admin().sign())),
        ("`/admin`, a member", bearer("/admin", &good().organization("org_acme", "member").sign())),
        ("`/invoices/7` without a token", get("/invoices/7").body(()).expect("a request")),
    ]
}

#[tokio::test]
async fn the_chapter_says_how_the_same_requests_are_answered() {
    let issuer = TestIssuer::start().await.expect("a loopback socket");
    let mut apps = Vec::new();
    for version in VERSIONS {
        let app = App::start(version, &issuer).await.expect("a program");
        assert_eq!(app.status(&token(&issuer).sign()).await, "200");
        apps.push(app);
    }
    let names: Vec<&str> = requests(&issuer).iter().map(|(name, _)| *name).collect();
    let mut cells = vec![Vec::new(); names.len()];
    for app in &apps {
        for ((_, request), cells) in requests(&issuer).into_iter().zip(&mut cells) {
            cells.push(app.answer(request).await.status.as_u16().to_string());
        }
    }
    let rows: Vec<String> = names.iter().zip(&cells).map(|(name, cells)| row(name, cells)).collect();
    assert_in_chapter(HEAD, &rows);
}

fn seconds() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a time after 1970").as_secs()
}

fn expired(token: TokenBuilder, ago: u64) -> TokenBuilder {
    let then = seconds() - ago;
    token.claim("iat", then - 60).claim("nbf", then - 60).claim("exp", then)
}

fn forged(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{message}.{other}{}", &signature[1..])
}

fn unsigned(issuer: &TestIssuer) -> String {
    let header = json!({ "alg": "none", "kid": issuer.kid(), "typ": "JWT" });
    let token = issuer.sign(&header.to_string(), &token(issuer).payload());
    format!("{}.", token.rsplit_once('.').expect("a token").0)
}

#[expect(clippy::disallowed_methods, reason = "it signs as an attacker does")]
fn hmac(issuer: &TestIssuer) -> String {
    let header = Header { kid: Some(issuer.kid()), ..Header::new(Algorithm::HS256) };
    let claims: Value = serde_json::from_str(&token(issuer).payload()).expect("claims");
    let secret = EncodingKey::from_secret(issuer.public_key_pem().as_bytes());
    jsonwebtoken::encode(&header, &claims, &secret).expect("a token")
}
