use std::borrow::Cow;

/// A credential that may be a token. Nothing of it is verified.
pub(crate) struct Credential<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) origin: CredentialOrigin,
    pub(super) must_be_b64token: bool,
}

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
    Other,
}

/// The value that one source finds.
pub(super) enum SourceValue<'a> {
    Absent,
    /// A cookie without a value: the front end of Clerk writes it when the user signs out.
    EmptyCookie,
    Malformed,
    /// A token from a header field. If it is no `b64token`, the request is malformed and not merely its token invalid.
    Bearer(&'a str),
    /// A token from a cookie or a closure, for which RFC 6750 has no grammar.
    Token(Cow<'a, str>),
}

impl Credential<'_> {
    /// Whether the request is malformed (400), rather than its token invalid (401).
    ///
    /// Call it for rejected tokens only. A valid token is always a `b64token`, so a cache hit need not be scanned.
    pub(crate) fn is_malformed(&self) -> bool {
        self.must_be_b64token && !is_b64token(&self.text)
    }
}

/// Whether `text` could be a `b64token` (RFC 6750, section 2.1).
///
/// The rule is wider than the RFC: visible ASCII without a comma, which would make it a list. A client with another
/// character then learns that its token is invalid, as for every other wrong token.
pub(super) fn is_b64token(text: &str) -> bool {
    // Without an early exit, so that the compiler can vectorize it.
    text.bytes().fold(true, |is_token, byte| is_token & matches!(byte, b'!'..=b'~') & (byte != b','))
}
