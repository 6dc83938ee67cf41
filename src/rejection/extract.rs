use std::{error::Error, fmt};

use ::http::{Method, Response, StatusCode, request::Parts};
use bytes::Bytes;

use super::{Rejection, layer_missing};

/// The rejection of the axum extractors [`ClerkAuth`](crate::ClerkAuth), [`OAuthToken`](crate::OAuthToken),
/// [`M2mToken`](crate::M2mToken), [`ApiKey`](crate::ApiKey), [`Principal`](crate::Principal),
/// [`CustomClaims`](crate::CustomClaims) and [`Authorized`](crate::authorize::Authorized).
///
/// It is one of three responses:
///
/// - The rejection of the [`ClerkAuthLayer`](crate::ClerkAuthLayer), if the request has no user, or a user who does not
///   meet the policy. The layer's [`RejectionResponse`](super::RejectionResponse) makes it, if there is one.
/// - A 401 `invalid_token`, if the request has a valid token of [another kind](crate::TokenKind) than the handler
///   takes.
/// - A 500, if no `ClerkAuthLayer` has seen the request, or none with this type of custom claims. That is a mistake of
///   the program; an ERROR event says what to do.
///
/// The response is made at extraction, because a `RejectionResponse` needs the request, which axum's `IntoResponse`
/// does not have.
#[derive(Debug)]
pub struct ClerkAuthRejection {
    response: Box<Response<Bytes>>,
}

impl ClerkAuthRejection {
    pub(crate) fn layer_missing(method: &Method) -> Self {
        Self { response: Box::new(layer_missing(method)) }
    }

    pub(crate) fn of(rejection: Rejection, request: &Parts) -> Self {
        Self { response: Box::new(rejection.into_response_for(request)) }
    }

    /// Returns the rejection; `None` for the 500.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.response.extensions().get()
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn into_inner(self) -> Response<Bytes> {
        *self.response
    }
}

impl fmt::Display for ClerkAuthRejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rejection() {
            Some(rejection) => rejection.fmt(formatter),
            None => formatter.write_str("no `ClerkAuthLayer` has seen the request, or none with these custom claims"),
        }
    }
}

impl Error for ClerkAuthRejection {}
