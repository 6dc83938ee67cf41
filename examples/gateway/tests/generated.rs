//! Generated folders, with mistakes: reading never panics, and never opens a route.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use std::{cell::Cell, sync::Arc};

use gateway::{
    Fault,
    documents::{Context, Documents, HeaderEdits, PolicyAction, read},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use serde_json::{Map, Value, json};

const NAMES: [&str; 8] = ["clerk", "openid", "tag", "strip", "both", "nested", "limit", "own-one"];

#[test]
fn a_generated_route_keeps_every_policy_that_its_operation_names() {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let run = |(policies, routes, more): (Value, Value, Value)| {
        let files = [("policies.json", &policies), ("a.oas.json", &routes), ("b.oas.json", &more)];
        let files = files.map(|(name, value)| (name.to_owned(), value.to_string()));
        count(&read_files(&files), &files, &accepted, &refused)
    };
    runner(500).run(&(policies(), routes("/a"), routes("/b")), run).unwrap();
    assert!(accepted.get() > 60 && refused.get() > 60, "{accepted:?} {refused:?}");
}

#[test]
fn a_slip_of_the_pen_never_opens_a_route() {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let run = |(in_policies, slips): (bool, Vec<Slip>)| {
        let mut files = [("policies.json", policies_text()), ("a.oas.json", routes_text())]
            .map(|(name, text)| (name.to_owned(), text));
        let text = if in_policies { &mut files[0].1 } else { &mut files[1].1 };
        slips.iter().for_each(|slip| slip.make(text));
        count(&read_files(&files), &files, &accepted, &refused)
    };
    runner(1500).run(&(any::<bool>(), prop::collection::vec(slip(), 1..3)), run).unwrap();
    assert!(accepted.get() > 40 && refused.get() > 400, "{accepted:?} {refused:?}");
}

#[test]
fn any_text_is_read_or_refused() {
    let run = |(policies, routes): (String, String)| {
        let files = [("policies.json".to_owned(), policies), ("a.oas.json".to_owned(), routes)];
        prop_assert!(read_files(&files).is_err_and(|faults| !faults.is_empty()));
        Ok(())
    };
    runner(200).run(&(any::<String>(), any::<String>()), run).unwrap();
}

#[test]
fn any_json_is_read_or_refused() {
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let run = |(policies, routes): (Value, Value)| {
        let files = [("policies.json".to_owned(), policies.to_string()), ("a.oas.json".to_owned(), routes.to_string())];
        count(&read_files(&files), &files, &accepted, &refused)
    };
    let policy = |handler: Value| json!({ "policies": [{ "name": "clerk", "policyType": "any", "handler": handler }] });
    let handler =
        json!({ "export": "urlForwardHandler", "module": RUNTIME, "options": { "baseUrl": "https://a.example" } });
    let good = json!({ "x-zuplo-route": { "handler": handler } });
    let route = move |operation| json!({ "openapi": "3.1.0", "paths": { "/a": { "get": good, "post": operation } } });
    // Nothing is accepted unless its outer members are right.
    let policies = prop_oneof![document(), document().prop_map(policy)];
    let routes = prop_oneof![document(), document().prop_map(route)];
    runner(1000).run(&(policies, routes), run).unwrap();
    assert!(accepted.get() > 20 && refused.get() > 400, "{accepted:?} {refused:?}");
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn read_files(files: &[(String, String)]) -> Result<Documents, Vec<Fault>> {
    let variable = |name: &str| (name == "HOST").then(|| "clerk.example.com".to_owned());
    read(files, &Context { variable: &variable, is_registered: &|name| name.starts_with("own-") })
}

fn count(
    result: &Result<Documents, Vec<Fault>>,
    files: &[(String, String)],
    accepted: &Cell<u32>,
    refused: &Cell<u32>,
) -> Result<(), TestCaseError> {
    match result {
        Ok(documents) => {
            accepted.set(accepted.get() + 1);
            never_open(documents, files)
        }
        Err(faults) => {
            refused.set(refused.get() + 1);
            prop_assert!(!faults.is_empty());
            for fault in faults {
                let text = fault.to_string();
                prop_assert!(
                    !text.contains('\n') && fault.path.starts_with('$') && !fault.reason.is_empty(),
                    "{}",
                    text
                );
            }
            Ok(())
        }
    }
}

/// Compares with another reader of the same text, which takes every text in a route, wherever it stands, for the name
/// of a policy.
fn never_open(documents: &Documents, files: &[(String, String)]) -> Result<(), TestCaseError> {
    let parsed: Vec<Value> = files.iter().map(|(_, text)| serde_json::from_str(text).unwrap()).collect();
    let mut operations = 0;
    for item in parsed[1..].iter().filter_map(|document| document["paths"].as_object()).flatten() {
        for (method, operation) in item.1.as_object().into_iter().flatten() {
            let Some(route) = operation.get("x-zuplo-route").filter(|_| !method.starts_with("x-")) else { continue };
            operations += 1;
            let found = documents.routes.iter().find(|found| {
                found.method.as_str().eq_ignore_ascii_case(method) && found.pattern.as_str() == item.0.as_str()
            });
            let Some(found) = found else { return Err(TestCaseError::fail(format!("{method} {}", item.0))) };
            let mut named = Vec::new();
            let members = route.as_object().into_iter().flatten();
            members
                .filter(|(name, _)| !NO_POLICIES.contains(&name.as_str()))
                .for_each(|(_, member)| texts(member, &mut named));
            let expected: Vec<_> = named.iter().flat_map(|name| expand(name, &parsed[0])).collect();
            let names: Vec<_> = found.policies.iter().map(|policy| policy.name.clone()).collect();
            prop_assert_eq!(&names, &expected);
        }
    }
    prop_assert_eq!(documents.routes.len(), operations);
    for policy in documents.routes.iter().flat_map(|route| &route.policies) {
        let name = &policy.name;
        let same = documents.policies.iter().filter(|other| other.name == *name).collect::<Vec<_>>();
        prop_assert!(matches!(same[..], [same] if Arc::ptr_eq(same, policy)), "{}", name);
        let export =
            definition(name, &parsed[0]).map(|policy| policy["handler"]["export"].as_str().unwrap_or_default());
        let is_right = match policy.action {
            PolicyAction::Custom => name.starts_with("own-"),
            PolicyAction::Authenticate(_) => export.is_some_and(|export| export.ends_with("JwtInboundPolicy")),
            PolicyAction::EditHeaders(HeaderEdits::Remove(_)) => export == Some("RemoveHeadersInboundPolicy"),
            PolicyAction::EditHeaders(HeaderEdits::Set(_)) => export == Some("SetHeadersInboundPolicy"),
        };
        prop_assert!(is_right, "{} {:?}", name, policy.action);
    }
    Ok(())
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| texts(element, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        Value::String(text) => found.push(text.clone()),
        Value::Bool(_) | Value::Null | Value::Number(_) => {}
    }
}

fn definition<'a>(name: &str, policies: &'a Value) -> Option<&'a Value> {
    policies["policies"].as_array()?.iter().find(|policy| policy["name"] == *name)
}

