use std::sync::Arc;

use serde::de::DeserializeOwned;
use tower_layer::Layer;

use super::{
    ClerkAuthService,
    authenticator::{Authenticator, Mode},
};
use crate::{
    config::{ClerkConfig, ConfigError},
    credentials::{TokenSource, TokenSources},
    rejection::{RejectionFormat, RejectionResponse},
    verify::{Instance, Verifier},
};

/// Layer that applies the [`ClerkAuthService`] middleware, which authenticates requests by their Clerk session token.
///
/// Cloning it copies a pointer, and all services made from it share one key set and one token cache. Make one layer at
/// start and clone it. See the [module docs](crate::authenticate) for what it does and for the order of layers.
///
/// # Example
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt;
/// use tower_clerk::{ClerkAuth, ClerkAuthLayer, testing::TestIssuer};
///
/// async fn me(user: ClerkAuth) -> String {
///     format!("hello {}", user.user_id())
/// }
///
/// // In production: `ClerkAuthLayer::new("https://sensible-skunk-49.clerk.accounts.dev")?`.
/// let issuer = TestIssuer::new();
/// let clerk = ClerkAuthLayer::from_config(issuer.config())?;
/// let app: Router = Router::new().route("/me", get(me)).route_layer(clerk);
///
/// let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
/// let request = Request::builder().uri("/me").header("authorization", bearer).body(Body::empty())?;
/// let response = app.clone().oneshot(request).await?;
/// assert_eq!(axum::body::to_bytes(response.into_body(), 100).await?, "hello user_ada");
///
/// let response = app.oneshot(Request::builder().uri("/me").body(Body::empty())?).await?;
/// assert_eq!(response.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClerkAuthLayer {
    authenticator: Arc<Authenticator>,
}

impl ClerkAuthLayer {
    /// Makes a layer that trusts the instance with this Frontend API URL.
    ///
    /// It does no I/O: keys are fetched when the first token needs them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`ClerkConfig::from_frontend_api_url`] and [`Verifier::new`].
    pub fn new(frontend_api_url: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::from_config(ClerkConfig::from_frontend_api_url(frontend_api_url)?)
    }

