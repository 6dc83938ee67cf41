use std::time::Duration;

use axum::{Router, body::Body, extract::Request, routing::get as route};
use bytes::Bytes;
use http::{Response, StatusCode, header::AUTHORIZATION};
use http_body_util::Full;
use tower::util::MapResponseLayer;
use tower_clerk::{ClerkAuth, ClerkAuthLayer, Rejection, authenticate::ResponseBody};
use tower_http::{
    catch_panic::CatchPanicLayer, cors::CorsLayer, sensitive_headers::SetSensitiveRequestHeadersLayer,
    timeout::TimeoutLayer, trace::TraceLayer,
};
use tower_layer::Layer;

use super::arms;
use crate::support::{BAD, cold_layer, get_path, good, layer, layer_without_keys, request, send, whoami};

const ORIGIN: &str = "https://app.test.example";

async fn me(user: ClerkAuth) -> String {
    user.user_id().to_owned()
}

async fn panics(request: Request) -> String {
    panic!("for {:?}", request.uri())
}

/// The layers around the routes in the order of the README.
fn app(clerk: ClerkAuthLayer, timeout: Duration) -> Router {
    let origin = ORIGIN.parse().map(|origin: http::HeaderValue| CorsLayer::new().allow_origin(origin));
    Router::new()
        .route("/me", route(me))
        .route("/panics", route(panics))
        .layer(clerk)
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, timeout))
        .layer(CatchPanicLayer::new())
        .layer(origin.expect("an origin").allow_headers([AUTHORIZATION]))
        .layer(TraceLayer::new_for_http())
        .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION]))
}

#[tokio::test]
async fn every_layer_works_in_the_documented_order() {
    for (arm, clerk) in arms() {
        let app = app(clerk, Duration::from_secs(60));
        assert_eq!(send(&app, get_path("/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
        send(&app, get_path("/me", None)).await.assert_rejected(401, "missing_token");
        send(&app, get_path("/me", Some(BAD))).await.assert_rejected(401, "invalid_token");
        send(&app, get_path("/me", Some("Bearer a b"))).await.assert_rejected(400, "malformed_request");
        let (head, got) = (send(&app, request("HEAD", "/me", &[])).await, send(&app, get_path("/me", None)).await);
        assert_eq!(head.outcome(), (401, ""), "{arm}");
        assert_eq!(head.header("content-length"), Some(got.text.len().to_string().as_str()), "{arm}");
    }
    let rejected = send(&app(layer_without_keys(), Duration::from_secs(60)), get_path("/me", Some(&good()))).await;
    rejected.assert_rejected(503, "keys_unavailable");
    assert_eq!(rejected.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_handlers_panic_is_a_500_and_the_next_request_is_served() {
    for (arm, clerk) in arms() {
        let app = app(clerk, Duration::from_secs(60));
        for _ in 0..2 {
            assert_eq!(send(&app, get_path("/panics", Some(&good()))).await.status(), 500, "{arm}");
        }
        send(&app, get_path("/panics", None)).await.assert_rejected(401, "missing_token");
        assert_eq!(send(&app, get_path("/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
    }
}

#[tokio::test]
async fn the_timeout_ends_a_wait_for_keys_and_the_layer_stays_usable() {
    let (clerk, gate) = cold_layer();
    let app = app(clerk.clone(), Duration::from_millis(100));
    assert_eq!(send(&app, get_path("/me", Some(&good()))).await.status(), 504);
    gate.open();
    let patient = clerk.layer(tower::service_fn(whoami::<Body>));
    assert_eq!(send(&patient, get_path("/me", Some(&good()))).await.outcome(), (200, "user_ada"));
    assert_eq!(gate.arrivals(), 1);
}

#[tokio::test]
async fn the_reason_of_a_rejection_reaches_the_outermost_layer() {
    let name_reason = |mut response: Response<Body>| {
        let reason = response.extensions().get::<Rejection>().map(Rejection::code);
        response.headers_mut().insert("x-reason", reason.unwrap_or("none").parse().expect("a value"));
        response
    };
    let app = app(layer(), Duration::from_secs(60)).layer(MapResponseLayer::new(name_reason));
    for (authorization, reason) in
        [(None, "missing_token"), (Some(BAD), "invalid_token"), (Some(good().as_str()), "none")]
    {
        assert_eq!(send(&app, get_path("/me", authorization)).await.header("x-reason"), Some(reason));
    }
}

#[tokio::test]
async fn the_documented_order_works_without_a_router() {
    for (arm, clerk) in arms() {
        let origin: http::HeaderValue = ORIGIN.parse().expect("an origin");
        let service = tower::ServiceBuilder::new()
            .layer(SetSensitiveRequestHeadersLayer::new([AUTHORIZATION]))
            .layer(TraceLayer::new_for_http())
            .layer(CorsLayer::new().allow_origin(origin.clone()).allow_headers([AUTHORIZATION]))
            .layer(CatchPanicLayer::new())
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60)))
            .layer(clerk)
            .service(tower::service_fn(whoami::<Body>));
        assert_eq!(send(&service, get_path("/me", Some(&good()))).await.outcome(), (200, "user_ada"), "{arm}");
        send(&service, get_path("/me", None)).await.assert_rejected(401, "missing_token");
        assert_eq!(
            send(&service, request("OPTIONS", "/me", &[("origin", ORIGIN)])).await.outcome(),
            (200, ""),
            "{arm}"
        );
    }
}

#[tokio::test]
async fn cors_can_directly_wrap_the_layer() {
    let service = CorsLayer::permissive().layer(layer().layer(tower::service_fn(whoami::<Body>)));
    let preflight = send(&service, request("OPTIONS", "/me", &[("origin", ORIGIN)])).await;
    assert_eq!((preflight.outcome(), preflight.header("access-control-allow-origin")), ((200, ""), Some("*")));
    let empty = http_body::Body::size_hint(&ResponseBody::<Full<Bytes>>::default()).exact();
    assert_eq!(empty, Some(0));
}
