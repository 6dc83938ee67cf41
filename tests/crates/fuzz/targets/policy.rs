//! A gateway's policy document.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig,
    config::FrontendApi,
    gateway::GatewayPolicy,
};

fn variable(name: &str) -> Option<String> {
    match name {
        "CLERK_FRONTEND_API_URL" => Some("https://from.env.example/".to_owned()),
        "HOST" => Some("from.env.example".to_owned()),
        _ => None,
    }
}

fuzz_target!(|document: &str| {
    if let Err(errors) = GatewayPolicy::from_policy_json(document, variable) {
        assert!(errors.iter().count() > 0 && errors.iter().all(|error| !error.to_string().is_empty()));
    }
    let policy = match GatewayPolicy::from_json_with(document, None, variable) {
        Ok(policy) => policy,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let read: Value = serde_json::from_str(document).expect("JSON, since it was read");
    let read = read.get("policies").map_or(&read, |policies| &policies[0]);
    let options = &read["handler"]["options"];
    let flag = |name: &str| options.get(name).is_some_and(|value| value == true);
    assert_eq!(read["name"].as_str(), Some(policy.name()));
    assert!(read["policyType"].is_string());
    assert_eq!(flag("allowUnauthenticatedRequests"), policy.options().allow_unauthenticated_requests());
    assert_eq!(flag("oAuthResourceMetadataEnabled"), policy.options().oauth_resource_metadata_enabled());
    assert_eq!(GatewayPolicy::from_policy_json(&read.to_string(), variable).expect("the same"), policy);

    let issuer = policy.options().issuer();
    assert_eq!(ClerkConfig::from(&policy).issuers(), [issuer]);
    match policy.options().frontend_api() {
        Some(api) => {
            assert_eq!(FrontendApi::parse(api.as_str()).ok().as_ref(), Some(api));
            assert_eq!(issuer, api.as_str());
            if options["frontendApiUrl"] == "$env(CLERK_FRONTEND_API_URL)" {
                assert_eq!(issuer, "https://from.env.example");
            }
        }
        None => {
            let url = policy.options().jwks_url().expect("a URL of keys");
            assert!(ClerkConfig::from_issuer_and_jwks_url(issuer, url).is_ok());
            assert!(options["issuer"].as_str().is_some_and(|text| text == issuer || text.contains("$env(")));
            assert_eq!(options.get("audience").is_some(), !policy.options().audience().is_empty());
            assert!(options.get("secret").is_none() && options.get("headers").is_none());
        }
    }
    assert!(ClerkAuthLayer::from_gateway_policy(&policy).is_ok());
});
