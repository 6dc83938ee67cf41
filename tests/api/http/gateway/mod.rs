//! Policies of an API gateway, and the layers that they make.

mod documents;
mod layer;
mod open_id;
mod options;
mod variables;

use serde_json::{Value, json};
use tower_clerk::{ClerkAuthLayer, ConfigError, gateway::GatewayPolicy, testing::TestIssuer};

use crate::support::{Answer, get, send_through};

/// The policy with this export and these options.
fn policy(export: &str, options: &Value) -> Value {
    json!({
        "name": "my-policy",
        "policyType": "a-label",
        "handler": { "export": export, "module": "$import(@zuplo/runtime)", "options": options },
    })
}

fn clerk(options: &Value) -> Value {
    policy("ClerkJwtInboundPolicy", options)
}

fn open_id(options: &Value) -> Value {
    policy("OpenIdJwtInboundPolicy", options)
}

/// `options` with the members of `more`; one that is `null` is removed.
fn with(mut options: Value, more: &Value) -> Value {
    let members = options.as_object_mut().expect("an object");
    for (name, value) in more.as_object().expect("an object") {
        members.remove(name);
        if !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    options
}

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "CLERK_FRONTEND_API_URL" => "https://clerk.example.com",
        "HOST" => "clerk.example.com",
        "HEADER" => "x-token",
        "BLANK" => " \t\n",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parse(document: &Value) -> Result<GatewayPolicy, ConfigError> {
    GatewayPolicy::from_json_with(&document.to_string(), None, variable)
}

/// The first error of a document.
fn error(document: &Value) -> String {
    parse(document).expect_err("a mistake").to_string()
}

/// All errors of one policy.
fn errors(policy: &Value) -> Vec<String> {
    let errors = GatewayPolicy::from_policy_json(&policy.to_string(), variable).expect_err("mistakes");
    errors.iter().map(ToString::to_string).collect()
}

/// A layer of the policy with the Frontend API of the issuer.
fn layer_of(issuer: &TestIssuer, more: &Value) -> ClerkAuthLayer {
    layer(&clerk(&with(json!({ "frontendApiUrl": issuer.url() }), more)))
}

fn layer(policy: &Value) -> ClerkAuthLayer {
    ClerkAuthLayer::from_gateway_policy(&parse(policy).expect("a policy")).expect("a layer")
}

async fn send_bearer(layer: &ClerkAuthLayer, token: &str) -> Answer {
    send_through(layer, get(&[("authorization", &format!("Bearer {token}"))])).await
}
