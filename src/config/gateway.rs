use std::borrow::Cow;

use super::{ClerkConfig, ConfigError, FrontendApi, Setting, env};
use crate::json::{Object, Value};

/// An inbound policy `clerk-jwt-auth-inbound` of an API gateway, read from its `policies.json`.
///
/// The policy turns into a layer that answers as the gateway did, so a service can move out from behind it:
/// `ClerkAuthLayer::from_gateway_policy(&policy)`.
///
/// ```
/// use tower_clerk::{ClerkAuthLayer, config::GatewayPolicy};
///
/// let policy = GatewayPolicy::parse(r#"{
///     "name": "clerk",
///     "policyType": "clerk-jwt-auth-inbound",
///     "handler": {
///         "export": "ClerkJwtInboundPolicy",
///         "module": "$import(@zuplo/runtime)",
///         "options": { "frontendApiUrl": "https://clerk.example.com" }
///     }
/// }"#)?;
/// assert_eq!(policy.name(), "clerk");
/// # #[cfg(feature = "reqwest")]
/// let layer = ClerkAuthLayer::from_gateway_policy(&policy)?;
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GatewayPolicy {
    name: String,
    options: GatewayPolicyOptions,
}

/// The options of a [`GatewayPolicy`], environment references resolved.
#[derive(Clone, Debug)]
pub struct GatewayPolicyOptions {
    allow_unauthenticated_requests: bool,
    frontend_api: FrontendApi,
    oauth_resource_metadata_enabled: bool,
}

impl GatewayPolicy {
    /// Reads the one policy of `document`: a single policy object or `{"policies":[…]}` with one member.
    ///
    /// A string option may be `$env(NAME)`, which stands for that environment variable.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] or [`ConfigError::Missing`], each with the path of the field that is wrong.
    pub fn parse(document: &str) -> Result<Self, ConfigError> {
        Self::parse_with(document, |name| env::variable(name).ok().flatten())
    }

    /// As [`parse`](Self::parse), with `variable` in place of the environment.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn parse_with(document: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let policies = policies(document)?;
        match policies.as_slice() {
            [policy] => Self::read(policy, &variable),
            [] => Err(ConfigError::missing("policies", "the document holds no policy")),
            _ => Err(ConfigError::invalid("policies", "holds several policies; name one with GatewayPolicy::named")),
        }
    }

    /// Reads the policy called `name` out of a document with several, whatever the types of the others.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and [`ConfigError::Missing`] if there is no such policy.
    pub fn named(document: &str, name: &str) -> Result<Self, ConfigError> {
        let policies = policies(document)?;
        let mut named = policies.iter().filter(|policy| policy.members.string("name").as_deref() == Some(name));
        match (named.next(), named.next()) {
            (Some(policy), None) => Self::read(policy, &|name: &str| env::variable(name).ok().flatten()),
            (None, _) => Err(ConfigError::missing("policies", "no policy has that name")),
            (Some(_), Some(second)) => Err(second.invalid("name", "stands twice in the document")),
        }
    }

    /// The name by which routes refer to the policy.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The policy's options.
    #[must_use]
    pub fn options(&self) -> &GatewayPolicyOptions {
        &self.options
    }

    fn read(policy: &Node<'_>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        policy.allow_only(&["handler", "name", "policyType"])?;
        let name = policy.string("name")?.into_owned();
        policy.must_be("policyType", "clerk-jwt-auth-inbound", "must be clerk-jwt-auth-inbound")?;
        let handler = policy.object("handler")?;
        handler.allow_only(&["export", "module", "options"])?;
        handler.must_be("export", "ClerkJwtInboundPolicy", "must be ClerkJwtInboundPolicy")?;
        handler.must_be("module", "$import(@zuplo/runtime)", "must be $import(@zuplo/runtime)")?;
        let options = handler.object("options")?;
        options.allow_only(&["allowUnauthenticatedRequests", "frontendApiUrl", "oAuthResourceMetadataEnabled"])?;
        let url = options.resolved("frontendApiUrl", variable)?;
        let frontend_api = FrontendApi::parse(&url).map_err(|error| match error {
            ConfigError::Invalid { reason, .. } => options.invalid("frontendApiUrl", reason),
            other => other,
        })?;
        Ok(Self {
            name,
            options: GatewayPolicyOptions {
                allow_unauthenticated_requests: options.boolean("allowUnauthenticatedRequests")?,
                frontend_api,
                oauth_resource_metadata_enabled: options.boolean("oAuthResourceMetadataEnabled")?,
            },
        })
    }
}

