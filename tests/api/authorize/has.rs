use serde_json::{Value, json};
use tower_clerk::{
    ClerkAuth, ClerkConfig, Requirement, Verifier,
    claims::{Reverification, ReverificationLevel},
    testing::{ManualClock, TokenBuilder},
};

use super::{user, user_by, v1, v2};
use crate::support::{issuer, other_issuer, token};

fn holder() -> [ClerkAuth; 2] {
    [
        v1(&json!({
            "org_id": "org_1", "org_role": "org:admin", "org_permissions": ["org:a:read"],
            "fea": "o:a,u:b", "pla": "o:business,u:pro", "fva": [5, -1],
        })),
        v2(&json!({
            "o": { "id": "org_1", "rol": "admin", "per": "read", "fpm": "1" },
            "fea": "o:a,u:b", "pla": "o:business,u:pro", "fva": [5, -1],
        })),
    ]
}

/// For each dimension, one requirement that the user meets and one that the user does not meet.
fn dimensions() -> [[Requirement; 2]; 7] {
    let first_factor =
        |minutes| Requirement::reverification(Reverification::after_minutes(ReverificationLevel::FirstFactor, minutes));
    [
        [Requirement::role("org:admin"), Requirement::role("org:member")],
        [Requirement::permission("org:a:read"), Requirement::permission("org:a:write")],
        [Requirement::feature("o:a"), Requirement::feature("u:a")],
        [Requirement::plan("u:pro"), Requirement::plan("o:pro")],
        [first_factor(6), first_factor(5)],
        [Requirement::instance(issuer().url()), Requirement::instance("another")],
        [Requirement::predicate(|_| true), Requirement::predicate(|_| false)],
    ]
}

/// Every combination of the dimensions, each with a requirement that is met, one that is not, or none.
fn choices() -> Vec<Vec<(Requirement, bool)>> {
    dimensions().iter().fold(vec![Vec::new()], |choices, [held, missing]| {
        let added = |choice: &Vec<_>, part: Option<(&Requirement, bool)>| {
            choice.iter().cloned().chain(part.map(|(part, holds)| (part.clone(), holds))).collect()
        };
        let parts = [None, Some((held, true)), Some((missing, false))];
        choices.iter().flat_map(|choice| parts.map(|part| added(choice, part))).collect()
    })
}

#[test]
fn every_part_must_be_met_and_an_empty_requirement_fails() {
    let users = holder();
    assert_eq!(choices().len(), 3_usize.pow(7));
    for choice in choices() {
        let expected = !choice.is_empty() && choice.iter().all(|(_, holds)| *holds);
        let parts = || choice.iter().map(|(part, _)| part.clone());
        let from_the_left = parts().reduce(Requirement::and).unwrap_or_else(|| Requirement::any_of([]));
        let from_the_right = parts().rev().reduce(|inner, part| part.and(inner));
        let from_the_right = from_the_right.unwrap_or_else(|| Requirement::any_of([]));
        for user in &users {
            assert_eq!(user.has(&from_the_left), expected, "{from_the_left:?}");
            assert_eq!(user.has(&from_the_right), expected, "{from_the_right:?}");
            assert_eq!(user.require(&from_the_left).is_ok(), expected, "{from_the_left:?}");
        }
    }
}

#[test]
fn any_of_passes_if_one_alternative_is_met() {
    let users = holder();
    for choice in choices() {
        let expected = choice.iter().any(|(_, holds)| *holds);
        let any = Requirement::any_of(choice.iter().map(|(part, _)| part.clone()));
        for user in &users {
            assert_eq!(user.has(&any), expected, "{any:?}");
            assert_eq!(user.require(&any).is_ok(), expected, "{any:?}");
        }
    }
}

#[test]
fn all_of_passes_if_every_part_is_met_and_never_without_parts() {
    let users = holder();
    for choice in choices() {
        let expected = !choice.is_empty() && choice.iter().all(|(_, holds)| *holds);
        let all = Requirement::all_of(choice.iter().map(|(part, _)| part.clone()));
        for user in &users {
            assert_eq!(user.has(&all), expected, "{all:?}");
        }
    }
    let ([[met, unmet], ..], empty) = (dimensions(), Requirement::all_of([]));
    for user in users {
        assert!(!user.has(&empty.clone().and(met.clone())) && !user.has(&met.clone().and(empty.clone())));
        assert!(!user.has(&empty.clone().and(met.clone()).and(met.clone())));
        assert!(user.has(&empty.clone().or(met.clone())) && user.has(&met.clone().or(empty.clone())));
        assert!(!user.has(&empty.clone().or(unmet.clone())));
        assert!(user.has(&Requirement::any_of([]).or(met.clone())));
    }
}

#[test]
fn alternatives_and_conjunctions_nest() {
    let [[role, no_role], [permission, no_permission], [feature, no_feature], ..] = dimensions();
    let either = Requirement::any_of([no_role.clone().and(permission.clone()), role.clone().and(feature.clone())]);
    let neither = Requirement::any_of([no_role.and(permission), role.and(no_feature)]);
    for user in holder() {
        assert!(user.has(&either) && !user.has(&neither));
        assert!(user.has(&feature.clone().and(either.clone())));
        assert!(!user.has(&no_permission.clone().and(either.clone())));
        assert!(user.has(&Requirement::any_of([neither.clone(), either.clone()])));
        assert!(!user.has(&neither.clone().and(either.clone())));
    }
}

