//! Extractors and responses for axum.
//!
//! They depend on `axum-core` alone, as axum asks of libraries, and so do not break at each release of `axum`.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    ApiKey, ClerkAuth, CustomClaims, M2mToken, OAuthToken, Principal, Rejection,
    authenticate::{RequestPrincipal, Taken, take},
    authorize::{Authorized, Policy},
    rejection::{ClerkAuthRejection, Responder},
    telemetry,
};

/// Extracts the verified user, or rejects the request if it has none.
///
/// # Errors
///
/// The rejection that the [`ClerkAuthLayer`](crate::ClerkAuthLayer) has stored, if it let the request pass without a
/// user; a 401 if the request has a valid token of [another kind](crate::TokenKind); a 500 if no such layer has seen
/// it.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt;
/// use tower_clerk::{ClerkAuth, ClerkAuthLayer, testing::TestIssuer};
///
/// async fn home(user: Option<ClerkAuth>) -> String {
///     user.map_or("hello".to_owned(), |user| format!("hello {}", user.user_id()))
/// }
///
/// async fn account(user: ClerkAuth) -> String {
///     user.user_id().to_owned()
/// }
///
/// let issuer = TestIssuer::new();
/// let clerk = ClerkAuthLayer::from_config(issuer.config())?.allow_missing_token();
/// let routes = Router::new().route("/", get(home)).route("/account", get(account));
/// let app: Router = routes.clone().route_layer(clerk);
///
/// for (uri, status) in [("/", 200), ("/account", 401)] {
///     let request = Request::builder().uri(uri).body(Body::empty())?;
///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
/// }
///
/// // Without the layer, both routes respond with a 500.
/// let request = Request::builder().uri("/").body(Body::empty())?;
/// assert_eq!(routes.oneshot(request).await?.status(), 500);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<S: Sync> FromRequestParts<S> for ClerkAuth {
    type Rejection = ClerkAuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        required(parts)
    }
}

/// Extracts the verified user, or `None` if the layer let the request pass without one, or with a token of another
/// kind.
///
/// # Errors
///
/// A 500 if no [`ClerkAuthLayer`](crate::ClerkAuthLayer) has seen the request. `None` would hide that mistake.
impl<S: Sync> OptionalFromRequestParts<S> for ClerkAuth {
    type Rejection = ClerkAuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        optional(parts)
    }
}

macro_rules! extractors {
    ($($name:ident)*) => {
        $(
            /// Extracts it, or rejects the request.
            ///
            /// # Errors
            ///
            /// As for [`ClerkAuth`]: a 401 if the request has a token of another kind.
            impl<S: Sync> FromRequestParts<S> for $name {
                type Rejection = ClerkAuthRejection;

                async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
                    required(parts)
                }
            }

            /// Extracts it, or `None` if the request has none, or a token of another kind.
            ///
            /// # Errors
            ///
            /// As for `Option<ClerkAuth>`.
            impl<S: Sync> OptionalFromRequestParts<S> for $name {
                type Rejection = ClerkAuthRejection;

                async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
                    optional(parts)
                }
            }
        )*
    };
}

extractors!(OAuthToken M2mToken ApiKey Principal);

/// Extracts the custom claims that the layer deserialized, or rejects the request if it has no user.
///
/// # Errors
///
/// As for [`ClerkAuth`], and a 500 if the layer has no
/// [`with_custom_claims`](crate::ClerkAuthLayer::with_custom_claims) for `T`.
impl<S, T> FromRequestParts<S> for CustomClaims<T>
where
    S: Sync,
    T: Send + Sync + 'static,
{
    type Rejection = ClerkAuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        required_claims(parts)
    }
}

/// Extracts the custom claims that the layer deserialized, or `None` if it let the request pass without a user.
///
/// # Errors
///
/// As for `Option<ClerkAuth>`, and a 500 if the layer has no
/// [`with_custom_claims`](crate::ClerkAuthLayer::with_custom_claims) for `T`.
impl<S, T> OptionalFromRequestParts<S> for CustomClaims<T>
where
    S: Sync,
    T: Send + Sync + 'static,
{
    type Rejection = ClerkAuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        optional_claims(parts)
    }
}

/// Extracts the verified user who meets the policy `P`, or rejects the request.
///
/// # Errors
///
/// As for [`ClerkAuth`], and a 403 if the user does not meet the policy.
impl<S, P> FromRequestParts<S> for Authorized<P>
where
    S: Sync,
    P: Policy,
{
    type Rejection = ClerkAuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(required(parts)?, parts).map_err(|rejection| ClerkAuthRejection::of(rejection, parts))
    }
}

impl IntoResponse for ClerkAuthRejection {
    fn into_response(self) -> Response {
        self.into_inner().map(Body::from)
    }
}

/// The default response, with the rejection in its extensions. The layer's
/// [`RejectionResponse`](crate::rejection::RejectionResponse) is not used, because it needs the request.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = self.default_response().map(Body::from);
        response.extensions_mut().insert(self);
        response
    }
}

fn required<T: RequestPrincipal>(parts: &Parts) -> Result<T, ClerkAuthRejection> {
    match take(&parts.extensions) {
        Taken::Found(found) => Ok(found),
        Taken::LayerMissing => Err(layer_missing(parts)),
        Taken::OtherKind(responder) => Err(other_kind(&responder, parts)),
        Taken::Rejected(rejection) => Err(ClerkAuthRejection::of(rejection, parts)),
    }
}

fn optional<T: RequestPrincipal>(parts: &Parts) -> Result<Option<T>, ClerkAuthRejection> {
    match take(&parts.extensions) {
        Taken::Found(found) => Ok(Some(found)),
        Taken::LayerMissing => Err(layer_missing(parts)),
        Taken::OtherKind(_) | Taken::Rejected(_) => Ok(None),
    }
}

fn required_claims<T: Send + Sync + 'static>(parts: &Parts) -> Result<CustomClaims<T>, ClerkAuthRejection> {
    match optional_claims(parts)? {
        Some(claims) => Ok(claims),
        // There is no user either.
        None => Err(required::<ClerkAuth>(parts).err().unwrap_or_else(|| layer_missing(parts))),
    }
}

fn optional_claims<T: Send + Sync + 'static>(parts: &Parts) -> Result<Option<CustomClaims<T>>, ClerkAuthRejection> {
    if let Some(claims) = parts.extensions.get::<CustomClaims<T>>() {
        return Ok(Some(claims.clone()));
    }
    // With a user, the layer would have inserted its custom claims.
    match optional::<ClerkAuth>(parts)? {
        Some(_) => {
            telemetry::custom_claims_missing();
            Err(ClerkAuthRejection::layer_missing(&parts.method))
        }
        None => Ok(None),
    }
}

/// The rejection of a valid token of another kind than the handler takes.
fn other_kind(responder: &Responder, parts: &Parts) -> ClerkAuthRejection {
    let rejection = responder.other_kind(&parts.method, &parts.uri, &parts.headers);
    ClerkAuthRejection::of(rejection, parts)
}

fn layer_missing(parts: &Parts) -> ClerkAuthRejection {
    telemetry::layer_missing();
    ClerkAuthRejection::layer_missing(&parts.method)
}
