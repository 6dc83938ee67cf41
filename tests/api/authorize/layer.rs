use axum::{Router, routing};
use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, Rejection, Requirement,
    authorize::RequireLayer,
    rejection::{RejectionFormat, RejectionKind},
    testing::TokenBuilder,
};
use tower_layer::Layer;

use super::{layer_that_waits, may_read, member, reader};
use crate::support::{Answer, Recorder, bearer, get, layer, request, send, token};

const FORBIDDEN: &str = r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"insufficient_scope"}"#;

async fn whoami(user: ClerkAuth) -> String {
    user.user_id().to_owned()
}

/// Sends to a service behind both layers. The second value is the number of calls of the service.
async fn ask(
    clerk: &ClerkAuthLayer,
    method: &str,
    headers: &[(&str, &str)],
    token: Option<&TokenBuilder>,
) -> (Answer, usize) {
    let inner = Recorder::default();
    let guarded = clerk.layer(RequireLayer::new(may_read()).layer(inner.clone()));
    let bearer = token.map(bearer);
    let authorization = bearer.iter().map(|bearer| ("authorization", bearer.as_str()));
    let headers: Vec<_> = headers.iter().copied().chain(authorization).collect();
    let answer = send(&guarded, request(method, "/invoices?of=may", &headers)).await;
    (answer, inner.calls())
}

#[tokio::test]
async fn a_user_who_meets_the_requirement_passes() {
    for clerk in [layer(), layer_that_waits(), layer().allow_unauthenticated_requests()] {
        let (answer, calls) = ask(&clerk, "GET", &[], Some(&reader())).await;
        assert_eq!((answer.outcome(), calls), ((200, "user_ada"), 1));
        assert!(answer.parts.extensions.get::<Rejection>().is_none());
    }
}

#[tokio::test]
async fn a_user_who_fails_the_requirement_gets_a_problem_and_a_challenge() {
    for clerk in [layer(), layer_that_waits(), layer().allow_unauthenticated_requests()] {
        for token in [member(), token()] {
            let (answer, calls) = ask(&clerk, "GET", &[], Some(&token)).await;
            assert_eq!((answer.outcome(), calls), ((403, FORBIDDEN), 0));
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="insufficient_scope""#));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("retry-after"), None);
        }
    }
}

#[tokio::test]
async fn a_403_has_the_rejection_in_its_extensions_without_a_token_error() {
    let (answer, _) = ask(&layer(), "GET", &[], Some(&member())).await;
    let rejection = answer.rejection();
    assert_eq!((rejection.kind(), rejection.code()), (RejectionKind::InsufficientScope, "insufficient_scope"));
    assert_eq!((rejection.status(), rejection.grpc_code()), (StatusCode::FORBIDDEN, 7));
    assert!(
        rejection.verify_error().is_none() && rejection.retry_after().is_none() && rejection.reverification().is_none()
    );
    assert_eq!(rejection.to_string(), "insufficient scope");
}

#[tokio::test]
async fn head_gets_the_same_headers_as_get() {
    let ((got, _), (head, calls)) =
        (ask(&layer(), "GET", &[], Some(&member())).await, ask(&layer(), "HEAD", &[], Some(&member())).await);
    assert_eq!((head.outcome(), calls), ((403, ""), 0));
    assert_eq!(head.parts.headers, got.headers_with_length());
    assert_eq!(ask(&layer(), "HEAD", &[], Some(&reader())).await.1, 1);
}

#[tokio::test]
async fn a_grpc_call_is_rejected_with_a_grpc_status() {
    for media_type in ["application/grpc", "application/grpc+proto", "Application/GRPC; a=b"] {
        let (answer, calls) = ask(&layer(), "POST", &[("content-type", media_type)], Some(&member())).await;
        answer.assert_rejected_grpc("7", "insufficient_scope");
        assert_eq!((answer.header("grpc-message"), calls), (Some("insufficient scope"), 0));
        assert!(answer.rejection().is_grpc());
        for absent in ["www-authenticate", "content-length", "grpc-retry-pushback-ms"] {
            assert_eq!(answer.header(absent), None);
        }
    }
    let (web, _) = ask(&layer(), "POST", &[("content-type", "application/grpc-web+proto")], Some(&member())).await;
    assert_eq!((web.header("content-type"), web.header("grpc-status")), (Some("application/grpc-web"), Some("7")));
    for (method, media_type) in [("GET", "application/grpc"), ("POST", "application/grpcs"), ("POST", "text/plain")] {
        let (answer, _) = ask(&layer(), method, &[("content-type", media_type)], Some(&member())).await;
        answer.assert_rejected(403, "insufficient_scope");
    }
    let (answer, calls) = ask(&layer(), "POST", &[("content-type", "application/grpc")], Some(&reader())).await;
    assert_eq!((answer.outcome(), calls), ((200, "user_ada"), 1));
}

#[tokio::test]
async fn the_format_pinned_by_the_layer_applies_to_inner_guards() {
    let call = [("content-type", "application/grpc")];
    let (answer, calls) = ask(&layer().rejection_format(RejectionFormat::Http), "POST", &call, Some(&member())).await;
    answer.assert_rejected(403, "insufficient_scope");
    assert_eq!((answer.header("grpc-status"), calls), (None, 0));
    let (answer, calls) = ask(&layer().rejection_format(RejectionFormat::Grpc), "GET", &[], Some(&member())).await;
    answer.assert_rejected_grpc("7", "insufficient_scope");
    assert_eq!(calls, 0);
}

