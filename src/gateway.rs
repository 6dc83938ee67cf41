//! Configuration from the policy of an API gateway.
//!
//! A service behind a Zuplo gateway leaves the verification of tokens to the gateway's inbound policy
//! `clerk-jwt-auth-inbound`. [`GatewayPolicy`] reads that policy from the gateway's `policies.json` and makes a
//! [`ClerkAuthLayer`] that accepts the same tokens, so the service can verify them itself.
//!
//! | option of the policy | default | layer |
//! |---|---|---|
//! | `frontendApiUrl` | required | [`ClerkConfig::from_frontend_api_url`] |
//! | `allowUnauthenticatedRequests` | `false` | [`ClerkAuthLayer::allow_unauthenticated_requests`] |
//! | `oAuthResourceMetadataEnabled` | `false` | [`ClerkAuthLayer::oauth_resource_metadata`] |
//!
//! A string option may be `$env(NAME)`, which stands for the environment variable `NAME`. Unknown fields are errors: a
//! newer option that this crate ignored could make the layer more lenient than the gateway.
//!
//! # Example
//!
//! ```
//! # #[cfg(all(feature = "reqwest", feature = "testing"))]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_clerk::{ClerkAuthLayer, gateway::GatewayPolicy, testing::TestIssuer};
//!
//! let document = r#"{
//!     "name": "clerk",
//!     "policyType": "clerk-jwt-auth-inbound",
//!     "handler": {
//!         "export": "ClerkJwtInboundPolicy",
//!         "module": "$import(@zuplo/runtime)",
//!         "options": { "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" }
//!     }
//! }"#;
//! let issuer = TestIssuer::start().await?;
//! // In production: `GatewayPolicy::from_json(document)?`, which reads the environment.
//! let policy = GatewayPolicy::from_json_with(document, None, |_| Some(issuer.url().to_owned()))?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(ClerkAuthLayer::from_gateway_policy(&policy)?)
//!     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
//!
//! let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
//! let request = Request::builder().header("authorization", bearer).body(String::new())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), 200);
//! assert_eq!(service.oneshot(Request::new(String::new())).await?.status(), 401);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;

use crate::{
    ClerkAuthLayer,
    config::{ClerkConfig, ConfigError, FrontendApi, Setting, variable},
    json::{Object, Value},
};

/// A policy `clerk-jwt-auth-inbound` of an API gateway, read from its `policies.json`.
///
/// [`ClerkAuthLayer::from_gateway_policy`] makes a layer of it. See the [module docs](self) for a whole service.
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
/// assert_eq!(policy.options().frontend_api().as_str(), "https://clerk.example.com");
/// assert!(!policy.options().allow_unauthenticated_requests());
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GatewayPolicy {
    name: String,
    options: GatewayPolicyOptions,
}

/// The options of a [`GatewayPolicy`], with environment variables resolved.
#[derive(Clone, Debug)]
pub struct GatewayPolicyOptions {
    allow_unauthenticated_requests: bool,
    frontend_api: FrontendApi,
    oauth_resource_metadata_enabled: bool,
}

impl GatewayPolicy {
    /// Reads the only policy of `document`: a policy object, or `{"policies":[…]}` with one element.
    ///
    /// An option `$env(NAME)` is read from the environment of the process.
    ///
    /// # Errors
    ///
    /// Each error has the path of the field, such as `policies[0].handler.options.frontendApiUrl`.
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

    /// As [`from_json`](Self::from_json), or [`from_json_named`](Self::from_json_named) with a `name`, with `variable` in
    /// place of the environment.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn from_json_with(
        document: &str,
        name: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let policies = policies(document)?;
        let has_name =
            |policy: &&Node<'_>| name.is_none_or(|name| policy.members.string("name").as_deref() == Some(name));
        let mut named = policies.iter().filter(has_name);
        match (named.next(), named.next(), name) {
            (Some(policy), None, _) => Self::read(policy, &variable),
            (None, _, None) => Err(ConfigError::missing("policies", "the document has no policy")),
            (None, _, Some(_)) => Err(ConfigError::missing("policies", "no policy has that name")),
            (Some(_), Some(_), None) => Err(ConfigError::invalid(
                "policies",
                "has several policies; name one with GatewayPolicy::from_json_named",
            )),
            (Some(_), Some(second), Some(_)) => Err(second.invalid("name", "appears twice in the document")),
        }
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

