use std::borrow::Cow;

/// A credential that may be a token, not verified.
pub(crate) struct Credential<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) origin: CredentialOrigin,
    pub(super) must_be_b64token: bool,
}

/// What has to be known of a credential after its token was verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CredentialOrigin {
    pub(crate) location: CredentialLocation,
    /// Whether the cross-site rule was decided without knowing the instance.
    pub(super) is_cross_site_checked: bool,
}

/// Where a credential was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CredentialLocation {
    Authorization,
    Cookie,
    Other,
}

/// The value of one source.
pub(super) enum SourceValue<'a> {
    Absent,
    /// A cookie without a value, by which Clerk's front end says that no one is signed in.
    EmptyCookie,
    Malformed,
    /// A token, if it is one `b64token`.
    Bearer(&'a str),
    Token(Cow<'a, str>),
}

impl Credential<'_> {
    /// Whether the request is malformed, rather than its token invalid. To be asked about rejected tokens alone: what
    /// verifies is one `b64token`, and a hit need not be scanned for it.
    pub(crate) fn is_malformed(&self) -> bool {
        self.must_be_b64token && !is_b64token(&self.text)
    }
}

/// Whether `text` is what RFC 6750 calls a `b64token`, taken widely: visible ASCII without a comma, which would make a
/// list of it.
pub(super) fn is_b64token(text: &str) -> bool {
    // Without an early exit, so that the compiler can vectorize it.
    text.bytes().fold(true, |is_token, byte| is_token & matches!(byte, b'!'..=b'~') & (byte != b','))
}
