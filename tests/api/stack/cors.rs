use axum::{
    Router,
    routing::{get as route, post},
};
use http::{
    HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use tower_clerk::{ClerkAuth, ClerkAuthLayer};
use tower_http::cors::CorsLayer;
use tower_layer::Layer;

use super::arms;
use crate::support::{Answer, BAD, cold_layer, good, layer, layer_without_keys, request, send, whoami};

const ORIGIN: &str = "https://app.test.example";
const PREFLIGHT: [(&str, &str); 3] =
    [("origin", ORIGIN), ("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];

/// The layer in the README.
fn cors() -> CorsLayer {
    let origin = HeaderValue::from_static(ORIGIN);
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER])
}

/// CORS around the layer, as in the README.
fn app(clerk: ClerkAuthLayer) -> Router {
    let me = |user: ClerkAuth| async move { user.user_id().to_owned() };
    Router::new().route("/me", route(me).delete(me)).route_layer(clerk).layer(cors())
}

async fn cross_origin(clerk: ClerkAuthLayer, authorization: Option<&str>) -> Answer {
    let mut headers = vec![("origin", ORIGIN)];
    headers.extend(authorization.map(|value| ("authorization", value)));
    send(&app(clerk), request("GET", "/me", &headers)).await
}

#[tokio::test]
async fn a_preflight_without_a_token_succeeds_and_fetches_no_keys() {
    let (clerk, gate) = cold_layer();
    for clerk in [clerk, layer()] {
        let answer = send(&app(clerk), request("OPTIONS", "/me", &PREFLIGHT)).await;
        assert_eq!(answer.outcome(), (200, ""));
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
        assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,content-type"));
    }
    assert_eq!(gate.arrivals(), 0);
}

#[tokio::test]
async fn a_cross_origin_rejection_is_readable_by_the_page() {
    for (clerk, authorization, status, code) in [
        (layer(), None, 401, "missing_token"),
        (layer(), Some(BAD), 401, "invalid_token"),
        (layer(), Some("Bearer a b"), 400, "malformed_request"),
        (layer_without_keys(), Some(good().as_str()), 503, "keys_unavailable"),
    ] {
        let answer = cross_origin(clerk, authorization).await;
        answer.assert_rejected(status, code);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{code}");
    }
}

/// Whether a browser lets the page send the request after its preflight (Fetch, "CORS-preflight fetch").
async fn preflight_passes(app: &Router, method: &str, headers: &str) -> bool {
    let asked =
        [("origin", ORIGIN), ("access-control-request-method", method), ("access-control-request-headers", headers)];
    let answer = send(app, request("OPTIONS", "/me", &asked)).await;
    let lists = |name: &str, wanted: &str| listed(&answer, name).any(|value| value.eq_ignore_ascii_case(wanted));
    answer.parts.status.is_success()
        && lists("access-control-allow-origin", ORIGIN)
        && (["GET", "HEAD", "POST"].contains(&method) || lists("access-control-allow-methods", method))
        && headers.split(',').all(|name| lists("access-control-allow-headers", name))
}

/// The header as a page of another origin reads it, if the browser lets it.
fn readable<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let is_exposed = listed(answer, "access-control-expose-headers").any(|exposed| exposed.eq_ignore_ascii_case(name));
    answer.header(name).filter(|_| is_exposed)
}

fn listed<'a>(answer: &'a Answer, name: &str) -> impl Iterator<Item = &'a str> {
    answer.header(name).unwrap_or_default().split(',').map(str::trim)
}

#[tokio::test]
async fn a_page_of_another_origin_may_send_every_listed_method() {
    let app = app(layer());
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(preflight_passes(&app, method, "authorization,content-type").await, "{method}");
    }
    assert!(!preflight_passes(&app, "PURGE", "authorization").await);
    assert!(!preflight_passes(&app, "DELETE", "x-other").await);
    let headers = [("origin", ORIGIN), ("authorization", &good())];
    assert_eq!(send(&app, request("DELETE", "/me", &headers)).await.outcome(), (200, "user_ada"));
}

#[tokio::test]
async fn a_page_of_another_origin_reads_the_challenge_and_retry_after() {
    let refused = cross_origin(layer(), Some(BAD)).await;
    assert_eq!(readable(&refused, "www-authenticate"), Some(r#"Bearer error="invalid_token""#));
    let unavailable = cross_origin(layer_without_keys(), Some(&good())).await;
    assert_eq!(unavailable.status(), 503);
    assert!(readable(&unavailable, "retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    assert_eq!(readable(&unavailable, "cache-control"), None, "it is not exposed");
}

#[tokio::test]
async fn a_page_of_another_origin_reads_the_status_of_a_grpc_web_call() {
    let headers = [("origin", ORIGIN), ("content-type", "application/grpc-web"), ("authorization", BAD)];
    for (cors, is_exposed) in [
        (cors().expose_headers(["grpc-status", "grpc-message", "clerk-error-code"].map(HeaderName::from_static)), true),
        (cors(), false),
    ] {
        let app = Router::new().route("/echo.Echo/Unary", post(async || "")).route_layer(layer()).layer(cors);
        let answer = send(&app, request("POST", "/echo.Echo/Unary", &headers)).await;
        assert_eq!(
            (answer.header("grpc-status"), answer.header("clerk-error-code")),
            (Some("16"), Some("invalid_token"))
        );
        for name in ["grpc-status", "grpc-message", "clerk-error-code"] {
            assert_eq!(readable(&answer, name).is_some(), is_exposed, "{name}");
        }
    }
}

#[tokio::test]
async fn a_cross_origin_request_with_a_token_is_served() {
    for (arm, clerk) in arms() {
        let answer = cross_origin(clerk, Some(&good())).await;
        assert_eq!(answer.outcome(), (200, "user_ada"), "{arm}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{arm}");
    }
}

#[tokio::test]
async fn a_rejection_for_another_origin_has_no_cors_header() {
    let headers = [("origin", "https://evil.example")];
    let answer = send(&app(layer()), request("GET", "/me", &headers)).await;
    answer.assert_rejected(401, "missing_token");
    assert_ne!(answer.header("access-control-allow-origin"), Some("https://evil.example"));
}

#[tokio::test]
async fn options_is_not_exempt_without_a_cors_layer_outside() {
    for (arm, clerk) in arms() {
        let app = clerk.layer(tower::service_fn(whoami));
        for headers in [&PREFLIGHT[..], &PREFLIGHT[..1], &[]] {
            send(&app, request("OPTIONS", "/me", headers)).await.assert_rejected(401, "missing_token");
        }
        let with_token = request("OPTIONS", "/me", &[("authorization", &good())]);
        assert_eq!(send(&app, with_token).await.outcome(), (200, "user_ada"), "{arm}");
    }
}

#[tokio::test]
async fn in_the_wrong_order_a_preflight_is_rejected() {
    let wrong = Router::new().route("/me", route(|| async { "me" })).layer(cors()).layer(layer());
    let answer = send(&wrong, request("OPTIONS", "/me", &PREFLIGHT)).await;
    answer.assert_rejected(401, "missing_token");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
