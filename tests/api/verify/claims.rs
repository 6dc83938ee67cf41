use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::json;
use tower_clerk::{ClerkAuth, claims::EntitlementScope};

use super::{accepted, signed, verify};
use crate::support::{header, issuer, token};

#[test]
fn accessors_return_every_claim() {
    let claims = accepted(&token().claim("jti", "jti_1").claim("sts", "active").claim("fva", [5, -1]));
    let issued = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    assert_eq!(claims.user_id(), "user_ada");
    assert_eq!(claims.session_id(), Some("sess_test"));
    assert_eq!(claims.issuer(), issuer().url());
    assert_eq!(claims.authorized_party(), Some("https://app.test.example"));
    assert_eq!(claims.jwt_id(), Some("jti_1"));
    assert_eq!(claims.session_status(), Some("active"));
    assert_eq!(claims.issued_at(), Some(issued));
    assert_eq!(claims.not_before(), Some(issued - Duration::from_secs(10)));
    assert_eq!(claims.expires_at(), issued + Duration::from_secs(60));
    assert_eq!(claims.first_factor_age(), Some(Duration::from_secs(300)));
    assert_eq!(claims.second_factor_age(), None);
    assert_eq!(claims.version(), Some(2));
    assert!(claims.actor().is_none() && claims.organization().is_none());
}

#[test]
fn times_before_1970_are_returned() {
    let claims = accepted(&token().claim("iat", -90).claim("nbf", 0));
    assert_eq!(claims.issued_at(), Some(SystemTime::UNIX_EPOCH - Duration::from_secs(90)));
    assert_eq!(claims.not_before(), Some(SystemTime::UNIX_EPOCH));
}

#[test]
fn both_versions_have_the_same_organization() {
    let granted = token()
        .organization("org_acme", "admin")
        .organization_slug("acme")
        .permission("invoices", "create")
        .permission("invoices", "read");
    for (version, claims) in [(1, accepted(&granted.clone().v1())), (2, accepted(&granted))] {
        assert_eq!(claims.version(), Some(version));
        let organization = claims.organization().expect("an organization");
        assert_eq!(organization.id(), "org_acme");
        assert_eq!(organization.slug(), Some("acme"));
        assert_eq!(organization.role(), Some("org:admin"));
        assert_eq!(organization.permissions().collect::<Vec<_>>(), ["org:invoices:create", "org:invoices:read"]);
    }
}

#[test]
fn claims_of_another_version_grant_nothing() {
    let v2_with_v1_claims = token().claim("org_id", "org_evil").claim("org_role", "org:admin");
    assert!(accepted(&v2_with_v1_claims).organization().is_none());
    let v1_with_v2_claims = token().v1().claim("o", json!({ "id": "org_evil", "rol": "admin" }));
    assert!(accepted(&v1_with_v2_claims).organization().is_none());
    for version in [json!(1), json!(3), json!("2"), json!(null), json!([2]), json!(2.5)] {
        let claims = accepted(
            &token()
                .organization("org_acme", "admin")
                .feature("o:a")
                .plan("u:pro")
                .claim("v", version)
                .claim("org_id", "org_b"),
        );
        assert!(claims.organization().is_none() && claims.version().is_none());
        assert_eq!((claims.features().count(), claims.plans().count()), (0, 0));
    }
    assert_eq!(accepted(&token().claim("v", 2.0)).version(), Some(2));
}

#[test]
fn claims_of_the_wrong_type_grant_nothing() {
    for o in [
        json!(null),
        json!("org_a"),
        json!([]),
        json!({}),
        json!({ "id": 7 }),
        json!({ "id": null }),
        json!({ "id": "" }),
    ] {
        assert!(accepted(&token().claim("o", o)).organization().is_none());
    }
    let partly = accepted(&token().claim("o", json!({ "id": "org_a", "rol": 7, "slg": [], "per": 1, "fpm": {} })));
    let organization = partly.organization().expect("an organization");
    assert_eq!((organization.role(), organization.slug(), organization.permissions().count()), (None, None, 0));
    let v1 = accepted(&token().v1().claim("org_id", "org_a").claim("org_permissions", json!(["org:a:b", 7])));
    assert!(v1.organization().expect("an organization").permissions().next().is_none());
    assert!(accepted(&token().v1().claim("org_id", json!(["org_a"]))).organization().is_none());
    for (name, value) in
        [("fea", json!(["o:a"])), ("pla", json!({ "o": "a" })), ("fea", json!("a,o:b")), ("pla", json!(null))]
    {
        let claims = accepted(&token().claim(name, value));
        assert_eq!((claims.features().count(), claims.plans().count()), (0, 0));
    }
}

