//! Extractors for axum, which need no more of it than `axum-core`.

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE, request::Parts};

use crate::{ClerkAuth, CustomClaims, Rejection, telemetry};

/// The answer to a request for which an extractor found no user.
///
/// Where a layer let the request pass without one it is the layer's refusal, hook and all. Where no
/// [`ClerkAuthLayer`](crate::ClerkAuthLayer) has seen the request, or not one with these custom claims, it is a
/// 500: a mistake in the program, with advice in the log.
#[derive(Debug)]
pub struct ExtractRejection {
    response: Box<http::Response<Bytes>>,
}

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

impl IntoResponse for ExtractRejection {
    fn into_response(self) -> Response {
        (*self.response).map(Body::from)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.default_response().map(Body::from)
    }
}

fn required<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<T, ExtractRejection> {
    optional(parts)?.ok_or_else(|| match parts.extensions.get::<Rejection>() {
        Some(rejection) => ExtractRejection { response: Box::new(rejection.response(parts)) },
        None => layer_missing(),
    })
}

fn optional<T: Clone + Send + Sync + 'static>(parts: &Parts) -> Result<Option<T>, ExtractRejection> {
    match parts.extensions.get::<T>() {
        None if parts.extensions.get::<Rejection>().is_none() => Err(layer_missing()),
        found => Ok(found.cloned()),
    }
}

fn layer_missing() -> ExtractRejection {
    telemetry::layer_missing();
    let body = r#"{"type":"about:blank","title":"Internal Server Error","status":500}"#;
    let mut response = http::Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    ExtractRejection { response: Box::new(response) }
}
