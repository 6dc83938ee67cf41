//! Middleware that lets requests through with a valid Clerk token.
//!
//! [`ClerkAuthLayer`] wraps any Tower service over HTTP, whatever its bodies:
//!
//! - A request with a valid token goes on with a [`ClerkAuth`] in its extensions, in the same call: no lock
//!   of ours is taken and nothing is boxed.
//! - A request whose token is not good is answered; see [`rejection`](crate::rejection). Its body is not read.
//! - A request whose key has to be fetched first waits, and holds none of the inner service's capacity
//!   while it does.
//!
//! # Which requests pass without a user
//!
//! | | by default | [`allow_anonymous_requests`] | [`allow_unauthenticated_requests`] |
//! |---|---|---|---|
//! | no Bearer credential | 401 | passes | passes |
//! | bad token | 401 | 401 | passes |
//! | malformed request | 400 | 400 | 400 |
//! | keys unavailable | 503 | 503 | passes |
//!
//! Where a request passes, exactly one of [`ClerkAuth`] and [`Rejection`](crate::Rejection) lies in its
//! extensions.
//!
//! # Layer order
//!
//! From the outside in: sensitive headers, trace, CORS, panics, timeout, **`ClerkAuthLayer`**, limits, routes.
//! CORS stands outside so that refusals carry its headers and preflights, which have no token, are answered
//! before they get here: OPTIONS is not exempt.
//!
//! A token is checked once, when the request's head arrives. For a response that streams on, end it at
//! [`expires_at`](crate::claims::Claims::expires_at). A user who signs out is accepted until the token
//! expires, 60 seconds by default.
//!
//! [`allow_anonymous_requests`]: ClerkAuthLayer::allow_anonymous_requests
//! [`allow_unauthenticated_requests`]: ClerkAuthLayer::allow_unauthenticated_requests

mod body;
mod decide;
mod extension;
mod future;
mod layer;
mod resource_metadata;
mod service;

pub use self::{
    body::ResponseBody,
    extension::{ClerkAuth, CustomClaims},
    future::ResponseFuture,
    layer::ClerkAuthLayer,
    service::ClerkAuthService,
};
