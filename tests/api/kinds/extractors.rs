use axum::{Router, routing::get as route};
use serde::Deserialize;
use tower_clerk::{
    ApiKey, ClerkAuth, ClerkAuthLayer, CustomClaims, M2mToken, OAuthToken, Principal, Requirement,
    authorize::{Authorized, Policy},
    rejection::RejectionFormat,
    verify::VerifyErrorKind,
};

use super::{layer_with, tokens};
use crate::support::{Answer, bearer, get_path, issuer, layer_of, request, send};

#[derive(Deserialize)]
struct Profile {
    sub: String,
}

struct Anybody;

impl Policy for Anybody {
    fn requirement() -> Requirement {
        Requirement::predicate(|_| true)
    }
}

/// Takes each type, required and optional, and tells whether it was there.
fn routes() -> Router {
    Router::new()
        .route("/session", route(async |user: ClerkAuth| user.user_id().to_owned()))
        .route("/oauth", route(async |token: OAuthToken| token.user_id().to_owned()))
        .route("/m2m", route(async |token: M2mToken| token.machine_id().to_owned()))
        .route("/api-key", route(async |key: ApiKey| key.id().to_owned()))
        .route("/any", route(async |any: Principal| format!("{} {}", any.kind(), any.subject())))
        .route("/custom", route(async |profile: CustomClaims<Profile>| profile.sub.clone()))
        .route("/authorized", route(async |user: Authorized<Anybody>| user.user_id().to_owned()))
        .route("/optional/session", route(async |user: Option<ClerkAuth>| user.is_some().to_string()))
        .route("/optional/oauth", route(async |token: Option<OAuthToken>| token.is_some().to_string()))
        .route("/optional/m2m", route(async |token: Option<M2mToken>| token.is_some().to_string()))
        .route("/optional/api-key", route(async |key: Option<ApiKey>| key.is_some().to_string()))
        .route("/optional/any", route(async |any: Option<Principal>| any.is_some().to_string()))
        .route("/optional/custom", route(async |it: Option<CustomClaims<Profile>>| it.is_some().to_string()))
}

const PATHS: [&str; 5] = ["session", "oauth", "m2m", "api-key", "any"];

async fn ask(layer: ClerkAuthLayer, path: &str, authorization: Option<&str>) -> Answer {
    send(&routes().layer(layer), get_path(path, authorization)).await
}

#[tokio::test]
async fn a_handler_gets_the_kind_that_it_takes_and_no_other() {
    for (index, token) in tokens().iter().enumerate() {
        let authorization = bearer(token);
        for (other, path) in PATHS.iter().enumerate() {
            let answer = ask(layer_with(Ok), &format!("/{path}"), Some(&authorization)).await;
            if index == other || *path == "any" {
                assert_eq!(answer.status(), 200, "{path} {index}");
            } else {
                answer.assert_rejected(401, "invalid_token");
                assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#));
                let kind = answer.rejection().verify_error_kind();
                assert_eq!(kind, Some(VerifyErrorKind::TokenKindNotAccepted), "{path} {index}");
            }
            let answer = ask(layer_with(Ok), &format!("/optional/{path}"), Some(&authorization)).await;
            let is_there = index == other || *path == "any";
            assert_eq!(answer.outcome(), (200, is_there.to_string().as_str()), "{path} {index}");
        }
    }
}

#[tokio::test]
async fn a_principal_is_of_every_kind_behind_every_layer() {
    for (token, expected) in
        tokens().iter().zip(["session_token user_ada", "oauth_token user_ada", "m2m_token mch_orders"])
    {
        let answer = ask(layer_with(Ok), "/any", Some(&bearer(token))).await;
        assert_eq!(answer.outcome(), (200, expected));
    }
    let answer = ask(layer_of(issuer().config()), "/any", Some(&bearer(&tokens()[0]))).await;
    assert_eq!(answer.outcome(), (200, "session_token user_ada"));
}

