//! What a verifier accepts and rejects, through the public API.

mod claims;
mod header;
mod keys;
mod payload;
mod times;

use tower_clerk::{ClerkConfig, ConfigError, claims::Claims, testing::TokenBuilder, verify::VerifyErrorKind};

use crate::support::{issuer, verifier};

fn verify(token: &str) -> Result<Claims, VerifyErrorKind> {
    verify_with(token, Ok)
}

/// Verifies with a changed configuration.
fn verify_with(
    token: &str,
    change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>,
) -> Result<Claims, VerifyErrorKind> {
    let config = change(issuer().config()).expect("a configuration");
    verifier(config).try_verify(token).map_err(|error| error.kind())
}

/// The claims of a token that must be accepted.
#[track_caller]
fn accepted(token: &TokenBuilder) -> Claims {
    verify(&token.sign()).unwrap_or_else(|kind| panic!("rejected with {kind:?}: {}", token.payload()))
}

#[track_caller]
fn assert_rejected(token: &TokenBuilder, kind: VerifyErrorKind) {
    assert_eq!(verify(&token.sign()).err(), Some(kind), "{}", token.payload());
}

/// A token with this header and payload, signed by the issuer.
fn signed(header: &str, payload: &str) -> String {
    issuer().sign(header, payload)
}
