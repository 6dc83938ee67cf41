//! Keys: where they come from, and how they are fetched, refreshed and kept.
//!
//! A key set is fetched when the first token needs it and refreshed in the background while it is in use. Nothing is
//! spawned before a request needs it, and the fetch in flight stops with the last handle to its verifier.
//!
//! A token whose key is in the set waits for its keys in one case only: nobody has used the set for so long that its
//! refresh is overdue, as in a process that was idle or suspended.
//!
//! | situation | behaviour |
//! |---|---|
//! | the set is fresh | it is used |
//! | 80 to 90 % of the refresh interval has passed, or of the stale limit if that is shorter | one refresh in the background; no request waits |
//! | twice the refresh interval has passed, by the monotonic or the wall clock, and no refresh has failed since: the set is *late* | a token whose signature holds waits for one refresh, and is then verified again; if the refresh fails, the old set is used and no further request waits |
//! | a refresh fails | the last good set is used up to the stale limit, 24 hours by default |
//! | there is no set | requests wait for the one fetch in flight, at most its timeout, then get 503 with `Retry-After`; a request that joined too late for its key waits for one more fetch |
//! | fetches fail | back-off from 0.25 s, doubling to 1 s without keys and 30 s with keys; `Retry-After` is honoured up to 5 s and 60 s. One below that is lengthened by up to a half at random, but not past it; one of that length or more is not |
//! | a `kid` is unknown | a fetch, from a budget: two at once, one more every 10 seconds |
//! | a signature is bad under a known `kid` | one fetch a minute, if the set is older than 30 seconds |
//! | many instances need keys at once | 32 fetches at once for each verifier, of which 8 are kept for instances with keys, and 8 more for those whose last fetch has not failed; the wait for a place counts towards the timeout |
//! | forged tokens for many instances | a budget for each verifier, besides those of each instance: 64 fetches at once, 10 more every second |
//! | a document has no usable key | a failed fetch: the old set stays |
//!
//! [`Verifier::keys_status`](crate::Verifier::keys_status) reports the state. The guide has the
//! [outages](crate::guide::outages) and a reason for [each number](crate::guide::defaults).
//!
//! # Example
//!
//! ```
//! # #[cfg(all(feature = "reqwest", feature = "testing"))]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use tower_clerk::{Verifier, testing::TestIssuer};
//!
//! let issuer = TestIssuer::start().await?;
//! let verifier = Verifier::new(issuer.config())?;
//! assert_eq!(issuer.fetches(), 0);
//!
//! // Many tokens, one fetch.
//! for user in ["user_ada", "user_bob"] {
//!     verifier.verify(&issuer.token(user).sign()).await?;
//! }
//! assert_eq!(issuer.fetches(), 1);
//!
//! // A token with a new `kid` starts a fetch and waits for it.
//! issuer.rotate();
//! verifier.verify(&issuer.token("user_ada").sign()).await?;
//! assert_eq!(issuer.fetches(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Environment
//!
//! The HTTP client reads two things from the environment by itself: the proxy for addresses other than loopback
//! (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), and, on platforms without a certificate store of their own, the files of
//! trusted certificate authorities (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
//!
//! Fetches run on the Tokio runtime of the request that needs them. Build it with `enable_all`: the HTTP
//! client needs its I/O driver and its timers.

mod freshness;
mod gate;
mod headers;
#[cfg(feature = "reqwest")]
mod http;
mod key_cache;
mod limits;
mod lookup;
mod schedule;
mod source;
mod status;
mod store;

#[cfg(feature = "reqwest")]
pub(crate) use self::http::{Connections, HttpClients, HttpKeySource, RequestName, noting_new_connections};
pub(crate) use self::{
    headers::{is_unencoded, retry_after},
    key_cache::{KeyCache, RefreshPolicy},
    limits::{FetchLimits, MAX_FETCHES_WITHOUT_KEYS},
    lookup::{CandidateKeys, InstanceKeys, KeyError, KeyWait, LookupAttempts, SignedBy, SignedPayload},
    store::{FetchUnavailable, KeyResources, KeyStore},
};
pub use self::{
    source::{FetchError, FetchErrorKind, KeySource},
    status::KeysStatus,
};
