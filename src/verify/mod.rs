//! Verification of tokens, with or without HTTP.
//!
//! A [`Verifier`] takes the text of a token and returns its [`Claims`](crate::claims::Claims), or a [`VerifyError`]
//! whose kind is the first check that failed. It does no I/O, except to fetch keys, to call a resolver, and to ask the
//! Backend API about opaque tokens.
//!
//! # Example
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
//! assert_eq!(error.to_string(), "token expired (exp)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Checks
//!
//! Every session token passes these checks, in this order. Before the signature is verified, the payload is used for
//! two purposes only: its `iss` selects one of several instances, and its `sub` the rules of its kind.
//!
//! 1. The token is at most [`max_token_length`](crate::ClerkConfig::max_token_length) bytes long.
//! 2. It has three segments (RFC 7515, section 7.1). The first is canonical base64url of a JSON object in UTF-8 with
//!    unique member names (RFC 7515, section 5.2).
//! 3. The header has no `crit`; `typ` is absent or `JWT`; `cat` is absent or marks a session token; `alg` is RS256,
//!    RS384 or RS512; `kid` is a string of 1 to 255 bytes. With a PEM key, `kid` may be absent or any string. The
//!    [kind](crate::TokenKind) of the token is one that is [accepted](crate::ClerkConfig::accept).
//! 4. The payload is encoded in the same way (RFC 7519, section 7.2), and so are the objects `act` and `o` in it. The
//!    signature is canonical base64url.
//! 5. The key set has a key with that `kid`, and `alg` is the one algorithm of the key (RFC 8725, section 3.1).
//! 6. The key verifies the signature (RFC 7518, section 3.3).
//! 7. `sub` is a user, `sid` a session; `iss` is an issuer of the instance, compared byte by byte.
//! 8. `azp` is an authorized party and `aud` names one of the audiences, where those are configured.
//! 9. `act`, if present, is an object with a `sub`.
//! 10. `exp` has not passed, `nbf` and `iat` are not in the future, each within the clock skew (RFC 7519, section 4.1).
//!     The lifetime is at most [`max_token_lifetime`](crate::ClerkConfig::max_token_lifetime), if one is configured.
//! 11. The session is not pending (`sts`).
//!
//! A claim that is `null` counts as present and invalid.
//!
//! ## OAuth and M2M tokens
//!
//! A JWT of another kind passes checks 1 to 6 too, with the `typ` and `cat` of its kind. Its header and its kind are
//! checked before any key is fetched for it. After the signature come the checks of this table in place of 7 to 11.
//! Members that the table does not name are never looked at, so an authorized party (`azp`) is not required.
//!
//! | | OAuth token | M2M token |
//! |---|---|---|
//! | `typ` | `at+jwt` or `application/at+jwt` (RFC 9068, section 2.1) | absent or `JWT` |
//! | `cat` | not looked at | absent, or marks an M2M token |
//! | `sub` | a string that is not empty, and no machine | starts with `mch_` |
//! | `iss`, `exp`, `nbf`, `iat` | as for sessions | as for sessions |
//! | lifetime | [`max_oauth_token_lifetime`](crate::ClerkConfig::max_oauth_token_lifetime) | [`max_m2m_token_lifetime`](crate::ClerkConfig::max_m2m_token_lifetime) |
//! | `aud` | one of [`oauth_audience`](crate::ClerkConfig::oauth_audience), if set | one of [`m2m_audience`](crate::ClerkConfig::m2m_audience), if set |
//! | this machine | | in `scopes`, or else in `aud`, if [`machine_id`](crate::ClerkConfig::machine_id) is set |
//! | `cnf` (RFC 7800) | absent | absent |
//! | `act` | absent, or an object with a `sub` (RFC 8693, section 4.1) | not looked at |
//!
//! Where an audience is set, `aud` must be a string that is not empty, or an array of such strings that is not empty
//! either. Such a token cannot be revoked before its `exp`: an OAuth token of Clerk lives for a day by default, so a
//! lifetime is the only limit.
//!
//! ## Several instances and the checks
//!
//! Three checks depend on the number of instances. With one, an unknown `kid` for which no fetch is allowed is rejected
//! before the payload is decoded: forgeries come in floods and must cost little. With several, the length and `cat` are
//! first checked against the most permissive configuration, then against the instance that `iss` selects. So is the
//! kind, which for the tenants of a resolver is known before it is called.
//!
//! # Token cache
//!
//! A browser sends the same token with every request for up to a minute. A verifier caches the claims of each verified
//! token with its header and payload and the SHA-256 of its signature, so that the next request with exactly this token
//! costs no signature. On a hit it checks the time without clock skew, that the key is still in the key set, and that
//! the instance is still trusted. If one of these checks fails, the token passes through all checks again.
//!
//! Rejected tokens are not cached. Of a signature only the last 32 characters and a digest of the others are. Two
//! verifiers share nothing. See [`VerifierBuilder::token_cache_entries`].
//!
//! # Several instances
//!
//! [`VerifierBuilder::instance`] trusts configured instances, [`VerifierBuilder::resolver`] the tenants in the records
//! of the application. The `iss` of a token selects the instance: a configured one first, else the one that the
//! resolver returns. Then the keys and settings of this instance alone apply, and `iss` is checked again after the
//! signature. A key of one instance therefore never verifies a token of another.
//!
//! User ids are unique within one instance only. Identify a user by the pair of
//! [issuer](crate::claims::Claims::issuer) and [user id](crate::claims::Claims::user_id).

mod builder;
mod cache;
mod cached_token;
mod checks;
mod claimed;
mod diagnostics;
mod error;
mod machine_checks;
mod opaque;
mod pipeline;
mod thread_cache;
mod verifier;
mod waiting;

pub use self::{
    builder::VerifierBuilder,
    cache::TokenCacheStatus,
    error::{UnavailableReason, VerifyError, VerifyErrorKind},
    verifier::Verifier,
};
pub(crate) use self::{
    claimed::ClaimedToken,
    pipeline::{PendingVerification, Progress, Verification, session},
    waiting::WaitingPermit,
};
pub use crate::{
    clock::{Clock, SystemClock},
    instance::{Instance, InstanceResolver, ResolveError, ResolverLimits},
};
