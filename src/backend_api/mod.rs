//! Opaque tokens, which Clerk's Backend API verifies.
//!
//! An opaque token (`ak_…`, `oat_…`, `mt_…`) says nothing by itself: the service asks Clerk's Backend API about it.
//! Each call costs money and counts against the limits of the instance, and a client can send any number of made-up
//! tokens. So a verifier asks as rarely as it can, and never more than the [`OpaqueTokenLimits`] allow.
//!
//! Which kinds of tokens are accepted is a setting, [`ClerkConfig::accept`]. Without it nothing of this module happens.
//!
//! # Example
//!
//! The client of the feature `reqwest` asks Clerk. Here a closure takes its place:
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use tower_clerk::{ClerkConfig, Principal, TokenKind, Verifier, jwks::FetchError};
//! use tower_clerk::verify::{Instance, VerifyErrorKind};
//!
//! # use tower_clerk::testing::TestIssuer;
//! # let issuer = TestIssuer::new();
//! let api = |request: Request<Bytes>| async move {
//!     let key = r#"{"object":"api_key","id":"ak_1","subject":"user_ada","name":"ci","scopes":["things:read"],
//!         "claims":null,"revoked":false,"expired":false,"expiration":null}"#;
//!     let (status, body) = match request.body().as_ref() {
//!         br#"{"secret":"ak_good"}"# => (200, key),
//!         _ => (404, r#"{"errors":[]}"#),
//!     };
//!     Response::builder().status(status).body(Bytes::from(body)).map_err(FetchError::new)
//! };
//! let config = ClerkConfig::from_jwks(issuer.jwks())?.accept([TokenKind::Session, TokenKind::ApiKey])?;
//! let verifier = Verifier::builder(Instance::new(config).backend_api(api)).build()?;
//!
//! for _ in 0..1000 {
//!     let principal = verifier.verify_principal("ak_good").await?;
//!     let Principal::ApiKey(key) = principal else { panic!("an API key is recognized by its prefix") };
//!     assert_eq!(key.user_id(), Some("user_ada"));
//!
//!     let error = verifier.verify_principal("ak_made_up").await.unwrap_err();
//!     assert_eq!(error.kind(), VerifyErrorKind::Inactive);
//! }
//! assert_eq!(verifier.opaque_tokens_status().calls, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is kept
//!
//! Answers are kept by the SHA-256 of the token, never with the token. Two verifiers share nothing.
//!
//! | answer | kept for | bounded by |
//! |---|---|---|
//! | the token is valid | [`opaque_token_ttl`], 60 seconds by default, from the start of the call; never past the expiration of the token | 10 000 answers, 32 MiB |
//! | the token is not valid | 60 seconds | 10 000 answers, in a cache of their own |
//! | the token was seen valid | an hour, without the answer: whoever has such a token is no stranger | 100 000 tokens |
//! | the API says nothing about the token | see [below](#when-the-backend-api-fails) | |
//!
//! The first number is the longest time for which a revoked token is still accepted, while the API answers. When it
//! ends, requests wait for the next call: an old answer is not served meanwhile. A new answer about a token that has
//! expired by less than [`clock_skew`] counts, but only for the requests that wait for it. Either clock can end it, so
//! a machine that was suspended does not keep a revoked token alive. [`Verifier::forget_opaque_token`] ends it at once.
//!
//! A token that is malformed is rejected without a call: its body is empty or has a character outside
//! `A-Z a-z 0-9 . _ ~ + / = -`, or the token is longer than 512 bytes.
//!
//! # What a call may cost
//!
//! | situation | behaviour |
//! |---|---|
//! | many requests have one token | one call, for which all wait; a client that hangs up stops nothing |
//! | many tokens | 64 calls at once, of which a quarter is kept for tokens that were seen valid |
//! | a token was never seen valid, or not in the last hour | a call from a budget: 100 at once, 20 more a second; if it finds the token valid, it gives its place back |
//! | the budget is spent | 503 with `Retry-After`, and no call |
//! | a token was seen valid in the last hour | a call outside of the budget, so made-up tokens cannot lock its owner out |
//! | the service starts | no token was seen valid yet. Those that arrive while the calls of the budget are in flight get 503 (never 401) with `Retry-After`; a thousand good keys at once are all in after some seconds. In a flood they share the budget with it |
//! | the application calls [`Verifier::forget_opaque_tokens`] | what is known is forgotten, but not which tokens were seen valid: they stay outside of the budget |
//! | several instances | those that accept the kind and have a key for it are asked in their order, until one says that the token is valid; the budget must have one for each before the first call, and gets back those that were not needed |
//!
//! What is rejected without a call takes nothing from the budget. The calls about a token take at most 3 seconds in
//! all, of which they wait at most 2 for their place. Of several instances each gets an equal share of the time that is
//! left, so one that hangs leaves time for the others. A token that gets no place in time gets 503, and nothing is kept
//! about it.
//!
//! # When the Backend API fails
//!
//! | situation | behaviour |
//! |---|---|
//! | a call fails, and the token was valid before | the old answer is used for up to [`opaque_token_stale`] more, 5 minutes by default, but never past the expiration of the token; then 503, and 401 when it has expired by [`clock_skew`] and a call about it has failed |
//! | a call fails, and it was not | 503 with `Retry-After` |
//! | calls for a token fail | the next one comes after 1 second; with an answer to fall back on after 1, 2, 4 and up to 30 seconds, and no request waits meanwhile |
//! | the API sends `Retry-After` | no call for any token until then, up to 60 seconds; then at most two at a time, until the API answers |
//! | calls for five different tokens in a row fail | at most two calls a second, until the API answers |
//! | the API answers 401: *our* key is wrong | 503 for this token, and an ERROR event, at most one a minute for each setting, which it names; no other token is held up |
//! | the API answers 403: this machine is not granted the token | the same, with another text; an old answer is not used |
//!
//! The last four rows are for each instance alone. Of the two calls, one is for a token that was seen valid and one for
//! any other, so tokens that were never seen valid stop no calls for those that were. An answer that says that a token
//! is not valid is an answer: it takes effect at once, whatever was kept.
//!
//! [`Verifier::opaque_tokens_status`] counts the calls, and the requests that were answered from what is kept, accepted
//! by an old answer, refused by the budget, and refused because the API fails. A spent budget is a WARN event too, at
//! most one a minute.
//!
//! [`ClerkConfig::accept`]: crate::ClerkConfig::accept
//! [`Verifier::forget_opaque_token`]: crate::Verifier::forget_opaque_token
//! [`Verifier::forget_opaque_tokens`]: crate::Verifier::forget_opaque_tokens
//! [`Verifier::opaque_tokens_status`]: crate::Verifier::opaque_tokens_status
//! [`clock_skew`]: crate::ClerkConfig::clock_skew
//! [`opaque_token_stale`]: crate::ClerkConfig::opaque_token_stale
//! [`opaque_token_ttl`]: crate::ClerkConfig::opaque_token_ttl

