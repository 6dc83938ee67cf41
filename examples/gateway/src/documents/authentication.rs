//! `ClerkJwtInboundPolicy` and `OpenIdJwtInboundPolicy`, which the library reads.

use tower_clerk::{ConfigError, gateway::GatewayPolicy};

use super::{
    Context, RUNTIME,
    json::Value,
    node::{Members, Node},
};
use crate::{environment, proxy::never_arrives};

/// Whether the library reads the policies of this `export`.
pub(super) fn is_known(export: &str) -> bool {
    GatewayPolicy::known_options(export).is_some()
}

/// Reads a policy. The library refuses unknown options; the hosted gateway ignores them, so they become warnings and
/// are taken out before it reads the rest.
pub(super) fn read(
    name: &str,
    export: &str,
    policy: &Node<'_>,
    options: &Members<'_>,
    context: &Context<'_>,
) -> Option<GatewayPolicy> {
    let known = GatewayPolicy::known_options(export)?;
    options.warn_about_others(known);
    let known = options.iter().filter(|(name, _)| known.contains(name));
    let options = known.map(|(name, option)| (name.to_owned(), option.value().clone())).collect();
    let text = |text: &str| Value::String(text.to_owned());
    let handler = [("export", text(export)), ("module", text(RUNTIME)), ("options", Value::Object(options))];
    let members = [("name", text(name)), ("policyType", text(export)), ("handler", object(handler))];
    let text = serde_json::to_string(&object(members)).map_err(|error| policy.fault(error.to_string())).ok()?;
    match GatewayPolicy::from_policy_json(&text, context.variable) {
        Ok(read) if never_arrives(read.options().auth_header()) => {
            policy.fault_below(
                ".handler.options.authHeader",
                "clients cannot send this header through the gateway; name another one",
            );
            None
        }
        Ok(policy) => Some(policy),
        Err(errors) => {
            errors.iter().for_each(|error| report(error, policy));
            None
        }
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn report(error: &ConfigError, policy: &Node<'_>) {
    match error {
        ConfigError::Invalid { setting, reason, .. } => {
            let variable = setting.variable().map(|name| format!("with {name} put in, ")).unwrap_or_default();
            policy.fault_below(&format!(".{}", setting.name()), format!("{variable}{reason}"));
        }
        ConfigError::Missing { setting, reason, .. } => {
            let missing = || format!("is missing: {reason}");
            let reason = setting.variable().map_or_else(missing, environment::not_set);
            policy.fault_below(&format!(".{}", setting.name()), reason);
        }
        other => policy.fault(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::support::{self, Read},
        *,
    };

    fn read_options(export: &str, options: &str) -> (Option<GatewayPolicy>, Vec<String>, Vec<String>) {
        let text = format!(r#"{{"handler": {{"options": {options}}}}}"#);
        let read = support::read(&text, &[("HOST", "clerk.example.com")], |policy, context| {
            let handler = policy.object().unwrap().member("handler").unwrap().object().unwrap();
            let options = handler.member("options").unwrap().object().unwrap();
            read("clerk", export, policy, &options, context)
        });
        let Read { result, faults, warnings } = read;
        (result, faults, warnings)
    }

    #[test]
    fn the_two_policies_of_the_library_are_known() {
        assert!(is_known("ClerkJwtInboundPolicy") && is_known("OpenIdJwtInboundPolicy"));
        assert!(!is_known("RateLimitInboundPolicy"));
    }

    #[test]
    fn unknown_options_are_warnings_and_the_rest_is_read() {
        let (policy, faults, warnings) = read_options(
            "ClerkJwtInboundPolicy",
            r#"{"frontendApiUrl": "https://$env(HOST)", "color": {"a": 1}, "allowUnauthenticatedRequests": true}"#,
        );
        assert_eq!(faults, [""; 0]);
        assert!(policy.unwrap().options().allow_unauthenticated_requests());
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("$.handler.options.color: "), "{warnings:?}");
    }

    #[test]
    fn every_error_of_the_library_is_a_fault_with_its_path() {
        let (policy, faults, _) = read_options(
            "OpenIdJwtInboundPolicy",
            r#"{"issuerUrl": "https://a.example", "jwkUrl": "ftp://$env(HOST)", "secret": "x", "authHeader": "$env(NO)",
                "allowUnauthenticatedRequests": "no"}"#,
        );
        assert!(policy.is_none());
        for start in [
            "$.handler.options.issuer: is missing: ",
            "$.handler.options.jwkUrl: with HOST put in, ",
            "$.handler.options.secret: ",
            "$.handler.options.authHeader: the environment variable `NO` is not set, or blank; set it",
            "$.handler.options.allowUnauthenticatedRequests: must be true or false",
        ] {
            assert!(faults.iter().any(|fault| fault.starts_with(start)), "{start}: {faults:#?}");
        }
        assert_eq!(faults.len(), 5, "{faults:#?}");
    }
}
