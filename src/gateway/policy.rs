use super::{
    document::{find_policy, parse_policy},
    node::Node,
    options::{GatewayPolicyOptions, PolicyKind},
    variables::Lookup,
};
use crate::config::{ConfigError, ConfigErrors, both, variable};

/// A policy of an API gateway that verifies tokens, read from its `policies.json`.
///
/// [`ClerkAuthLayer::from_gateway_policy`](crate::ClerkAuthLayer::from_gateway_policy) makes a layer of it. See the
/// [module docs](super) for a whole service.
///
/// Two policies are equal if they have the same name and, with variables replaced, the same options.
///
/// ```
/// use tower_clerk::gateway::GatewayPolicy;
///
/// let policy = GatewayPolicy::from_json(r#"{
///     "name": "clerk",
///     "policyType": "clerk-jwt-auth-inbound",
///     "handler": {
///         "export": "ClerkJwtInboundPolicy",
///         "module": "$import(@zuplo/runtime)",
///         "options": { "frontendApiUrl": "https://clerk.example.com" }
///     }
/// }"#)?;
/// assert_eq!(policy.name(), "clerk");
/// assert_eq!(policy.options().issuer(), "https://clerk.example.com");
/// assert!(!policy.options().allow_unauthenticated_requests());
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GatewayPolicy {
    name: String,
    options: GatewayPolicyOptions,
}

impl GatewayPolicy {
    /// Reads the only policy of `document`: a policy object, or `{"policies":[…]}` with one element.
    ///
    /// A variable `$env(NAME)` is read from the environment of the process.
    ///
    /// # Errors
    ///
    /// The first error. It has the path of the field, such as `policies[0].handler.options.frontendApiUrl`.
    ///
    /// - [`ConfigError::Invalid`] if the document is not JSON, has duplicate members, or a field is unknown or has
    ///   another value than the policy allows.
    /// - [`ConfigError::Missing`] if a required field, the policy or an environment variable is missing.
    pub fn from_json(document: &str) -> Result<Self, ConfigError> {
        Self::from_json_with(document, None, |name| variable(name).ok().flatten())
    }

    /// Reads the policy with this name from a document with several. The other policies may have any type.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json), [`ConfigError::Missing`] if no policy has that name, and
    /// [`ConfigError::Invalid`] if several have.
    pub fn from_json_named(document: &str, name: &str) -> Result<Self, ConfigError> {
        Self::from_json_with(document, Some(name), |name| variable(name).ok().flatten())
    }

    /// As [`from_json`](Self::from_json), or [`from_json_named`](Self::from_json_named) with a `name`, with `variable`
    /// in place of the environment.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn from_json_with(
        document: &str,
        name: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Self::read(&find_policy(document, name)?, &variable).map_err(ConfigErrors::into_first)
    }

    /// Reads one policy object, and reports everything that is wrong with it. For programs that read a whole document
    /// themselves.
    ///
    /// An option that is not among the [`known_options`](Self::known_options) is an error here too. A program that
    /// wants to ignore it, as the gateway does, removes it first.
    ///
    /// ```
    /// use tower_clerk::{ConfigError, gateway::GatewayPolicy};
    ///
    /// let errors = GatewayPolicy::from_policy_json(r#"{
    ///     "name": "clerk",
    ///     "policyType": "clerk-jwt-auth-inbound",
    ///     "handler": {
    ///         "export": "ClerkJwtInboundPolicy",
    ///         "module": "$import(@zuplo/runtime)",
    ///         "options": { "frontendApiUrl": "https://$env(CLERK_HOST)", "allowUnauthenticatedRequests": "no" }
    ///     }
    /// }"#, |_| None).unwrap_err();
    /// let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    /// assert_eq!(lines, [
    ///     "handler.options.frontendApiUrl (CLERK_HOST) is missing: the variable is not set, or blank, or not UTF-8",
    ///     "handler.options.allowUnauthenticatedRequests must be true or false",
    /// ]);
    /// assert_eq!(errors.to_string(), lines.join("\n"));
    /// // The path and the reason, to show them in another form.
    /// assert!(matches!(errors.into_iter().last(), Some(ConfigError::Invalid { setting, reason, .. })
    ///     if setting.name() == "handler.options.allowUnauthenticatedRequests" && reason == "must be true or false"));
    /// ```
    ///
    /// # Errors
    ///
    /// All errors, each as for [`from_json`](Self::from_json), with its path in the policy.
    pub fn from_policy_json(policy: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        Self::read(&parse_policy(policy)?, &variable)
    }

    /// Returns the names of the options that the hosted gateway's policy with this `handler.export` has; `None` if such
    /// a policy is not supported.
    ///
    /// They include options that are rejected with a reason of their own, such as `secret`.
    ///
    /// ```
    /// use tower_clerk::gateway::GatewayPolicy;
    ///
    /// let options = GatewayPolicy::known_options("ClerkJwtInboundPolicy");
    /// assert!(options.is_some_and(|names| names.contains(&"frontendApiUrl")));
    /// assert!(GatewayPolicy::known_options("RateLimitInboundPolicy").is_none());
    /// ```
    #[must_use]
    pub fn known_options(export: &str) -> Option<&'static [&'static str]> {
        PolicyKind::from_export(export).map(PolicyKind::known_options)
    }

    /// Returns the name by which the gateway's routes refer to the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the policy's options.
    #[must_use]
    pub fn options(&self) -> &GatewayPolicyOptions {
        &self.options
    }

    /// Fields beyond those of the policy's schema are errors: each may be a restriction. The type is a label that the
    /// gateway does not read, so any will do.
    fn read(policy: &Node<'_>, lookup: Lookup<'_>) -> Result<Self, ConfigErrors> {
        let fields = policy.reject_unknown(&["handler", "name", "policyType"]);
        let labels = both(policy.literal("name"), policy.literal("policyType"));
        let options = policy.object("handler").and_then(|handler| read_handler(&handler, lookup));
        let (((), (name, _)), options) = both(both(fields, labels), options)?;
        Ok(Self { name: name.into_owned(), options })
    }
}

fn read_handler(handler: &Node<'_>, lookup: Lookup<'_>) -> Result<GatewayPolicyOptions, ConfigErrors> {
    let fields = handler.reject_unknown(&["export", "module", "options"]);
    // A wrong export leaves open what the options are; a wrong module does not.
    let options = both(kind(handler), handler.object("options"))
        .and_then(|(kind, options)| GatewayPolicyOptions::read(kind, &options, lookup));
    let is_supported = both(fields, check_module(handler));
    both(is_supported, options).map(|(_, options)| options)
}

fn kind(handler: &Node<'_>) -> Result<PolicyKind, ConfigErrors> {
    let export = handler.literal("export")?;
    let reason = "must be ClerkJwtInboundPolicy or OpenIdJwtInboundPolicy";
    Ok(PolicyKind::from_export(&export).ok_or_else(|| handler.invalid("export", reason))?)
}

fn check_module(handler: &Node<'_>) -> Result<(), ConfigErrors> {
    match handler.literal("module")?.as_ref() {
        "$import(@zuplo/runtime)" => Ok(()),
        _ => Err(handler.invalid("module", "must be $import(@zuplo/runtime)").into()),
    }
}
