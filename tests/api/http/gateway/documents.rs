//! The document around a policy, and everything in a policy but its options.

use serde_json::{Value, json};
use tower_clerk::{ConfigError, gateway::GatewayPolicy};

use super::{clerk, error, errors, open_id, parse, policy, variable};

fn good() -> Value {
    clerk(&json!({ "frontendApiUrl": "https://a.example" }))
}

fn replaced(mut document: Value, pointer: &str, value: Value) -> Value {
    *document.pointer_mut(pointer).expect("a field") = value;
    document
}

#[test]
fn a_policy_is_read_alone_or_in_a_list() {
    let alone = clerk(&json!({ "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" }));
    for document in [
        alone.clone(),
        json!({ "policies": [alone] }),
        json!({ "policies": [alone], "corsPolicies": [] }),
        json!({ "corsPolicies": [7, { "name": "$env(" }], "policies": [alone] }),
    ] {
        let policy = parse(&document).expect("a policy");
        assert_eq!(policy.name(), "my-policy");
        assert_eq!(policy.options().issuer(), "https://clerk.example.com");
        assert!(!policy.options().allow_unauthenticated_requests());
        assert!(!policy.options().oauth_resource_metadata_enabled());
    }
}

#[test]
fn cors_policies_stand_only_beside_policies_and_are_a_list() {
    for cors in [json!({}), json!("a"), json!(null)] {
        let document = json!({ "policies": [good()], "corsPolicies": cors });
        assert_eq!(error(&document), "corsPolicies must be an array");
    }
    let mut alone = good();
    alone["corsPolicies"] = json!([]);
    assert_eq!(error(&alone), "corsPolicies is not a known field");
}

#[test]
fn one_policy_of_several_is_chosen_by_name() {
    let other = json!({ "name": "limit", "policyType": "rate-limit-inbound", "handler": {} });
    let document = json!({ "policies": [other, good()], "corsPolicies": [] }).to_string();
    let policy = GatewayPolicy::from_json_named(&document, "my-policy").expect("a policy");
    assert_eq!(policy.options().issuer(), "https://a.example");
    assert!(GatewayPolicy::from_json(&document).is_err());
    assert!(GatewayPolicy::from_json_named(&document, "missing").is_err());
    let error = GatewayPolicy::from_json_named(&document, "limit").expect_err("no handler").to_string();
    assert!(error.starts_with("policies[0].handler.module"), "{error}");
    let twice = json!({ "policies": [good(), good()] }).to_string();
    let error = GatewayPolicy::from_json_named(&twice, "my-policy").expect_err("two of one name").to_string();
    assert_eq!(error, "policies[1].name appears twice in the document");
}

#[test]
fn export_and_module_decide_and_the_type_is_a_label() {
    for label in ["clerk-jwt-auth-inbound", "open-id-jwt-auth-inbound", "rate-limit-inbound", ""] {
        assert!(parse(&replaced(good(), "/policyType", json!(label))).is_ok(), "{label}");
    }
    let mut document = good();
    document.as_object_mut().expect("an object").remove("policyType");
    assert_eq!(error(&document), "policyType is missing: it is required");
    for export in ["", "clerkJwtInboundPolicy", "RateLimitInboundPolicy", "ClerkJwtInboundPolicy "] {
        let text = error(&replaced(good(), "/handler/export", json!(export)));
        assert_eq!(text, "handler.export must be ClerkJwtInboundPolicy or OpenIdJwtInboundPolicy");
    }
    let error = error(&replaced(good(), "/handler/module", json!("$import(./modules/clerk)")));
    assert_eq!(error, "handler.module must be $import(@zuplo/runtime)");
}

#[test]
fn variables_are_errors_outside_of_options() {
    for (pointer, field) in [
        ("/name", "name"),
        ("/policyType", "policyType"),
        ("/handler/export", "handler.export"),
        ("/handler/module", "handler.module"),
    ] {
        for text in ["$env(HOST)", "a $env(HOST) b", "$env("] {
            let error = error(&replaced(good(), pointer, json!(text)));
            assert_eq!(error, format!("{field} must not have $env(NAME), which is read in handler.options only"));
        }
    }
}

#[test]
fn an_unknown_field_is_an_error_in_every_object() {
    for base in [good(), open_id(&json!({ "issuer": "https://a.example", "jwkUrl": "https://a.example/jwks" }))] {
        for (object, field) in
            [("", "extra"), ("/handler", "handler.extra"), ("/handler/options", "handler.options.extra")]
        {
            let mut document = base.clone();
            document.pointer_mut(object).expect("an object")["extra"] = json!("hunter2");
            assert_eq!(errors(&document), [format!("{field} is not a known field")]);
            assert_eq!(error(&document), format!("{field} is not a known field"));
        }
    }
}

#[test]
fn an_unknown_name_is_cut_and_escaped() {
    let mut document = good();
    document[format!("\u{1b}[31m{}", "x".repeat(100))] = json!(1);
    assert_eq!(errors(&document), [format!("\\u{{1b}}[31m{} is not a known field", "x".repeat(59))]);
}

