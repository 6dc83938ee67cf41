//! What a verified user may do.
//!
//! A [`Requirement`] says what is asked for, and is asked of a user in three places:
//!
//! - [`RequireLayer`] guards routes and services, behind a [`ClerkAuthLayer`](crate::ClerkAuthLayer);
//! - [`ClerkAuth::require`](crate::ClerkAuth::require) refuses inside a handler, where what is asked for depends
//!   on the request;
//! - [`ClerkAuth::has`](crate::ClerkAuth::has) answers yes or no.
//!
//! In axum, [`Authorized<P>`] is an extractor for a [`Policy`] of your own.
//!
//! | the request has | the answer |
//! |---|---|
//! | a user who meets the requirement | the inner service's |
//! | a user who does not | 403 `insufficient_scope` |
//! | a user who would after verifying their factors again | 403 with the body that Clerk's front end retries on |
//! | no user, where the layer let the request pass | the layer's refusal: 401, or 503 while keys are unavailable |
//! | not gone through a layer | 500, with advice in the log |
//!
//! gRPC calls are refused with 7 (`PERMISSION_DENIED`), in the form and by the hook of the layer that let the user in.

mod future;
mod layer;
mod policy;
mod requirement;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{RequireAuthenticated, RequireLayer},
    policy::{Authorized, Policy},
    requirement::Requirement,
    service::RequireService,
};
pub use crate::claims::{Reverification, ReverificationLevel};