mod answer;
mod answers;
mod ask;
mod calls;
mod health;
mod limits;
mod request;
mod source;
mod status;
mod tokens;

#[cfg(feature = "reqwest")]
mod http;

use std::sync::Arc;

#[cfg(feature = "reqwest")]
pub(crate) use self::http::HttpBackendApi;
pub(crate) use self::{answer::OpaqueRejection, answers::OpaqueFailure, tokens::OpaqueTokens};
pub use self::{limits::OpaqueTokenLimits, source::BackendApi, status::OpaqueTokensStatus};
use crate::{
    config::{ClerkConfig, InstanceInfo},
    token_kind::TokenKind,
};

/// An instance whose opaque tokens are asked about.
pub(crate) struct OpaqueInstance {
    pub(crate) config: ClerkConfig,
    pub(crate) info: Arc<InstanceInfo>,
    pub(crate) api: Arc<dyn BackendApi>,
    /// Whether `api` is the application's own, which may need no key of the configuration.
    pub(crate) has_own_api: bool,
    /// Whether its name is a label of metrics.
    pub(crate) is_named: bool,
}

impl OpaqueInstance {
    /// Its name in metrics, if it has one there.
    fn metrics_name(&self) -> Option<&str> {
        self.is_named.then_some(self.config.name())
    }

    /// Whether it is asked about opaque tokens of this kind.
    fn is_asked(&self, kind: TokenKind) -> bool {
        let has_key = || self.config.opaque_token_key(kind).is_some();
        kind != TokenKind::Session && self.config.accepted.contains(kind) && (self.has_own_api || has_key())
    }
}