#[test]
fn repeated_org_prefixes_of_roles_are_ignored_on_both_sides() {
    for held in ["admin", "org:admin", "org:org:admin"] {
        for user in
            [v1(&json!({ "org_id": "org_1", "org_role": held })), v2(&json!({ "o": { "id": "org_1", "rol": held } }))]
        {
            for asked in ["admin", "org:admin", "org:org:admin", "org:org:org:admin"] {
                assert!(user.has(&Requirement::role(asked)), "{held} {asked}");
            }
            for asked in
                ["", "org:", "org", "orgadmin", ":admin", "o:admin", "user:admin", "organization:admin", "admin:org:"]
            {
                assert!(!user.has(&Requirement::role(asked)), "{held} {asked}");
            }
        }
    }
}

#[test]
fn repeated_org_prefixes_are_ignored_in_required_permissions_only() {
    let asked = ["a:read", "org:a:read", "org:org:a:read"];
    for (held, expected) in [("org:a:read", true), ("a:read", false), ("org:org:a:read", false), ("ORG:a:read", false)]
    {
        let user = v1(&json!({ "org_id": "org_1", "org_permissions": [held] }));
        for asked in asked {
            assert_eq!(user.has(&Requirement::permission(asked)), expected, "{held} {asked}");
        }
    }
    let packed = v2(&json!({ "fea": "o:a", "o": { "id": "org_1", "per": "read", "fpm": "1" } }));
    for asked in asked {
        assert!(packed.has(&Requirement::permission(asked)), "{asked}");
    }
}

#[test]
fn comparison_is_case_and_space_sensitive() {
    for user in holder() {
        for asked in ["Admin", "ADMIN", "org:Admin", "ORG:admin", "Org:admin", " admin", "org: admin", "admin "] {
            assert!(!user.has(&Requirement::role(asked)), "{asked}");
        }
        for asked in ["A:read", "org:a:Read", "ORG:a:read", " org:a:read", "org:a:read ", "org: a:read"] {
            assert!(!user.has(&Requirement::permission(asked)), "{asked}");
        }
        for asked in ["A", "o:A", "O:a", "ORG:a", "Organization:a", " a", "o: a", "o :a", "B", "USER:b"] {
            assert!(!user.has(&Requirement::feature(asked)), "{asked}");
        }
        for asked in ["Pro", "u:Pro", "U:pro", "User:pro", "pro ", "Business"] {
            assert!(!user.has(&Requirement::plan(asked)), "{asked}");
        }
    }
}

