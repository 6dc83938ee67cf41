//! A test kit: an issuer with keys of its own, tokens of every kind, a clock to turn.
//!
//! It stands on the public API alone. What it makes is real: tokens are signed with RSA keys made on the
//! spot and go through the same verifier as Clerk's, which it has no way to weaken.
//!
//! Where something cannot be made, the kit panics, as a test should.
//!
//! ```
//! use tower_clerk::{ClerkAuthLayer, testing::TestIssuer};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let issuer = TestIssuer::start().await?;
//! let layer = ClerkAuthLayer::new(issuer.url())?;
//! let token = issuer.token("user_ada").organization("org_acme", "admin").sign();
//!
//! let claims = layer.verifier().verify(&token).await?;
//! assert_eq!(claims.organization().and_then(|organization| organization.role()), Some("org:admin"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod auth;
mod clock;
mod issuer;
mod server;
mod token;

use std::fmt::Debug;

pub use self::{auth::ClerkAuthBuilder, clock::ManualClock, issuer::TestIssuer, token::TokenBuilder};

/// The value, or the end of the test.
#[expect(clippy::panic, reason = "a test kit fails the test it is used in")]
fn must<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}
