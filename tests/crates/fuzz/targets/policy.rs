//! A gateway's policy document.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig,
    config::FrontendApi,
    gateway::GatewayPolicy,
};

fuzz_target!(|document: &str| {
    let variable = |name: &str| (name == "CLERK_FRONTEND_API_URL").then(|| "https://from.env.example/".to_owned());
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
    assert_eq!(read["policyType"], "clerk-jwt-auth-inbound");
    assert_eq!(flag("allowUnauthenticatedRequests"), policy.options().allow_unauthenticated_requests());
    assert_eq!(flag("oAuthResourceMetadataEnabled"), policy.options().oauth_resource_metadata_enabled());

    let api = policy.options().frontend_api();
    assert_eq!(FrontendApi::parse(api.as_str()).ok().as_ref(), Some(api));
    assert_eq!(ClerkConfig::from(&policy).issuers(), [api.as_str()]);
    if options["frontendApiUrl"] == "$env(CLERK_FRONTEND_API_URL)" {
        assert_eq!(api.as_str(), "https://from.env.example");
    }
    assert!(ClerkAuthLayer::from_gateway_policy(&policy).is_ok());
});
