use http::Extensions;
use tower_layer::Layer;

use super::{RequireService, Requirement, service::AccessRule};

/// Layer that applies the [`RequireService`] middleware, which forwards requests whose user, or other caller, meets a
/// [`Requirement`].
///
/// It needs a [`ClerkAuthLayer`](crate::ClerkAuthLayer) outside of it. In `axum::Router` the layer added last is the
/// outermost; in `tower::ServiceBuilder` it is the one added first. See the [module docs](crate::authorize) for the
/// responses.
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::post};
/// use tower::ServiceExt;
/// use tower_clerk::{ClerkAuthLayer, RequireLayer, Requirement, testing::TestIssuer};
///
/// let issuer = TestIssuer::new();
/// let app: Router = Router::new()
///     .route("/invoices", post(async || "created"))
///     .route_layer(RequireLayer::new(Requirement::permission("org:invoices:create")))
///     .route_layer(ClerkAuthLayer::from_config(issuer.config())?);
///
/// let clerk = issuer.token("user_ada").organization("org_acme", "clerk").permission("invoices", "create");
/// let reader = issuer.token("user_bob").organization("org_acme", "reader").permission("invoices", "read");
/// for (token, status) in [(clerk, 200), (reader, 403)] {
///     let bearer = format!("Bearer {}", token.sign());
///     let request = Request::post("/invoices").header("authorization", bearer).body(Body::empty())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireLayer {
    rule: AccessRule,
}

/// Layer that forwards requests with any authenticated user and rejects all others.
///
/// A user is one with a session. Where the `ClerkAuthLayer` accepts [other kinds](crate::TokenKind), a token of one of
/// these is rejected with 401 unless [`or`](Self::or) names its type: `.or::<OAuthToken>()`, or `.or::<Principal>()`
/// for all of them.
///
/// Use it in two cases:
///
/// - The [`ClerkAuthLayer`](crate::ClerkAuthLayer) lets requests pass without a user, and some routes need one.
/// - Several authentication schemes are combined, such as Clerk and API keys. The layer of each scheme inserts a user
///   type of its own into the extensions and passes on requests that it does not authenticate. This layer, inside of
///   them all, accepts each type that [`or`](Self::or) names.
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, extract::Request, routing::get};
/// use tower::{ServiceExt, util::MapRequestLayer};
/// use tower_clerk::{ClerkAuthLayer, authorize::RequireAuthenticatedLayer, testing::TestIssuer};
///
/// #[derive(Clone)]
/// struct ApiKeyUser;
///
/// fn check_api_key(mut request: Request) -> Request {
///     if request.headers().get("x-api-key").is_some_and(|key| key == "secret") {
///         request.extensions_mut().insert(ApiKeyUser);
///     }
///     request
/// }
///
/// let issuer = TestIssuer::new();
/// let app: Router = Router::new()
///     .route("/reports", get(async || "for users and machines"))
///     .route_layer(RequireAuthenticatedLayer::new().or::<ApiKeyUser>())
///     .route_layer(MapRequestLayer::new(check_api_key))
///     .route_layer(ClerkAuthLayer::from_config(issuer.config())?.allow_unauthenticated_requests());
///
/// let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
/// for (name, value, status) in [
///     ("authorization", bearer.as_str(), 200),
///     ("x-api-key", "secret", 200),
///     ("x-api-key", "guess", 401),
/// ] {
///     let request = Request::builder().uri("/reports").header(name, value).body(Body::empty())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireAuthenticatedLayer {
    rule: AccessRule,
}

impl RequireLayer {
    /// Makes a layer that rejects users who do not meet `requirement`.
    pub fn new(requirement: Requirement) -> Self {
        Self { rule: AccessRule::requirement(requirement) }
    }
}

impl RequireAuthenticatedLayer {
    /// Makes a layer that accepts users whom a [`ClerkAuthLayer`](crate::ClerkAuthLayer) has authenticated by a
    /// session.
    pub fn new() -> Self {
        Self { rule: AccessRule::authenticated() }
    }

    /// Also accepts requests with a `U` in their extensions.
    ///
    /// Call it again for further types. A request without any user is rejected with the [`Rejection`](crate::Rejection)
    /// that the `ClerkAuthLayer` has stored.
    pub fn or<U: Clone + Send + Sync + 'static>(self) -> Self {
        let has_user = |extensions: &Extensions| extensions.get::<U>().is_some();
        Self { rule: self.rule.or(has_user) }
    }
}

impl Default for RequireAuthenticatedLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService::with_rule(inner, self.rule.clone())
    }
}

impl<S> Layer<S> for RequireAuthenticatedLayer {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService::with_rule(inner, self.rule.clone())
    }
}

impl<S> RequireService<S> {
    /// Wraps `inner` and rejects requests whose user does not meet `requirement`.
    pub fn new(inner: S, requirement: Requirement) -> Self {
        Self::with_rule(inner, AccessRule::requirement(requirement))
    }
}

impl RequireService<()> {
    /// Returns the layer that applies this middleware with `requirement`.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::convert::Infallible;
    ///
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt};
    /// use tower_clerk::{ClerkAuth, Requirement, authorize::RequireService};
    ///
    /// let service = ServiceBuilder::new()
    ///     .layer(RequireService::layer(Requirement::role("org:admin")))
    ///     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
    /// let mut request = Request::new(String::new());
    /// request.extensions_mut().insert(ClerkAuth::builder().build());
    /// assert_eq!(service.oneshot(request).await?.status(), 403);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn layer(requirement: Requirement) -> RequireLayer {
        RequireLayer::new(requirement)
    }
}
