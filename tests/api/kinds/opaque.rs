//! The opaque forms behind the same layers and handlers.

use axum::{Router, routing::get as route};
use tower_clerk::{
    ApiKey, ClerkAuth, ClerkAuthLayer, M2mToken, OAuthToken, Principal, RequireLayer, Requirement, Subject, TokenKind,
    TokenSource, Verifier,
    testing::{ManualClock, TestBackendApi},
    verify::{Instance, VerifyErrorKind},
};

use super::{accepting, told};
use crate::support::{get_path, send};

const NOT_ACCEPTED: Option<VerifyErrorKind> = Some(VerifyErrorKind::TokenKindNotAccepted);

fn api() -> TestBackendApi {
    TestBackendApi::new().clock(ManualClock::new())
}

/// A layer that accepts every kind and asks this API.
fn layer(api: &TestBackendApi) -> ClerkAuthLayer {
    let config = accepting(TokenKind::all()).authorized_parties(["https://app.test.example"]).expect("a party");
    let instance = Instance::new(config).backend_api(api.clone());
    Verifier::builder(instance).clock(ManualClock::new()).build().expect("a verifier").into()
}

/// An opaque token of each kind, and the kind.
fn tokens(api: &TestBackendApi) -> [(String, TokenKind); 3] {
    [
        (api.oauth_token("user_ada").scopes(["things:read"]).issue(), TokenKind::OAuth),
        (api.m2m_token("mch_orders").scopes(["mch_billing"]).issue(), TokenKind::M2m),
        (api.api_key("user_ada").scopes(["things:read"]).issue(), TokenKind::ApiKey),
    ]
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_handler_gets_the_kind_that_it_takes_and_no_other() {
    let api = api();
    let app = Router::new()
        .route("/session", route(async |user: ClerkAuth| user.user_id().to_owned()))
        .route("/oauth", route(async |token: OAuthToken| token.user_id().to_owned()))
        .route("/m2m", route(async |token: M2mToken| token.machine_id().to_owned()))
        .route("/api-key", route(async |key: ApiKey| format!("{:?} {}", key.subject(), key.id().len() > 3)))
        .route("/any", route(async |any: Principal| format!("{} {}", any.kind(), any.subject())))
        .route("/optional/session", route(async |user: Option<ClerkAuth>| user.is_some().to_string()))
        .route("/optional/oauth", route(async |token: Option<OAuthToken>| token.is_some().to_string()))
        .route("/optional/m2m", route(async |token: Option<M2mToken>| token.is_some().to_string()))
        .route("/optional/api-key", route(async |key: Option<ApiKey>| key.is_some().to_string()))
        .layer(layer(&api));
    for (index, (token, kind)) in tokens(&api).into_iter().enumerate() {
        let authorization = bearer(&token);
        let ask = async |path: &str| send(&app, get_path(path, Some(&authorization))).await;
        for (other, path) in ["oauth", "m2m", "api-key", "session"].into_iter().enumerate() {
            let answer = ask(&format!("/{path}")).await;
            if index == other {
                assert_eq!(answer.outcome(), (200, ["user_ada", "mch_orders", "User(..) true"][index]));
            } else {
                answer.assert_rejected(401, "invalid_token");
                assert_eq!(answer.rejection().verify_error_kind(), NOT_ACCEPTED, "{path} {kind}");
            }
            let is_there = (index == other).to_string();
            assert_eq!(ask(&format!("/optional/{path}")).await.outcome(), (200, is_there.as_str()), "{path} {kind}");
        }
        let subject = if kind == TokenKind::M2m { "mch_orders" } else { "user_ada" };
        assert_eq!(ask("/any").await.outcome(), (200, format!("{kind} {subject}").as_str()));
    }
    // Each was asked for once, whatever the handlers said.
    assert_eq!(api.calls(), 3);
}

#[tokio::test]
async fn a_kind_that_the_layer_does_not_accept_costs_no_call() {
    let api = api();
    let wide = layer(&api);
    for accepted in TokenKind::all() {
        let narrow = wide.clone().accept([accepted]).expect("a kind");
        for (token, kind) in tokens(&api).into_iter().filter(|(_, kind)| *kind != accepted) {
            let answer = told(&narrow, &[("authorization", &bearer(&token))]).await;
            answer.assert_rejected(401, "invalid_token");
            assert_eq!(answer.rejection().verify_error_kind(), NOT_ACCEPTED, "{kind}");
        }
    }
    assert_eq!(api.calls(), 0);
    // Nor is a remembered answer used.
    for (token, kind) in tokens(&api) {
        assert_eq!(told(&wide, &[("authorization", &bearer(&token))]).await.status(), 200);
        let others = TokenKind::all().filter(|other| *other != kind);
        let narrow = wide.clone().accept(others).expect("kinds");
        told(&narrow, &[("authorization", &bearer(&token))]).await.assert_rejected(401, "invalid_token");
    }
    assert_eq!(api.calls(), 3);
}

#[tokio::test]
async fn a_cookie_never_carries_an_opaque_token() {
    let api = api();
    let layer = layer(&api)
        .token_sources([TokenSource::authorization(), TokenSource::session_cookie(), TokenSource::cookie("key")])
        .expect("sources");
    for (token, _) in tokens(&api) {
        // Also if a header has carried it before.
        assert_eq!(told(&layer, &[("authorization", &bearer(&token))]).await.status(), 200);
        for name in ["__session", "key"] {
            let answer = told(&layer, &[("cookie", &format!("{name}={token}"))]).await;
            answer.assert_rejected(401, "missing_token");
        }
    }
    assert_eq!(api.calls(), 3);
}

#[tokio::test]
async fn a_scope_holds_for_oauth_tokens_and_api_keys() {
    let api = api();
    let scoped = RequireLayer::new(Requirement::scope("things:read"));
    let layers = tower::ServiceBuilder::new().layer(layer(&api)).layer(scoped).into_inner();
    let machine = api.m2m_token("mch_orders").scopes(["things:read"]).issue();
    let narrower = api.api_key("user_ada").scopes(["things:write"]).issue();
    for ((token, _), status) in tokens(&api).iter().zip([200, 403, 200]) {
        assert_eq!(told(&layers, &[("authorization", &bearer(token))]).await.status(), status);
    }
    for token in [machine, narrower] {
        let answer = told(&layers, &[("authorization", &bearer(&token))]).await;
        answer.assert_rejected(403, "insufficient_scope");
        let expected = r#"Bearer error="insufficient_scope", scope="things:read""#;
        assert_eq!(answer.header("www-authenticate"), Some(expected));
    }
}

#[test]
fn requirements_of_users_hold_for_no_api_key() {
    let key = ApiKey::builder().scopes(["things:read"]).build();
    assert!(key.has(&Requirement::scope("things:read")));
    assert!(key.require(&Requirement::scope("things:read")).is_ok());
    assert!(!Principal::from(key.clone()).has(&Requirement::predicate(|_| true)));
    for requirement in [Requirement::role("org:admin"), Requirement::feature("x"), Requirement::scope("things:write")] {
        assert_eq!(key.require(&requirement).expect_err("not met").code(), "insufficient_scope");
    }
}

#[test]
fn an_api_key_is_of_a_user_an_organization_or_a_machine() {
    let user = ApiKey::builder().user_id("user_ada").build();
    assert_eq!(user.subject(), Subject::User("user_ada"));
    assert_eq!((user.user_id(), user.organization_id(), user.machine_id()), (Some("user_ada"), None, None));
    let organization = ApiKey::builder().organization_id("org_acme").build();
    assert_eq!(organization.subject(), Subject::Organization("org_acme"));
    assert_eq!(
        (organization.user_id(), organization.organization_id(), organization.machine_id()),
        (None, Some("org_acme"), None)
    );
    let machine = ApiKey::builder().machine_id("mch_orders").build();
    assert_eq!(machine.subject(), Subject::Machine("mch_orders"));
    assert_eq!((machine.user_id(), machine.organization_id(), machine.machine_id()), (None, None, Some("mch_orders")));
    let shown = format!("{user:?} {:?} {:?}", user.subject(), Principal::from(machine));
    assert!(!shown.contains("ada") && !shown.contains("orders"), "{shown}");
}
