//! Decoding of the packed permissions of a version 2 token, with the rows of Clerk's tests.

use serde_json::json;
use tower_clerk::{
    ClerkAuth, Requirement,
    claims::{Entitlement, EntitlementScope},
};

use super::{v1, v2};

fn packed(fea: &str, per: &str, fpm: &str) -> ClerkAuth {
    let organization = json!({ "id": "org_123", "rol": "admin", "slg": "org_test", "per": per, "fpm": fpm });
    v2(&json!({ "fea": fea, "o": organization }))
}

/// The user has exactly these permissions, in this order, of all combinations of the lists.
#[track_caller]
fn assert_permissions(user: &ClerkAuth, fea: &str, per: &str, expected: &str) {
    let expected: Vec<String> = expected.split_whitespace().map(|name| format!("org:{name}")).collect();
    let organization = user.organization().expect("an organization");
    assert_eq!(organization.permissions().collect::<Vec<_>>(), expected, "{}", user.as_json());
    for feature in fea.split(',').map(|item| item.split_once(':').expect("a scope").1) {
        for name in per.split(',') {
            let asked = format!("org:{feature}:{name}");
            assert_eq!(user.has(&Requirement::permission(asked.clone())), expected.contains(&asked), "{asked}");
        }
    }
}

#[test]
fn g1_features_without_an_organization_give_no_permissions() {
    let user = v2(&json!({ "fea": "u:impersonation,u:memberships" }));
    assert_eq!(user.organization(), v1(&json!({})).organization());
    assert!(user.organization().is_none());
    assert!(!user.has(&Requirement::permission("org:impersonation:read")));
}

#[test]
fn g2_both_layouts_decode_to_the_same_organization() {
    let first = v1(&json!({
        "org_id": "org_123", "org_role": "org:admin", "org_slug": "org_test",
        "org_permissions": ["org:impersonation:read", "org:impersonation:manage"],
    }));
    let second = packed("o:impersonation", "read,manage", "3");
    assert_eq!(first.organization(), second.organization());
    assert!(first.organization().is_some());
}

#[test]
fn g2_to_g16_bits_choose_the_permissions_of_each_feature() {
    for (fea, per, fpm, expected) in [
        ("o:impersonation", "read,manage", "3", "impersonation:read impersonation:manage"),
        (
            "o:impersonation,o:memberships",
            "read,manage",
            "1,3",
            "impersonation:read memberships:read memberships:manage",
        ),
        (
            "o:impersonation,o:memberships,o:feature3",
            "read,manage",
            "1,3,0",
            "impersonation:read memberships:read memberships:manage",
        ),
        (
            "uo:impersonation,o:memberships,uo:feature3",
            "read,manage",
            "1,3,1",
            "impersonation:read memberships:read memberships:manage feature3:read",
        ),
        ("u:impersonation,u:memberships,u:feature3", "", "", ""),
        ("ou:memberships,u:impersonation", "read,manage", "3,0", "memberships:read memberships:manage"),
        (
            "o:billing,o:email,o:fraud,o:instance,o:staging_plans",
            "manage,read",
            "3,3,3,3,1",
            "billing:manage billing:read email:manage email:read fraud:manage fraud:read instance:manage instance:read \
             staging_plans:manage",
        ),
        (
            "o:repositories,o:projects",
            "read,create,update,delete,revoke",
            "7,21",
            "repositories:read repositories:create repositories:update projects:read projects:update projects:revoke",
        ),
        (
            "o:repositories,o:projects,o:webhooks,o:impersonation",
            "read,manage",
            "1,2,3,0",
            "repositories:read projects:manage webhooks:read webhooks:manage",
        ),
        (
            "o:repositories,uo:projects,u:goldprofileborder",
            "read,create,update,delete,revoke",
            "7,21,0",
            "repositories:read repositories:create repositories:update projects:read projects:update projects:revoke",
        ),
        (
            "o:repositories,o:impersonation,o:billing",
            "manage,read,update",
            "6,0,3",
            "repositories:read repositories:update billing:manage billing:read",
        ),
    ] {
        assert_permissions(&packed(fea, per, fpm), fea, per, expected);
    }
}

#[test]
fn g6_without_per_or_fpm_there_are_no_permissions() {
    for organization in [
        json!({ "id": "org_123", "rol": "admin" }),
        json!({ "id": "org_123", "rol": "admin", "per": "read,manage" }),
        json!({ "id": "org_123", "rol": "admin", "fpm": "3,3,3" }),
    ] {
        let user = v2(&json!({ "fea": "o:impersonation,u:memberships,u:feature3", "o": organization }));
        assert_permissions(&user, "o:impersonation", "read,manage", "");
        assert!(user.has(&Requirement::role("org:admin")));
    }
}

