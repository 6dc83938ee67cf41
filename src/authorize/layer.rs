use http::Extensions;
use tower_layer::Layer;

use super::{
    requirement::Requirement,
    service::{Guard, RequireService},
};

/// Layer that applies the [`RequireService`] middleware, which lets requests through whose user meets a
/// [`Requirement`].
///
/// It stands further in than a [`ClerkAuthLayer`](crate::ClerkAuthLayer). See the [module docs](crate::authorize) for
/// what it answers.
///
/// ```
/// use axum::{Router, routing::post};
/// use tower_clerk::{ClerkAuthLayer, Requirement, authorize::RequireLayer};
///
/// # #[cfg(feature = "reqwest")] {
/// let app: Router = Router::new()
///     .route("/invoices", post(|| async { "created" }))
///     .route_layer(RequireLayer::new(Requirement::permission("org:invoices:create")))
///     .route_layer(ClerkAuthLayer::new("https://clerk.example.com")?);
/// # }
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireLayer {
    guard: Guard,
}

/// Layer that lets requests through that have a user, whoever it is.
///
/// It turns a lenient [`ClerkAuthLayer`](crate::ClerkAuthLayer) into a strict one for some of the routes, and, with
/// [`or`](Self::or), combines it with other schemes: API keys, say, or another identity provider. Each scheme's layer
/// puts its own user into the extensions and lets requests pass that are not its own; this one stands further in
/// than all of them.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_clerk::{ClerkAuthLayer, authorize::RequireAuthenticated};
///
/// #[derive(Clone)]
/// struct ApiKeyUser;
///
/// # #[cfg(feature = "reqwest")] {
/// let app: Router = Router::new()
///     .route("/reports", get(|| async { "for users and machines" }))
///     .route_layer(RequireAuthenticated::new().or::<ApiKeyUser>())
///     // … and the layer that puts `ApiKeyUser` into the extensions
///     .route_layer(ClerkAuthLayer::new("https://clerk.example.com")?.allow_unauthenticated_requests());
/// # }
/// # Ok::<(), tower_clerk::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireAuthenticated {
    guard: Guard,
}

impl RequireLayer {
    /// A layer that lets users pass who meet `requirement`.
    pub fn new(requirement: Requirement) -> Self {
        Self { guard: Guard::requirement(requirement) }
    }
}

impl RequireAuthenticated {
    /// A layer that lets the users of Clerk pass.
    pub fn new() -> Self {
        Self { guard: Guard::authenticated() }
    }

    /// Lets requests pass as well that have a `U` in their extensions.
    ///
    /// A request without any user is answered with the refusal of the Clerk layer.
    pub fn or<U: Clone + Send + Sync + 'static>(self) -> Self {
        let is_there = |extensions: &Extensions| extensions.get::<U>().is_some();
        Self { guard: self.guard.or(is_there) }
    }
}

impl Default for RequireAuthenticated {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService::guarded(inner, self.guard.clone())
    }
}

impl<S> Layer<S> for RequireAuthenticated {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService::guarded(inner, self.guard.clone())
    }
}
