//! Compact JWS (RFC 7515) and the keys that verify them: the code that untrusted bytes reach first.
//!
//! Pure: no clock, no I/O. `Segments` → `Compact` → `VerifiedPayload`: each can only be made from the one before, the
//! last by [`VerifyingKey::verify`] alone.

mod compact;
mod digest;
mod header;
mod key;
mod key_set;

pub(crate) use self::{
    compact::{Compact, MalformedToken, Payload, Segments},
    digest::{sha1, sha256},
    header::{Algorithm, CheckedHeader, HeaderError},
    key::{VerifiedPayload, VerifyingKey},
    key_set::{KeySet, KeySetError, MAX_DOCUMENT},
};
