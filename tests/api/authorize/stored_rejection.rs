//! Requests that a lenient layer admitted without a user, and requests that passed no layer.

use axum::{Router, body::Body, routing};
use http::{Request, request::Parts};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, Rejection,
    authorize::{Authorized, Policy, RequireAuthenticatedLayer, RequireLayer},
    rejection::RejectionFormat,
};
use tower_layer::Layer;

use super::{may_read, reader};
use crate::support::{Answer, Recorder, bearer, get, layer, layer_without_keys, request, send, token};

const MISSING: &str = r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;

struct Reads;

impl Policy for Reads {
    fn requirement() -> tower_clerk::Requirement {
        may_read()
    }
}

/// Everything behind a lenient layer that needs a user.
async fn ask_guards(clerk: &ClerkAuthLayer, request: impl Fn() -> Request<Body>) -> Vec<(&'static str, Answer)> {
    let (required, authenticated) = (Recorder::default(), Recorder::default());
    let by_requirement = clerk.layer(RequireLayer::new(may_read()).layer(required.clone()));
    let by_user = clerk.layer(RequireAuthenticatedLayer::new().layer(authenticated.clone()));
    let user = Router::new().fallback(|_: ClerkAuth| async {}).layer(clerk.clone());
    let policy = Router::new().fallback(|_: Authorized<Reads>| async {}).layer(clerk.clone());
    let answers = vec![
        ("RequireLayer", send(&by_requirement, request()).await),
        ("RequireAuthenticatedLayer", send(&by_user, request()).await),
        ("ClerkAuth", send(&user, request()).await),
        ("Authorized", send(&policy, request()).await),
    ];
    assert_eq!((required.calls(), authenticated.calls()), (0, 0));
    answers
}

