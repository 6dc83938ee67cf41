//! Issuers and tokens. RSA keys take long to generate, so each key is generated once in a process.

use std::sync::OnceLock;

use tower_clerk::testing::{ManualClock, TestIssuer, TokenBuilder};

/// A header value with a token that is malformed under every key set.
pub(crate) const BAD: &str = "Bearer a.b.c";

/// The issuer of most tests. Its clock stands still.
pub(crate) fn issuer() -> &'static TestIssuer {
    numbered_issuer(0)
}

/// An issuer with another key under the same `kid` and the same URL.
pub(crate) fn other_issuer() -> &'static TestIssuer {
    numbered_issuer(1)
}

/// One of four issuers whose clocks stand still. They have the same URL, and their keys the same `kid`.
pub(crate) fn numbered_issuer(number: usize) -> &'static TestIssuer {
    static ISSUERS: [OnceLock<TestIssuer>; 4] = [const { OnceLock::new() }; 4];
    ISSUERS[number].get_or_init(|| TestIssuer::new().clock(ManualClock::new()))
}

/// An issuer that mints tokens by the system clock.
pub(crate) fn system_clock_issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(TestIssuer::new)
}

/// A valid token of [`issuer`].
pub(crate) fn token() -> TokenBuilder {
    issuer().token("user_ada")
}

/// The header value with this token.
pub(crate) fn bearer(token: &TokenBuilder) -> String {
    format!("Bearer {}", token.sign())
}

/// The header value with a valid token of `user_ada`.
pub(crate) fn good() -> String {
    bearer(&token())
}

/// The header of a valid token.
pub(crate) fn header() -> String {
    format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, issuer().kid())
}

/// The JSON object with one more member, whose value is inserted as it is.
pub(crate) fn with_member(object: &str, name: &str, value: &str) -> String {
    format!("{},\"{name}\":{value}}}", object.strip_suffix('}').expect("an object"))
}
