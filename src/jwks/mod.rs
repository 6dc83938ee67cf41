//! Where keys come from and how they are kept.
//!
//! A set of keys is fetched when the first token needs it and refreshed in the background while it is in
//! use. Nothing is spawned before a request needs it, and the fetch in flight stops with the last handle to
//! its verifier.
//!
//! | situation | what happens |
//! |---|---|
//! | the set is fresh | it is used |
//! | 80 to 90 % of the refresh interval, or of the stale limit if that is shorter, has passed | one background refresh, nobody waits |
//! | refreshing fails | the last good set is served up to the stale limit, 24 hours by default |
//! | no set | requests wait for the one fetch in flight, at most its timeout, then 503 with `Retry-After`; one that joined it too late for its key waits for one more |
//! | fetching fails | back-off from 0.25 s, doubling to 1 s without keys and 30 s with; `Retry-After` is honoured up to 5 s and 60 s |
//! | unknown `kid` | one refresh from a budget: two at once, one more every 10 seconds |
//! | bad signature under a known `kid` | one refresh a minute, if the set is older than 30 seconds |
//! | a set without a usable key, or no set at all | a failure: the old one stays |
//!
//! Two things are read from the environment without being asked for: the proxy by which addresses other than loopback
//! are reached (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), and where the platform does not keep the authorities that vouch
//! for TLS servers itself, which files do (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
//!
//! A token whose key is known never waits for any of it.

mod flight;
mod gate;
mod held;
#[cfg(feature = "reqwest")]
mod http;
mod key_set;
mod schedule;
mod source;
mod store;

#[cfg(feature = "reqwest")]
pub(crate) use self::http::{HttpClients, HttpKeySource};
pub(crate) use self::{
    flight::{in_time, launch, timer},
    held::{HeldKeys, RefreshPolicy},
    key_set::KeySet,
    schedule::Budget,
    source::SourceId,
    store::{Answer, KeyCache, KeyStore, Need, Outcome, Wait},
};
pub use self::{
    held::KeysStatus,
    source::{FetchError, FetchErrorKind, KeySource},
};
