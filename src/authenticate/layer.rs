use std::sync::Arc;

use serde::de::DeserializeOwned;
use tower_layer::Layer;

use super::{ClerkAuthService, decide::Settings};
use crate::{
    config::{ClerkConfig, ConfigError, GatewayPolicy},
    rejection::{OnRejection, Refusals},
    token::{TokenSource, TokenSources},
    verify::{Instance, Verifier},
};

/// Layer that applies the [`ClerkAuthService`] middleware, which lets requests through with a valid Clerk
/// token.
///
/// Cloning it is cheap, and all services made from it share one set of keys. See the [module
/// docs](crate::authenticate) for what it does.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_clerk::{ClerkAuth, ClerkAuthLayer};
///
/// async fn me(user: ClerkAuth) -> String {
///     format!("hello {}", user.user_id())
/// }
///
/// let clerk = ClerkAuthLayer::new("https://sensible-skunk-49.clerk.accounts.dev")?;
/// let app: Router = Router::new().route("/me", get(me)).route_layer(clerk);
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClerkAuthLayer {
    settings: Arc<Settings>,
}

impl ClerkAuthLayer {
    /// A layer that trusts the instance with this Frontend API URL.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`ClerkConfig::from_frontend_api_url`] and [`Verifier::new`].
    pub fn new(frontend_api_url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::from_config(ClerkConfig::from_frontend_api_url(frontend_api_url)?)
    }

    /// A layer configured by the environment; see [`ClerkConfig::from_env`].
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as there and for [`Verifier::new`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_config(ClerkConfig::from_env()?)
    }

    /// A layer with this configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`Verifier::new`].
    pub fn from_config(config: ClerkConfig) -> Result<Self, ConfigError> {
        Verifier::new(config).map(Self::from)
    }

    /// A layer that trusts all of these instances, told apart by issuer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`VerifierBuilder::build`](crate::verify::VerifierBuilder::build).
    pub fn from_instances<I>(instances: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<Instance>>,
    {
        Verifier::of_instances(instances).map(Self::from)
    }

    /// A layer that does what an API gateway's policy did.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`Verifier::new`].
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

    /// Lets requests without a Bearer credential pass; bad tokens are refused as ever.
    ///
    /// Handlers then take `Option<ClerkAuth>`.
    pub fn allow_anonymous_requests(self) -> Self {
        self.with(Settings::allow_anonymous)
    }

    /// Lets requests pass that fail authentication for any reason but a malformed request, so that several
    /// schemes can be combined. An `Authorization` with a comma counts as malformed, whatever its scheme.
    ///
    /// Handlers then take `Option<ClerkAuth>`; those that take `ClerkAuth` answer with the stored refusal.
    pub fn allow_unauthenticated_requests(self) -> Self {
        self.with(Settings::allow_unauthenticated)
    }

    /// Removes an `Authorization` header whose token was refused before the request passes without a user, so
    /// that nothing behind can take it for checked. Credentials of another scheme stay, and so does a token that was
    /// not looked at because another [source](Self::token_sources) decided.
    pub fn strip_unverified_credentials(self) -> Self {
        self.with(Settings::strip_unverified)
    }

    /// Looks for the token in these places, in this order; in the `Authorization` header alone by default.
    ///
    /// The first place that has something decides: a bad token there is not rescued by a later one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if there are none; [`ConfigError::Missing`] if a cookie is among them and
    /// the configuration has no [`authorized_parties`](ClerkConfig::authorized_parties).
    pub fn token_sources<I>(self, sources: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item = TokenSource>,
    {
        let sources = TokenSources::new(sources.into_iter().collect(), self.verifier())?;
        Ok(self.with(|settings| settings.sources = sources))
    }

    /// Chooses the form of refusals.
    pub fn refusals(self, form: Refusals) -> Self {
        self.with(|settings| Arc::make_mut(&mut settings.answers).refusals = form)
    }

    /// Answers refused requests with `hook`.
    pub fn on_rejection(self, hook: impl OnRejection + 'static) -> Self {
        self.with(|settings| Arc::make_mut(&mut settings.answers).on_rejection = Some(Arc::new(hook)))
    }

    /// Decodes the payload into `T` as well, for [`CustomClaims<T>`](super::CustomClaims) in the extensions, and
    /// refuses tokens of which it cannot be made.
    ///
    /// Call it again for further types.
    pub fn with_custom_claims<T>(self) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.with(|settings| settings.custom_claims.add::<T>())
    }

    /// Serves protected resource metadata (RFC 9728) under `/.well-known/oauth-protected-resource` and names it
    /// in challenges, for OAuth clients such as those of MCP servers.
    ///
    /// The layer must see those paths: use `Router::layer`, not `route_layer`. The resource is named by the
    /// `Host` that the client asked for.
    pub fn oauth_resource_metadata(self) -> Self {
        self.with(|settings| settings.resource_metadata = true)
    }

    /// The verifier, for warming it up and for health endpoints.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.settings.verifier
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl From<Verifier> for ClerkAuthLayer {
    fn from(verifier: Verifier) -> Self {
        Self { settings: Arc::new(Settings::new(verifier)) }
    }
}

impl<S> Layer<S> for ClerkAuthLayer {
    type Service = ClerkAuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClerkAuthService::with_settings(inner, Arc::clone(&self.settings))
    }
}