fn expand(name: &str, policies: &Value) -> Vec<String> {
    let composite = definition(name, policies)
        .filter(|policy| policy["handler"]["export"] == "CompositeInboundPolicy" && !name.starts_with("own-"));
    let mut names = Vec::new();
    match composite {
        Some(policy) => texts(&policy["handler"]["options"]["policies"], &mut names),
        None => names.push(name.to_owned()),
    }
    names
}

/// Members of a route in which no policy is named.
const NO_POLICIES: [&str; 4] = ["corsPolicy", "handler", "mcp", "version"];

fn policies() -> impl Strategy<Value = Value> {
    let bad_member = prop_oneof![
        9 => Just(None),
        1 => select(&["export", "module", "name", "options", "policyType"]).prop_map(Some),
    ];
    let chosen = prop::collection::vec(prop::bool::weighted(0.9), NAMES.len());
    (chosen, bad_member, 0..NAMES.len(), prop::bool::weighted(0.05)).prop_map(|(chosen, bad, at, twice)| {
        let mut list: Vec<_> =
            NAMES.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(name, _)| policy(name)).collect();
        if let (Some(bad), Some(policy)) = (bad, list.get_mut(at)) {
            misspell(policy, bad);
        }
        if twice {
            list.extend(list.first().cloned());
        }
        json!({ "policies": list })
    })
}