#[test]
fn requirements_with_empty_names_are_never_met() {
    let mut users = holder().to_vec();
    users
        .push(v1(&json!({ "org_id": "org_1", "org_role": "", "org_permissions": ["", "org:"], "fea": "", "pla": "" })));
    users.push(v2(&json!({
        "o": { "id": "org_1", "rol": "", "per": ",", "fpm": "3,3" }, "fea": "o:,u:", "pla": "o:,u:",
    })));
    users.push(v1(&json!({ "org_id": "org_1", "org_role": "org:" })));
    users.push(v2(&json!({ "o": { "id": "org_1", "rol": "org:" } })));
    for user in users {
        let asks: [fn(&'static str) -> Requirement; 4] =
            [Requirement::role, Requirement::permission, Requirement::feature, Requirement::plan];
        for asked in asks.map(|ask| ask("")) {
            assert!(!user.has(&asked), "{asked:?} {}", user.as_json());
        }
        for asked in ["org:", "org::", "o:", "u:", ":", "::"] {
            assert!(!user.has(&Requirement::permission(asked)), "{asked} {}", user.as_json());
            assert!(!user.has(&Requirement::feature(asked)), "{asked} {}", user.as_json());
            assert!(!user.has(&Requirement::plan(asked)), "{asked} {}", user.as_json());
        }
        assert!(!user.has(&Requirement::instance("")));
    }
}

#[test]
fn entitlements_match_by_scope_and_name_only() {
    for (held, asked, expected) in [
        ("o:a", "o:a:zzz", true),
        ("o:a", "organization:a:b:c", true),
        ("u:a", "user:a:zzz", true),
        ("u:a", "u:a:", true),
        ("o:a", "zzz:a:o", false),
        // An empty name means the text of the scope.
        ("o:org", "org:", true),
        ("o:o", "o:", true),
        ("o:organization", "organization::x", true),
        ("u:user", "user:", true),
        ("u:org", "org:", false),
        ("o:user", "user:", false),
        // The name of a claim is all after the first colon; that of a requirement ends at the next colon.
        ("o:a:b", "o:a", false),
        ("o:a:b", "o:a:b", false),
        ("o:a:b", "a:b", false),
        ("ou:a", "o:a", true),
        ("ou:a", "u:a", true),
        ("uo:a", "uo:a", false),
        ("uo:a", "a", true),
        ("x:a", "a", false),
        ("x:a", "x:a", false),
        ("a:o", "a", false),
    ] {
        for user in [v1(&json!({ "fea": held, "pla": held })), v2(&json!({ "fea": held, "pla": held }))] {
            assert_eq!(user.has(&Requirement::feature(asked)), expected, "{held} {asked}");
            assert_eq!(user.has(&Requirement::plan(asked)), expected, "{held} {asked}");
        }
    }
}

#[test]
fn an_entitlement_list_with_a_malformed_item_grants_nothing() {
    for list in ["o:a,b", "b,o:a", "o:a,", ",o:a", "o:a,,o:b", "a"] {
        let user = v2(&json!({ "fea": list, "pla": list, "o": { "id": "org_1", "per": "read", "fpm": "1,1,1" } }));
        for requirement in [Requirement::feature("a"), Requirement::plan("o:a"), Requirement::permission("a:read")] {
            assert!(!user.has(&requirement), "{list} {requirement:?}");
        }
    }
}

#[test]
fn lists_of_the_wrong_type_grant_nothing() {
    let wrong: [Value; 6] = [json!(["o:a"]), json!({ "o": "a" }), json!(1), json!(true), json!(null), json!([["o:a"]])];
    for value in wrong {
        let organization = json!({ "id": "org_1", "per": value, "fpm": "1" });
        for user in [
            v1(&json!({ "fea": value, "pla": value, "org_id": "org_1", "org_permissions": value })),
            v2(&json!({ "fea": value, "pla": value, "o": { "id": "org_1", "per": "read", "fpm": "1" } })),
            v2(&json!({ "fea": "o:b", "o": organization })),
            v2(&json!({ "fea": "o:b", "o": value })),
        ] {
            for asked in ["a", "o:a"] {
                assert!(!user.has(&Requirement::feature(asked)) && !user.has(&Requirement::plan(asked)), "{value}");
            }
            for asked in ["a:read", "b:read", "o:a"] {
                assert!(!user.has(&Requirement::permission(asked)), "{value} {asked}");
            }
        }
    }
    let mixed = v1(&json!({ "org_id": "org_1", "org_permissions": ["org:a:read", 7] }));
    assert!(!mixed.has(&Requirement::permission("org:a:read")));
    let text = v1(&json!({ "org_id": "org_1", "org_permissions": "org:a:read" }));
    assert!(!text.has(&Requirement::permission("org:a:read")));
}

#[test]
fn claims_that_name_scopes_grant_nothing_to_a_session() {
    let user = user(&token().claim("scope", "read write").claim("scp", ["read"]).claim("scopes", "read"));
    for scope in ["read", "read write", "write"] {
        assert!(!user.has(&Requirement::permission(scope)) && !user.has(&Requirement::feature(scope)), "{scope}");
        assert!(!user.has(&Requirement::plan(scope)) && !user.has(&Requirement::role(scope)), "{scope}");
    }
    assert!(user.has(&Requirement::any_of([Requirement::role("read"), Requirement::instance(issuer().url())])));
}

#[test]
fn the_instance_requirement_compares_the_instance_name() {
    let named = issuer().config().instance_name("staging").expect("a name");
    for (user, name, other) in
        [(user(&token()), issuer().url(), "staging"), (user_by(named, &token()), "staging", issuer().url())]
    {
        assert!(user.has(&Requirement::instance(name)));
        for other in [other.to_owned(), format!("{name}/"), name.to_uppercase(), format!(" {name}"), String::new()] {
            assert!(!user.has(&Requirement::instance(other.clone())), "{other}");
        }
    }
}

#[test]
fn the_instance_requirement_uses_the_verifying_instance() {
    let other = other_issuer();
    let other_url = "https://clerk.other.example";
    let other_config = ClerkConfig::from_jwks(other.jwks()).and_then(|config| config.add_issuer(other_url));
    let builder = Verifier::builder(issuer().config()).instance(other_config.expect("a configuration"));
    let verifier = builder.clock(ManualClock::new()).build().expect("a verifier");
    let admin = |token: TokenBuilder| token.organization("org_1", "admin");
    let tokens = [admin(token()), admin(other.token("user_ada").claim("iss", other_url))];
    let users = tokens.map(|token| ClerkAuth::from(verifier.try_verify(&token.sign()).expect("a good token")));
    for (user, own, others) in [(&users[0], issuer().url(), other_url), (&users[1], other_url, issuer().url())] {
        let admin_of = |instance: &str| Requirement::role("admin").and(Requirement::instance(instance.to_owned()));
        assert!(user.has(&admin_of(own)) && !user.has(&admin_of(others)), "{own}");
    }
}

#[test]
fn a_predicate_gets_the_user() {
    let is_ada = Requirement::predicate(|user: &ClerkAuth| user.user_id() == "user_ada");
    assert!(ClerkAuth::builder().user_id("user_ada").build().has(&is_ada));
    assert!(!ClerkAuth::builder().user_id("user_bob").build().has(&is_ada));
}
