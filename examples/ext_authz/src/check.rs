//! The service that Envoy calls.

use envoy_types::ext_authz::v3::pb::{Authorization, CheckRequest, CheckResponse};
use http::{Request, StatusCode, header::CONTENT_TYPE};

use crate::{
    guard::{Decision, Guard},
    identity_headers::IdentityHeaders,
    request::{Asked, Malformed},
    response,
};

/// `envoy.service.auth.v3.Authorization`.
pub(crate) struct Check {
    pub(crate) guard: Guard,
    pub(crate) identity_headers: IdentityHeaders,
}

#[tonic::async_trait]
impl Authorization for Check {
    async fn check(
        &self,
        check: tonic::Request<CheckRequest>,
    ) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        let response = match Asked::try_from(check.into_inner()) {
            Ok(asked) => self.decide(asked).await,
            Err(Malformed) => refused(StatusCode::BAD_REQUEST, "malformed"),
        };
        Ok(tonic::Response::new(response))
    }
}

impl Check {
    /// Describes what it counts itself to the recorder.
    pub(crate) fn describe_metrics() {
        metrics::describe_counter!(
            "ext_authz_refusals",
            "requests that this program refused before the layer saw them"
        );
    }

    async fn decide(&self, asked: Asked) -> CheckResponse {
        let is_grpc = is_grpc(&asked.head);
        let forged = response::forged(self.identity_headers, asked.head.headers());
        match self.guard.decide(asked).await {
            Decision::Allowed(caller) => response::allowed(&caller, self.identity_headers, forged),
            Decision::Rejected(rejected) => response::rejected(&rejected, is_grpc),
            Decision::Unreadable => refused(StatusCode::FORBIDDEN, "unreadable_requirement"),
        }
    }
}

/// Refuses what the layer has not seen, and so has not counted.
fn refused(status: StatusCode, reason: &'static str) -> CheckResponse {
    metrics::counter!("ext_authz_refusals", "reason" => reason).increment(1);
    response::refused(status)
}

/// Whether Envoy takes a request for a gRPC call, whatever its method.
fn is_grpc<B>(head: &Request<B>) -> bool {
    let content_type = head.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    content_type.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest, [] | [b'+', ..]))
}