fn policy(name: &str) -> Value {
    let (export, options) = match name {
        "clerk" => ("ClerkJwtInboundPolicy", json!({ "frontendApiUrl": "https://$env(HOST)" })),
        "openid" => (
            "OpenIdJwtInboundPolicy",
            json!({
                "issuer": "https://a.example",
                "jwkUrl": "https://a.example/keys",
                "allowUnauthenticatedRequests": true,
            }),
        ),
        "tag" => ("SetHeadersInboundPolicy", json!({ "headers": [{ "name": "x-tag", "value": "$env(HOST)" }] })),
        "strip" => ("RemoveHeadersInboundPolicy", json!({ "headers": ["cookie"] })),
        "both" => ("CompositeInboundPolicy", json!({ "policies": ["tag", "clerk", "own-one"] })),
        "nested" => ("CompositeInboundPolicy", json!({ "policies": ["both"] })),
        _ => ("RateLimitInboundPolicy", json!({})),
    };
    json!({ "name": name, "policyType": "any", "handler": { "export": export, "module": RUNTIME, "options": options } })
}

/// Renames a member, wherever it is below the value.
fn misspell(value: &mut Value, member: &str) {
    if let Value::Object(members) = value {
        if let Some(value) = members.remove(member) {
            members.insert(format!("{member}s"), value);
        }
        members.values_mut().for_each(|value| misspell(value, member));
    }
}

fn routes(prefix: &'static str) -> impl Strategy<Value = Value> {
    let method = prop_oneof![
        40 => select(&["get", "put", "post", "delete", "options", "head", "patch", "trace"]),
        1 => select(&["GET", "gett", "x-get", "$ref"]),
    ];
    let operations = prop::collection::btree_map(method, operation(), 0..4);
    let items = prop::collection::btree_map(0..4_u8, operations, 0..4);
    items.prop_map(move |items| {
        let path = |(number, operations)| (format!("{prefix}/{number}/{{id}}"), json!(operations));
        json!({ "openapi": "3.1.0", "paths": items.into_iter().map(path).collect::<Map<_, _>>() })
    })
}