#[tokio::test]
async fn a_handler_without_a_layer_is_an_error_of_the_program() {
    for path in PATHS.iter().chain(["custom", "authorized"].iter()) {
        assert_eq!(send(&routes(), get_path(&format!("/{path}"), None)).await.status(), 500, "{path}");
    }
    for path in PATHS.iter().chain(["custom"].iter()) {
        assert_eq!(send(&routes(), get_path(&format!("/optional/{path}"), None)).await.status(), 500, "{path}");
    }
}

#[tokio::test]
async fn without_a_token_a_handler_answers_with_the_rejection_of_the_layer() {
    for path in PATHS {
        let answer = ask(layer_with(Ok).allow_missing_token(), &format!("/{path}"), None).await;
        answer.assert_rejected(401, "missing_token");
        let answer = ask(layer_with(Ok).allow_missing_token(), &format!("/optional/{path}"), None).await;
        assert_eq!(answer.outcome(), (200, "false"));
        let answer =
            ask(layer_with(Ok).allow_unauthenticated_requests(), &format!("/{path}"), Some("Bearer a.b.c")).await;
        answer.assert_rejected(401, "invalid_token");
    }
}

#[tokio::test]
async fn custom_claims_and_policies_are_for_users_alone() {
    let layer = || layer_with(Ok).with_custom_claims::<Profile>();
    let [session, machines @ ..] = tokens();
    for path in ["/custom", "/authorized"] {
        assert_eq!(ask(layer(), path, Some(&bearer(&session))).await.outcome(), (200, "user_ada"));
        for machine in &machines {
            ask(layer(), path, Some(&bearer(machine))).await.assert_rejected(401, "invalid_token");
        }
    }
    assert_eq!(ask(layer(), "/optional/custom", Some(&bearer(&session))).await.outcome(), (200, "true"));
    for machine in &machines {
        let answer = ask(layer(), "/optional/custom", Some(&bearer(machine))).await;
        assert_eq!(answer.outcome(), (200, "false"));
        // A layer without these claims is a mistake that shows with a session.
        ask(layer_with(Ok), "/custom", Some(&bearer(machine))).await.assert_rejected(401, "invalid_token");
    }
    assert_eq!(ask(layer_with(Ok), "/custom", Some(&bearer(&session))).await.status(), 500);
}

#[tokio::test]
async fn the_rejection_of_another_kind_is_made_as_the_layer_says() {
    let layer =
        layer_with(Ok).rejection_response(|rejection: &tower_clerk::Rejection, request: &http::request::Parts| {
            let mut response = rejection.default_response();
            response.headers_mut().insert("x-path", request.uri.path().parse().expect("a header value"));
            response
        });
    let [_, oauth, _] = tokens();
    let answer = ask(layer, "/session", Some(&bearer(&oauth))).await;
    answer.assert_rejected(401, "invalid_token");
    assert_eq!(answer.header("x-path"), Some("/session"));

    let layer = layer_with(Ok).rejection_format(RejectionFormat::Grpc);
    ask(layer, "/session", Some(&bearer(&oauth))).await.assert_rejected_grpc("16", "invalid_token");

    let layer = layer_with(Ok).oauth_resource_metadata();
    let headers = [("authorization", bearer(&oauth)), ("host", "api.example.com".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = send(&routes().layer(layer), request("GET", "/session", &headers)).await;
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with(r#"Bearer error="invalid_token", "#), "{challenge}");
    assert!(challenge.contains("resource_metadata=\"https://api.example.com/.well-known/"), "{challenge}");
}

#[tokio::test]
async fn a_user_whom_a_middleware_has_replaced_is_the_principal_too() {
    let other = ClerkAuth::builder().user_id("user_bob").build();
    let replace = tower::util::MapRequestLayer::new(move |mut request: axum::extract::Request| {
        request.extensions_mut().insert(other.clone());
        request
    });
    let app = routes().layer(replace).layer(layer_with(Ok));
    let authorization = bearer(&tokens()[0]);
    assert_eq!(send(&app, get_path("/session", Some(&authorization))).await.outcome(), (200, "user_bob"));
    assert_eq!(send(&app, get_path("/any", Some(&authorization))).await.outcome(), (200, "session_token user_bob"));
}
