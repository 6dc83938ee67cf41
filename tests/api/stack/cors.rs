use axum::{Router, routing::get as route};
use http::{HeaderValue, header::AUTHORIZATION};
use tower_clerk::{ClerkAuth, ClerkAuthLayer};
use tower_http::cors::CorsLayer;
use tower_layer::Layer;

use super::arms;
use crate::support::{Answer, BAD, cold_layer, good, layer, layer_without_keys, request, send, whoami};

const ORIGIN: &str = "https://app.test.example";
const PREFLIGHT: [(&str, &str); 3] =
    [("origin", ORIGIN), ("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];

fn cors() -> CorsLayer {
    CorsLayer::new().allow_origin(HeaderValue::from_static(ORIGIN)).allow_headers([AUTHORIZATION])
}

/// CORS around the layer, as in the README.
fn app(clerk: ClerkAuthLayer) -> Router {
    let me = |user: ClerkAuth| async move { user.user_id().to_owned() };
    Router::new().route("/me", route(me)).route_layer(clerk).layer(cors())
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
        assert_eq!(answer.header("access-control-allow-headers"), Some("authorization"));
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
