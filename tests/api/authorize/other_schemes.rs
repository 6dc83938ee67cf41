//! Clerk together with API keys. Either is enough. Without both, the Clerk layer rejects the request.

use axum::{
    Extension, Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
    routing,
};
use http::HeaderMap;
use tower::util::MapRequestLayer;
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, Rejection,
    authorize::{RequireAuthenticatedLayer, RequireLayer},
};
use tower_layer::Layer;

use super::{may_read, reader};
use crate::support::{
    Answer, Recorder, bearer, get, issuer, layer, layer_without_keys, other_issuer, request, send, token, verifier,
};

#[derive(Clone)]
struct Machine(&'static str);

#[derive(Clone)]
struct Webhook;

/// A lenient layer of a second scheme: it admits every request and adds the owner of the key.
async fn api_keys(mut request: Request, next: Next) -> Response {
    if has_good_key(request.headers()) {
        request.extensions_mut().insert(Machine("machine_1"));
    }
    next.run(request).await
}

fn has_good_key(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("x-api-key") == Some("k_good") || text("authorization") == Some("ApiKey k_good")
}

/// Exactly one of user and rejection is present, independently of other schemes.
async fn who(
    user: Option<ClerkAuth>,
    machine: Option<Extension<Machine>>,
    rejection: Option<Extension<Rejection>>,
) -> String {
    assert_eq!(user.is_none(), rejection.is_some());
    let user = user.map(|user| user.user_id().to_owned());
    user.or(machine.map(|Extension(Machine(name))| name.to_owned())).unwrap_or_else(|| "nobody".to_owned())
}

/// The stack in both orders of its two schemes.
fn stacks(clerk: &ClerkAuthLayer) -> [(&'static str, Router); 2] {
    let either = RequireAuthenticatedLayer::new().or::<Machine>();
    let routes = || Router::new().route("/", routing::any(who)).route_layer(either.clone());
    [
        ("Clerk outside", routes().route_layer(from_fn(api_keys)).route_layer(clerk.clone())),
        ("keys outside", routes().route_layer(clerk.clone()).route_layer(from_fn(api_keys))),
    ]
}

async fn ask(clerk: &ClerkAuthLayer, headers: &[(&str, &str)]) -> [(&'static str, Answer); 2] {
    let [first, second] = stacks(clerk);
    [(first.0, send(&first.1, get(headers)).await), (second.0, send(&second.1, get(headers)).await)]
}

#[tokio::test]
async fn either_scheme_is_enough() {
    let clerk = layer().allow_unauthenticated_requests();
    let good = bearer(&token());
    for (headers, who) in [
        (vec![("x-api-key", "k_good")], "machine_1"),
        (vec![("authorization", "ApiKey k_good")], "machine_1"),
        (vec![("authorization", good.as_str())], "user_ada"),
        (vec![("authorization", &good), ("x-api-key", "k_good")], "user_ada"),
        (vec![("authorization", &good), ("x-api-key", "k_bad")], "user_ada"),
        (vec![("authorization", "Bearer a.b.c"), ("x-api-key", "k_good")], "machine_1"),
    ] {
        for (order, answer) in ask(&clerk, &headers).await {
            assert_eq!(answer.outcome(), (200, who), "{order} {headers:?}");
        }
    }
}

#[tokio::test]
async fn without_credentials_of_either_scheme_the_clerk_layer_responds() {
    let clerk = layer().allow_unauthenticated_requests();
    let expired = bearer(&token().expired());
    for (headers, code, challenge) in [
        (vec![], "missing_token", "Bearer"),
        (vec![("x-api-key", "k_bad")], "missing_token", "Bearer"),
        (vec![("authorization", "ApiKey k_bad")], "missing_token", "Bearer"),
        (vec![("authorization", "Bearer a.b.c")], "invalid_token", r#"Bearer error="invalid_token""#),
        (vec![("authorization", "Bearer k_good")], "invalid_token", r#"Bearer error="invalid_token""#),
        (vec![("authorization", &expired), ("x-api-key", "k_bad")], "token_expired", r#"Bearer error="invalid_token""#),
    ] {
        for (order, answer) in ask(&clerk, &headers).await {
            answer.assert_rejected(401, code);
            assert_eq!(answer.header("www-authenticate"), Some(challenge), "{order} {headers:?}");
        }
    }
}

#[tokio::test]
async fn a_malformed_request_is_rejected_despite_other_credentials() {
    let clerk = layer().allow_unauthenticated_requests();
    for (order, answer) in ask(&clerk, &[("authorization", "Bearer a b"), ("x-api-key", "k_good")]).await {
        assert_eq!(answer.status(), 400, "{order}");
        assert_eq!(answer.rejection().code(), "malformed_request");
    }
}

#[tokio::test]
async fn api_keys_pass_while_keys_are_unavailable() {
    let clerk = layer_without_keys().allow_unauthenticated_requests();
    let good = bearer(&token());
    for (headers, status, text) in [
        (vec![("x-api-key", "k_good")], 200, "machine_1"),
        (vec![("authorization", "ApiKey k_good")], 200, "machine_1"),
        (vec![("authorization", good.as_str()), ("x-api-key", "k_good")], 200, "machine_1"),
        (vec![("authorization", &good)], 503, "keys_unavailable"),
        (vec![("authorization", &good), ("x-api-key", "k_bad")], 503, "keys_unavailable"),
        (vec![], 401, "missing_token"),
    ] {
        for (order, answer) in ask(&clerk, &headers).await {
            match status {
                200 => assert_eq!(answer.outcome(), (200, text), "{order} {headers:?}"),
                _ => answer.assert_rejected(status, text),
            }
            assert_eq!(answer.header("retry-after"), (status == 503).then_some("1"), "{order} {headers:?}");
        }
    }
}

#[tokio::test]
async fn an_anonymous_layer_rejects_bad_tokens_before_api_keys_are_checked() {
    let clerk = layer().allow_missing_token();
    for (headers, status) in [
        (vec![("x-api-key", "k_good")], 200),
        (vec![("authorization", "ApiKey k_good")], 200),
        (vec![("authorization", "Bearer a.b.c"), ("x-api-key", "k_good")], 401),
        (vec![], 401),
    ] {
        for (order, answer) in ask(&clerk, &headers).await {
            assert_eq!(answer.status(), status, "{order} {headers:?}");
        }
    }
}

#[tokio::test]
async fn stripping_keeps_credentials_of_other_schemes() {
    let clerk = layer().allow_unauthenticated_requests().strip_unverified_credentials();
    for (order, answer) in ask(&clerk, &[("authorization", "ApiKey k_good")]).await {
        assert_eq!(answer.outcome(), (200, "machine_1"), "{order}");
    }
}

#[tokio::test]
async fn a_grpc_call_without_credentials_gets_a_grpc_status() {
    for (_, stack) in stacks(&layer().allow_unauthenticated_requests()) {
        let answer = send(&stack, request("POST", "/", &[("content-type", "application/grpc")])).await;
        answer.assert_rejected_grpc("16", "missing_token");
    }
}

#[tokio::test]
async fn an_api_key_does_not_meet_a_user_requirement() {
    let inner = Recorder::default();
    let guarded = RequireLayer::new(may_read()).layer(inner.clone());
    let with_machine = MapRequestLayer::new(|mut request: Request<Body>| {
        request.extensions_mut().insert(Machine("machine_1"));
        request
    });
    let clerk = layer().allow_unauthenticated_requests();
    let answer = send(&with_machine.layer(clerk.layer(guarded.clone())), get(&[])).await;
    answer.assert_rejected(401, "missing_token");
    let answer = send(&with_machine.layer(guarded), get(&[])).await;
    assert_eq!((answer.status(), inner.calls()), (500, 0));
}

#[tokio::test]
async fn a_user_extractor_rejects_an_api_key_that_the_guard_admitted() {
    let routes = Router::new().route("/", routing::get(|user: ClerkAuth| async move { user.user_id().to_owned() }));
    let guarded = routes.route_layer(RequireAuthenticatedLayer::new().or::<Machine>()).route_layer(from_fn(api_keys));
    let app = guarded.route_layer(layer().allow_unauthenticated_requests());
    send(&app, get(&[("x-api-key", "k_good")])).await.assert_rejected(401, "missing_token");
}

#[tokio::test]
async fn only_the_named_schemes_satisfy_require_authenticated() {
    let insert = |name: &'static str| {
        move |mut request: Request<Body>| {
            match name {
                "machine" => drop(request.extensions_mut().insert(Machine("machine_1"))),
                "webhook" => drop(request.extensions_mut().insert(Webhook)),
                _ => {}
            }
            request
        }
    };
    let machine = || RequireAuthenticatedLayer::new().or::<Machine>();
    for (guard, scheme, status) in [
        (machine().or::<Webhook>(), "machine", 200),
        (machine().or::<Webhook>(), "webhook", 200),
        (machine().or::<Webhook>(), "none", 401),
        (machine(), "machine", 200),
        (machine(), "webhook", 401),
        (RequireAuthenticatedLayer::new(), "machine", 401),
    ] {
        let inner = Recorder::default();
        let clerk = layer().allow_unauthenticated_requests();
        let stack = clerk.layer(MapRequestLayer::new(insert(scheme)).layer(guard.layer(inner.clone())));
        let answer = send(&stack, get(&[])).await;
        assert_eq!((answer.status(), inner.calls()), (status, usize::from(status == 200)), "{guard:?} {scheme}");
    }
}

#[tokio::test]
async fn an_api_key_passes_without_a_clerk_layer() {
    let inner = Recorder::default();
    let guard = RequireAuthenticatedLayer::new().or::<Webhook>().or::<Machine>();
    let mut request = get(&[]);
    request.extensions_mut().insert(Machine("machine_1"));
    let answer = send(&guard.layer(inner.clone()), request).await;
    assert_eq!((answer.outcome(), inner.calls()), ((200, "nobody"), 1));
}

/// A second Clerk layer decides alone, even if the first admitted the user. It does not touch users of other schemes.
#[tokio::test]
async fn a_second_clerk_layer_keeps_only_users_of_other_schemes() {
    let inner = Recorder::default();
    let elsewhere = ClerkAuthLayer::from(verifier(other_issuer().config())).allow_unauthenticated_requests();
    let guard = RequireAuthenticatedLayer::new().or::<Machine>();
    let stack = layer().layer(elsewhere.layer(guard.layer(inner.clone())));
    let answer = send(&stack.clone(), get(&[("authorization", &bearer(&reader()))])).await;
    assert_eq!((answer.rejection().code(), inner.calls()), ("invalid_token", 0));
    let mut request = get(&[("authorization", &bearer(&issuer().token("user_a")))]);
    request.extensions_mut().insert(Machine("machine_1"));
    assert_eq!((send(&stack, request).await.status(), inner.calls()), (200, 1));
}
