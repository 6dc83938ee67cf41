use std::sync::Arc;

use super::{COMPOSITE, Definitions, Policies, REMOVE_HEADERS, SET_HEADERS};
use crate::documents::{
    Context, HeaderEdits, Policy, PolicyAction, json,
    node::{Node, Report},
};

/// Reads the policies for one route that has these names.
fn resolve(policies: &str, names: &[&'static str]) -> Result<(Vec<Policy>, Vec<String>), Vec<String>> {
    let value = json::parse(policies).unwrap();
    let route = json::parse("{}").unwrap();
    let report = Report::default();
    let context = Context { variable: &|_| None, is_registered: &|name| name.starts_with("own-") };
    let definitions = Definitions::read(&Node::root("policies.json", &value, &report));
    let read = Policies::read(&definitions, &names.iter().copied().collect(), &context);
    let node = Node::root("routes.oas.json", &route, &report);
    let owned = |policies: Vec<Arc<Policy>>| policies.iter().map(|policy| policy.name.clone()).collect::<Vec<_>>();
    let resolved: Vec<_> = names.iter().map(|name| read.resolve(name, &node).map(owned)).collect();
    let policies = read.policies.into_iter().map(Arc::unwrap_or_clone).collect();
    let (faults, _) = report.into_parts();
    if faults.is_empty() {
        Ok((policies, resolved.into_iter().flat_map(Option::unwrap).collect()))
    } else {
        Err(faults.iter().map(ToString::to_string).collect())
    }
}

fn policy(name: &str, export: &str, options: &str) -> String {
    format!(
        r#"{{"handler": {{"options": {options}, "module": "$import(@zuplo/runtime)", "export": "{export}"}},
             "policyType": "any-label", "name": "{name}"}}"#
    )
}

fn list(policies: &[String]) -> String {
    format!("[{}]", policies.join(","))
}

