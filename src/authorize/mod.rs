//! Authorization: what an authenticated user may do.
//!
//! A [`Requirement`] is a condition on the claims of a user: a role, a permission, a feature, a plan, a recent
//! verification of factors, or a predicate of your own; or on those of an OAuth client or an API key: a scope. Check it
//! where it fits best:
//!
//! | where | with |
//! |---|---|
//! | in front of routes or a whole service | [`RequireLayer`], inside of a [`ClerkAuthLayer`](crate::ClerkAuthLayer) |
//! | in the signature of an axum handler | [`Authorized<P>`], with `P` a [`Policy`] |
//! | in a handler, if the requirement depends on the request | [`ClerkAuth::require`](crate::ClerkAuth::require) |
//! | in a handler, to choose what to show | [`ClerkAuth::has`](crate::ClerkAuth::has) |
//!
//! [`Principal`](crate::Principal), [`OAuthToken`](crate::OAuthToken), [`M2mToken`](crate::M2mToken) and
//! [`ApiKey`](crate::ApiKey) have the same two methods.
//!
//! A program that its operators configure reads a requirement
//! [from text](Requirement#impl-FromStr-for-Requirement), such as `role=org:admin permission=org:invoices:create`.
//!
//! # Who meets what
//!
//! | | session | OAuth token | API key | M2M token |
//! |---|---|---|---|---|
//! | role, permission, feature, plan, reverification | if it has it | never | never | never |
//! | predicate | if it returns `true` | never | never | never |
//! | [scope](Requirement::scope) | never | if it has it | if it has it | never |
//! | [instance](Requirement::instance) | if it is of it | if it is of it | if it is of it | if it is of it |
//! | [`RequireAuthenticatedLayer`] | always | if [named](RequireAuthenticatedLayer::or) | if named | if named |
//! | [`Authorized<P>`] | if it meets `P` | 401 | 401 | 401 |
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_clerk::{ClerkAuthLayer, RequireLayer, Requirement, testing::TestIssuer};
//!
//! let issuer = TestIssuer::new();
//! let service = ServiceBuilder::new()
//!     .layer(ClerkAuthLayer::from_config(issuer.config())?)
//!     .layer(RequireLayer::new(Requirement::role("org:admin")))
//!     .service_fn(async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new())));
//!
//! for (role, status) in [("admin", 200), ("member", 403)] {
//!     let token = issuer.token("user_ada").organization("org_acme", role).sign();
//!     let request = Request::builder().header("authorization", format!("Bearer {token}")).body(String::new())?;
//!     assert_eq!(service.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Responses
//!
//! | the request has | response |
//! |---|---|
//! | a user who meets the requirement | the inner service's |
//! | a user who does not | 403 `insufficient_scope` |
//! | a token of another kind that does not | the same; the challenge names the scopes that are asked for, if any |
//! | a token of another kind, where only users are taken | 401 `invalid_token` |
//! | a user who would meet it after a reverification | 403, with the body on which Clerk's front end starts one |
//! | no user, but the rejection of a layer that let it pass | that rejection: 401, or 503 if keys are unavailable |
//! | neither, since no `ClerkAuthLayer` has seen it | 500, and an ERROR event that says so |
//!
//! A missing layer is a mistake of the program and not of the client, so it is a 500 and never a 401.
//!
//! A gRPC call is rejected with code 7 (`PERMISSION_DENIED`) in place of a 403. The
//! [`RejectionFormat`](crate::rejection::RejectionFormat) and the
//! [`RejectionResponse`](crate::rejection::RejectionResponse) are those of the layer that authenticated the user.

mod future;
mod has;
mod layer;
mod parse;
mod policy;
mod requirement;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{RequireAuthenticatedLayer, RequireLayer},
    parse::{ParseRequirementError, ParseRequirementErrorKind},
    policy::{Authorized, Policy},
    requirement::Requirement,
    service::RequireService,
};
