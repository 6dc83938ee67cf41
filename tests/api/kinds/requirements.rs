use serde_json::json;
use tower::ServiceBuilder;
use tower_clerk::{
    M2mToken, OAuthToken, Principal, RequireLayer, Requirement, authorize::RequireAuthenticatedLayer,
    claims::Reverification, testing::TokenBuilder, verify::VerifyErrorKind,
};

use super::{layer_with, m2m, oauth, told, verify};
use crate::support::{bearer, token};

/// What a session has, as claims of other kinds.
fn dressed(token: TokenBuilder) -> TokenBuilder {
    token
        .claim("v", 2)
        .claim("sid", "sess_1")
        .claim("sts", "active")
        .claim("o", json!({ "id": "org_a", "rol": "admin", "per": "create", "fpm": "1" }))
        .claim("org_id", "org_a")
        .claim("org_role", "org:admin")
        .claim("org_permissions", ["org:invoices:create"])
        .claim("fea", "o:invoices,u:beta")
        .claim("pla", "o:business,u:pro")
        .claim("fva", [0, 0])
}

fn of_sessions() -> Vec<Requirement> {
    vec![
        Requirement::role("org:admin"),
        Requirement::permission("org:invoices:create"),
        Requirement::feature("invoices"),
        Requirement::feature("user:beta"),
        Requirement::plan("business"),
        Requirement::plan("user:pro"),
        Requirement::reverification(Reverification::lax()),
        Requirement::predicate(|_| true),
    ]
}

#[test]
fn what_is_meant_for_users_holds_for_sessions_alone() {
    let session = verify(&dressed(token())).expect("a session");
    let machines = [dressed(oauth()), dressed(m2m())].map(|token| verify(&token).expect("a principal"));
    for requirement in of_sessions() {
        assert!(session.has(&requirement), "{requirement:?}");
        for machine in &machines {
            assert!(!machine.has(&requirement), "{requirement:?}");
            let rejection = machine.require(&requirement).expect_err("no user");
            // Nor is a machine asked to verify its factors.
            assert_eq!(rejection.code(), "insufficient_scope", "{requirement:?}");
            let negligible = Requirement::any_of([requirement.clone(), Requirement::any_of([])]);
            assert!(!machine.has(&negligible), "{requirement:?}");
        }
    }
}

#[test]
fn a_predicate_never_sees_a_machine() {
    let requirement = Requirement::predicate(|user| panic!("called for {user:?}"));
    for machine in [oauth(), m2m()] {
        assert!(!verify(&machine).expect("a principal").has(&requirement));
    }
}

#[test]
fn every_kind_is_of_an_instance() {
    let of_it = Requirement::instance(crate::support::issuer().url());
    for token in [token(), oauth(), m2m()] {
        let principal = verify(&token).expect("a principal");
        assert!(principal.has(&of_it));
        assert!(!principal.has(&Requirement::instance("other")));
    }
}

#[tokio::test]
async fn a_require_layer_lets_no_machine_pass_where_a_user_is_meant() {
    for requirement in of_sessions() {
        let layers = ServiceBuilder::new().layer(layer_with(Ok)).layer(RequireLayer::new(requirement.clone()));
        let layers = layers.into_inner();
        let answer = told(&layers, &[("authorization", &bearer(&dressed(token())))]).await;
        assert_eq!(answer.status(), 200, "{requirement:?}");
        for machine in [dressed(oauth()), dressed(m2m())] {
            let answer = told(&layers, &[("authorization", &bearer(&machine))]).await;
            answer.assert_rejected(403, "insufficient_scope");
        }
    }
}

#[tokio::test]
async fn an_authenticated_user_is_no_machine_unless_it_is_named() {
    let layers = |inner| ServiceBuilder::new().layer(layer_with(Ok).allow_missing_token()).layer(inner).into_inner();
    let users = layers(RequireAuthenticatedLayer::new());
    assert_eq!(told(&users, &[("authorization", &bearer(&token()))]).await.status(), 200);
    for machine in [oauth(), m2m()] {
        let answer = told(&users, &[("authorization", &bearer(&machine))]).await;
        answer.assert_rejected(401, "invalid_token");
        let kind = answer.rejection().verify_error_kind();
        assert_eq!(kind, Some(VerifyErrorKind::TokenKindNotAccepted));
    }
    told(&users, &[]).await.assert_rejected(401, "missing_token");

    let named = [
        (RequireAuthenticatedLayer::new().or::<OAuthToken>(), [200, 200, 401]),
        (RequireAuthenticatedLayer::new().or::<M2mToken>(), [200, 401, 200]),
        (RequireAuthenticatedLayer::new().or::<Principal>(), [200, 200, 200]),
    ];
    for (inner, statuses) in named {
        let layers = layers(inner);
        for (token, status) in [token(), oauth(), m2m()].iter().zip(statuses) {
            assert_eq!(told(&layers, &[("authorization", &bearer(token))]).await.status(), status);
        }
        told(&layers, &[]).await.assert_rejected(401, "missing_token");
    }
}