fn tag(name: &str) -> String {
    policy(name, SET_HEADERS, r#"{"headers": [{"name": "x-tag", "value": "1"}]}"#)
}

fn composite(name: &str, members: &str) -> String {
    policy(name, COMPOSITE, &format!(r#"{{"policies": {members}}}"#))
}

#[test]
fn each_kind_of_policy_is_read_in_the_order_of_the_file() {
    let all = list(&[
        policy("clerk", "ClerkJwtInboundPolicy", r#"{"frontendApiUrl": "https://clerk.example.com"}"#),
        tag("tag"),
        policy("strip", REMOVE_HEADERS, r#"{"headers": ["cookie"]}"#),
        policy(
            "openid",
            "OpenIdJwtInboundPolicy",
            r#"{"issuer": "https://a.example", "jwkUrl": "https://a.example/keys"}"#,
        ),
    ]);
    let names = ["openid", "strip", "clerk", "tag", "clerk"];
    let (policies, resolved) = resolve(&all, &names).unwrap();
    assert_eq!(resolved, names);
    assert_eq!(
        policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(),
        ["clerk", "tag", "strip", "openid"]
    );
    assert!(matches!(policies[0].action, PolicyAction::Authenticate(_)));
    assert!(matches!(policies[1].action, PolicyAction::EditHeaders(HeaderEdits::Set(_))));
    assert!(matches!(policies[2].action, PolicyAction::EditHeaders(HeaderEdits::Remove(_))));
    assert!(matches!(policies[3].action, PolicyAction::Authenticate(_)));
}

#[test]
fn a_composite_stands_for_its_members() {
    let all = list(&[composite("both", r#"["b", "own-one", "a"]"#), tag("a"), tag("b"), tag("other")]);
    let (policies, resolved) = resolve(&all, &["both", "a"]).unwrap();
    assert_eq!(resolved, ["b", "own-one", "a", "a"]);
    assert_eq!(policies.iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), ["b", "own-one", "a"]);
}

#[test]
fn a_registered_layer_wins_over_the_definition() {
    let all = list(&[r#"{"name": "own-one", "nonsense": 1}"#.to_owned()]);
    let (policies, resolved) = resolve(&all, &["own-one", "own-two"]).unwrap();
    assert_eq!(resolved, ["own-one", "own-two"]);
    assert!(policies.iter().all(|policy| matches!(policy.action, PolicyAction::Custom)));
    let all = list(&[composite("own-both", r#"["nobody"]"#), composite("all", r#"["own-both"]"#)]);
    assert_eq!(resolve(&all, &["all"]).unwrap().1, ["own-both"]);
}

#[test]
fn policies_that_no_route_names_are_not_read_further_than_their_name() {
    let all = list(&[tag("a"), r#"{"name": "b", "handler": 1, "x": "$env(UNSET)"}"#.to_owned()]);
    assert_eq!(resolve(&all, &["a"]).unwrap().0.len(), 1);
    assert_eq!(resolve(&all, &["b"]).unwrap_err().len(), 3);
}

#[test]
fn names_are_unique_text_even_of_policies_that_no_route_names() {
    let all = r#"[{"name": "a"}, {"name": "a"}, {"name": ""}, {"name": 1}, {}, 1, {"name": "$env(A)"}]"#;
    let faults = resolve(all, &[]).unwrap_err();
    let places: Vec<_> = faults.iter().filter_map(|fault| fault.split(": ").nth(1)).collect();
    assert_eq!(places, ["$[1].name", "$[2].name", "$[3].name", "$[4]", "$[5]", "$[6].name"]);
}

#[test]
fn a_policy_that_cannot_be_run_is_refused_at_the_route() {
    let foreign = r#"{"name": "foreign", "policyType": "x", "handler": {"export": "SetHeadersInboundPolicy",
        "module": "$import(./modules/x)", "options": {}}}"#;
    let all = list(&[policy("limit", "RateLimitInboundPolicy", "{}"), foreign.to_owned()]);
    let faults = resolve(&all, &["limit", "foreign", "nobody"]).unwrap_err();
    let starts = [
        "routes.oas.json: $: the policy `limit` (`RateLimitInboundPolicy` of `$import(@zuplo/runtime)`) is not",
        "routes.oas.json: $: the policy `foreign` (`SetHeadersInboundPolicy` of `$import(./modules/x)`) is not",
        "routes.oas.json: $: policies.json has no policy `nobody`",
    ];
    assert_eq!(faults.len(), 3, "{faults:#?}");
    for (fault, start) in faults.iter().zip(starts) {
        assert!(fault.starts_with(start), "{fault}");
    }
}

#[test]
fn a_composite_hides_no_policy_that_cannot_be_run() {
    let all =
        list(&[composite("both", r#"["a", "limit"]"#), tag("a"), policy("limit", "RateLimitInboundPolicy", "{}")]);
    let faults = resolve(&all, &["both"]).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(faults[0].starts_with("routes.oas.json: $: the policy `limit` of the composite `both` ("), "{faults:?}");
}

#[test]
fn mistakes_in_composites_are_faults() {
    let cases = [
        (composite("c", "[]"), "$[0].handler.options.policies: a composite without policies would open"),
        (composite("c", "{}"), "$[0].handler.options.policies: must be an array"),
        (composite("c", r#"["a", 1]"#), "$[0].handler.options.policies[1]: must be a string"),
        (composite("c", r#"["nobody"]"#), "$[0].handler.options.policies[0]: policies.json has no policy"),
        (composite("c", r#"["inner", "a"]"#), "$[0].handler.options.policies[0]: is a composite itself"),
        (composite("c", r#"["c"]"#), "$[0].handler.options.policies[0]: is a composite itself"),
        (policy("c", COMPOSITE, r#"{"policy": ["a"]}"#), "$[0].handler.options: `policies` is missing"),
    ];
    for (first, expected) in cases {
        let all = list(&[first.clone(), tag("a"), composite("inner", r#"["a"]"#)]);
        let faults = resolve(&all, &["c"]).unwrap_err();
        assert!(
            faults.len() == 1 && faults[0].starts_with(&format!("policies.json: {expected}")),
            "{first}: {faults:#?}"
        );
    }
}

#[test]
fn mistakes_in_policies_that_a_route_names_are_faults() {
    let runtime = r#""module": "$import(@zuplo/runtime)""#;
    let cases = [
        (r#""policyType": "x""#.to_owned(), "$[0]: `handler` is missing"),
        (r#""policyType": "x", "handler": []"#.to_owned(), "$[0].handler: must be an object"),
        (
            format!(r#""policyType": "x", "handler": {{{runtime}, "options": {{}}}}"#),
            "$[0].handler: `export` is missing",
        ),
        (
            r#""policyType": "x", "handler": {"export": "A", "options": {}}"#.to_owned(),
            "$[0].handler: `module` is missing",
        ),
        (
            format!(r#""policyType": "x", "handler": {{"export": "$env(A)", {runtime}}}"#),
            "$[0].handler.export: `$env()` is replaced only",
        ),
        (
            format!(r#""policyType": "x", "handler": {{"export": "SetHeadersInboundPolicy", {runtime}}}"#),
            "$[0].handler: `options` is missing",
        ),
        (
            format!(r#""policyType": "x", "handler": {{"export": "ClerkJwtInboundPolicy", {runtime}, "options": 1}}"#),
            "$[0].handler.options: must be an object",
        ),
    ];
    for (members, expected) in cases {
        let faults = resolve(&format!(r#"[{{"name": "p", {members}}}]"#), &["p"]).unwrap_err();
        assert!(
            faults.len() == 1 && faults[0].starts_with(&format!("policies.json: {expected}")),
            "{members}: {faults:#?}"
        );
    }
    let unknown = format!(
        r#"[{{"name": "p", "policyTyp": "x", "handler": {{"export": "RemoveHeadersInboundPolicy", {runtime},
            "option": 1, "options": {{"headers": []}}}}}}]"#
    );
    let faults = resolve(&unknown, &["p"]).unwrap_err();
    let places: Vec<_> = faults.iter().filter_map(|fault| fault.split(": ").nth(1)).collect();
    assert_eq!(places, ["$[0].policyTyp", "$[0]", "$[0].handler.option"]);
}
