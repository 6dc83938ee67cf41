use std::{error::Error, fmt};

use ::http::{Method, Response, StatusCode, request::Parts};
use bytes::Bytes;

use super::{Rejection, layer_missing};

/// The answer to a request for which an extractor found no user, or not one who may do this.
///
/// Where a layer let the request pass without a user it is the layer's refusal, hook and all. Where no
/// [`ClerkAuthLayer`](crate::ClerkAuthLayer) has seen the request, or not one with these custom claims, it is a
/// 500: a mistake in the program, with advice in the log.
#[derive(Debug)]
pub struct ExtractRejection {
    response: Box<Response<Bytes>>,
}

impl ExtractRejection {
    pub(crate) fn layer_missing(method: &Method) -> Self {
        Self { response: Box::new(layer_missing(method)) }
    }

    pub(crate) fn of(rejection: Rejection, request: &Parts) -> Self {
        Self { response: Box::new(rejection.response(request)) }
    }

    /// The refusal, unless no layer has seen the request.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.response.extensions().get()
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn into_inner(self) -> Response<Bytes> {
        *self.response
    }
}

impl fmt::Display for ExtractRejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rejection() {
            Some(rejection) => rejection.fmt(formatter),
            None => formatter.write_str("no layer has seen the request"),
        }
    }
}

impl Error for ExtractRejection {}