#[test]
fn everything_that_is_wrong_with_a_policy_is_reported_at_once() {
    let document = json!({
        "name": 7,
        "type": "x",
        "handler": {
            "export": "OpenIdJwtInboundPolicy",
            "module": "$env(HOST)",
            "options": {
                "issuer": "http://clerk.example.com",
                "jwkUrl": "https://$env(FIRST)/$env(SECOND)",
                "audience": ["a", 7, "$env(THIRD)"],
                "authHeader": "a b",
                "allowUnauthenticatedRequests": "yes",
                "secret": "hunter2",
                "other": 1,
            },
        },
    });
    let unset = "is missing: the variable is not set, or blank, or not UTF-8";
    assert_eq!(
        errors(&document),
        [
            "type is not a known field".to_owned(),
            "name must be a string".to_owned(),
            "policyType is missing: it is required".to_owned(),
            "handler.module must not have $env(NAME), which is read in handler.options only".to_owned(),
            "handler.options.other is not a known field".to_owned(),
            "handler.options.secret is not accepted: a symmetric key could sign tokens too; give the public keys as \
             jwkUrl"
                .to_owned(),
            "handler.options.issuer must use https (plain http is for loopback addresses only)".to_owned(),
            format!("handler.options.jwkUrl (FIRST) {unset}"),
            format!("handler.options.jwkUrl (SECOND) {unset}"),
            "handler.options.audience[1] must be a string".to_owned(),
            format!("handler.options.audience[2] (THIRD) {unset}"),
            "handler.options.authHeader must be the name of a header".to_owned(),
            "handler.options.allowUnauthenticatedRequests must be true or false".to_owned(),
        ]
    );
    assert_eq!(error(&document), "type is not a known field");
    for text in ["", "[]", "null", "7", r#"{"name":"a","name":"b"}"#, r#"{"policies":[]} x"#] {
        let errors = GatewayPolicy::from_policy_json(text, variable).expect_err("no object");
        assert!(matches!(Vec::from_iter(&errors)[..], [ConfigError::Invalid { .. }]), "{text}");
    }
    // It reads one policy and no list.
    assert_eq!(errors(&json!({ "policies": [good()] }))[0], "policies is not a known field");
}

#[test]
fn the_known_options_of_an_export_are_those_that_it_reads() {
    for export in ["ClerkJwtInboundPolicy", "OpenIdJwtInboundPolicy"] {
        let known = GatewayPolicy::known_options(export).expect("a supported export");
        for name in known {
            let texts = errors(&policy(export, &json!({ *name: [7], "other": 7 })));
            let unknown: Vec<_> = texts.iter().filter(|text| text.contains("not a known field")).collect();
            assert_eq!(unknown, ["handler.options.other is not a known field"], "{name}");
            let own = format!("handler.options.{name}");
            assert!(texts.iter().any(|text| text.starts_with(&own)), "{texts:?}");
        }
    }
    for export in ["RateLimitInboundPolicy", "", "clerkJwtInboundPolicy"] {
        assert_eq!(GatewayPolicy::known_options(export), None);
    }
}

#[test]
fn policies_are_equal_if_name_and_resolved_options_are() {
    let base = parse(&clerk(&json!({ "frontendApiUrl": "https://clerk.example.com" }))).expect("a policy");
    for same in [
        json!({ "frontendApiUrl": "https://clerk.example.com/" }),
        json!({ "frontendApiUrl": "https://$env(HOST)" }),
        json!({ "frontendApiUrl": "https://clerk.example.com", "allowUnauthenticatedRequests": false }),
    ] {
        assert_eq!(parse(&clerk(&same)).expect("a policy"), base, "{same}");
    }
    let keys = "https://clerk.example.com/.well-known/jwks.json";
    for other in [
        clerk(&json!({ "frontendApiUrl": "https://other.example.com" })),
        clerk(&json!({ "frontendApiUrl": "https://clerk.example.com", "allowUnauthenticatedRequests": true })),
        clerk(&json!({ "frontendApiUrl": "https://clerk.example.com", "oAuthResourceMetadataEnabled": true })),
        open_id(&json!({ "issuer": "https://clerk.example.com", "jwkUrl": keys })),
        replaced(clerk(&json!({ "frontendApiUrl": "https://clerk.example.com" })), "/name", json!("other")),
    ] {
        assert_ne!(parse(&other).expect("a policy"), base, "{other}");
    }
}

#[test]
fn an_error_names_the_field_and_not_the_value() {
    for (pointer, value, field) in [
        ("/name", json!(7), "name"),
        ("/policyType", json!(["hunter2"]), "policyType"),
        ("/handler", json!("hunter2"), "handler"),
        ("/handler/export", json!("hunter2"), "handler.export"),
        ("/handler/module", json!("hunter2"), "handler.module"),
        ("/handler/options", json!(["hunter2"]), "handler.options"),
    ] {
        let error = error(&replaced(good(), pointer, value));
        assert!(error.starts_with(field), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for document in [
        json!([]),
        json!({ "policies": {} }),
        json!({ "policies": [7] }),
        json!({ "policies": [], "x": 1 }),
        json!({ "policies": [] }),
        json!({}),
    ] {
        assert!(parse(&document).is_err(), "{document}");
    }
    for text in ["", "{", "null", r#"{"name":"a","name":"b"}"#] {
        assert!(GatewayPolicy::from_json(text).is_err(), "{text}");
    }
}