    /// Makes a layer from the environment variables that [`ClerkConfig::from_env`] reads.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`ClerkConfig::from_env`] and [`Verifier::new`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_config(ClerkConfig::from_env()?)
    }

    /// Makes a layer with this configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`Verifier::new`].
    pub fn from_config(config: ClerkConfig) -> Result<Self, ConfigError> {
        Verifier::new(config).map(Self::from)
    }

    /// Makes a layer that trusts all of these instances. The `iss` claim of a token selects the instance, whose keys
    /// alone can then verify it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] as for [`VerifierBuilder::build`](crate::verify::VerifierBuilder::build).
    pub fn from_instances<I>(instances: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: Into<Instance>>,
    {
        Verifier::from_instances(instances).map(Self::from)
    }

    /// Lets requests without a credential pass, and rejects invalid tokens as before.
    ///
    /// An `Authorization` that is empty or `Bearer` alone is no credential. `Bearer null` and `Bearer undefined`, which
    /// front ends send by mistake, are invalid tokens and get 401; [`allow_unauthenticated_requests`] lets them pass.
    ///
    /// Use it for pages that anonymous visitors may read; a table in the
    /// [module docs](crate::authenticate#which-requests-pass-without-a-user) compares the modes. Handlers then take `Option<ClerkAuth>`; a handler that takes
    /// `ClerkAuth` still rejects anonymous requests with the 401.
    ///
    /// It replaces [`allow_unauthenticated_requests`]: the last call wins.
    ///
    /// [`allow_unauthenticated_requests`]: Self::allow_unauthenticated_requests
    pub fn allow_missing_token(self) -> Self {
        self.with(|authenticator| authenticator.mode = Mode::AllowMissingToken)
    }

    /// Lets requests pass that fail authentication for any reason but a malformed credential.
    ///
    /// An invalid token passes too, such as `Bearer null` or one that has expired: the request is then that of a
    /// visitor.
    ///
    /// Use it to combine several authentication schemes: another layer may accept a credential that is not a Clerk
    /// token. A table in the [module docs](crate::authenticate#which-requests-pass-without-a-user) compares the modes. Guard the routes with [`RequireAuthenticatedLayer`](crate::authorize::RequireAuthenticatedLayer), or
    /// take `ClerkAuth` in the handlers. Both respond with the stored [`Rejection`](crate::Rejection) if there is no
    /// user.
    ///
    /// An `Authorization` value with a comma or a non-ASCII byte is malformed whatever its scheme, because a comma may
    /// separate several credentials. This includes Digest credentials, which are lists of parameters.
    ///
    /// It replaces [`allow_missing_token`]: the last call wins.
    ///
    /// [`allow_missing_token`]: Self::allow_missing_token
    pub fn allow_unauthenticated_requests(self) -> Self {
        self.with(|authenticator| authenticator.mode = Mode::AllowUnauthenticated)
    }

    /// Removes the `Authorization` header of a request that passes although its token was rejected.
    ///
    /// Inner services and upstreams then cannot mistake the token for a verified one. It has an effect only together
    /// with [`allow_unauthenticated_requests`](Self::allow_unauthenticated_requests). The header stays if it holds
    /// another scheme's credential, or if another [source](Self::token_sources) supplied the token that was rejected.
    pub fn strip_unverified_credentials(self) -> Self {
        self.with(|authenticator| authenticator.strip_unverified_credentials = true)
    }

    /// Sets where to look for the token, in this order; only in the `Authorization` header by default.
    ///
    /// The first source with a credential decides. If its token is invalid, the request is rejected, even if a later
    /// source has a valid one.
    ///
    /// # Errors
    ///
    /// - [`ConfigError::Invalid`] if there are no sources, a cookie has an invalid name, or the header `Cookie` is read
    ///   as a header: the rules of cookies would not apply.
    /// - [`ConfigError::Missing`] if a cookie is among them and a configuration has no
    ///   [`authorized_parties`](ClerkConfig::authorized_parties).
    pub fn token_sources<I>(self, sources: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item = TokenSource>,
    {
        let sources = TokenSources::new(sources.into_iter().collect(), self.verifier())?;
        Ok(self.with(|authenticator| authenticator.sources = sources))
    }

    /// Sets the form of responses to rejected requests: HTTP problem documents, gRPC trailers, or whichever the request
    /// asks for ([`RejectionFormat::Auto`], the default).
    ///
    /// Behind a proxy that decides by the status, choose [`RejectionFormat::Http`]. nginx turns the 400 and the 503 of
    /// an `auth_request` into a 500:
    /// [a recipe](crate::guide::recipes#behind-auth_request-of-nginx) maps them back.
    pub fn rejection_format(self, format: RejectionFormat) -> Self {
        self.with(|authenticator| authenticator.responder.format = format)
    }

    /// Makes the responses to rejected requests with `response`, a closure `|rejection: &Rejection, request: &Parts|`.
    ///
    /// It also makes the responses of a [`RequireLayer`](crate::RequireLayer) and of axum extractors further in. See
    /// [`RejectionResponse`] for an example.
    pub fn rejection_response(self, response: impl RejectionResponse + 'static) -> Self {
        self.with(|authenticator| authenticator.responder.response = Some(Arc::new(response)))
    }

    /// Deserializes the payload of each token into `T` and inserts it as [`CustomClaims<T>`](super::CustomClaims) into
    /// the extensions.
    ///
    /// A token whose payload does not deserialize into `T` is rejected with `invalid_token` (401), so handlers need no
    /// error path of their own. Claims that may be missing are `Option` fields of `T`. Call it again for further types.
    pub fn with_custom_claims<T>(self) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.with(|authenticator| authenticator.custom_claims.add::<T>())
    }

    /// Serves protected resource metadata (RFC 9728) under `/.well-known/oauth-protected-resource`, and adds the
    /// parameter `resource_metadata` to `WWW-Authenticate` challenges.
    ///
    /// This is discovery only. OAuth clients, such as clients of MCP servers, find the authorization server by it, but
    /// the access token that they get there is no session token, and the layer rejects it with 401.
    ///
    /// The document needs no token; its `authorization_servers` are the issuers of the configured instances, its
    /// `resource` is built from the request's `Host` and path.
    ///
    /// Pages of any origin may read the document: it has CORS headers, and the layer answers preflight requests for it.
    ///
    /// The layer must see those paths: in axum, use `Router::layer`, not `route_layer`, which runs for matched routes
    /// only.
    pub fn oauth_resource_metadata(self) -> Self {
        self.with(|authenticator| authenticator.resource_metadata = true)
    }

    /// Returns the verifier that the services of this layer share, to fetch keys at start or report their status in a
    /// health endpoint.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.authenticator.verifier
    }

    fn with(mut self, change: impl FnOnce(&mut Authenticator)) -> Self {
        change(Arc::make_mut(&mut self.authenticator));
        self
    }
}

/// Makes a layer with the default settings: tokens from the `Authorization` header, every other request rejected.
impl From<Verifier> for ClerkAuthLayer {
    fn from(verifier: Verifier) -> Self {
        Self { authenticator: Arc::new(Authenticator::new(verifier)) }
    }
}

impl<S> Layer<S> for ClerkAuthLayer {
    type Service = ClerkAuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ClerkAuthService::with_authenticator(inner, Arc::clone(&self.authenticator))
    }
}

impl<S> ClerkAuthService<S> {
    /// Wraps `inner` in the middleware that `layer` configures. A [`Verifier`] makes a layer with the defaults.
    pub fn new(inner: S, layer: impl Into<ClerkAuthLayer>) -> Self {
        layer.into().layer(inner)
    }
}

impl ClerkAuthService<()> {
    /// Returns the layer that applies this middleware. A [`Verifier`] makes a layer with the defaults.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_clerk::{ClerkAuthService, Verifier, testing::TestIssuer};
    ///
    /// let verifier = Verifier::new(TestIssuer::new().config())?;
    /// let service = ServiceBuilder::new()
    ///     .layer(ClerkAuthService::layer(verifier))
    ///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    /// assert_eq!(service.oneshot(Request::new(String::new())).await?.status(), 401);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn layer(layer: impl Into<ClerkAuthLayer>) -> ClerkAuthLayer {
        layer.into()
    }
}
