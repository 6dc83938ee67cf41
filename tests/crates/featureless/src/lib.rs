//! Without the feature `axum` a user is not an extractor:
//!
//! ```compile_fail,E0277
//! fn is_extractor<T: axum_core::extract::FromRequestParts<()>>() {}
//! is_extractor::<tower_clerk::ClerkAuth>();
//! ```
//!
//! but it is in the extensions:
//!
//! ```
//! fn is_extension<T: Clone + Send + Sync + 'static>() {}
//! is_extension::<tower_clerk::ClerkAuth>();
//! ```
//!
//! Without the feature `reqwest` keys are not fetched:
//!
//! ```
//! let error = tower_clerk::ClerkAuthLayer::new("https://clerk.example.com").unwrap_err();
//! assert!(error.to_string().contains("needs the feature `reqwest`"));
//! ```
//!
//! and no opaque tokens are asked about, so their kinds are accepted as JWTs alone. API keys have no such form:
//!
//! ```
//! use tower_clerk::{ClerkConfig, TokenKind, Verifier};
//!
//! // The key of RFC 7515, appendix A.2.
//! let n = concat!(
//!     "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0B",
//!     "m4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5",
//!     "z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7",
//!     "aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
//! );
//! let jwks = format!(r#"{{"keys":[{{"kty":"RSA","kid":"ins_a","e":"AQAB","n":"{n}"}}]}}"#);
//! let accept = |kinds: &[TokenKind]| {
//!     ClerkConfig::from_jwks(&jwks)?.secret_key("sk_test_abc")?.accept(kinds.iter().copied()).and_then(Verifier::new)
//! };
//! assert!(accept(&[TokenKind::Session, TokenKind::OAuth, TokenKind::M2m]).is_ok());
//! let error = accept(&[TokenKind::ApiKey]).err().expect("no client");
//! assert!(error.to_string().contains("needs the feature `reqwest`"));
//! ```
