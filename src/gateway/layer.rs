use http::header::AUTHORIZATION;

use super::policy::GatewayPolicy;
use crate::{
    ClerkAuthLayer, TokenSource, Verifier,
    config::{ClerkConfig, ConfigError},
};

/// The rules for tokens of the policy. The other options concern the layer; see
/// [`ClerkAuthLayer::from_gateway_policy`].
impl From<&GatewayPolicy> for ClerkConfig {
    fn from(policy: &GatewayPolicy) -> Self {
        policy.options().config.clone()
    }
}

impl GatewayPolicy {
    /// Makes a layer around a verifier, which decides which tokens are valid. The policy's issuer and audience apply
    /// only if the verifier was built from `ClerkConfig::from(&policy)`.
    ///
    /// The other options are those of the layer: its header, its mode, and its resource metadata. Use it to change
    /// settings that the policy does not have, or to keep one verifier, with its keys, for several layers.
    /// [`ClerkAuthLayer::from_gateway_policy`] makes the verifier too.
    ///
    /// ```
    /// # #[cfg(all(feature = "reqwest", feature = "testing"))]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_clerk::{ClerkConfig, Verifier, gateway::GatewayPolicy, testing::TestIssuer};
    ///
    /// let document = r#"{
    ///     "name": "clerk",
    ///     "policyType": "clerk-jwt-auth-inbound",
    ///     "handler": {
    ///         "export": "ClerkJwtInboundPolicy",
    ///         "module": "$import(@zuplo/runtime)",
    ///         "options": { "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" }
    ///     }
    /// }"#;
    /// let issuer = TestIssuer::start().await?;
    /// let policy = GatewayPolicy::from_json_with(document, None, |_| Some(issuer.url().to_owned()))?;
    ///
    /// let config = ClerkConfig::from(&policy).authorized_parties(["https://app.example.com"])?;
    /// let service = ServiceBuilder::new()
    ///     .layer(policy.layer_from_verifier(Verifier::new(config)?)?)
    ///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    ///
    /// for (party, status) in [("https://app.example.com", 200), ("https://evil.example.com", 401)] {
    ///     let bearer = format!("Bearer {}", issuer.token("user_ada").authorized_party(party).sign());
    ///     let request = Request::builder().header("authorization", bearer).body(String::new())?;
    ///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`ClerkAuthLayer::token_sources`].
    pub fn layer_from_verifier(&self, verifier: Verifier) -> Result<ClerkAuthLayer, ConfigError> {
        let options = self.options();
        let mut layer = ClerkAuthLayer::from(verifier);
        // `Authorization` is the default, which lets another scheme pass as no credential.
        if *options.auth_header() != AUTHORIZATION {
            layer = layer.token_sources([TokenSource::header(options.auth_header().clone())])?;
        }
        if options.allow_unauthenticated_requests() {
            layer = layer.allow_unauthenticated_requests();
        }
        if options.oauth_resource_metadata_enabled() {
            layer = layer.oauth_resource_metadata();
        }
        Ok(layer)
    }
}

impl ClerkAuthLayer {
    /// Makes a layer with the settings of a [`GatewayPolicy`].
    ///
    /// Set what the policy cannot express, such as [`authorized_parties`](ClerkConfig::authorized_parties), with
    /// `ClerkConfig::from(&policy)` and [`GatewayPolicy::layer_from_verifier`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`Verifier::new`].
    pub fn from_gateway_policy(policy: &GatewayPolicy) -> Result<Self, ConfigError> {
        policy.layer_from_verifier(Verifier::new(ClerkConfig::from(policy))?)
    }
}
