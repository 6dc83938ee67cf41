//! Environment variables in options.

use serde_json::json;
use tower_clerk::{ConfigError, gateway::GatewayPolicy};

use super::{clerk, error, open_id, parse};

#[test]
fn a_variable_stands_alone_or_inside_of_text() {
    for url in ["$env(CLERK_FRONTEND_API_URL)", "https://$env(HOST)", "https://$env(HOST)/"] {
        let policy = parse(&clerk(&json!({ "frontendApiUrl": url }))).expect("a policy");
        assert_eq!(policy.options().issuer(), "https://clerk.example.com", "{url}");
    }
    let policy = parse(&open_id(&json!({
        "issuer": "https://$env(HOST)/",
        "jwkUrl": "https://$env(HOST)/$env(HOST)/jwks.json",
        "audience": ["a", "$env(HOST)"],
        "authHeader": "$env(HEADER)",
    })));
    let policy = policy.expect("a policy");
    assert_eq!(policy.options().issuer(), "https://clerk.example.com/");
    assert_eq!(policy.options().jwks_url(), Some("https://clerk.example.com/clerk.example.com/jwks.json"));
    assert_eq!(policy.options().audience(), ["a", "clerk.example.com"]);
    assert_eq!(policy.options().auth_header(), "x-token");
}

#[test]
fn a_variable_that_is_unset_or_blank_is_missing() {
    for name in ["NOT_SET_HERE", "BLANK"] {
        for url in [format!("$env({name})"), format!("https://$env({name}).example.com")] {
            let error = parse(&clerk(&json!({ "frontendApiUrl": url }))).expect_err("a missing variable");
            let ConfigError::Missing { setting, .. } = error else { panic!("{error}") };
            assert_eq!(setting.name(), "handler.options.frontendApiUrl");
            assert_eq!(setting.variable(), Some(name));
        }
    }
}

#[test]
fn a_malformed_reference_is_an_error_of_its_field() {
    for url in ["$env(", "$env()", "$env(hunter2", "$env(hunter-2)", "https://$env(HOST)/$env( HOST)"] {
        let error = error(&clerk(&json!({ "frontendApiUrl": url })));
        assert_eq!(error, "handler.options.frontendApiUrl must be $env(NAME), with letters, digits and _ in NAME");
    }
}

#[test]
fn a_bad_url_names_the_field_the_variable_and_what_to_do() {
    let document = clerk(&json!({ "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" })).to_string();
    let key_set = "https://clerk.example.com/.well-known/jwks.json";
    let error = GatewayPolicy::from_json_with(&document, None, |_| Some(key_set.to_owned())).expect_err("a document");
    assert_eq!(
        error.to_string(),
        "handler.options.frontendApiUrl (CLERK_FRONTEND_API_URL) must be the base URL, without /.well-known/ and all \
         after it"
    );
    let ConfigError::Invalid { setting, .. } = error else { panic!("{error}") };
    assert_eq!(setting.name(), "handler.options.frontendApiUrl");
    let written = clerk(&json!({ "frontendApiUrl": key_set })).to_string();
    let error = GatewayPolicy::from_json(&written).expect_err("a document");
    assert!(error.to_string().starts_with("handler.options.frontendApiUrl must be the base URL"), "{error}");
}

#[test]
fn the_value_of_a_variable_is_in_no_error() {
    for (field, options) in [
        ("issuer", json!({ "issuer": "$env(A)$env(B)", "jwkUrl": "https://a.example/jwks" })),
        ("jwkUrl", json!({ "issuer": "https://a.example", "jwkUrl": "https://$env(A)/$env(B)" })),
    ] {
        let document = open_id(&options).to_string();
        let errors = GatewayPolicy::from_policy_json(&document, |_| Some("hunter2 ".to_owned())).expect_err("spaces");
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(texts[0].starts_with(&format!("handler.options.{field} (A, B) ")), "{texts:?}");
        assert!(!texts[0].contains("hunter2"), "{texts:?}");
    }
}