    /// Fields beyond those of the policy's schema are errors: each may be a restriction.
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
        let (url, setting) = options.resolved("frontendApiUrl", variable)?;
        let frontend_api = FrontendApi::parse(&url).map_err(|error| match error {
            ConfigError::Invalid { reason, .. } => ConfigError::invalid(setting, reason),
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
    /// Returns whether requests that fail authentication pass without a user (`allowUnauthenticatedRequests`); `false`
    /// by default.
    #[must_use]
    pub fn allow_unauthenticated_requests(&self) -> bool {
        self.allow_unauthenticated_requests
    }

    /// Returns the Frontend API of the instance whose tokens are accepted (`frontendApiUrl`).
    #[must_use]
    pub fn frontend_api(&self) -> &FrontendApi {
        &self.frontend_api
    }

    /// Returns whether protected resource metadata (RFC 9728) is served and named in challenges
    /// (`oAuthResourceMetadataEnabled`); `false` by default.
    #[must_use]
    pub fn oauth_resource_metadata_enabled(&self) -> bool {
        self.oauth_resource_metadata_enabled
    }
}

/// Trusts the instance of the policy. The other options concern the layer; see [`ClerkAuthLayer::from_gateway_policy`].
impl From<&GatewayPolicy> for ClerkConfig {
    fn from(policy: &GatewayPolicy) -> Self {
        Self::from(policy.options.frontend_api.clone())
    }
}

impl ClerkAuthLayer {
    /// Makes a layer with the settings of a [`GatewayPolicy`].
    ///
    /// Set what the policy cannot express, such as [`authorized_parties`](ClerkConfig::authorized_parties), with
    /// `ClerkConfig::from(&policy)` and [`from_config`](Self::from_config).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`Verifier::new`](crate::Verifier::new).
    pub fn from_gateway_policy(policy: &GatewayPolicy) -> Result<Self, ConfigError> {
        let mut layer = Self::from_config(ClerkConfig::from(policy))?;
        if policy.options().allow_unauthenticated_requests() {
            layer = layer.allow_unauthenticated_requests();
        }
        if policy.options().oauth_resource_metadata_enabled() {
            layer = layer.oauth_resource_metadata();
        }
        Ok(layer)
    }
}

/// Returns the policy objects of a document, which is one policy or has a list of them.
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

/// An object in the document, with its path for error messages.
struct Node<'a> {
    path: String,
    members: Object<'a>,
}

impl<'a> Node<'a> {
    fn read(path: String, text: &'a str) -> Option<Self> {
        Object::parse(text).ok().map(|members| Self { path, members })
    }

    /// Names a field of this object. The name may come from the document, so it is cut to 64 characters and escaped
    /// before it reaches a terminal or a log.
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

    /// Returns a string option, read from the environment if it is `$env(NAME)`, with its name for error messages. A
    /// blank variable counts as missing, as in [`ClerkConfig::from_env`].
    fn resolved(
        &self,
        field: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Cow<'a, str>, Setting), ConfigError> {
        let text = self.string(field)?;
        let setting = self.setting(field);
        let Some(reference) = text.strip_prefix("$env(") else { return Ok((text, setting)) };
        let name = reference
            .strip_suffix(')')
            .filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
            .ok_or_else(|| self.invalid(field, "must be $env(NAME)"))?;
        let setting = setting.read_from(name.to_owned());
        match variable(name).filter(|value| !value.trim().is_empty()) {
            Some(value) => Ok((Cow::Owned(value), setting)),
            None => Err(ConfigError::missing(setting, "the variable is not set, or blank, or not UTF-8")),
        }
    }
}
