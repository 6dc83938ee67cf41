//! Extractors for axum, which need no more of it than `axum-core`.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    ClerkAuth, CustomClaims, Rejection,
    authorize::{Authorized, Policy},
    rejection::ExtractRejection,
    telemetry,
};

/// The verified user; answers with the layer's refusal where there is none.
impl<S: Sync> FromRequestParts<S> for ClerkAuth {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        required(parts)
    }
}

/// The verified user, or `None` where the layer let the request pass without one.
impl<S: Sync> OptionalFromRequestParts<S> for ClerkAuth {
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        optional(parts)
    }
}

/// The custom claims that the layer decoded; answers with its refusal where there is no user.
impl<S, T> FromRequestParts<S> for CustomClaims<T>
where
    S: Sync,
    T: Send + Sync + 'static,
{
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        required(parts)
    }
}

/// The custom claims that the layer decoded, or `None` where it let the request pass without a user.
impl<S, T> OptionalFromRequestParts<S> for CustomClaims<T>
where
    S: Sync,
    T: Send + Sync + 'static,
{
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        optional(parts)
    }
}

/// The verified user if they meet the policy; answers with a 403, or the layer's refusal where there is none.
impl<S, P> FromRequestParts<S> for Authorized<P>
where
    S: Sync,
    P: Policy,
{
    type Rejection = ExtractRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(required(parts)?, parts).map_err(|rejection| ExtractRejection::of(rejection, parts))
    }
}

impl IntoResponse for ExtractRejection {
    fn into_response(self) -> Response {
        self.into_inner().map(Body::from)
    }
}

/// Without the layer's hook, which needs the request.
impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = self.default_response().map(Body::from);
        response.extensions_mut().insert(self);
        response
    }
}

fn required<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, ExtractRejection> {
    optional(parts)?.ok_or_else(|| match parts.extensions.get::<Rejection>() {
        Some(rejection) => ExtractRejection::of(rejection.clone(), parts),
        None => layer_missing(parts),
    })
}

fn optional<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<Option<T>, ExtractRejection> {
    match parts.extensions.get::<T>() {
        None if parts.extensions.get::<Rejection>().is_none() => Err(layer_missing(parts)),
        found => Ok(found.cloned()),
    }
}

fn layer_missing(parts: &Parts) -> ExtractRejection {
    telemetry::layer_missing();
    ExtractRejection::layer_missing(&parts.method)
}
