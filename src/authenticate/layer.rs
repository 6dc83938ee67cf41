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
    resource::ProtectedResource,
    telemetry,
    token_kind::{TokenKind, TokenKinds},
    verify::{Instance, Verifier},
};

/// Layer that applies the [`ClerkAuthService`] middleware, which authenticates requests by their Clerk session token,
/// or by a token of [another kind](crate::authenticate#kinds-of-tokens).
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
    /// [module docs](crate::authenticate#which-requests-pass-without-a-user) compares the modes. Handlers then take
    /// `Option<ClerkAuth>`; a handler that takes `ClerkAuth` still rejects anonymous requests with the 401.
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
    /// token. A table in the [module docs](crate::authenticate#which-requests-pass-without-a-user) compares the modes.
    /// Guard the routes with [`RequireAuthenticatedLayer`](crate::authorize::RequireAuthenticatedLayer), or take
    /// `ClerkAuth` in the handlers. Both respond with the stored [`Rejection`](crate::Rejection) if there is no user.
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

    /// Records `user.id` and `session.id` in the current span once a request is authenticated, by the names of
    /// [OpenTelemetry](https://opentelemetry.io/docs/specs/semconv/registry/attributes/user/).
    ///
    /// Without it no event and no span of this crate names a user: logs with these ids are personal data. The span is
    /// the application's, such as that of a `TraceLayer` around this layer, and must declare both fields: `tracing`
    /// ignores fields that a span does not have. OAuth tokens, and API keys of users, record `user.id` alone; M2M
    /// tokens record nothing.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_clerk::{ClerkAuthLayer, testing::TestIssuer};
    /// use tower_http::trace::TraceLayer;
    /// use tracing::field::Empty;
    ///
    /// # // What is logged, to read it back.
    /// # let (log, writer) = std::io::pipe()?;
    /// # let subscriber = tracing_subscriber::fmt().with_writer(std::sync::Arc::new(writer)).finish();
    /// # let guard = tracing::subscriber::set_default(subscriber);
    /// let issuer = TestIssuer::new();
    /// let span = |_: &Request<String>| tracing::info_span!("request", "user.id" = Empty, "session.id" = Empty);
    /// let service = ServiceBuilder::new()
    ///     .layer(TraceLayer::new_for_http().make_span_with(span))
    ///     .layer(ClerkAuthLayer::from_config(issuer.config())?.record_user())
    ///     .service_fn(async |_: Request<String>| {
    ///         tracing::info!("handled");
    ///         Ok::<_, Infallible>(Response::new(String::new()))
    ///     });
    ///
    /// let bearer = format!("Bearer {}", issuer.token("user_ada").session_id("sess_1").sign());
    /// let request = Request::builder().header("authorization", bearer).body(String::new())?;
    /// assert_eq!(service.oneshot(request).await?.status(), 200);
    /// # drop(guard);
    /// # let logged = std::io::read_to_string(log)?;
    /// assert!(logged.contains(r#"request{user.id="user_ada" session.id="sess_1"}: "#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tracing")]
    pub fn record_user(self) -> Self {
        self.with(|authenticator| authenticator.record_user = true)
    }

    /// Deserializes the payload of each token into `T` and inserts it as [`CustomClaims<T>`](super::CustomClaims) into
    /// the extensions.
    ///
    /// A session token whose payload does not deserialize into `T` is rejected with `invalid_token` (401), so handlers
    /// need no error path of their own. Tokens of other kinds are not deserialized: they have `custom` methods of their
    /// own. Claims that may be missing are `Option` fields of `T`. Call it again for further types.
    pub fn with_custom_claims<T>(self) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.with(|authenticator| authenticator.custom_claims.add::<T>())
    }

    /// Accepts tokens of these kinds alone, of those that the [configuration](ClerkConfig::accept) accepts; all of them
    /// by default.
    ///
    /// Several layers around one verifier may thus accept different kinds, and share its keys and caches. Where a
    /// handler takes one kind, accept that kind alone: a token of another one is then rejected before it costs a call.
    ///
    /// ```
    /// # #[cfg(all(feature = "axum", feature = "testing"))]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use axum::{Router, body::Body, http::Request, routing::get};
    /// use tower::ServiceExt;
    /// use tower_clerk::{ClerkAuth, ClerkAuthLayer, OAuthToken, TokenKind, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new();
    /// let config = issuer.config().accept([TokenKind::Session, TokenKind::OAuth])?;
    /// let clerk = ClerkAuthLayer::from_config(config)?;
    ///
    /// let pages = Router::new()
    ///     .route("/account", get(async |user: ClerkAuth| user.user_id().to_owned()))
    ///     .route_layer(clerk.clone().accept([TokenKind::Session])?);
    /// let agents = Router::new()
    ///     .route("/mcp", get(async |token: OAuthToken| token.user_id().to_owned()))
    ///     .route_layer(clerk.accept([TokenKind::OAuth])?);
    /// let app: Router = pages.merge(agents);
    ///
    /// let (session, oauth) = (issuer.token("user_ada").sign(), issuer.oauth_token("user_ada").sign());
    /// for (path, token, status) in [
    ///     ("/account", &session, 200),
    ///     ("/account", &oauth, 401),
    ///     ("/mcp", &session, 401),
    ///     ("/mcp", &oauth, 200),
    /// ] {
    ///     let request = Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty())?;
    ///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `kinds` is empty, or if one of them is accepted neither by a configured instance
    /// nor, with a resolver, by [`accept_from_resolver`](crate::verify::VerifierBuilder::accept_from_resolver).
    pub fn accept(self, kinds: impl IntoIterator<Item = TokenKind>) -> Result<Self, ConfigError> {
        let kinds: TokenKinds = kinds.into_iter().collect();
        if kinds.is_empty() {
            return Err(ConfigError::invalid("accept", "must not be empty"));
        }
        if kinds.and(self.verifier().kinds()) != kinds {
            return Err(ConfigError::invalid(
                "accept",
                if self.verifier().has_resolver() {
                    "must be kinds that the configuration of an instance or accept_from_resolver accepts"
                } else {
                    "must be kinds that the configuration of an instance accepts"
                },
            ));
        }
        let layer = self.with(|authenticator| authenticator.kinds = kinds);
        if layer.authenticator.responder.resource.is_some() {
            layer.warn_of_useless_metadata();
        }
        Ok(layer)
    }

    /// Makes the service known to OAuth clients, such as clients of MCP servers, as this resource (RFC 9728).
    ///
    /// - Its metadata is served at [`metadata_path`](ProtectedResource::metadata_path), whatever `Host` says. It needs
    ///   no token, and pages of any origin may read it.
    /// - The 401 names it: `Bearer resource_metadata="…", scope="…"`, with `error` where a token was bad. So do the 403
    ///   of an unmet requirement and the 400, and what a [`RequireLayer`](crate::RequireLayer) or a handler further in
    ///   responds.
    /// - With [`require_audience`](ProtectedResource::require_audience), an OAuth token that was issued for another
    ///   resource is rejected as [`InvalidAudience`](crate::verify::VerifyErrorKind::InvalidAudience), with 401.
    ///   Without it, and without an [`oauth_audience`](ClerkConfig::oauth_audience), it passes.
    ///
    /// The layer must see the path of the document. It does so around a whole server, and with `Router::layer` of axum.
    /// It does not with `route_layer`, which runs for matched routes only, or inside `Router::nest`, which hands on
    /// other paths: the document is then a route of its own, a
    /// [`ResourceMetadataService`](super::ResourceMetadataService).
    ///
    /// It replaces the resource of an earlier call, with what that required. In nested layers each has a resource of
    /// its own, and the innermost decides whether the audience of a token is accepted.
    ///
    /// The metadata sends clients to an authorization server for an OAuth token. **It does not make the layer accept
    /// such tokens**: without [`TokenKind::OAuth`] among the [accepted kinds](ClerkConfig::accept), each is rejected
    /// with 401, and making the layer logs a warning.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_clerk::{ClerkAuthLayer, ProtectedResource, TokenKind, testing::TestIssuer};
    ///
    /// let issuer = TestIssuer::new();
    /// let resource = ProtectedResource::new("https://api.example.com/mcp")?.scopes(["read"])?.require_audience();
    /// let clerk = ClerkAuthLayer::from_config(issuer.config().accept([TokenKind::OAuth])?)?;
    /// let service = ServiceBuilder::new()
    ///     .layer(clerk.protected_resource(resource)?)
    ///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    ///
    /// let request = Request::get("/.well-known/oauth-protected-resource/mcp").body(String::new())?;
    /// assert_eq!(service.clone().oneshot(request).await?.headers()["content-type"], "application/json");
    ///
    /// let response = service.clone().oneshot(Request::new(String::new())).await?;
    /// let metadata = "https://api.example.com/.well-known/oauth-protected-resource/mcp";
    /// let challenge = format!(r#"Bearer resource_metadata="{metadata}", scope="read""#);
    /// assert_eq!(response.headers()["www-authenticate"], challenge);
    ///
    /// for (audience, status) in [("https://api.example.com/mcp", 200), ("https://api.example.com/other", 401)] {
    ///     let bearer = format!("Bearer {}", issuer.oauth_token("user_ada").claim("aud", audience).sign());
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
    /// [`ConfigError::Invalid`] if the resource is [derived](ProtectedResource::from_request) from requests and
    /// [requires its audience](ProtectedResource::require_audience): a client chooses `Host`, and with it would choose
    /// the audience.
    pub fn protected_resource(self, resource: ProtectedResource) -> Result<Self, ConfigError> {
        resource.check()?;
        Ok(self.with_resource(resource))
    }

    /// Makes the service known to OAuth clients as the resource that they request: as
    /// [`protected_resource`](Self::protected_resource) with [`ProtectedResource::from_request`].
    ///
    /// The metadata of each path is served below `/.well-known/oauth-protected-resource`. `Host` and path must arrive
    /// as the client has sent them: behind a proxy that changes one of them, and inside `Router::nest`, name the URL
    /// with [`ProtectedResource::new`].
    ///
    /// As there, the tokens to which it leads clients are rejected unless [`TokenKind::OAuth`] is accepted. A resource
    /// that [`protected_resource`](Self::protected_resource) has named before stays.
    pub fn oauth_resource_metadata(self) -> Self {
        if self.authenticator.responder.resource.is_some() {
            return self;
        }
        self.with_resource(ProtectedResource::from_request())
    }

    /// Returns the verifier that the services of this layer share, to fetch keys at start or report their status in a
    /// health endpoint.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.authenticator.verifier
    }

    fn with_resource(self, resource: ProtectedResource) -> Self {
        let layer = self.with(|authenticator| authenticator.responder.resource = Some(Arc::new(resource)));
        layer.warn_of_useless_metadata();
        layer
    }

    /// Such a layer is no error: some services only tell clients where an authorization server is.
    fn warn_of_useless_metadata(&self) {
        if !self.authenticator.kinds.contains(TokenKind::OAuth) {
            telemetry::oauth_tokens_not_accepted();
        }
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
