//! Grants in both token versions, with the rows of Clerk's tests. Rows on the headers of its
//! front end (`x-clerk-auth-*`) are left out because no API receives them.

use serde_json::json;
use tower_clerk::{ClerkAuth, Requirement, verify::VerifyErrorKind};

use super::{v1, v2};
use crate::support::{issuer, token, verifier};

#[track_caller]
fn assert_all(user: &ClerkAuth, asked: impl IntoIterator<Item = Requirement>, expected: bool) {
    for requirement in asked {
        assert_eq!(user.has(&requirement), expected, "{requirement:?} {}", user.as_json());
    }
}

fn permissions(list: &str) -> Vec<Requirement> {
    list.split_whitespace().map(|asked| Requirement::permission(asked.to_owned())).collect()
}

fn features(list: &str) -> Vec<Requirement> {
    list.split_whitespace().map(|asked| Requirement::feature(asked.to_owned())).collect()
}

fn plans(list: &str) -> Vec<Requirement> {
    list.split_whitespace().map(|asked| Requirement::plan(asked.to_owned())).collect()
}

#[test]
fn n1_without_an_organization_every_check_of_one_fails() {
    for user in [v1(&json!({})), v2(&json!({}))] {
        assert_all(&user, ["org:admin", "admin", "org:", ""].map(Requirement::role), false);
        assert_all(&user, permissions("org:f1:read f1:read org: read"), false);
        assert_all(&user, features("o:f1 u:f1 f1 org:f1 user:f1"), false);
    }
}

#[test]
fn n2_roles_and_permissions_of_version_1_with_and_without_their_prefix() {
    for held in ["org:admin", "admin"] {
        let user = v1(&json!({ "org_id": "org_1", "org_role": held, "org_permissions": ["org:f1:read"] }));
        assert_all(&user, ["org:admin", "admin"].map(Requirement::role), true);
        assert_all(&user, permissions("f1:read org:f1:read"), true);
        assert_all(&user, permissions("org:f1 f1 read org:read org:f1:read:x"), false);
    }
}

#[test]
fn n3_a_feature_without_a_mask_has_no_permissions() {
    let user = v2(&json!({
        "fea": "o:reservations,o:impersonation",
        "o": { "id": "org_1", "rol": "admin", "per": "read,manage", "fpm": "3" },
    }));
    assert_all(&user, permissions("org:reservations:read org:reservations:manage"), true);
    assert_all(&user, permissions("org:impersonation:read org:impersonation:manage"), false);
    assert_all(&user, features("o:reservations o:impersonation"), true);
}

#[test]
fn n4_a_role_of_version_2_may_have_its_prefix_already() {
    for held in ["admin", "org:admin", "org:org:admin"] {
        let user = v2(&json!({ "o": { "id": "org_1", "rol": held } }));
        assert_all(&user, ["admin", "org:admin", "org:org:admin"].map(Requirement::role), true);
        assert_all(&user, ["member", "org:member", "org:administrator", "org:adm"].map(Requirement::role), false);
    }
}

#[test]
fn n5_and_n6_masks_count_over_the_organizations_features_alone() {
    let user = v2(&json!({
        "fea": "o:reservations,u:dashboard,uo:support-chat,o:impersonation", "pla": "u:pro,o:business",
        "o": { "id": "org_1", "rol": "admin", "per": "read,manage", "fpm": "2,3" },
    }));
    assert_all(&user, permissions("reservations:manage support-chat:read support-chat:manage"), true);
    assert_all(&user, permissions("reservations:read impersonation:read impersonation:manage dashboard:read"), false);
    assert_all(
        &user,
        features("org:reservations user:dashboard org:support-chat user:support-chat o:impersonation"),
        true,
    );
    assert_all(&user, features("user:reservations org:dashboard user:impersonation"), false);
    assert_all(&user, plans("org:business user:pro"), true);
    assert_all(&user, plans("user:business org:pro"), false);
    assert_all(&user, features("reservations dashboard support-chat impersonation"), true);
    assert_all(&user, plans("business pro"), true);
    assert_all(&user, plans("free"), false);
}

#[test]
fn n7_a_machine_token_is_rejected_before_authorization() {
    let machine = issuer().token("mch_1").organization("org_1", "admin");
    let rejected = verifier(issuer().config()).try_verify(&machine.sign()).err();
    assert_eq!(rejected.map(|error| error.kind()), Some(VerifyErrorKind::TokenKindNotAccepted));
    let machine = token().header("cat", "cl_B7d4PD333AAA");
    for config in [issuer().config(), issuer().config().allow_template_tokens()] {
        let rejected = verifier(config).try_verify(&machine.sign()).err();
        assert_eq!(rejected.map(|error| error.kind()), Some(VerifyErrorKind::TokenKindNotAccepted));
    }
}

#[test]
fn a_token_of_unknown_version_grants_only_reverification() {
    for version in [json!(1), json!(3), json!("2"), json!(null), json!(2.5), json!([2]), json!(true)] {
        let user = v2(&json!({
            "v": version, "fea": "o:a,u:b", "pla": "o:business,u:pro", "fva": [0, 0],
            "o": { "id": "org_1", "rol": "admin", "per": "read", "fpm": "1" },
            "org_id": "org_1", "org_role": "org:admin", "org_permissions": ["org:a:read"],
        }));
        assert_all(&user, [Requirement::role("admin")], false);
        assert_all(&user, permissions("a:read"), false);
        assert_all(&user, features("a o:a b u:b"), false);
        assert_all(&user, plans("business o:business pro u:pro"), false);
        assert_all(&user, [Requirement::reverification(tower_clerk::claims::Reverification::strict())], true);
    }
}

#[test]
fn claims_of_the_other_version_grant_nothing() {
    let packed = json!({
        "o": { "id": "org_1", "rol": "admin", "per": "read", "fpm": "1" }, "fea": "o:a", "pla": "u:pro",
    });
    let spread = json!({ "org_id": "org_1", "org_role": "org:admin", "org_permissions": ["org:a:read"] });
    for user in [v1(&packed), v2(&spread)] {
        assert_all(&user, [Requirement::role("admin"), Requirement::permission("a:read")], false);
    }
    // Features and plans have the same claims in both versions.
    assert_all(&v1(&packed), [Requirement::feature("a"), Requirement::plan("pro")], true);
}

#[test]
fn an_organization_without_an_id_has_no_roles_and_permissions() {
    for id in [None, Some(json!("")), Some(json!(null)), Some(json!(7)), Some(json!(["org_1"]))] {
        let mut spread = json!({ "org_role": "org:admin", "org_permissions": ["org:a:read"] });
        let mut packed = json!({ "o": { "rol": "admin", "per": "read", "fpm": "1" }, "fea": "o:a" });
        if let Some(id) = id {
            spread["org_id"] = id.clone();
            packed["o"]["id"] = id;
        }
        for user in [v1(&spread), v2(&packed)] {
            assert_all(&user, [Requirement::role("admin"), Requirement::permission("a:read")], false);
        }
    }
}
