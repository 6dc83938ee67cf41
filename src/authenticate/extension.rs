use std::{fmt, ops::Deref, sync::Arc};

use http::Extensions;
use serde::de::DeserializeOwned;

use crate::{
    claims::{Claims, CustomClaimsError},
    rejection::Responder,
};

/// The verified user of a request.
///
/// [`ClerkAuthLayer`](crate::ClerkAuthLayer) inserts it into the extensions of every request with a valid token. It
/// derefs to [`Claims`], and cloning it allocates nothing.
///
/// With the feature `axum`, `ClerkAuth` is an extractor that rejects requests without a user, and `Option<ClerkAuth>`
/// is one that accepts them. With the feature `tonic`, `ClerkAuth::from_tonic` reads it from a request. Everywhere else
/// it is `request.extensions().get::<ClerkAuth>()`.
///
/// Only a verified token becomes a `ClerkAuth`, so a function that takes one needs no further check of the token.
/// Tests make one with `ClerkAuth::builder()` (feature `testing`):
///
/// ```
/// # #[cfg(feature = "testing")] {
/// use tower_clerk::ClerkAuth;
///
/// fn greet(user: &ClerkAuth) -> String {
///     format!("hello {}", user.user_id())
/// }
///
/// let user = ClerkAuth::builder().user_id("user_ada").build();
/// assert_eq!(greet(&user), "hello user_ada");
/// # }
/// ```
#[derive(Clone)]
pub struct ClerkAuth {
    claims: Claims,
    /// The responder of the layer that authenticated the user, so that a rejection by a `RequireLayer` or a handler has
    /// the same form. The default if the claims come from a `Verifier`.
    responder: Responder,
}

impl ClerkAuth {
    pub(super) fn new(claims: Claims, responder: Responder) -> Self {
        Self { claims, responder }
    }

    /// Returns the claims. `ClerkAuth` derefs to them; this is for code that stores or passes on [`Claims`].
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns how to respond to what this user may not do; the defaults if no layer was involved.
    pub(crate) fn responder(&self) -> &Responder {
        &self.responder
    }
}

impl Deref for ClerkAuth {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.claims
    }
}

/// For claims that a [`Verifier`](crate::Verifier) returned. Rejections of such a user have the default form.
impl From<Claims> for ClerkAuth {
    fn from(claims: Claims) -> Self {
        Self { claims, responder: Responder::default() }
    }
}

/// Shows the instance and the version alone: ids and custom claims are personal data and stay out of logs.
impl fmt::Debug for ClerkAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClerkAuth")
            .field("instance", &self.instance())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// Custom claims of the verified user, deserialized into `T`.
///
/// [`ClerkAuthLayer::with_custom_claims`](crate::ClerkAuthLayer::with_custom_claims) inserts it into the extensions,
/// together with [`ClerkAuth`]. A token whose claims do not fit is rejected with a 401; the log says where they do not
/// fit (see [`CustomClaimsError`]). It derefs to `T`, and cloning it copies a pointer. With the feature `axum` it is an
/// extractor.
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt;
/// use tower_clerk::{ClerkAuthLayer, CustomClaims, testing::TestIssuer};
///
/// #[derive(serde::Deserialize)]
/// struct Profile {
///     locale: String,
/// }
///
/// async fn greet(profile: CustomClaims<Profile>) -> &'static str {
///     if profile.locale == "fr" { "bonjour" } else { "hello" }
/// }
///
/// let issuer = TestIssuer::new();
/// let clerk = ClerkAuthLayer::from_config(issuer.config())?.with_custom_claims::<Profile>();
/// let app: Router = Router::new().route("/", get(greet)).route_layer(clerk);
/// let request = |token: String| {
///     Request::builder().uri("/").header("authorization", format!("Bearer {token}")).body(Body::empty())
/// };
///
/// let french = issuer.token("user_ada").claim("locale", "fr").sign();
/// let response = app.clone().oneshot(request(french)?).await?;
/// assert_eq!(axum::body::to_bytes(response.into_body(), 100).await?, "bonjour");
///
/// // The layer rejects a token without the claim; the handler is not called.
/// let response = app.oneshot(request(issuer.token("user_ada").sign())?).await?;
/// assert_eq!(response.status(), 401);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CustomClaims<T> {
    claims: Arc<T>,
}

impl<T> Clone for CustomClaims<T> {
    fn clone(&self) -> Self {
        Self { claims: Arc::clone(&self.claims) }
    }
}

impl<T> Deref for CustomClaims<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.claims
    }
}

/// For tests of handlers that take `CustomClaims<T>`.
impl<T> From<T> for CustomClaims<T> {
    fn from(claims: T) -> Self {
        Self { claims: Arc::new(claims) }
    }
}

/// Shows no claim: custom claims are personal data and stay out of logs.
impl<T> fmt::Debug for CustomClaims<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CustomClaims").finish_non_exhaustive()
    }
}

/// The types of custom claims that a layer deserializes.
///
/// [`insert`](Self::insert) leaves a copy in the request's extensions, by which [`remove`](Self::remove) of an inner
/// layer finds the claims to remove.
#[derive(Clone, Default)]
pub(super) struct CustomClaimsTypes(Arc<Vec<CustomClaimsType>>);

#[derive(Clone, Copy)]
struct CustomClaimsType {
    insert: fn(&Claims, &mut Extensions) -> Result<(), CustomClaimsError>,
    remove: fn(&mut Extensions),
}

impl CustomClaimsTypes {
    pub(super) fn add<T: DeserializeOwned + Send + Sync + 'static>(&mut self) {
        Arc::make_mut(&mut self.0).push(CustomClaimsType {
            insert: |claims, extensions| {
                extensions.insert(CustomClaims::<T>::from(claims.custom::<T>()?));
                Ok(())
            },
            remove: |extensions| {
                extensions.remove::<CustomClaims<T>>();
            },
        });
    }

    /// Deserializes the claims into every type and inserts them all.
    ///
    /// # Errors
    ///
    /// [`CustomClaimsError`] if one type cannot be deserialized; then none is inserted.
    pub(super) fn insert(&self, claims: &Claims, extensions: &mut Extensions) -> Result<(), CustomClaimsError> {
        if self.0.is_empty() {
            return Ok(());
        }
        extensions.insert(self.clone());
        let inserted = self.0.iter().try_for_each(|custom| (custom.insert)(claims, extensions));
        if inserted.is_err() {
            Self::remove(extensions);
        }
        inserted
    }

    /// Removes the custom claims that an outer `ClerkAuthLayer` has inserted: they belong to its user.
    pub(super) fn remove(extensions: &mut Extensions) {
        if let Some(Self(types)) = extensions.remove::<Self>() {
            types.iter().for_each(|custom| (custom.remove)(extensions));
        }
    }
}
