use std::sync::OnceLock;

use tower_clerk::{
    ClerkConfig, ConfigError, Verifier,
    claims::Claims,
    testing::{ManualClock, TestIssuer, TokenBuilder},
    verify::VerifyErrorKind,
};

/// One issuer for all tests, whose clock never moves.
pub(crate) fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(|| TestIssuer::new().clock(ManualClock::new()))
}

/// A good token, to be changed in one respect.
pub(crate) fn token() -> TokenBuilder {
    issuer().token("user_ada")
}

pub(crate) fn verify(token: &str) -> Result<Claims, VerifyErrorKind> {
    verify_with(token, Ok)
}

/// Verifies with the default configuration changed in one respect.
pub(crate) fn verify_with(
    token: &str,
    change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>,
) -> Result<Claims, VerifyErrorKind> {
    let config = change(issuer().config()).expect("a configuration");
    let verifier = Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier");
    verifier.try_verify(token).map_err(|error| error.kind())
}

/// The claims of a token that must be accepted.
pub(crate) fn accepted(token: &TokenBuilder) -> Claims {
    verify(&token.sign()).unwrap_or_else(|kind| panic!("refused for {kind:?}: {}", token.payload()))
}

#[track_caller]
pub(crate) fn assert_refused(token: &TokenBuilder, kind: VerifyErrorKind) {
    assert_eq!(verify(&token.sign()).err(), Some(kind), "{}", token.payload());
}

/// The token's header and payload with the same signature type, written by hand.
pub(crate) fn signed(header: &str, payload: &str) -> String {
    issuer().sign(header, payload)
}

/// The header of a good token.
pub(crate) fn header() -> String {
    format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, issuer().kid())
}
