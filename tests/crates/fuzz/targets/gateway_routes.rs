//! The gateway's routes, with a `policies.json` that does not change.

#![no_main]

use gateway::documents::{Context, read};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use tower_clerk_fuzz::{is_one_line, variable};

fuzz_target!(|document: &str| {
    let files =
        [("policies.json".to_owned(), POLICIES.to_owned()), ("routes.oas.json".to_owned(), document.to_owned())];
    let context = Context { variable: &variable, is_registered: &|name| name == "audit" };
    let documents = match read(&files, &context) {
        Ok(documents) => documents,
        Err(faults) => {
            assert!(!faults.is_empty());
            assert!(faults.iter().all(is_one_line), "{faults:?}");
            return;
        }
    };
    assert!(documents.warnings.iter().all(is_one_line), "{:?}", documents.warnings);
    let read: Value = serde_json::from_str(document).expect("JSON, since it was read");
    let mut routes = 0;
    for (path, item) in members(&read["paths"]) {
        for (method, operation) in members(item) {
            if !METHODS.contains(&method.as_str()) || operation.get("x-zuplo-route").is_none() {
                continue;
            }
            routes += 1;
            let names = operation["x-zuplo-route"]["policies"]["inbound"].as_array();
            let names = names.into_iter().flatten().map(|name| name.as_str().expect("a name"));
            let expected: Vec<_> = names.flat_map(resolved).collect();
            let is_it = |route: &&gateway::documents::Route| {
                route.pattern.as_str() == path && route.method.as_str().eq_ignore_ascii_case(method)
            };
            let [route] = documents.routes.iter().filter(is_it).collect::<Vec<_>>()[..] else {
                panic!("not exactly one route for {method} {path}")
            };
            let names: Vec<_> = route.policies.iter().map(|policy| policy.name.as_str()).collect();
            assert_eq!(names, expected, "{method} {path}");
        }
    }
    assert_eq!(documents.routes.len(), routes);
});

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// What a policy of the file stands for.
fn resolved(name: &str) -> Vec<&str> {
    if name == "door" { vec!["strip", "clerk", "tag"] } else { vec![name] }
}

const METHODS: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];

const POLICIES: &str = r#"{
    "policies": [
        { "name": "clerk", "policyType": "clerk-jwt-auth-inbound", "handler": { "export": "ClerkJwtInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": { "frontendApiUrl": "https://clerk.example.com" } } },
        { "name": "openid", "policyType": "open-id-jwt-auth-inbound", "handler": { "export": "OpenIdJwtInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": { "issuer": "https://clerk.example.com",
            "jwkUrl": "https://clerk.example.com/.well-known/jwks.json" } } },
        { "name": "strip", "policyType": "remove-headers-inbound", "handler": { "export": "RemoveHeadersInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": { "headers": ["x-user-id"] } } },
        { "name": "tag", "policyType": "set-headers-inbound", "handler": { "export": "SetHeadersInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": { "headers": [{ "name": "x-tag", "value": "1" }] } } },
        { "name": "door", "policyType": "composite-inbound", "handler": { "export": "CompositeInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": { "policies": ["strip", "clerk", "tag"] } } },
        { "name": "audit", "policyType": "custom-code-inbound", "handler": { "export": "default",
            "module": "$import(./modules/audit)" } },
        { "name": "limit", "policyType": "rate-limit-inbound", "handler": { "export": "RateLimitInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": {} } }
    ],
    "corsPolicies": [{ "name": "web", "allowedOrigins": ["https://app.example.com", "https://*.example.com"] }]
}"#;
