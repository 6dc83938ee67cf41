//! The methods of operations.

use http::Method;

/// Those that a path item of OpenAPI 3 can have.
pub(super) const METHODS: [Method; 8] = [
    Method::GET,
    Method::PUT,
    Method::POST,
    Method::DELETE,
    Method::OPTIONS,
    Method::HEAD,
    Method::PATCH,
    Method::TRACE,
];