#[test]
fn g7_a_role_gets_its_prefix() {
    let user = packed("o:a", "read", "1");
    assert_eq!(user.organization().and_then(|organization| organization.role()), Some("org:admin"));
}

#[test]
fn g13_to_g23_a_mask_is_a_decimal_number_of_any_size() {
    let names: Vec<String> = (0..54).map(|index| format!("permission_{index}")).collect();
    for (mask, bits) in [
        ("9007199254740993", &[0, 53][..]),
        ("9007199254740995", &[0, 1, 53]),
        ("18014398509481984", &[]),
        ("18014398509481985", &[0]),
        ("340282366920938463463374607431768211456", &[]),
        ("340282366920938463463374607431768211458", &[1]),
        ("1", &[0]),
        ("3", &[0, 1]),
        ("7", &[0, 1, 2]),
        ("21", &[0, 2, 4]),
        ("007", &[0, 1, 2]),
        ("0", &[]),
        ("1invalid", &[]),
        ("-1", &[]),
        ("+1", &[]),
        ("1.5", &[]),
        ("1e1", &[]),
        ("0x1", &[]),
        ("1 1", &[]),
        ("", &[]),
        ("\u{661}", &[]),
    ] {
        let user = packed("o:feature", &names.join(","), mask);
        for (bit, name) in names.iter().enumerate() {
            let has = user.has(&Requirement::permission(format!("org:feature:{name}")));
            assert_eq!(has, bits.contains(&bit), "{mask} {name}");
        }
        assert!(!user.has(&Requirement::permission("org:feature:undefined")), "{mask}");
        assert_eq!(
            user.organization().map(|organization| organization.permissions().count()),
            Some(bits.len()),
            "{mask}"
        );
    }
}

/// Clerk's SDKs count masks over all features or only over those of the organization. The number of masks decides.
#[test]
fn ambiguous_masks_after_a_user_feature_are_resolved_or_grant_nothing() {
    let (fea, per) = ("u:impersonation,o:billing,o:email", "read,manage");
    let both = "billing:read billing:manage email:read";
    for (fpm, expected) in [("0,3,1", both), ("3,1", both), ("3", "billing:read billing:manage"), ("0,3,1,1", "")] {
        assert_permissions(&packed(fea, per, fpm), fea, per, expected);
    }
    assert_permissions(
        &packed("o:dashboard,o:teams", "manage,read", "3,2"),
        "o:dashboard,o:teams",
        "manage,read",
        "dashboard:manage dashboard:read teams:read",
    );
}

#[test]
fn a_feature_of_the_user_grants_no_permission_whatever_its_mask() {
    let (fea, per) = ("u:impersonation,o:billing", "read,manage");
    assert_permissions(&packed(fea, per, "3,1"), fea, per, "billing:read");
}

#[test]
fn spaces_around_items_are_ignored() {
    let user = packed(" o:a , o:b ", " read , manage ", " 1 , 2 ");
    assert_permissions(&user, "o:a,o:b", "read,manage", "a:read b:manage");
}

#[test]
fn features_are_split_by_scope() {
    for (fea, of_organization, of_user) in [
        ("", "", ""),
        ("o:impersonation,o:payments", "impersonation payments", ""),
        ("u:impersonation,u:payments", "", "impersonation payments"),
        ("o:payments,u:impersonation", "payments", "impersonation"),
        ("ou:payments,u:impersonation", "payments", "payments impersonation"),
        (
            "o:reservations,u:dashboard,ou:support-chat,uo:billing",
            "reservations support-chat billing",
            "dashboard support-chat billing",
        ),
        ("reservations,dashboard", "", ""),
        ("o:reservations,dashboard", "", ""),
        ("x:reservations,u:dashboard", "", "dashboard"),
    ] {
        let user = v2(&json!({ "fea": fea }));
        let names = |keep: fn(&Entitlement<'_>) -> bool| -> Vec<String> {
            user.features().filter(keep).map(|feature| feature.name().to_owned()).collect()
        };
        assert_eq!(names(|feature| feature.scope() != EntitlementScope::User).join(" "), of_organization, "{fea}");
        assert_eq!(names(|feature| feature.scope() != EntitlementScope::Organization).join(" "), of_user, "{fea}");
        for name in "impersonation payments reservations dashboard support-chat billing".split_whitespace() {
            let in_list = |list: &str| list.split_whitespace().any(|held| held == name);
            let has = |scope: &str| user.has(&Requirement::feature(format!("{scope}{name}")));
            assert_eq!(has("o:"), in_list(of_organization), "{fea} o:{name}");
            assert_eq!(has("u:"), in_list(of_user), "{fea} u:{name}");
            assert_eq!(has(""), has("o:") || has("u:"), "{fea} {name}");
        }
    }
}
