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

use super::support::{BAD, arms, ask, cold, get, good, hot, request, whoami, without_keys};

const ORIGIN: &str = "https://app.test.example";

async fn me(user: ClerkAuth) -> String {
    user.user_id().to_owned()
}

async fn panics(request: Request) -> String {
    panic!("for {:?}", request.uri())
}

/// The layers around the routes as the README has them.
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
async fn in_the_documented_order_every_layer_does_its_part() {
    for (arm, clerk) in arms() {
        let app = app(clerk, Duration::from_secs(60));
        assert_eq!(ask(&app, get("/me", Some(&good()))).await.seen(), (200, "user_ada"), "{arm}");
        ask(&app, get("/me", None)).await.assert_refused(401, "missing_token");
        ask(&app, get("/me", Some(BAD))).await.assert_refused(401, "invalid_token");
        ask(&app, get("/me", Some("Bearer"))).await.assert_refused(400, "malformed_request");
        let (head, got) = (ask(&app, request("HEAD", "/me", &[])).await, ask(&app, get("/me", None)).await);
        assert_eq!(head.seen(), (401, ""), "{arm}");
        assert_eq!(head.header("content-length"), Some(got.text.len().to_string().as_str()), "{arm}");
    }
    let refused = ask(&app(without_keys(), Duration::from_secs(60)), get("/me", Some(&good()))).await;
    refused.assert_refused(503, "keys_unavailable");
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_handlers_panic_is_a_500_and_the_next_request_is_served() {
    for (arm, clerk) in arms() {
        let app = app(clerk, Duration::from_secs(60));
        for _ in 0..2 {
            assert_eq!(ask(&app, get("/panics", Some(&good()))).await.status, 500, "{arm}");
        }
        ask(&app, get("/panics", None)).await.assert_refused(401, "missing_token");
        assert_eq!(ask(&app, get("/me", Some(&good()))).await.seen(), (200, "user_ada"), "{arm}");
    }
}

#[tokio::test]
async fn the_timeout_ends_a_wait_for_keys_and_the_layer_goes_on() {
    let (clerk, gate) = cold();
    let app = app(clerk.clone(), Duration::from_millis(100));
    assert_eq!(ask(&app, get("/me", Some(&good()))).await.status, 504);
    gate.open();
    let patient = clerk.layer(tower::service_fn(whoami::<Body>));
    assert_eq!(ask(&patient, get("/me", Some(&good()))).await.seen(), (200, "user_ada"));
    assert_eq!(gate.arrivals(), 1);
}

#[tokio::test]
async fn the_reason_of_a_refusal_reaches_the_outermost_layer() {
    let name_reason = |mut response: Response<Body>| {
        let reason = response.extensions().get::<Rejection>().map(Rejection::code);
        response.headers_mut().insert("x-reason", reason.unwrap_or("none").parse().expect("a value"));
        response
    };
    let app = app(hot(), Duration::from_secs(60)).layer(MapResponseLayer::new(name_reason));
    for (authorization, reason) in
        [(None, "missing_token"), (Some(BAD), "invalid_token"), (Some(good().as_str()), "none")]
    {
        assert_eq!(ask(&app, get("/me", authorization)).await.header("x-reason"), Some(reason));
    }
}

#[tokio::test]
async fn the_documented_order_needs_no_router_between_the_layers() {
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
        assert_eq!(ask(&service, get("/me", Some(&good()))).await.seen(), (200, "user_ada"), "{arm}");
        ask(&service, get("/me", None)).await.assert_refused(401, "missing_token");
        assert_eq!(ask(&service, request("OPTIONS", "/me", &[("origin", ORIGIN)])).await.seen(), (200, ""), "{arm}");
    }
}

#[tokio::test]
async fn cors_can_stand_right_around_the_layer() {
    let service = CorsLayer::permissive().layer(hot().layer(tower::service_fn(whoami::<Body>)));
    let preflight = ask(&service, request("OPTIONS", "/me", &[("origin", ORIGIN)])).await;
    assert_eq!((preflight.seen(), preflight.header("access-control-allow-origin")), ((200, ""), Some("*")));
    let empty = http_body::Body::size_hint(&ResponseBody::<Full<Bytes>>::default()).exact();
    assert_eq!(empty, Some(0));
}
