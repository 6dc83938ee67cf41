//! gRPC calls, and the statuses of their responses.

use tonic::{Code, Request, Status};

/// A call with these `authorization` entries.
pub(crate) fn call<T>(message: T, authorization: &[&str]) -> Request<T> {
    let mut request = Request::new(message);
    for value in authorization {
        request.metadata_mut().append("authorization", value.parse().expect("a value"));
    }
    request
}

/// The gRPC code and the code of the rejection.
pub(crate) fn codes(status: &Status) -> (Code, Option<&str>) {
    (status.code(), status.metadata().get("clerk-error-code").map(|code| code.to_str().expect("ASCII")))
}
