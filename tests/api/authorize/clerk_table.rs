//! Clerk's table of authorization checks, in the order of its test suite, for both token versions.
//!
//! A typed requirement cannot express some rows: a preset with an unknown name (`invalid-value`, `STRICT`), a level
//! without minutes, with -1 or with 9.5, and `null` or a number instead of a string.

use serde_json::{Value, json};
use tower_clerk::{
    ClerkAuth, Requirement,
    claims::{Reverification, ReverificationLevel},
};

use super::{v1, v2};

/// The session of most rows: `org:admin` of `org_123`, both factors just verified, with `changes`.
fn sessions(changes: &Value) -> [ClerkAuth; 2] {
    let merged = |mut base: Value| {
        let (base_members, changes) = (base.as_object_mut().expect("an object"), changes.as_object().expect("one"));
        base_members.extend(changes.clone());
        base
    };
    let first = json!({
        "fva": [0, 0], "org_id": "org_123", "org_role": "org:admin", "org_permissions": ["org:sys_memberships:read"],
    });
    let second = json!({
        "fva": [0, 0], "o": { "id": "org_123", "rol": "admin", "per": "read", "fpm": "1" }, "fea": "o:sys_memberships",
    });
    let mut second = merged(second);
    let features = second["fea"].as_str().unwrap_or_default();
    if changes.get("fea").is_some() && !features.is_empty() {
        second["fea"] = json!(format!("o:sys_memberships,{features}"));
    }
    [v1(&merged(first)), v2(&second)]
}

#[track_caller]
fn assert_has(users: &[ClerkAuth; 2], requirement: &Requirement, expected: bool) {
    for user in users {
        assert_eq!(
            user.has(requirement),
            expected,
            "{requirement:?} of version {:?}: {}",
            user.version(),
            user.as_json()
        );
    }
}

#[track_caller]
fn assert_rows(users: &[ClerkAuth; 2], rows: impl IntoIterator<Item = (Requirement, bool)>) {
    for (requirement, expected) in rows {
        assert_has(users, &requirement, expected);
    }
}

fn role(asked: &str) -> Requirement {
    Requirement::role(asked.to_owned())
}

fn permission(asked: &str) -> Requirement {
    Requirement::permission(asked.to_owned())
}

fn feature(asked: &str) -> Requirement {
    Requirement::feature(asked.to_owned())
}

fn plan(asked: &str) -> Requirement {
    Requirement::plan(asked.to_owned())
}

fn strict() -> Requirement {
    Requirement::reverification(Reverification::strict())
}

fn strict_mfa() -> Requirement {
    Requirement::reverification(Reverification::strict_mfa())
}

fn held_permission() -> Requirement {
    permission("org:sys_memberships:read")
}

#[test]
fn h1_and_h2_a_feature_matches_its_own_scope_or_no_scope() {
    let users = sessions(&json!({ "fea": "o:reservations,u:dashboard" }));
    let held =
        "o:reservations org:reservations organization:reservations reservations u:dashboard user:dashboard dashboard";
    assert_rows(&users, held.split_whitespace().map(|asked| (feature(asked), true)));
    assert_has(&users, &feature("lol:dashboard"), false);
}

#[test]
fn h3_to_h6_claims_of_a_wrong_type_grant_nothing() {
    let wrong = [json!(7), json!({}), json!([]), json!(null), json!(true)];
    for value in wrong {
        let numeric_role = [
            v1(&json!({ "org_id": "org_123", "org_role": value })),
            v2(&json!({ "o": { "id": "org_123", "rol": value } })),
        ];
        assert_has(&numeric_role, &role("org:admin"), false);
        let no_permissions = [
            v1(&json!({ "org_id": "org_123", "org_permissions": value })),
            v2(&json!({ "fea": "o:sys_profile", "o": { "id": "org_123", "per": "delete", "fpm": value } })),
        ];
        assert_has(&no_permissions, &permission("org:sys_profile:delete"), false);
        assert_has(&sessions(&json!({ "fea": value })), &feature("org:premium"), false);
        assert_has(&sessions(&json!({ "pla": value })), &plan("u:plus"), false);
    }
}