fn operation() -> impl Strategy<Value = Value> {
    let good = prop_oneof![
        Just("clerk"),
        Just("openid"),
        Just("tag"),
        Just("strip"),
        Just("both"),
        Just("own-one"),
        Just("own-two")
    ];
    let name = prop_oneof![
        30 => good.prop_map(Value::from),
        1 => select(&["nested", "limit", "nobody", "$env(HOST)", ""]).prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let names = prop::collection::vec(name, 0..4);
    let members = select(&["inbound", "policies", "handler", "export", "baseUrl", "x-zuplo-route"]);
    let slip = prop_oneof![60 => Just(""), 4 => members];
    let has_route = prop::bool::weighted(0.9);
    (names, slip, has_route).prop_map(|(names, slip, has_route)| {
        let handler =
            json!({ "export": "urlForwardHandler", "module": RUNTIME, "options": { "baseUrl": "https://a.example" } });
        let route = json!({ "handler": handler, "policies": { "inbound": names } });
        let mut operation = if has_route { json!({ "x-zuplo-route": route }) } else { json!({ "summary": "x" }) };
        misspell(&mut operation, slip);
        operation
    })
}

fn select(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(values)
}

fn policies_text() -> String {
    let list: Vec<_> = NAMES.iter().map(|name| policy(name)).collect();
    json!({ "policies": list, "corsPolicies": [{ "name": "web", "allowedOrigins": "*" }] }).to_string()
}

fn routes_text() -> String {
    let handler =
        json!({ "export": "urlForwardHandler", "module": RUNTIME, "options": { "baseUrl": "https://a.example" } });
    let operation = |names: Value| {
        let route = json!({ "corsPolicy": "web", "handler": handler, "policies": { "inbound": names } });
        json!({ "x-zuplo-route": route })
    };
    json!({ "openapi": "3.0.3", "paths": {
        "/one": { "get": operation(json!(["clerk"])), "post": operation(json!(["both"])) },
        "/two/{id}": {
            "x-zuplo-path": { "pathMode": "open-api" },
            "delete": operation(json!(["strip", "openid", "own-one"])),
        },
    } })
    .to_string()
}

/// A change of the text at a place, given as a part of its length.
#[derive(Clone, Debug)]
enum Slip {
    Insert(prop::sample::Index, String),
    Move(prop::sample::Index, prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
    Replace(prop::sample::Index, char),
}

impl Slip {
    fn make(&self, text: &mut String) {
        let mut characters: Vec<_> = text.chars().collect();
        if characters.is_empty() {
            return;
        }
        match self {
            Self::Insert(at, inserted) => {
                let at = at.index(characters.len());
                characters.splice(at..at, inserted.chars());
            }
            Self::Move(from, to, length) => {
                let from = from.index(characters.len());
                let moved: Vec<_> = characters.drain(from..(from + length).min(characters.len())).collect();
                let to = to.index(characters.len() + 1);
                characters.splice(to..to, moved);
            }
            Self::Remove(at, length) => {
                let at = at.index(characters.len());
                characters.drain(at..(at + length).min(characters.len()));
            }
            Self::Replace(at, character) => {
                let at = at.index(characters.len());
                characters[at] = *character;
            }
        }
        *text = characters.into_iter().collect();
    }
}

fn slip() -> impl Strategy<Value = Slip> {
    let index = any::<prop::sample::Index>;
    let inserted = select(&[
        "\"a\":1,",
        "[]",
        "{}",
        "\"clerk\",",
        "null,",
        " ",
        "//x\n",
        "$env(HOST)",
        "x",
        "\\u0061",
        ",",
        "\u{feff}",
    ]);
    let character = prop_oneof![
        prop::char::range('a', 'z'),
        prop::sample::select(&['"', '{', '}', '[', ']', ':', ',', ' ', '/', '$'][..])
    ];
    prop_oneof![
        2 => (index(), inserted).prop_map(|(at, text)| Slip::Insert(at, text.to_owned())),
        1 => (index(), index(), 1..20_usize).prop_map(|(from, to, length)| Slip::Move(from, to, length)),
        1 => (index(), 1..12_usize).prop_map(|(at, length)| Slip::Remove(at, length)),
        3 => (index(), character).prop_map(|(at, character)| Slip::Replace(at, character)),
    ]
}

/// JSON whose members have the names that the reader looks for.
fn document() -> impl Strategy<Value = Value> {
    let text = select(&[
        "clerk",
        "open-api",
        "urlForwardHandler",
        RUNTIME,
        "3.0.0",
        "https://a.example",
        "$env(HOST)",
        "*",
        "",
    ]);
    let leaf = prop_oneof![
        text.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null)
    ];
    leaf.prop_recursive(8, 64, 6, |inner| {
        let name = select(&[
            "policies",
            "corsPolicies",
            "name",
            "handler",
            "export",
            "module",
            "options",
            "headers",
            "value",
            "openapi",
            "paths",
            "/a",
            "get",
            "x-zuplo-route",
            "x-zuplo-path",
            "pathMode",
            "inbound",
            "allowedOrigins",
            "baseUrl",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..8).prop_map(|members| json!(members)),
        ]
    })
}

const RUNTIME: &str = "$import(@zuplo/runtime)";
