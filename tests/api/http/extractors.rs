use axum::{Router, response::IntoResponse, routing::get as route};
use http::StatusCode;
use serde::Deserialize;
use tower_clerk::{ClerkAuth, ClerkAuthLayer, CustomClaims, Rejection};

use crate::support::{bearer, get_path, good, layer, layer_without_keys, send, token};

#[derive(Deserialize)]
struct Profile {
    email: String,
}

async fn required(user: ClerkAuth) -> String {
    user.user_id().to_owned()
}

async fn optional(user: Option<ClerkAuth>) -> String {
    user.map_or("nobody".to_owned(), |user| user.user_id().to_owned())
}

async fn custom(profile: CustomClaims<Profile>) -> String {
    profile.email.clone()
}

async fn optional_custom(profile: Option<CustomClaims<Profile>>) -> String {
    profile.map_or("nobody".to_owned(), |profile| profile.email.clone())
}

fn routes() -> Router {
    Router::new()
        .route("/required", route(required))
        .route("/optional", route(optional))
        .route("/custom", route(custom))
        .route("/optional-custom", route(optional_custom))
}

async fn ask(app: Router, path: &str, authorization: Option<&str>) -> (StatusCode, String) {
    let answer = send(&app, get_path(path, authorization)).await;
    (answer.parts.status, answer.text)
}

async fn ask_layered(layer: ClerkAuthLayer, path: &str, authorization: Option<&str>) -> (StatusCode, String) {
    ask(routes().layer(layer), path, authorization).await
}

#[tokio::test]
async fn handlers_get_the_user() {
    let bearer = good();
    for path in ["/required", "/optional"] {
        let answer = ask_layered(layer(), path, Some(&bearer)).await;
        assert_eq!(answer, (StatusCode::OK, "user_ada".to_owned()));
    }
}

#[tokio::test]
async fn an_optional_user_is_none_only_behind_a_lenient_layer() {
    let lenient = || layer().allow_unauthenticated_requests();
    for authorization in [None, Some("Bearer a.b.c")] {
        let answer = ask_layered(lenient(), "/optional", authorization).await;
        assert_eq!(answer, (StatusCode::OK, "nobody".to_owned()));
    }
}

#[tokio::test]
async fn a_required_user_is_rejected_with_the_layers_response() {
    let lenient = || layer().allow_unauthenticated_requests();
    let (status, body) = ask_layered(lenient(), "/required", None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(body.contains("missing_token"), "{body}");
    let outage = layer_without_keys().allow_unauthenticated_requests();
    let (status, body) = ask_layered(outage, "/required", Some(&good())).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("keys_unavailable"), "{body}");
}

#[tokio::test]
async fn a_required_user_is_rejected_through_the_layers_hook() {
    let hooked = layer().allow_unauthenticated_requests().rejection_response(
        |rejection: &Rejection, _: &http::request::Parts| {
            let mut response = rejection.default_response();
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            response
        },
    );
    assert_eq!(ask_layered(hooked, "/required", None).await.0, StatusCode::IM_A_TEAPOT);
}

#[tokio::test]
async fn a_missing_layer_is_a_500_with_a_fixed_body() {
    for path in ["/required", "/optional", "/custom", "/optional-custom"] {
        let (status, body) = ask(routes(), path, Some("Bearer a.b.c")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert_eq!(body, r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#);
    }
    let bearer = bearer(&token().claim("email", "a@b.c"));
    assert_eq!(ask_layered(layer(), "/custom", Some(&bearer)).await.0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn custom_claims_are_decoded_by_the_layer_and_required() {
    let custom = || layer().with_custom_claims::<Profile>();
    let with = bearer(&token().claim("email", "ada@example.com"));
    for path in ["/custom", "/optional-custom"] {
        let answer = ask_layered(custom(), path, Some(&with)).await;
        assert_eq!(answer, (StatusCode::OK, "ada@example.com".to_owned()));
    }
    for without in [token(), token().claim("email", 7)] {
        let bearer = bearer(&without);
        let (status, body) = ask_layered(custom(), "/required", Some(&bearer)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(body.contains("invalid_token"));
        let lenient = custom().allow_unauthenticated_requests();
        let answer = ask_layered(lenient.clone(), "/optional-custom", Some(&bearer)).await;
        assert_eq!(answer, (StatusCode::OK, "nobody".to_owned()));
        assert_eq!(ask_layered(lenient, "/optional", Some(&bearer)).await.1, "nobody");
    }
}

#[tokio::test]
async fn a_handler_can_be_tested_without_a_token() {
    let user = ClerkAuth::builder().user_id("user_bob").organization("org_a", "member").build();
    assert_eq!(required(user).await.into_response().status(), StatusCode::OK);
    let mut request = get_path("/required", None);
    request.extensions_mut().insert(ClerkAuth::builder().user_id("user_bob").build());
    request.extensions_mut().insert(CustomClaims::from(Profile { email: "b@o.b".to_owned() }));
    assert_eq!(send(&routes(), request).await.status(), 200);
}
