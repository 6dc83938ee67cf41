//! What a token that is no session token costs: a hit compared with the hit of a session token, and a first sight compared
//! with the raw verification of the signature.
//!
//! ```text
//! cargo bench --bench kinds
//! ```

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
mod support;

use std::{convert::Infallible, future, slice::from_ref};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, header::AUTHORIZATION};
use http_body_util::Empty;
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, TokenKind, Verifier, jwks::FetchError, testing::TestIssuer, verify::Instance,
};
use tower_layer::Layer;

use self::support::{Case, Mark, Operation, Raw, Tokens, operation, ready, run};

fn main() {
    let issuer = TestIssuer::new();
    let session = Tokens::new(&issuer).usual;
    let oauth = issuer
        .oauth_token("user_2mXv4Q1zB7cN9dK3fG6hJ8lP0rT")
        .claim("scope", "profile things:read things:write")
        .claim("client_id", "client_2mXv7U4yD9gQ6bK3jF5lC0pV8wZ")
        .claim("aud", "https://api.acme.example/mcp")
        .sign();
    let m2m =
        issuer.m2m_token("mch_2mXv8W5zE0hR7cL4kG6mD1qW9xA").claim("scopes", "mch_2mXv9X6aF1iS8dM5lH7nE2rX0yB").sign();
    let key = "ak_2mXvAY7bG2jT9eN6mI8oF3sY1zC".to_owned();

    let config = issuer.config().accept(TokenKind::all()).expect("kinds");
    let sessions = Verifier::new(issuer.config()).expect("a verifier");
    let verifier = known(config.clone(), &key);
    let forgetful = ready(
        Verifier::builder(config.accept([TokenKind::OAuth, TokenKind::M2m]).expect("kinds")).without_token_cache(),
    );
    let raw = Raw::new(&issuer);

    let hit = |name, token| Case {
        base: verifies(&sessions, &session),
        base_name: "session, 1 KB",
        mark: Mark::Ratio(HIT),
        name,
        ours: verifies(&verifier, token),
    };
    let first_sight = |name, base_name, token| Case {
        base: raw.verifies_in_turn(from_ref(token)),
        base_name,
        mark: Mark::Ratio(FIRST_SIGHT),
        name,
        ours: verifies(&forgetful, token),
    };
    let (bare, layer) = (ClerkAuthLayer::from(sessions.clone()), ClerkAuthLayer::from(verifier.clone()));
    let layer_hit = |name, token| Case {
        base: calls(&bare, &session),
        base_name: "layer, session, 1 KB",
        mark: Mark::Ratio(HIT),
        name,
        ours: calls(&layer, token),
    };
    run(
        "kinds",
        vec![
            hit("hit, session among all kinds", &session),
            hit("hit, OAuth", &oauth),
            hit("hit, M2M", &m2m),
            hit("hit, API key", &key),
            layer_hit("layer hit, session among all kinds", &session),
            layer_hit("layer hit, OAuth", &oauth),
            layer_hit("layer hit, M2M", &m2m),
            layer_hit("layer hit, API key", &key),
            first_sight("first sight, OAuth", "raw, OAuth", &oauth),
            first_sight("first sight, M2M", "raw, M2M", &m2m),
        ],
    );
}

/// A verifier that knows the API key already.
fn known(config: ClerkConfig, key: &str) -> Verifier {
    let api = |_: Request<Bytes>| async {
        let answer = r#"{"object":"api_key","id":"ak_1","type":"api_key","name":"ci","subject":"user_1","scopes":["things:read"],
            "claims":null,"revoked":false,"revocation_reason":null,"expired":false,"expiration":null}"#;
        Ok::<_, FetchError>(Response::new(Bytes::from_static(answer.as_bytes())))
    };
    let config = config.opaque_token_ttl(std::time::Duration::from_secs(3600)).expect("a time");
    let verifier = Verifier::builder(Instance::new(config).backend_api(api)).build().expect("a verifier");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(verifier.verify_principal(key)).expect("a valid key");
    verifier
}

fn verifies<'a>(verifier: &'a Verifier, token: &'a str) -> Box<dyn Operation + 'a> {
    assert!(verifier.try_verify_principal(token).is_ok());
    operation(move || token, |token| verifier.try_verify_principal(token))
}

/// Calls a clone of the service, as servers do. It never waits, so one poll returns the response.
fn calls<'a>(layer: &ClerkAuthLayer, token: &str) -> Box<dyn Operation + 'a> {
    let service = layer.layer(service_fn(|request: Request<Empty<Bytes>>| {
        drop(request);
        future::ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    let request = Request::get("/me")
        .header("host", "api.test.example")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Empty::new())
        .expect("a request");
    let respond = move |request| service.clone().oneshot(request).now_or_never().expect("a response at once");
    assert_eq!(respond(request.clone()).expect("a response").status(), 200);
    operation(move || request.clone(), respond)
}

// Marks: what the other kinds may cost.
/// Times the hit of a session token.
const HIT: f64 = 1.10;
/// Times the raw verification.
const FIRST_SIGHT: f64 = 1.15;
