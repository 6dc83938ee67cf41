use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{ServiceExt, service_fn};
use tower_clerk::{
    ApiKey, ClerkAuth, M2mToken, OAuthToken, Requirement,
    authorize::{Authorized, Policy, RequireAuthenticatedLayer, RequireService},
    claims::Reverification,
};
use tower_layer::Layer;

use super::Metrics;

const DECISIONS: &str = "clerk_authorization_decisions_total";

fn admin() -> ClerkAuth {
    ClerkAuth::builder().organization("org_acme", "admin").permission("invoices", "create").build()
}

async fn inner(_: Request<()>) -> Result<Response<Empty<Bytes>>, Infallible> {
    Ok(Response::new(Empty::new()))
}

async fn through(requirement: Requirement, user: Option<ClerkAuth>) -> u16 {
    let mut request = Request::new(());
    if let Some(user) = user {
        request.extensions_mut().insert(user);
    }
    let service = RequireService::new(service_fn(inner), requirement);
    service.oneshot(request).await.expect("a response").status().as_u16()
}

#[test]
fn each_kind_of_requirement_is_counted_by_its_result() {
    let metrics = Metrics::start();
    let met = [
        Requirement::role("org:admin"),
        Requirement::permission("org:invoices:create"),
        Requirement::predicate(|_| true),
    ];
    for requirement in &met {
        assert!(admin().require(requirement).is_ok());
    }
    let unmet = [
        Requirement::role("org:member"),
        Requirement::permission("org:invoices:delete"),
        Requirement::feature("export"),
        Requirement::plan("business"),
        Requirement::scope("read"),
        Requirement::reverification(Reverification::strict()),
        Requirement::predicate(|_| false),
        Requirement::instance("other"),
    ];
    for requirement in &unmet {
        assert!(admin().require(requirement).is_err());
    }
    // Not a decision about a request.
    assert!(admin().has(&met[0]));
    assert_eq!(
        metrics.all(DECISIONS),
        [
            "requirement=feature result=denied 1",
            "requirement=other result=allowed 1",
            "requirement=other result=denied 2",
            "requirement=permission result=allowed 1",
            "requirement=permission result=denied 1",
            "requirement=plan result=denied 1",
            "requirement=reverification result=denied 1",
            "requirement=role result=allowed 1",
            "requirement=role result=denied 1",
            "requirement=scope result=denied 1",
        ]
    );
}

#[test]
fn combined_requirements_count_once_as_their_common_kind_or_as_other() {
    let metrics = Metrics::start();
    for requirement in [
        Requirement::role("org:admin").or(Requirement::role("org:member")),
        Requirement::any_of([Requirement::role("org:admin"), Requirement::role("a").and(Requirement::role("b"))]),
        Requirement::role("org:admin").and(Requirement::permission("org:invoices:create")),
        Requirement::any_of([Requirement::role("org:admin"), Requirement::scope("read")]),
    ] {
        assert!(admin().require(&requirement).is_ok());
    }
    assert!(admin().require(&Requirement::all_of([])).is_err());
    assert_eq!(
        metrics.all(DECISIONS),
        [
            "requirement=other result=allowed 2",
            "requirement=other result=denied 1",
            "requirement=role result=allowed 2",
        ]
    );
}

#[tokio::test]
async fn the_layer_the_policy_and_every_kind_of_token_count_alike() {
    struct Admins;
    impl Policy for Admins {
        fn requirement() -> Requirement {
            Requirement::role("org:admin")
        }
    }
    let metrics = Metrics::start();
    assert_eq!(through(Requirement::role("org:admin"), Some(admin())).await, 200);
    assert_eq!(through(Requirement::role("org:member"), Some(admin())).await, 403);
    assert!(Authorized::<Admins>::new(admin()).is_ok());
    assert!(Authorized::<Admins>::new(ClerkAuth::builder().build()).is_err());
    let reads = Requirement::scope("read");
    assert!(OAuthToken::builder().scopes(["read"]).build().require(&reads).is_ok());
    assert!(ApiKey::builder().scopes(["write"]).build().require(&reads).is_err());
    assert!(M2mToken::builder().build().require(&reads).is_err());
    assert_eq!(
        metrics.all(DECISIONS),
        [
            "requirement=role result=allowed 2",
            "requirement=role result=denied 2",
            "requirement=scope result=allowed 1",
            "requirement=scope result=denied 2",
        ]
    );
}

#[tokio::test]
async fn requests_without_a_user_and_layers_without_a_requirement_count_nothing() {
    let metrics = Metrics::start();
    assert_eq!(through(Requirement::role("org:admin"), None).await, 500);
    let service = RequireAuthenticatedLayer::new().layer(service_fn(inner));
    let mut request = Request::new(());
    request.extensions_mut().insert(admin());
    assert_eq!(service.oneshot(request).await.expect("a response").status(), 200);
    assert_eq!(metrics.all(DECISIONS), [""; 0]);
}
