//! Compact JWS (RFC 7515) and the keys that verify them: the part of the crate that strangers' bytes reach
//! first. Pure: no clock, no I/O.

mod compact;
mod digest;
mod key;

pub(crate) use self::{
    compact::{Compact, MalformedToken, Segments},
    digest::{sha1, sha256},
    key::{Algorithm, MAX_KID, SignatureHolds, VerifyingKey},
};
