//! The options of both policies, without requests.

use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tower_clerk::ClerkConfig;

use super::{clerk, errors, open_id, parse, with};

const KEYS: &str = "https://keys.example.com/jwks.json";

fn required() -> Value {
    json!({ "issuer": "https://clerk.example.com", "jwkUrl": KEYS })
}

#[test]
fn the_options_of_a_policy_for_clerk_are_read() {
    let all = clerk(&json!({
        "allowUnauthenticatedRequests": true,
        "frontendApiUrl": "https://clerk.example.com/",
        "oAuthResourceMetadataEnabled": true,
    }));
    let policy = parse(&all).expect("a policy");
    let options = policy.options();
    assert!(options.allow_unauthenticated_requests() && options.oauth_resource_metadata_enabled());
    assert_eq!(options.frontend_api().expect("a Frontend API").as_str(), "https://clerk.example.com");
    assert_eq!((options.issuer(), options.jwks_url()), ("https://clerk.example.com", None));
    assert_eq!((options.auth_header(), options.audience()), (&AUTHORIZATION, &[][..]));
    let expected = ClerkConfig::from_frontend_api_url("https://clerk.example.com").expect("a configuration");
    assert_eq!(ClerkConfig::from(&policy), expected);
}

#[test]
fn the_options_of_a_policy_for_open_id_are_read() {
    let policy = parse(&open_id(&required())).expect("a policy");
    let options = policy.options();
    assert!(!options.allow_unauthenticated_requests() && !options.oauth_resource_metadata_enabled());
    assert!(options.frontend_api().is_none() && options.audience().is_empty());
    assert_eq!((options.issuer(), options.jwks_url()), ("https://clerk.example.com", Some(KEYS)));
    assert_eq!(options.auth_header(), AUTHORIZATION);
    let expected = ClerkConfig::from_issuer_and_jwks_url("https://clerk.example.com", KEYS).expect("a configuration");
    assert_eq!(ClerkConfig::from(&policy), expected);

    let all = with(
        required(),
        &json!({
            "allowUnauthenticatedRequests": true,
            "audience": "api",
            "authHeader": "X-Token",
            "issuer": "http://127.0.0.1:8080/",
            "jwkUrl": "http://localhost/jwks/",
            "oAuthResourceMetadataEnabled": true,
            "subPropertyName": "sub",
        }),
    );
    let policy = parse(&open_id(&all)).expect("a policy");
    let options = policy.options();
    assert!(options.allow_unauthenticated_requests() && options.oauth_resource_metadata_enabled());
    assert_eq!((options.issuer(), options.jwks_url()), ("http://127.0.0.1:8080/", Some("http://localhost/jwks/")));
    assert_eq!((options.auth_header().as_str(), options.audience()), ("x-token", &["api".to_owned()][..]));
    let expected = ClerkConfig::from_issuer_and_jwks_url("http://127.0.0.1:8080/", "http://localhost/jwks/")
        .and_then(|config| config.audience(["api"]))
        .expect("a configuration")
        .allow_template_tokens();
    assert_eq!(ClerkConfig::from(&policy), expected);
}

#[test]
fn the_usual_header_is_the_default_in_every_spelling() {
    for name in ["Authorization", "authorization", "AUTHORIZATION"] {
        let policy = parse(&open_id(&with(required(), &json!({ "authHeader": name })))).expect("a policy");
        assert_eq!(policy, parse(&open_id(&required())).expect("a policy"));
    }
}

#[test]
fn an_option_of_a_wrong_value_is_rejected_with_a_reason() {
    let cases = [
        ("issuer", json!("clerk.example.com"), "must have a scheme"),
        ("issuer", json!("http://clerk.example.com"), "must use https"),
        ("issuer", json!("https://clerk.example.com//"), "more than one slash"),
        ("issuer", json!("https://Clerk.example.com"), "lower case"),
        ("issuer", json!(""), "must not be empty"),
        ("issuer", json!(7), "must be a string"),
        ("jwkUrl", json!("http://clerk.example.com/jwks"), "must use https"),
        ("jwkUrl", json!("https://clerk.example.com"), "whole URL"),
        ("jwkUrl", json!("https://api.clerk.com/v1/jwks"), "/.well-known/jwks.json"),
        ("jwkUrl", json!("https://clerk.example.com/.well-known/openid-configuration"), "jwks_uri"),
        ("jwkUrl", json!(["https://a.b/jwks"]), "must be a string"),
        ("audience", json!(""), "must not contain an empty string"),
        ("audience", json!([]), "must not be empty"),
        ("audience", json!(["a", ""]), "must not contain an empty string"),
        ("audience", json!({}), "must be a string, or a list of strings"),
        ("audience", json!(7), "must be a string, or a list of strings"),
        ("authHeader", json!(""), "must be the name of a header"),
        ("authHeader", json!("x-token:"), "must be the name of a header"),
        ("authHeader", json!("Cookie"), "must not be Cookie"),
        ("authHeader", json!(true), "must be a string"),
        ("allowUnauthenticatedRequests", json!("true"), "must be true or false"),
        ("oAuthResourceMetadataEnabled", json!(0), "must be true or false"),
        ("secret", json!("hunter2"), "symmetric key"),
        ("secret", json!("$env(NOT_SET_HERE)"), "symmetric key"),
        ("headers", json!({ "authorization": "hunter2" }), "no headers of your own"),
        ("subPropertyName", json!("email"), "must be sub"),
        ("subPropertyName", json!("Sub"), "must be sub"),
        ("issuerUrl", json!("https://clerk.example.com"), "not a known field"),
    ];
    for (name, value, reason) in cases {
        let errors = errors(&open_id(&with(required(), &json!({ name: value }))));
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(error.starts_with(&format!("handler.options.{name} ")) && error.contains(reason), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    // A member that is null is present.
    for name in ["audience", "authHeader", "headers", "issuer", "jwkUrl", "secret", "subPropertyName"] {
        let mut options = required();
        options[name] = Value::Null;
        assert!(errors(&open_id(&options))[0].starts_with(&format!("handler.options.{name} ")), "{name}");
    }
    for (name, value) in [
        ("frontendApiUrl", json!(7)),
        ("frontendApiUrl", json!("http://hunter2.example")),
        ("frontendApiUrl", json!(["https://hunter2.example"])),
        ("allowUnauthenticatedRequests", json!("true")),
        ("oAuthResourceMetadataEnabled", json!([])),
        ("frontendApiURL", json!("hunter2")),
        ("audience", json!("hunter2")),
        ("authHeader", json!("hunter2")),
    ] {
        let errors = errors(&clerk(&with(json!({ "frontendApiUrl": "https://a.example" }), &json!({ name: value }))));
        let [error] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(error.starts_with(&format!("handler.options.{name} ")) && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_required_option_that_is_missing_is_named() {
    let texts = errors(&open_id(&json!({ "issuerUrl": "https://clerk.example.com" })));
    assert_eq!(
        texts,
        [
            "handler.options.issuerUrl is not a known field",
            "handler.options.issuer is missing: it is required, and must be called issuer; issuerUrl is not an option",
            "handler.options.jwkUrl is missing: it is required",
        ]
    );
    let texts = errors(&open_id(&json!({ "audience": [], "authHeader": "Cookie" })));
    assert_eq!(texts.len(), 4, "{texts:?}");
    assert_eq!(errors(&clerk(&json!({}))), ["handler.options.frontendApiUrl is missing: it is required"]);
    for options in [json!(null), json!([]), json!("x")] {
        let text = "handler.options must be an object without duplicate members";
        assert_eq!(errors(&open_id(&options)), [text]);
    }
}
