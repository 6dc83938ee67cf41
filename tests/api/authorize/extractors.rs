use axum::{Router, body::Body, response::IntoResponse, routing};
use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use http_body_util::BodyExt;
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, Rejection, Requirement,
    authorize::{Authorized, Policy},
    claims::Reverification,
    rejection::{RejectionFormat, RejectionKind},
    testing::TokenBuilder,
};

use super::{may_read, member, reader, user};
use crate::support::{Answer, bearer, layer, layer_without_keys, request, send};

struct Reads;

impl Policy for Reads {
    fn requirement() -> Requirement {
        may_read()
    }
}

struct Recent;

impl Policy for Recent {
    fn requirement() -> Requirement {
        may_read().and(Requirement::reverification(Reverification::strict()))
    }
}

struct Nothing;

impl Policy for Nothing {
    fn requirement() -> Requirement {
        Requirement::any_of([])
    }
}

async fn authorized<P>(user: Authorized<P>) -> String {
    user.user_id().to_owned()
}

async fn required(user: ClerkAuth) -> Result<String, Rejection> {
    user.require(&may_read())?;
    Ok(user.user_id().to_owned())
}

async fn recently(user: ClerkAuth) -> Result<String, Rejection> {
    user.require(&Recent::requirement())?;
    Ok(user.user_id().to_owned())
}

fn routes() -> Router {
    Router::new()
        .route("/reads", routing::any(authorized::<Reads>))
        .route("/recent", routing::any(authorized::<Recent>))
        .route("/nothing", routing::any(authorized::<Nothing>))
        .route("/required", routing::any(required))
        .route("/recently", routing::any(recently))
}

async fn ask(clerk: ClerkAuthLayer, method: &str, path: &str, token: Option<&TokenBuilder>) -> Answer {
    ask_with(clerk, method, path, token, "text/plain").await
}

async fn ask_with(
    clerk: ClerkAuthLayer,
    method: &str,
    path: &str,
    token: Option<&TokenBuilder>,
    media_type: &str,
) -> Answer {
    let bearer = token.map(bearer);
    let authorization = bearer.iter().map(|bearer| ("authorization", bearer.as_str()));
    let headers: Vec<_> = authorization.chain([("content-type", media_type)]).collect();
    send(&routes().layer(clerk), request(method, path, &headers)).await
}

#[tokio::test]
async fn a_user_who_meets_the_policy_reaches_the_handler() {
    let fresh = reader().claim("fva", [0, -1]);
    for path in ["/reads", "/recent", "/required", "/recently"] {
        assert_eq!(ask(layer(), "GET", path, Some(&fresh)).await.outcome(), (200, "user_ada"), "{path}");
    }
}

#[tokio::test]
async fn a_user_who_fails_the_policy_gets_the_layers_403() {
    for path in ["/reads", "/recent", "/nothing", "/required", "/recently"] {
        let answer = ask(layer(), "GET", path, Some(&member())).await;
        answer.assert_rejected(403, "insufficient_scope");
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="insufficient_scope""#), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let head = ask(layer(), "HEAD", path, Some(&member())).await;
        assert_eq!(head.outcome(), (403, ""), "{path}");
        assert_eq!(head.parts.headers, answer.parts.headers, "{path}");
    }
    for path in ["/recent", "/recently"] {
        let answer = ask(layer(), "GET", path, Some(&reader().claim("fva", [30, -1]))).await;
        let body = r#"{"clerk_error":{"type":"forbidden","reason":"reverification-error","metadata":{"reverification":"strict"}}}"#;
        assert_eq!(answer.outcome(), (403, body), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        assert_eq!(answer.rejection().code(), "reverification");
    }
}

#[tokio::test]
async fn without_a_user_the_stored_rejection_is_returned() {
    for path in ["/reads", "/recent", "/nothing", "/required", "/recently"] {
        let answer = ask(layer().allow_unauthenticated_requests(), "GET", path, None).await;
        answer.assert_rejected(401, "missing_token");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        let outage = layer_without_keys().allow_unauthenticated_requests();
        let answer = ask(outage, "GET", path, Some(&reader())).await;
        answer.assert_rejected(503, "keys_unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}

#[tokio::test]
async fn without_a_layer_the_response_is_a_500_with_a_fixed_body() {
    let bearer = bearer(&reader());
    for path in ["/reads", "/required"] {
        let answer = send(&routes(), request("GET", path, &[("authorization", &bearer)])).await;
        assert_eq!(answer.outcome(), (500, r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#));
    }
}

#[tokio::test]
async fn a_policy_rejection_uses_the_layers_hook_and_format() {
    let hooked = layer().rejection_response(|rejection: &Rejection, request: &Parts| {
        let mut response = Response::new(Bytes::from(format!("{} {}", request.uri, rejection.code())));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    });
    let answer = ask(hooked.clone(), "GET", "/reads", Some(&member())).await;
    assert_eq!(answer.outcome(), (418, "/reads insufficient_scope"));
    // A rejection returned by a handler has no request for the hook.
    ask(hooked, "GET", "/required", Some(&member())).await.assert_rejected(403, "insufficient_scope");
    for path in ["/reads", "/required"] {
        let pinned = layer().rejection_format(RejectionFormat::Http);
        let answer = ask_with(pinned, "POST", path, Some(&member()), "application/grpc").await;
        answer.assert_rejected(403, "insufficient_scope");
        let grpc = layer().rejection_format(RejectionFormat::Grpc);
        ask(grpc, "GET", path, Some(&member())).await.assert_rejected_grpc("7", "insufficient_scope");
    }
}

#[tokio::test]
async fn a_policy_rejects_a_grpc_call_with_a_grpc_status() {
    let lenient = layer().allow_unauthenticated_requests();
    ask_with(lenient.clone(), "POST", "/reads", None, "application/grpc")
        .await
        .assert_rejected_grpc("16", "missing_token");
    let answer = ask_with(lenient, "POST", "/reads", Some(&member()), "application/grpc").await;
    answer.assert_rejected_grpc("7", "insufficient_scope");
}

#[tokio::test]
async fn a_policy_can_be_checked_without_a_request() {
    let rejected = Authorized::<Reads>::new(user(&member())).expect_err("no permission");
    assert_eq!(rejected.kind(), RejectionKind::InsufficientScope);
    let user = Authorized::<Reads>::new(user(&reader())).expect("a permission");
    assert_eq!((user.user_id(), user.instance()), ("user_ada", "https://clerk.test.example"));
    assert_eq!(user.into_inner().user_id(), "user_ada");
    assert!(Authorized::<Nothing>::new(ClerkAuth::builder().organization("org_a", "admin").build()).is_err());
    let built = ClerkAuth::builder().organization("org_a", "admin").permission("invoices", "read").build();
    assert_eq!(authorized(Authorized::<Reads>::new(built).expect("a permission")).await, "user_test");
}

#[tokio::test]
async fn a_rejection_returned_by_a_handler_is_in_its_extensions() {
    let rejection = user(&member()).require(&may_read()).expect_err("no permission");
    let response: Response<Body> = rejection.into_response();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let stored = response.extensions().get::<Rejection>().map(Rejection::code);
    assert_eq!(stored, Some("insufficient_scope"));
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert!(body.starts_with(br#"{"type":"about:blank","title":"Forbidden""#));
}
