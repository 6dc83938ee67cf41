//! The gateway's `policies.json`, with a route for each of its policies.

#![no_main]

use gateway::documents::{Context, HeaderEdits, PolicyAction, read};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tower_clerk_fuzz::{is_one_line, variable};

fuzz_target!(|document: &str| {
    let parsed: Value = serde_json::from_str(document).unwrap_or_default();
    let policies = parsed["policies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = policies.iter().filter_map(|policy| policy["name"].as_str());
    // Without names, a route without policies.
    let choices = names.map(Some).take(MOST_POLICIES).chain([None]);
    for name in choices {
        let files = [("policies.json".to_owned(), document.to_owned()), ("a.oas.json".to_owned(), routes(name))];
        let context = Context { variable: &variable, is_registered: &|name| name.starts_with("registered") };
        let documents = match read(&files, &context) {
            Ok(documents) => documents,
            Err(faults) => {
                assert!(!faults.is_empty());
                assert!(faults.iter().all(is_one_line), "{faults:?}");
                continue;
            }
        };
        assert!(documents.warnings.iter().all(is_one_line), "{:?}", documents.warnings);
        let [route] = documents.routes.as_slice() else { panic!("{} routes", documents.routes.len()) };
        let Some(name) = name else {
            assert!(route.policies.is_empty());
            continue;
        };
        let names: Vec<_> = route.policies.iter().map(|policy| policy.name.as_str()).collect();
        let written = |name: &str| policies.iter().find(|policy| policy["name"] == name).expect("a policy in the file");
        let options = |policy: &Value, option: &str| policy["handler"]["options"][option].clone();
        let policy = written(name);
        if policy["handler"]["export"] == "CompositeInboundPolicy" && !name.starts_with("registered") {
            let list = options(policy, "policies");
            if !list.to_string().contains("$env(") {
                assert_eq!(json!(names), list);
            }
        } else {
            assert_eq!(names, [name]);
        }
        for read in &route.policies {
            let (name, policy) = (&read.name, written(&read.name));
            match &read.action {
                PolicyAction::Authenticate(authentication) => {
                    let allowed = options(policy, "allowUnauthenticatedRequests") == true;
                    assert_eq!(authentication.options().allow_unauthenticated_requests(), allowed);
                }
                PolicyAction::Custom => assert!(name.starts_with("registered")),
                PolicyAction::EditHeaders(HeaderEdits::Remove(_)) => {
                    assert_eq!(policy["handler"]["export"], "RemoveHeadersInboundPolicy");
                }
                PolicyAction::EditHeaders(HeaderEdits::Set(_)) => {
                    assert_eq!(policy["handler"]["export"], "SetHeadersInboundPolicy");
                }
            }
        }
    }
});

/// A routes file with one route.
fn routes(policy: Option<&str>) -> String {
    let route = json!({
        "handler": {
            "export": "urlForwardHandler",
            "module": "$import(@zuplo/runtime)",
            "options": { "baseUrl": "https://upstream.example" },
        },
        "policies": { "inbound": policy.into_iter().collect::<Vec<_>>() },
    });
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "One route", "version": "1" },
        "paths": { "/": { "get": { "x-zuplo-route": route } } },
    });
    document.to_string()
}

/// The document is read once for each, and a few policies have everything that many have.
const MOST_POLICIES: usize = 6;
