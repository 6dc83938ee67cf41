//! Digests of aws-lc, which the signatures need anyway.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// For cached tokens and for the thumbprints of keys (RFC 7638).
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut output = [0; 32];
    output.copy_from_slice(digest(&SHA256, bytes).as_ref());
    output
}

/// For the suffix of Clerk's cookie names only. The suffix is public and proves nothing, so SHA-1 does no harm.
pub(crate) fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut output = [0; 20];
    output.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    output
}
