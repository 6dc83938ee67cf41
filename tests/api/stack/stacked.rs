use axum::{Router, routing::get as route};
use http::HeaderName;
use serde::Deserialize;
use tower_clerk::{ClerkAuth, ClerkAuthLayer, CustomClaims, Rejection, TokenSource};

use crate::support::{
    BAD, cold_layer, gated_layer, get_path, good, issuer, layer, layer_of, other_issuer, request, send,
};

const SECOND: HeaderName = HeaderName::from_static("x-second");

#[derive(Deserialize)]
struct Profile {
    email: String,
}

/// Replies with the request's user, or the reason why there is none.
async fn found(request: axum::extract::Request) -> String {
    let user = request.extensions().get::<ClerkAuth>();
    let rejection = request.extensions().get::<Rejection>();
    match (user, rejection) {
        (Some(user), None) => format!("{} of {}", user.user_id(), user.instance()),
        (None, Some(rejection)) => rejection.code().to_owned(),
        (None, None) => "neither".to_owned(),
        (Some(_), Some(_)) => "both".to_owned(),
    }
}

fn app(inner: ClerkAuthLayer, outer: ClerkAuthLayer) -> Router {
    Router::new().route("/", route(found)).layer(inner).layer(outer)
}

/// A layer for the other instance. It reads another header.
fn second() -> ClerkAuthLayer {
    let config = other_issuer().config().instance_name("second").expect("a name");
    layer_of(config).token_sources([TokenSource::header(SECOND)]).expect("a source")
}

/// The same, before its key is fetched.
fn second_cold() -> ClerkAuthLayer {
    let config = other_issuer().config().instance_name("second").expect("a name");
    let (layer, gate) = gated_layer(config, vec![other_issuer().jwks()]);
    gate.open();
    layer.token_sources([TokenSource::header(SECOND)]).expect("a source")
}

fn first() -> ClerkAuthLayer {
    layer_of(issuer().config().instance_name("first").expect("a name"))
}

#[tokio::test]
async fn an_inner_layer_rejects_requests_that_the_outer_admitted() {
    for inner in [second(), second_cold()] {
        let app = app(inner, first());
        send(&app, get_path("/", Some(&good()))).await.assert_rejected(401, "missing_token");
        let theirs = issuer().token("user_ada").sign();
        let both = [("authorization", good()), ("x-second", theirs)];
        let both = both.each_ref().map(|(name, value)| (*name, value.as_str()));
        send(&app, request("GET", "/", &both)).await.assert_rejected(401, "invalid_token");
    }
}

#[tokio::test]
async fn the_inner_layers_user_replaces_the_outer_layers() {
    let bob = other_issuer().token("user_bob").sign();
    for inner in [second(), second_cold()] {
        for outer in [first(), first().allow_unauthenticated_requests()] {
            let app = app(inner.clone(), outer);
            let ada = good();
            let both = [("authorization", ada.as_str()), ("x-second", &bob)];
            assert_eq!(send(&app, request("GET", "/", &both)).await.outcome(), (200, "user_bob of second"));
        }
    }
}

#[tokio::test]
async fn the_inner_layers_user_replaces_an_outer_rejection() {
    let bob = other_issuer().token("user_bob").sign();
    for inner in [second(), second_cold()] {
        let app = app(inner, first().allow_unauthenticated_requests());
        assert_eq!(send(&app, request("GET", "/", &[("x-second", &bob)])).await.outcome(), (200, "user_bob of second"));
    }
}

#[tokio::test]
async fn a_lenient_inner_layer_removes_the_outer_layers_user() {
    for inner in [second(), second_cold()] {
        let app = app(inner.allow_unauthenticated_requests(), first());
        assert_eq!(send(&app, get_path("/", Some(&good()))).await.outcome(), (200, "missing_token"));
        let ada = good();
        let both = [("authorization", ada.as_str()), ("x-second", "a.b.c")];
        assert_eq!(send(&app, request("GET", "/", &both)).await.outcome(), (200, "invalid_token"));
    }
}

#[tokio::test]
async fn a_lenient_inner_layer_does_not_relax_a_strict_outer_one() {
    let app = app(layer().allow_unauthenticated_requests(), layer());
    send(&app, get_path("/", None)).await.assert_rejected(401, "missing_token");
    send(&app, get_path("/", Some(BAD))).await.assert_rejected(401, "invalid_token");
    assert_eq!(send(&app, get_path("/", Some(&good()))).await.status(), 200);
}

#[tokio::test]
async fn one_layer_applied_twice_admits_its_user() {
    let (clerk, gate) = cold_layer();
    gate.open();
    for clerk in [layer(), clerk] {
        let app = app(clerk.clone(), clerk);
        let answer = send(&app, get_path("/", Some(&good()))).await;
        assert_eq!(answer.outcome(), (200, format!("user_ada of {}", issuer().url()).as_str()));
        send(&app, get_path("/", None)).await.assert_rejected(401, "missing_token");
    }
}

#[tokio::test]
async fn custom_claims_are_removed_with_the_outer_layers_user() {
    let profile = |profile: Option<CustomClaims<Profile>>| async move {
        profile.map_or_else(|| "nobody".to_owned(), |profile| profile.email.clone())
    };
    let token = issuer().token("user_ada").claim("email", "ada@example.com").sign();
    let inner = second().allow_unauthenticated_requests();
    let app = Router::new().route("/", route(profile)).layer(inner).layer(first().with_custom_claims::<Profile>());
    let answer = send(&app, get_path("/", Some(&format!("Bearer {token}")))).await;
    assert_eq!(answer.outcome(), (200, "nobody"));
}
