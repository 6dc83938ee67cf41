//! Tokens made from a JWT template. Their claims come from the template and do not describe a session.

use serde_json::json;
use tower_clerk::{
    ClerkAuth, Requirement,
    authorize::{RequireAuthenticatedLayer, RequireLayer},
    claims::{Reverification, ReverificationLevel},
    testing::TokenBuilder,
    verify::VerifyErrorKind,
};
use tower_layer::Layer;

use super::{user, user_by, with};
use crate::support::{Recorder, bearer, get, issuer, send, token, verifier};

const IGNORE: &str = "cl_I7d4PD111III";
const TEMPLATE: &str = "cl_B7d4PD222AAA";

/// Every claim that grants something to a session, in both layouts.
fn granting() -> [TokenBuilder; 2] {
    let common = json!({ "fea": "o:a,u:b", "pla": "o:business,u:pro", "fva": [0, 0], "scope": "read" });
    let spread = json!({ "org_id": "org_1", "org_role": "org:admin", "org_permissions": ["org:a:read"] });
    let packed = json!({ "o": { "id": "org_1", "rol": "admin", "per": "read", "fpm": "1" } });
    [with(with(token().v1(), &common), &spread), with(with(token(), &common), &packed)]
}

/// Tokens without a session, or with the category of a template.
fn templates() -> Vec<TokenBuilder> {
    let forms: [fn(TokenBuilder) -> TokenBuilder; 4] = [
        |token| token.header("cat", TEMPLATE).without_claim("sid"),
        |token| token.header("cat", TEMPLATE),
        |token| token.header("cat", IGNORE).without_claim("sid"),
        |token| token.without_header("cat").without_claim("sid"),
    ];
    granting().iter().flat_map(|token| forms.map(|form| form(token.clone()))).collect()
}

fn template_user(token: &TokenBuilder) -> ClerkAuth {
    user_by(issuer().config().allow_template_tokens(), token)
}

fn for_sessions_alone() -> Vec<Requirement> {
    vec![
        Requirement::role("org:admin"),
        Requirement::permission("org:a:read"),
        Requirement::feature("a"),
        Requirement::feature("u:b"),
        Requirement::plan("o:business"),
        Requirement::plan("pro"),
        Requirement::reverification(Reverification::lax()),
        Requirement::reverification(Reverification::moderate()),
        Requirement::reverification(Reverification::strict()),
        Requirement::reverification(Reverification::strict_mfa()),
        Requirement::reverification(Reverification::after_minutes(ReverificationLevel::FirstFactor, 99_998)),
    ]
}

#[test]
fn session_tokens_meet_requirements_that_template_tokens_do_not() {
    for token in granting() {
        for token in [token.clone(), token.clone().header("cat", IGNORE), token.without_header("cat")] {
            for user in [user(&token), template_user(&token)] {
                let unmet: Vec<_> = for_sessions_alone().into_iter().filter(|asked| !user.has(asked)).collect();
                assert_eq!(format!("{unmet:?}"), "[]");
            }
        }
    }
}

#[test]
fn a_template_token_meets_no_session_requirement() {
    for token in templates() {
        let user = template_user(&token);
        for requirement in for_sessions_alone() {
            assert!(!user.has(&requirement), "{requirement:?} {}", token.payload());
        }
        assert!(!user.has(&Requirement::any_of(for_sessions_alone())));
    }
}

#[test]
fn instance_and_predicate_requirements_apply_to_template_tokens() {
    for token in templates() {
        let user = template_user(&token);
        let instance = || Requirement::instance(issuer().url());
        let is_known = || Requirement::predicate(|user: &ClerkAuth| user.user_id() == "user_ada");
        assert!(user.has(&instance()) && user.has(&is_known()) && user.has(&instance().and(is_known())));
        assert!(!user.has(&Requirement::instance("another")) && !user.has(&Requirement::predicate(|_| false)));
        for requirement in for_sessions_alone() {
            assert!(!user.has(&instance().and(requirement.clone())), "{requirement:?}");
            assert!(user.has(&Requirement::any_of([requirement, is_known()])));
        }
    }
}

#[test]
fn reverification_is_not_requested_of_template_tokens() {
    for token in templates() {
        let rejected = template_user(&token).require(&Requirement::reverification(Reverification::strict()));
        let rejection = rejected.expect_err("no session");
        assert_eq!((rejection.code(), rejection.reverification()), ("insufficient_scope", None));
    }
}

/// A template can fill the claim `fva` with user input.
#[test]
fn factor_ages_in_template_tokens_are_not_fresh() {
    for token in templates() {
        let user = template_user(&token);
        assert!(!Reverification::lax().is_met_by(&user), "{}", token.payload());
    }
}

#[test]
fn template_tokens_are_rejected_unless_allowed() {
    let rejected = |token: &TokenBuilder| verifier(issuer().config()).try_verify(&token.sign()).err();
    for token in templates() {
        let kind = rejected(&token).map(|error| error.kind());
        let expected = [VerifyErrorKind::UnsupportedCategory, VerifyErrorKind::InvalidSessionId];
        assert!(kind.is_some_and(|kind| expected.contains(&kind)), "{kind:?}");
    }
}

#[tokio::test]
async fn a_template_token_authenticates_but_authorizes_nothing() {
    let clerk = tower_clerk::ClerkAuthLayer::from(verifier(issuer().config().allow_template_tokens()));
    for token in templates() {
        let request = || get(&[("authorization", &bearer(&token))]);
        let authenticated = clerk.layer(RequireAuthenticatedLayer::new().layer(Recorder::default()));
        assert_eq!(send(&authenticated, request()).await.outcome(), (200, "user_ada"));
        for requirement in for_sessions_alone() {
            let inner = Recorder::default();
            let guarded = clerk.layer(RequireLayer::new(requirement).layer(inner.clone()));
            send(&guarded, request()).await.assert_rejected(403, "insufficient_scope");
            assert_eq!(inner.calls(), 0);
        }
    }
}
