//! Where keys come from and how they are kept.
//!
//! A key set is fetched when the first token needs it and refreshed in the background while it is in use. Nothing is
//! spawned before a request needs it, and the fetch in flight stops with the last handle to its verifier.
//!
//! | situation | what happens |
//! |---|---|
//! | the set is fresh | it is used |
//! | 80 to 90 % of the refresh interval has passed, or of the stale limit if that is shorter | one refresh in the background, no request waits |
//! | refreshing fails | the last good set is served up to the stale limit, 24 hours by default |
//! | no set | requests wait for the one fetch in flight, at most its timeout, then 503 with `Retry-After`; one that joined it too late for its key waits for one more |
//! | fetching fails | back-off from 0.25 s, doubling to 1 s without keys and 30 s with; `Retry-After` is honoured up to 5 s and 60 s |
//! | unknown `kid` | a fetch from a budget: two at once, one more every 10 seconds |
//! | bad signature under a known `kid` | one fetch a minute, if the set is older than 30 seconds |
//! | a document without a usable key | a failure: the old set stays |
//!
//! A token whose key is known never waits for any of it.
//!
//! Two things are read from the environment without being configured: the proxy through which addresses other than
//! loopback are reached (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), and, on platforms that keep no certificate store of
//! their own, the files of trusted certificate authorities (`SSL_CERT_FILE`, `SSL_CERT_DIR`).
//!
//! Fetches run on the Tokio runtime of the request that needs them. Build it with `enable_all`: sockets need its I/O
//! driver.

mod gate;
#[cfg(feature = "reqwest")]
mod http;
mod lookup;
mod schedule;
mod source;
mod status;
mod store;

#[cfg(feature = "reqwest")]
pub(crate) use self::http::{HttpClients, HttpKeySource};
pub(crate) use self::{
    lookup::{InstanceKeys, KeyError, KeyWait, LookupAttempts, SignedBy, SignedPayload},
    store::{FetchUnavailable, KeyCache, KeyStore, RefreshPolicy},
};
pub use self::{
    source::{FetchError, FetchErrorKind, KeySource},
    status::KeysStatus,
};
