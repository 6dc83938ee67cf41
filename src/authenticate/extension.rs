use std::{fmt, ops::Deref, sync::Arc};

use http::Extensions;
use serde::de::DeserializeOwned;

use crate::{
    claims::{Claims, CustomClaimsError},
    rejection::Answers,
};

/// The verified user of a request, found in its extensions.
///
/// Derefs to the [`Claims`]; cloning it copies a pointer. In axum it is an extractor.
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
    /// Those of the layer that let the user in, for refusals further in.
    answers: Option<Arc<Answers>>,
    claims: Claims,
}

impl ClerkAuth {
    pub(super) fn new(claims: Claims, answers: Arc<Answers>) -> Self {
        Self { answers: Some(answers), claims }
    }

    /// The claims themselves.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The name of the instance whose key verified the token: what
    /// [`ClerkConfig::instance_name`](crate::ClerkConfig::instance_name) says, or its first issuer.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.claims.instance()
    }

    /// How to answer a refusal of something that this user asked for.
    pub(crate) fn answers(&self) -> Answers {
        self.answers.as_deref().cloned().unwrap_or_default()
    }
}

impl Deref for ClerkAuth {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.claims
    }
}

impl From<Claims> for ClerkAuth {
    fn from(claims: Claims) -> Self {
        Self { answers: None, claims }
    }
}

impl fmt::Debug for ClerkAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClerkAuth")
            .field("instance", &self.instance())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// Custom claims of the verified user, found in the extensions after
/// [`ClerkAuthLayer::with_custom_claims`](crate::ClerkAuthLayer::with_custom_claims).
///
/// Derefs to `T`; cloning it copies a pointer. In axum it is an extractor.
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

impl<T> From<T> for CustomClaims<T> {
    fn from(claims: T) -> Self {
        Self { claims: Arc::new(claims) }
    }
}

/// What they say is the user's business.
impl<T> fmt::Debug for CustomClaims<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CustomClaims").finish_non_exhaustive()
    }
}

/// The types of custom claims that a layer decodes. Those that it has inserted lie in the extensions beside them.
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

    /// Decodes and inserts all of them, or none.
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

    /// Removes whatever a layer of this kind has inserted: it belongs to the user that this layer found.
    pub(super) fn remove(extensions: &mut Extensions) {
        if let Some(Self(types)) = extensions.remove::<Self>() {
            types.iter().for_each(|custom| (custom.remove)(extensions));
        }
    }
}