#[tokio::test]
async fn the_layers_hook_responds_for_inner_guards_and_gets_the_request() {
    let hooked = layer().rejection_response(|rejection: &Rejection, request: &Parts| {
        assert_eq!((&request.method, request.uri.to_string()), (&Method::PATCH, "/invoices?of=may".to_owned()));
        assert!(request.headers.contains_key("x-id") && request.headers["authorization"].is_sensitive());
        let user = request.extensions.get::<ClerkAuth>().map(|user| user.user_id().to_owned());
        let text = format!("{} may not: {}", user.expect("the user"), rejection.code());
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response
    });
    let (answer, calls) = ask(&hooked, "PATCH", &[("x-id", "7")], Some(&member())).await;
    assert_eq!((answer.outcome(), calls), ((418, "user_ada may not: insufficient_scope"), 0));
    assert_eq!(answer.rejection().code(), "insufficient_scope");
}

#[tokio::test]
async fn a_hook_can_amend_the_pinned_response_and_head_gets_no_body() {
    let hooked =
        layer().rejection_format(RejectionFormat::Http).rejection_response(|rejection: &Rejection, _: &Parts| {
            let mut response = rejection.default_response();
            response.headers_mut().insert("x-code", rejection.code().parse().expect("a value"));
            response
        });
    for method in ["POST", "HEAD"] {
        let (answer, _) = ask(&hooked, method, &[("content-type", "application/grpc")], Some(&member())).await;
        assert_eq!((answer.status(), answer.header("x-code")), (403, Some("insufficient_scope")), "{method}");
        assert_eq!(answer.text.is_empty(), method == "HEAD");
        let length = FORBIDDEN.len().to_string();
        assert_eq!(answer.header("content-length"), (method == "HEAD").then_some(length.as_str()));
    }
}

#[tokio::test]
async fn the_innermost_clerk_layer_responds_for_its_user() {
    let outer = layer().rejection_format(RejectionFormat::Grpc);
    let inner = Recorder::default();
    let stacked = outer.layer(layer().layer(RequireLayer::new(may_read()).layer(inner.clone())));
    let answer = send(&stacked, get(&[("authorization", &bearer(&member()))])).await;
    answer.assert_rejected(403, "insufficient_scope");
    assert_eq!(inner.calls(), 0);
}

#[tokio::test]
async fn every_requirement_of_several_layers_must_be_met() {
    for (role, status) in [("admin", 200), ("member", 403)] {
        let inner = Recorder::default();
        let outer = RequireLayer::new(may_read());
        let guarded = layer().layer(outer.layer(RequireLayer::new(Requirement::role(role)).layer(inner.clone())));
        let answer = send(&guarded, get(&[("authorization", &bearer(&reader()))])).await;
        assert_eq!((answer.status(), inner.calls()), (status, usize::from(status == 200)));
    }
}

/// The ways to add a layer in axum. Each guards only `/invoices`.
fn routers() -> [(&'static str, Router, Recorder); 4] {
    let open = || Router::new().route("/open", routing::get(whoami));
    let guard = || RequireLayer::new(may_read());
    let inners = [(); 4].map(|()| Recorder::default());
    let [route_layer, method_router, nested, whole] = inners.clone();
    let routers = [
        open().merge(Router::new().route_service("/invoices", route_layer).route_layer(guard())),
        open().route("/invoices", routing::any_service(method_router).layer(guard())),
        open().nest_service("/invoices", guard().layer(nested)),
        open().merge(Router::new().route_service("/invoices", whole).layer(guard())),
    ];
    let names = ["route_layer", "MethodRouter::layer", "nest_service", "Router::layer"];
    let mut rows = names.into_iter().zip(routers).zip(inners).map(|((name, router), inner)| (name, router, inner));
    std::array::from_fn(|_| rows.next().expect("four of each"))
}

#[tokio::test]
async fn axum_guards_the_routes_with_the_layer() {
    for (name, router, inner) in routers() {
        let app = router.route_layer(layer());
        for (token, path, status) in [
            (Some(reader()), "/invoices", 200),
            (Some(member()), "/invoices", 403),
            (Some(member()), "/open", 200),
            (None, "/invoices", 401),
            (None, "/open", 401),
        ] {
            let bearer = token.as_ref().map(bearer);
            let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
            for method in ["GET", "HEAD"] {
                let answer = send(&app.clone(), request(method, path, &headers)).await;
                assert_eq!(answer.status(), status, "{name} {method} {path}");
                assert_eq!(answer.parts.extensions.get::<Rejection>().is_some(), status != 200, "{name} {path}");
                if status != 200 {
                    assert_eq!(answer.text.is_empty(), method == "HEAD", "{name} {method} {path}");
                }
            }
        }
        assert_eq!(inner.calls(), 2, "{name}");
    }
}

#[tokio::test]
async fn unknown_paths_behind_a_route_layer_are_404() {
    let routes = Router::new().route("/invoices", routing::get(whoami));
    let app = routes.route_layer(RequireLayer::new(may_read())).route_layer(layer());
    let answer = send(&app, request("GET", "/elsewhere", &[("authorization", &bearer(&member()))])).await;
    assert_eq!(answer.status(), 404);
}