impl GatewayPolicyOptions {
    /// Whether requests that fail authentication go on without a user; `false` by default.
    #[must_use]
    pub fn allow_unauthenticated_requests(&self) -> bool {
        self.allow_unauthenticated_requests
    }

    /// The instance whose tokens are accepted.
    #[must_use]
    pub fn frontend_api(&self) -> &FrontendApi {
        &self.frontend_api
    }

    /// Whether protected resource metadata (RFC 9728) is served and named in challenges; `false` by default.
    #[must_use]
    pub fn oauth_resource_metadata_enabled(&self) -> bool {
        self.oauth_resource_metadata_enabled
    }
}

impl From<&GatewayPolicy> for ClerkConfig {
    fn from(policy: &GatewayPolicy) -> Self {
        Self { frontend_api: Some(policy.options.frontend_api.clone()), ..Self::empty() }
    }
}

fn policies(document: &str) -> Result<Vec<Node<'_>>, ConfigError> {
    let node = Node::read(String::new(), document)
        .ok_or_else(|| ConfigError::invalid("policy document", "must be a JSON object without duplicate members"))?;
    let Some(list) = node.members.get("policies") else {
        return Ok(vec![node]);
    };
    node.allow_only(&["policies"])?;
    let elements = list.elements().ok_or_else(|| node.invalid("policies", "must be an array"))?;
    let policy = |(index, element)| {
        let path = format!("policies[{index}]");
        match element {
            Value::Object(text) => Node::read(path.clone(), text),
            _ => None,
        }
        .ok_or_else(|| ConfigError::invalid(Setting::field(path), "must be an object without duplicate members"))
    };
    elements.into_iter().enumerate().map(policy).collect()
}

/// An object inside the document, with the path to it for error messages.
struct Node<'a> {
    path: String,
    members: Object<'a>,
}

impl<'a> Node<'a> {
    fn read(path: String, text: &'a str) -> Option<Self> {
        Object::parse(text).ok().map(|members| Self { path, members })
    }

    fn setting(&self, field: &str) -> Setting {
        let field: String = field.chars().take(64).flat_map(char::escape_debug).collect();
        Setting::field(if self.path.is_empty() { field } else { format!("{}.{field}", self.path) })
    }

    fn invalid(&self, field: &str, reason: &'static str) -> ConfigError {
        ConfigError::invalid(self.setting(field), reason)
    }

    fn allow_only(&self, known: &[&str]) -> Result<(), ConfigError> {
        match self.members.names().find(|name| !known.contains(name)) {
            Some(name) => Err(self.invalid(name, "is not a known field")),
            None => Ok(()),
        }
    }

    fn required(&self, field: &str) -> Result<Value<'a>, ConfigError> {
        self.members.get(field).ok_or_else(|| ConfigError::missing(self.setting(field), "it is required"))
    }

    fn string(&self, field: &str) -> Result<Cow<'a, str>, ConfigError> {
        match self.required(field)? {
            Value::String(text) => Ok(text),
            _ => Err(self.invalid(field, "must be a string")),
        }
    }

    fn must_be(&self, field: &str, value: &str, reason: &'static str) -> Result<(), ConfigError> {
        if self.string(field)? == value { Ok(()) } else { Err(self.invalid(field, reason)) }
    }

    fn boolean(&self, field: &str) -> Result<bool, ConfigError> {
        match self.members.get(field) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(self.invalid(field, "must be true or false")),
        }
    }

    fn object(&self, field: &str) -> Result<Self, ConfigError> {
        let invalid = || self.invalid(field, "must be an object without duplicate members");
        let Value::Object(text) = self.required(field)? else { return Err(invalid()) };
        Self::read(self.setting(field).name().to_owned(), text).ok_or_else(invalid)
    }

    fn resolved(&self, field: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Cow<'a, str>, ConfigError> {
        let text = self.string(field)?;
        let Some(reference) = text.strip_prefix("$env(") else { return Ok(text) };
        let name = reference
            .strip_suffix(')')
            .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
            .ok_or_else(|| self.invalid(field, "must be $env(NAME)"))?;
        variable(name).filter(|value| !value.trim().is_empty()).map(Cow::Owned).ok_or_else(|| {
            ConfigError::missing(self.setting(field).read_from(name.to_owned()), "the variable is not set")
        })
    }
}
