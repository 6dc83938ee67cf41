use std::borrow::Cow;

/// Where a credential comes from, kept while its token is verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CredentialOrigin {
    pub(crate) location: CredentialLocation,
    /// Whether the cross-site rule is already checked: it gave the same result for every instance.
    pub(super) is_cross_site_checked: bool,
}

/// Where a credential was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CredentialLocation {
    Authorization,
    Cookie,
    /// Another header than `Authorization`.
    Header,
    /// Wherever a closure has found it.
    Other,
}

/// The value that a source other than a cookie finds. Nothing of it is verified.
pub(super) enum SourceValue<'a> {
    Absent,
    Malformed,
    /// A token from a header field. If it is no `b64token`, the request is malformed and not merely its token invalid.
    Bearer(&'a [u8]),
    /// A token from a closure, for which RFC 6750 has no grammar.
    Token(Cow<'a, str>),
}

/// Whether `text` could be a `b64token` (RFC 6750, section 2.1).
///
/// The rule is wider than the RFC: visible ASCII without a comma, which would make it a list. A client with another
/// character then learns that its token is invalid, as for every other wrong token.
pub(super) fn is_b64token(text: &[u8]) -> bool {
    // Without an early exit, so that the compiler can vectorize it.
    text.iter().fold(true, |is_token, byte| is_token & matches!(byte, b'!'..=b'~') & (*byte != b','))
}

/// Different cookies of one source that are tried: the suffixed and the plain session cookie, each for the host and for
/// the domain. Each may cost a signature.
pub(super) const MAX_CANDIDATES: usize = 4;
