use std::{error::Error, fmt, sync::Arc};

use axum::body::Body;
use http::{Response, StatusCode};

use crate::{exit, problem};

/// Why a response is not that of the upstream; in the extensions of such responses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UpstreamFailure {
    /// There was no connection, or no TLS session (502).
    Connect,
    /// It took longer than [`ProxySettings::connect_timeout`](super::ProxySettings::connect_timeout) to connect (504).
    ConnectTimeout,
    /// No response began within [`ProxySettings::header_timeout`](super::ProxySettings::header_timeout) (504).
    HeaderTimeout,
    /// The connection was closed before a response, or the response is malformed (502).
    InvalidResponse,
    /// The client broke off its body (400).
    RequestBody,
    /// The client's body stood still for [`ProxySettings::idle_timeout`](super::ProxySettings::idle_timeout) (408).
    RequestBodyTimeout,
}

impl UpstreamFailure {
    /// The failure as the access log has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "upstream_connect",
            Self::ConnectTimeout => "upstream_connect_timeout",
            Self::HeaderTimeout => "upstream_header_timeout",
            Self::InvalidResponse => "upstream_invalid_response",
            Self::RequestBody => "request_body",
            Self::RequestBodyTimeout => "request_body_timeout",
        }
    }
}

/// What an [`UpstreamFailure`] came from, for a log; beside it in the extensions if there is more to say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FailureCause(Arc<str>);

impl FailureCause {
    /// The text of the error and its causes.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An [`UpstreamFailure`] with its cause.
#[derive(Debug)]
pub(super) struct Failed {
    failure: UpstreamFailure,
    cause: Option<FailureCause>,
}

impl Failed {
    pub(super) fn because(failure: UpstreamFailure, error: &(dyn Error + 'static)) -> Self {
        Self { failure, cause: Some(FailureCause(exit::line(error).into())) }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let (status, detail) = match self.failure {
            UpstreamFailure::Connect => (StatusCode::BAD_GATEWAY, "The upstream cannot be reached."),
            UpstreamFailure::ConnectTimeout => {
                (StatusCode::GATEWAY_TIMEOUT, "Connecting to the upstream took too long.")
            }
            UpstreamFailure::HeaderTimeout => (StatusCode::GATEWAY_TIMEOUT, "The upstream took too long to answer."),
            UpstreamFailure::InvalidResponse => (StatusCode::BAD_GATEWAY, "The upstream gave no valid response."),
            UpstreamFailure::RequestBody => {
                (StatusCode::BAD_REQUEST, "The body of the request is incomplete or malformed.")
            }
            UpstreamFailure::RequestBodyTimeout => {
                (StatusCode::REQUEST_TIMEOUT, "The body of the request took too long.")
            }
        };
        let mut response = problem::response(status, detail);
        response.extensions_mut().insert(self.failure);
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

impl From<UpstreamFailure> for Failed {
    fn from(failure: UpstreamFailure) -> Self {
        Self { failure, cause: None }
    }
}
