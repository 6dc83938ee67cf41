//! Test kit: an issuer with its own keys, tokens of every kind, a Backend API that answers for opaque ones, users, and
//! a clock that tests set.
//!
//! Enable the feature `testing` for your dev-dependency only. The kit uses the public API of the crate alone: its
//! tokens are signed with real RSA keys and pass the same checks as Clerk's, and it cannot switch off any.
//!
//! | to test | use |
//! |---|---|
//! | a handler or function that takes a user | [`ClerkAuth::builder`](crate::ClerkAuth::builder) |
//! | one that takes a token of another kind | [`OAuthToken::builder`], [`M2mToken::builder`], [`ApiKey::builder`] |
//! | one that takes any | `Principal::from` of one of these |
//! | an application with its layers | [`TestIssuer::new`], which needs no socket |
//! | the same with OAuth or M2M tokens that are JWTs | [`TestIssuer::oauth_token`], [`TestIssuer::m2m_token`] |
//! | the same with API keys and other opaque tokens | [`TestBackendApi::new`], which needs no socket either |
//! | fetching of keys, rotation and outages | [`TestIssuer::start`], which serves the JWKS on a loopback socket |
//! | calls of the Backend API, revocation and its outages | [`TestIssuer::backend_api`] on that socket, or [`TestBackendApi::start`] |
//! | expiry and refresh | [`ManualClock`] |
//!
//! [`ApiKey::builder`]: crate::ApiKey::builder
//! [`M2mToken::builder`]: crate::M2mToken::builder
//! [`OAuthToken::builder`]: crate::OAuthToken::builder
//!
//! With a paused Tokio clock use [`TestIssuer::new`]. Tokio advances a paused clock whenever its runtime has nothing to
//! do but to wait for a socket, so the timeouts of the application run out while a fetch is under way, above all one to
//! an issuer on another runtime.
//!
//! If something cannot be made, such as a socket or a valid token, the kit panics and so fails the test.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use axum::{Router, body::Body, http::Request, routing::get};
//! use tower::ServiceExt;
//! use tower_clerk::{ClerkAuth, ClerkAuthLayer, testing::TestIssuer};
//!
//! fn app(clerk: ClerkAuthLayer) -> Router {
//!     let me = async |user: ClerkAuth| user.user_id().to_owned();
//!     Router::new().route("/me", get(me)).route_layer(clerk)
//! }
//!
//! let issuer = TestIssuer::new();
//! let app = app(ClerkAuthLayer::from_config(issuer.config())?);
//!
//! for (token, status) in [(issuer.token("user_ada"), 200), (issuer.token("user_ada").expired(), 401)] {
//!     let bearer = format!("Bearer {}", token.sign());
//!     let request = Request::builder().uri("/me").header("authorization", bearer).body(Body::empty())?;
//!     assert_eq!(app.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod auth;
mod backend_api;
mod blocking;
mod clock;
mod issuer;
mod jwks;
mod key;
mod opaque_token;
mod principals;
mod records;
mod server;
mod token;

use std::fmt::Debug;

pub use self::{
    auth::ClerkAuthBuilder,
    backend_api::TestBackendApi,
    clock::ManualClock,
    issuer::TestIssuer,
    opaque_token::OpaqueTokenBuilder,
    principals::{ApiKeyBuilder, M2mTokenBuilder, OAuthTokenBuilder},
    token::TokenBuilder,
};

/// Returns the value, or panics with `what` and the error.
#[expect(clippy::panic, reason = "a test kit fails the test it is used in")]
fn expect<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}