#[test]
fn h7_an_empty_requirement_is_not_met() {
    let users = sessions(&json!({ "fea": "o:reservations", "pla": "plus" }));
    let nothing = || Requirement::any_of([]);
    assert_rows(
        &users,
        [(nothing(), false), (nothing().and(nothing()), false), (Requirement::any_of([nothing()]), false)],
    );
    assert_rows(&users, [(nothing().and(role("org:admin")), false), (role("org:admin").and(nothing()), false)]);
}

#[test]
fn h8_and_h9_fresh_factors_do_not_replace_an_organization() {
    let users = [v1(&json!({ "fva": [0, 0] })), v2(&json!({ "fva": [0, 0] }))];
    assert_rows(&users, [(held_permission().and(strict()), false), (role("org:admin").and(strict()), false)]);
    assert_has(&users, &strict(), true);
}

#[test]
fn h10_to_h12_malformed_factor_ages_are_not_fresh() {
    assert_has(&sessions(&json!({ "fva": null })), &held_permission().and(strict()), false);
    assert_has(&sessions(&json!({ "fva": ["0", "0"] })), &strict_mfa(), false);
}

#[test]
fn h13_to_h18_every_part_must_be_met() {
    let users = sessions(&json!({ "fea": "o:reservations", "pla": "u:plus" }));
    let held_feature = || feature("o:reservations");
    assert_rows(
        &users,
        [
            (permission("org:sys_profile:delete").and(held_feature()), false),
            (held_permission().and(held_feature()), true),
            (role("org:admin").and(permission("org:sys_profile:delete")), false),
            (role("org:admin").and(held_permission()), true),
            (held_feature().and(plan("u:plus")), true),
            (held_feature().and(plan("u:free")), false),
            (feature("o:missing").and(plan("u:plus")), false),
        ],
    );
}

#[test]
fn h19_to_h22_undecidable_requirements_are_not_met() {
    assert_has(&sessions(&json!({ "fea": "" })), &feature("org:premium"), false);
    assert_has(&sessions(&json!({ "fva": [-0.5, 0] })), &strict(), false);
    for level in [ReverificationLevel::FirstFactor, ReverificationLevel::SecondFactor, ReverificationLevel::MultiFactor]
    {
        let never = Requirement::reverification(Reverification::after_minutes(level, 0));
        assert_has(&sessions(&json!({})), &never, false);
    }
}

#[test]
fn h23_to_h30_parts_are_joined_by_and() {
    let users = sessions(&json!({ "fea": "o:reservations", "pla": "u:plus" }));
    let held_feature = || feature("o:reservations");
    assert_rows(
        &users,
        [
            (role("org:member").and(held_permission()), false),
            (role("org:admin").and(feature("o:missing")), false),
            (role("org:admin").and(plan("u:free")), false),
            (role("org:admin").and(held_feature()), true),
            (held_permission().and(strict()), true),
            (held_permission().and(held_feature()).and(strict()), true),
        ],
    );
    assert_has(&sessions(&json!({ "fea": "" })), &feature("o:reservations").and(strict()), false);
    assert_has(&sessions(&json!({ "fva": [0, -1] })), &held_permission().and(strict_mfa()), true);
    assert_has(&sessions(&json!({ "fva": [-1, -1] })), &held_permission().and(strict()), false);
}

#[test]
fn results_equal_those_observed_in_clerks_sdk() {
    let user = v2(&json!({
        "fea": "o:a,u:b", "pla": "u:pro,o:biz", "fva": [9, -1],
        "o": { "id": "org_1", "rol": "admin", "per": "read", "fpm": "1" },
    }));
    let users = [user.clone(), user];
    let first_factor =
        |minutes| Requirement::reverification(Reverification::after_minutes(ReverificationLevel::FirstFactor, minutes));
    assert_rows(
        &users,
        [
            (role("admin"), true),
            (role("org:org:admin"), true),
            (role("Admin"), false),
            (role(""), false),
            (permission("a:read"), true),
            (permission("org:org:a:read"), true),
            (feature("a"), true),
            (feature("o:a"), true),
            (feature("org:a:zzz"), true),
            (feature("O:a"), false),
            (feature("u:a"), false),
            (feature(":a"), false),
            (feature("org:"), false),
            (plan("pro"), true),
            (plan("org:pro"), false),
            (plan(""), false),
            (strict(), true),
            (first_factor(9), false),
            (first_factor(10), true),
            (Requirement::any_of([]), false),
        ],
    );
}
