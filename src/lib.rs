//! Tower middleware that verifies [Clerk](https://clerk.com) session tokens: only requests with a valid
//! token get in, and the handler knows who it is.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_clerk::{ClerkAuth, ClerkAuthLayer};
//!
//! async fn me(user: ClerkAuth) -> String {
//!     format!("hello {}", user.user_id())
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let clerk = ClerkAuthLayer::new("https://sensible-skunk-49.clerk.accounts.dev")?;
//! let app = Router::new().route("/me", get(me)).route_layer(clerk);
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The layer wraps any Tower service over HTTP, such as those of axum, tonic and hyper, and asks nothing of
//! their bodies. Keys are fetched from the instance's Frontend API when the first token needs them, kept
//! fresh in the background, and served on while Clerk cannot be reached.
//!
//! # More than the defaults
//!
//! [`ClerkConfig`] says whom to trust and how strictly, the layer's own methods what becomes of requests.
//! [`ClerkAuthLayer::from_env`] reads it all from the environment.
//!
//! ```
//! use std::time::Duration;
//! use tower_clerk::{ClerkAuthLayer, ClerkConfig};
//!
//! let config = ClerkConfig::from_publishable_key("pk_test_Y2xlcmsuY2xlcmsuZGV2JA")?
//!     .authorized_parties(["https://app.example.com"])?
//!     .clock_skew(Duration::from_secs(10))?;
//! # #[cfg(feature = "reqwest")]
//! let clerk = ClerkAuthLayer::from_config(config)?.allow_anonymous_requests();
//! # Ok::<(), tower_clerk::ConfigError>(())
//! ```
//!
//! # Without HTTP
//!
//! A [`Verifier`] takes a token and returns its claims.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use tower_clerk::{Verifier, testing::TestIssuer, verify::VerifyErrorKind};
//!
//! let issuer = TestIssuer::new();
//! let verifier = Verifier::new(issuer.config())?;
//!
//! let claims = verifier.verify(&issuer.token("user_ada").sign()).await?;
//! assert_eq!(claims.user_id(), "user_ada");
//!
//! let error = verifier.verify(&issuer.token("user_ada").expired().sign()).await.unwrap_err();
//! assert_eq!(error.kind(), VerifyErrorKind::Expired);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to read on
//!
//! - [`authenticate`]: the middleware, its modes, where it stands among other layers.
//! - [`authorize`]: what a user may do, and who decides it where.
//! - [`verify`]: every check, in order; several instances; tokens that were verified before.
//! - [`jwks`]: how keys are fetched and kept, and what happens when Clerk is down.
//! - [`rejection`]: what a refused client is answered.
//! - [`config`]: every setting and its default.
//! - `testing`: tokens and users for your own tests.
//!
//! # Features
//!
//! A feature adds something and never changes an answer. With none, tokens are verified with keys at hand.
//!
//! | name | description | default? |
//! |---|---|---|
//! | `axum` | [`ClerkAuth`] and [`CustomClaims`] as extractors of axum 0.8 | yes |
//! | `reqwest` | fetching keys over HTTPS | yes |
//! | `tonic` | [`ClerkAuth`] from a request of tonic 0.14, and refusals as its `Status` | |
//! | `tracing` | events for operators and for debugging | yes |
//! | `full` | all of the above | |
//! | `testing` | a test kit: an issuer, tokens, users, a clock | |
//! | `fips` | the FIPS build of aws-lc | |
//!
//! # Where this crate departs from a plainer shape
//!
//! The strict JSON reader and the clock are leaves of their own, which `config` and everything before it may
//! use: policy documents obey the same grammar as tokens, and key sets age by the same clock that tokens do.
//! Tasks are spawned in one file, that of the fetch in flight. The caches of keys and of resolved instances are
//! moka's, that of verified tokens is quick_cache's, which takes no allocation to read. A verified token is found by
//! its end and told by the SHA-256 of the whole, which then is not made of every forgery. The segments of a token are
//! decoded by base64-simd, as strictly as by base64; what strangers cannot fill is hashed by foldhash.

// For the library alone: a test or an example fails where it stands.
#![warn(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used
)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("docs/when_clerk_is_down.md")]
#![doc = include_str!("docs/threat_model.md")]
#![doc = include_str!("docs/recipes.md")]
#![doc = include_str!("docs/mistakes.md")]
#![doc = include_str!("docs/events.md")]

pub mod authenticate;
pub mod authorize;
#[cfg(feature = "axum")]
mod axum;
pub mod claims;
mod clock;
pub mod config;
mod json;
pub mod jwks;
mod jwt;
pub mod rejection;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
#[cfg(feature = "tonic")]
mod tonic;
pub mod verify;

pub use self::{
    authenticate::{ClerkAuth, ClerkAuthLayer, ClerkAuthService, CustomClaims},
    authorize::Requirement,
    config::{ClerkConfig, ConfigError},
    rejection::Rejection,
    token::TokenSource,
    verify::Verifier,
};
