//! Compact JWS (RFC 7515) and the keys that verify them: the code that untrusted bytes reach first.
//!
//! It has no clock and does no I/O, so the same input always gives the same result. `Segments` → `Compact` →
//! `VerifiedPayload`: each can only be made from the one before, the last by [`VerifyingKey::verify`] alone. Code that
//! takes a `VerifiedPayload` therefore cannot be called with an unverified token.
//!
//! Tokens and header parameters are parsed strictly. What two parsers may read in two ways is rejected: base64url that
//! is not canonical, padding, duplicate member names, critical extensions.

mod compact;
mod digest;
mod header;
mod key;
mod key_set;

#[cfg(feature = "reqwest")]
pub(crate) use self::key_set::MAX_DOCUMENT;
pub(crate) use self::{
    compact::{Compact, MalformedToken, Payload, Segments},
    digest::{sha1, sha256},
    header::{Algorithm, Category, CheckedHeader, HeaderError},
    key::{VerifiedPayload, VerifyingKey},
    key_set::{KeySet, KeySetError},
};