/// The headers of requests without a user, and the code of their rejection.
fn unauthenticated() -> Vec<(Vec<(&'static str, String)>, &'static str)> {
    vec![
        (vec![], "missing_token"),
        (vec![("authorization", "Basic eDp5".to_owned())], "missing_token"),
        (vec![("authorization", "Bearer a.b.c".to_owned())], "invalid_token"),
        (vec![("authorization", bearer(&reader().expired()))], "token_expired"),
    ]
}

#[tokio::test]
async fn without_a_user_the_response_equals_the_strict_layers() {
    type Change = fn(ClerkAuthLayer) -> ClerkAuthLayer;
    let changes: [Change; 5] = [
        |clerk| clerk,
        |clerk| clerk.rejection_format(RejectionFormat::Http),
        |clerk| clerk.rejection_format(RejectionFormat::Grpc),
        ClerkAuthLayer::oauth_resource_metadata,
        |clerk| {
            clerk.rejection_response(|rejection: &Rejection, request: &Parts| {
                let mut response = rejection.default_response();
                response.headers_mut().insert("x-method", request.method.as_str().parse().expect("a value"));
                response
            })
        },
    ];
    let forms = [("GET", "text/plain"), ("HEAD", "text/plain"), ("POST", "text/plain"), ("POST", "application/grpc")];
    for change in changes {
        for (headers, code) in unauthenticated() {
            for (method, media_type) in forms {
                let request = || {
                    let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
                    let others = [("content-type", media_type), ("host", "api.example.com")];
                    request(method, "/invoices", &headers.chain(others).collect::<Vec<_>>())
                };
                let strict = send(&change(layer()).layer(Recorder::default()), request()).await;
                let strict_in_axum = Router::new().fallback(|| async {}).layer(change(layer()));
                let strict_in_axum = send(&strict_in_axum, request()).await;
                assert_eq!(strict.rejection().code(), code);
                for (guard, answer) in ask_guards(&change(layer()).allow_unauthenticated_requests(), request).await {
                    let is_service = guard.starts_with("Require");
                    let strict = if is_service { &strict } else { &strict_in_axum };
                    assert_eq!(answer.outcome(), strict.outcome(), "{guard} {method} {media_type} {code}");
                    assert_eq!(answer.parts.headers, strict.parts.headers, "{guard} {method} {media_type} {code}");
                    assert_eq!(answer.rejection().kind(), strict.rejection().kind(), "{guard}");
                    assert_eq!(answer.rejection().verify_error_kind(), strict.rejection().verify_error_kind());
                }
            }
        }
    }
}

#[tokio::test]
async fn without_a_user_the_response_is_a_401_with_a_challenge() {
    let clerk = layer().allow_unauthenticated_requests();
    for (headers, code) in unauthenticated() {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (guard, answer) in ask_guards(&clerk, || get(&headers)).await {
            answer.assert_rejected(401, code);
            let challenge = if code == "missing_token" { "Bearer" } else { r#"Bearer error="invalid_token""# };
            assert_eq!(answer.header("www-authenticate"), Some(challenge), "{guard}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{guard}");
        }
        let call = || request("POST", "/", &[headers.as_slice(), &[("content-type", "application/grpc")]].concat());
        for (_, answer) in ask_guards(&clerk, call).await {
            answer.assert_rejected_grpc("16", code);
        }
    }
    let anonymous = layer().allow_missing_token();
    for (_, answer) in ask_guards(&anonymous, || get(&[])).await {
        answer.assert_rejected(401, "missing_token");
    }
}

#[tokio::test]
async fn an_outage_stays_a_503_with_retry_after() {
    let clerk = layer_without_keys().allow_unauthenticated_requests();
    let bearer = bearer(&reader());
    for (guard, answer) in ask_guards(&clerk, || get(&[("authorization", &bearer)])).await {
        answer.assert_rejected(503, "keys_unavailable");
        assert_eq!((answer.header("retry-after"), answer.header("www-authenticate")), (Some("1"), None), "{guard}");
    }
    let call = || request("POST", "/", &[("authorization", &bearer), ("content-type", "application/grpc")]);
    for (guard, answer) in ask_guards(&clerk, call).await {
        answer.assert_rejected_grpc("14", "keys_unavailable");
        assert_eq!(answer.header("grpc-retry-pushback-ms"), Some("1000"), "{guard}");
    }
}

#[tokio::test]
async fn without_a_layer_the_response_is_a_500_with_a_fixed_body() {
    let bearer = bearer(&reader());
    for headers in [vec![], vec![("authorization", bearer.as_str())], vec![("content-type", "application/grpc")]] {
        let inner = Recorder::default();
        let asked = || request("POST", "/", &headers);
        for answer in [
            send(&RequireLayer::new(may_read()).layer(inner.clone()), asked()).await,
            send(&RequireAuthenticatedLayer::new().layer(inner.clone()), asked()).await,
            send(&RequireAuthenticatedLayer::new().or::<()>().layer(inner.clone()), asked()).await,
            send(&Router::new().fallback(|_: Authorized<Reads>| async {}), asked()).await,
        ] {
            assert_eq!(answer.outcome(), (500, MISSING));
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            assert_eq!((answer.header("cache-control"), answer.header("www-authenticate")), (Some("no-store"), None));
            assert!(answer.parts.extensions.get::<Rejection>().is_none());
        }
        assert_eq!(inner.calls(), 0);
    }
}

#[tokio::test]
async fn without_a_layer_head_gets_the_headers_of_the_500_alone() {
    for method in ["GET", "HEAD"] {
        let answer = send(&RequireLayer::new(may_read()).layer(Recorder::default()), request(method, "/", &[])).await;
        assert_eq!(answer.status(), 500);
        let length = MISSING.len().to_string();
        assert_eq!(answer.header("content-length"), (method == "HEAD").then_some(length.as_str()));
        assert_eq!(answer.text.is_empty(), method == "HEAD", "{method}: {}", answer.text);
    }
}

/// Outside the Clerk layer a guard gets neither a user nor a rejection. That is a bug in the application.
#[tokio::test]
async fn layers_in_the_wrong_order_reject_every_request() {
    let inner = Recorder::default();
    let guard = RequireLayer::new(may_read());
    let answer = send(&guard.layer(layer().layer(inner.clone())), get(&[("authorization", &bearer(&reader()))])).await;
    assert_eq!((answer.outcome(), inner.calls()), ((500, MISSING), 0));
    let routes = Router::new().route("/", routing::get(|| async {}));
    let app = routes.route_layer(layer()).route_layer(RequireAuthenticatedLayer::new());
    assert_eq!(send(&app, get(&[("authorization", &bearer(&token()))])).await.status(), 500);
}

#[tokio::test]
async fn require_authenticated_admits_every_user() {
    for clerk in [layer(), layer().allow_missing_token(), layer().allow_unauthenticated_requests()] {
        for guard in [RequireAuthenticatedLayer::new(), RequireAuthenticatedLayer::default()] {
            let inner = Recorder::default();
            let answer =
                send(&clerk.layer(guard.layer(inner.clone())), get(&[("authorization", &bearer(&token()))])).await;
            assert_eq!((answer.outcome(), inner.calls()), ((200, "user_ada"), 1));
        }
    }
}