#[test]
fn features_and_plans_have_a_scope() {
    let claims = accepted(&token().claim("fea", "o:reservations,u:dashboard,ou:chat").plan("u:pro"));
    let features: Vec<_> = claims.features().map(|feature| (feature.name(), feature.scope())).collect();
    assert_eq!(
        features,
        [
            ("reservations", EntitlementScope::Organization),
            ("dashboard", EntitlementScope::User),
            ("chat", EntitlementScope::UserAndOrganization)
        ]
    );
    assert_eq!(claims.plans().map(|plan| plan.to_string()).collect::<Vec<_>>(), ["u:pro"]);
}

#[test]
fn strings_are_compared_after_unescaping() {
    let payload = token().payload().replace("user_ada", "user_\\u0061da").replace("\"sub\"", "\"s\\u0075b\"");
    let claims = verify(&signed(&header(), &payload)).expect("accepted");
    assert_eq!(claims.user_id(), "user_ada");
}

#[test]
fn custom_claims_are_read_from_the_payload_as_signed() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Profile {
        email: String,
        metadata: Metadata,
    }
    #[derive(Debug, Deserialize, PartialEq)]
    struct Metadata {
        level: u8,
    }
    let claims = accepted(&token().claim("email", "ada@example.com").claim("metadata", json!({ "level": 7 })));
    let profile: Profile = claims.custom().expect("a profile");
    assert_eq!(profile, Profile { email: "ada@example.com".into(), metadata: Metadata { level: 7 } });
    let error = accepted(&token()).custom::<Profile>().expect_err("no profile");
    assert_eq!(error.to_string(), "the payload does not match the type of the custom claims");
}

#[test]
fn numbers_of_any_size_are_kept_as_signed() {
    let payload = token().payload();
    let payload =
        format!("{},\"n\":123456789012345678901234567890,\"x\":1e400}}", payload.strip_suffix('}').expect("an object"));
    let claims = verify(&signed(&header(), &payload)).expect("accepted");
    assert_eq!(claims.as_json(), payload);
}

#[test]
fn debug_hides_the_user() {
    let claims = accepted(&token().organization("org_acme", "admin").claim("act", json!({ "sub": "user_root" })));
    let user = ClerkAuth::from(claims.clone());
    let shown = format!("{claims:?} {user:?} {:?} {:?}", claims.organization(), claims.actor());
    for secret in ["user_", "sess_", "org_", "admin"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(format!("{user:?}"), r#"ClerkAuth { instance: "https://clerk.test.example", version: Some(2), .. }"#);
}

#[test]
fn far_times_do_not_panic() {
    for exp in [json!(8_640_000_000_000_i64), json!(8.64e12)] {
        let claims = accepted(&token().claim("exp", exp).claim("iat", -8_640_000_000_000_i64));
        assert!(claims.expires_at() > SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000));
        assert!(claims.issued_at().is_some());
    }
}

#[test]
fn the_instance_is_its_name_or_its_issuer() {
    let user = ClerkAuth::from(accepted(&token()));
    assert_eq!(user.instance(), issuer().url());
    let config = issuer().config().instance_name("staging").expect("a name");
    let verifier = tower_clerk::Verifier::builder(config)
        .clock(tower_clerk::testing::ManualClock::new())
        .build()
        .expect("a verifier");
    let user = ClerkAuth::from(verifier.try_verify(&token().sign()).expect("accepted"));
    assert_eq!(user.instance(), "staging");
}
