use std::{fmt, str::FromStr};

use super::{
    ConfigError,
    pasted::cleaned,
    url::{Host, HttpUrl, split_authority},
};

/// The issuer that an unverified token names, as an [`InstanceResolver`](crate::verify::InstanceResolver) receives it.
///
/// It is an `https` URL of at most 255 bytes, without userinfo, query and fragment. It has no port and no IP address
/// unless the verifier [allows local issuers](crate::verify::VerifierBuilder::allow_local_issuers).
///
/// Clients choose it. Use it as a key to look up in your own records. Never send a request to it: a forged token could
/// otherwise make the service send requests to any host (server-side request forgery).
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    /// Returns the URL exactly as in the token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses an issuer of your own records, to [forget](crate::Verifier::forget_instance) its instance or to
    /// [look it up ahead](crate::Verifier::resolve_ahead), and for tests of a resolver.
    ///
    /// ```
    /// use tower_clerk::config::IssuerUrl;
    ///
    /// let issuer = IssuerUrl::parse("https://clerk.example.com")?;
    /// assert_eq!(issuer.as_str(), "https://clerk.example.com");
    /// assert!(IssuerUrl::parse("https://clerk.example.com/").is_err());
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if no resolver would receive it from a token.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        Self::from_claim(text, false)
            .ok_or_else(|| ConfigError::invalid("issuer", "must be an https URL in its normal form"))
    }

    /// As [`parse`](Self::parse), for a verifier that
    /// [allows local issuers](crate::verify::VerifierBuilder::allow_local_issuers).
    ///
    /// ```
    /// use tower_clerk::config::IssuerUrl;
    ///
    /// let issuer = IssuerUrl::parse_local("http://127.0.0.1:8080")?;
    /// assert_eq!(issuer.as_str(), "http://127.0.0.1:8080");
    /// assert!(IssuerUrl::parse("http://127.0.0.1:8080").is_err());
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if no resolver would receive it from a token.
    pub fn parse_local(text: &str) -> Result<Self, ConfigError> {
        Self::from_claim(text, true).ok_or_else(|| ConfigError::invalid("issuer", "must be a URL in its normal form"))
    }

    /// Parses the `iss` of a token; `None` if it is not in the form that [`HttpUrl`] normalizes to.
    ///
    /// An issuer therefore has exactly one spelling, and a client cannot make the resolver look up the same instance
    /// under many.
    pub(crate) fn from_claim(text: &str, allow_local: bool) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let url = HttpUrl::parse(text).ok().filter(|url| url.as_str() == text)?;
        let is_local = is_local(url.authority());
        let is_https = text.starts_with("https://");
        (allow_local || (is_https && !is_local)).then(|| Self(text.to_owned()))
    }
}

impl FromStr for IssuerUrl {
    type Err = ConfigError;

    /// As [`parse`](Self::parse).
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::parse(text)
    }
}

/// Whether the authority has a port or is not a name in the public DNS.
fn is_local(authority: &str) -> bool {
    match split_authority(authority) {
        Some((Host::Name(name), None)) => !name.contains('.') || name.ends_with(".localhost"),
        _ => true,
    }
}

/// Checks an issuer of the configuration, and removes one trailing slash. The rest is compared byte by byte with `iss`,
/// so a text that no token of Clerk can have there is an error. The error completes the sentence "issuer …".
pub(super) fn configured_issuer(text: &str) -> Result<&str, &'static str> {
    if cleaned(text)? != text || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("must be visible ASCII without spaces");
    }
    let (scheme, rest) = text.split_once("://").ok_or("must have a scheme, such as https://clerk.example.com")?;
    let authority = rest.split('/').next().unwrap_or_default();
    if scheme.is_empty() || Host::of_authority(authority).is_none() {
        return Err("must be a URL with a host, such as https://clerk.example.com");
    }
    if [scheme, authority].concat().bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("must have its scheme and host in lower case, as Clerk writes them");
    }
    if rest.split('/').any(|segment| segment == ".well-known") {
        return Err("must be the base URL, without /.well-known/ and all after it");
    }
    let issuer = text.strip_suffix('/').unwrap_or(text);
    if issuer.ends_with('/') { Err("must not end in more than one slash") } else { Ok(issuer) }
}

/// An issuer of the configuration that is compared exactly as it is written, a slash at its end included.
#[derive(Debug)]
pub(crate) struct ExactIssuer(String);

impl ExactIssuer {
    /// Parses an issuer that is `https`, or `http` on a loopback address. The error completes the sentence "issuer …".
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        configured_issuer(text)?;
        let authority = |scheme| text.strip_prefix(scheme).map(|rest: &str| rest.split('/').next().unwrap_or_default());
        let is_loopback = |authority| Host::of_authority(authority).is_some_and(Host::is_loopback);
        match (authority("https://"), authority("http://")) {
            (Some(_), _) => Ok(Self(text.to_owned())),
            (None, Some(authority)) if is_loopback(authority) => Ok(Self(text.to_owned())),
            (None, Some(_)) => Err("must use https (plain http is for loopback addresses only)"),
            (None, None) => Err("must use https"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Omits the URL: clients choose it, and it must not end up in logs.
impl fmt::Debug for IssuerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IssuerUrl(..)")
    }
}

/// In bytes. Clerk's issuers are much shorter. The resolver cache keeps issuers that clients choose, so their length
/// bounds its memory.
const MAX_LENGTH: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_bare_https_url_in_its_one_spelling() {
        for text in ["https://clerk.example.com", "https://a.b", "https://app.example.com/__clerk"] {
            assert_eq!(IssuerUrl::from_claim(text, false).unwrap().as_str(), text);
        }
        let longest = format!("https://{}.example.com", "a.".repeat(117).trim_end_matches('.'));
        assert_eq!(longest.len(), 253);
        assert!(IssuerUrl::from_claim(&longest, false).is_some());
        assert!(IssuerUrl::from_claim(&format!("{longest}/aa"), false).is_none());
        for text in [
            "",
            "clerk.example.com",
            "http://clerk.example.com",
            "HTTPS://clerk.example.com",
            "https://Clerk.example.com",
            "https://clerk.example.com/",
            " https://clerk.example.com",
            "https://u@clerk.example.com",
            "https://clerk.example.com?x",
            "https://clerk.example.com#x",
            "https://clerk.example.com/../x",
            "https://clerk.example.com/%2e",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://127.1",
            "https://2130706433",
            "https://0x7f000001",
            "https://0x7f.1",
            "https://0x7f.0x1",
            "https://[0:0:0:0:0:0:0:1]",
        ] {
            assert!(
                IssuerUrl::from_claim(text, false).is_none() && IssuerUrl::from_claim(text, true).is_none(),
                "{text}"
            );
        }
        for text in [
            "https://a.b:8443",
            "https://10.0.0.1",
            "https://localhost",
            "https://a.localhost",
            "https://metadata",
            "https://[::1]",
            "http://127.0.0.1:8080",
            "http://localhost",
        ] {
            assert!(IssuerUrl::from_claim(text, false).is_none(), "{text}");
            assert!(IssuerUrl::from_claim(text, true).is_some(), "{text}");
        }
    }

    #[test]
    fn a_configured_issuer_can_be_the_iss_of_a_token() {
        for (text, issuer) in [
            ("https://clerk.example.com", "https://clerk.example.com"),
            ("https://clerk.example.com/", "https://clerk.example.com"),
            ("https://app.example.com/__clerk/", "https://app.example.com/__clerk"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(configured_issuer(text), Ok(issuer));
        }
        for (text, reason) in [
            ("", "must not be empty"),
            ("clerk.example.com", "scheme"),
            ("https://", "host"),
            ("https:///a", "host"),
            ("https://u@a.b", "host"),
            ("'https://a.b'", "quotation mark"),
            ("https://a.b//", "more than one slash"),
            ("https://a.b/ c", "visible ASCII"),
            (" https://a.b", "visible ASCII"),
            ("https://a.b\n", "visible ASCII"),
            ("https://A.b", "lower case"),
            ("HTTPS://a.b", "lower case"),
            ("https://a.b/.well-known/jwks.json", "base URL"),
        ] {
            let error = configured_issuer(text).unwrap_err();
            assert!(error.contains(reason), "{error} for {text:?}");
        }
    }

    #[test]
    fn an_exact_issuer_keeps_its_slash_and_needs_https() {
        for text in [
            "https://clerk.example.com",
            "https://login.example.com/",
            "https://a.b/realms/c/",
            "http://127.0.0.1:8080/",
            "http://localhost",
        ] {
            assert_eq!(ExactIssuer::parse(text).unwrap().into_text(), text);
        }
        for (text, reason) in [
            ("http://clerk.example.com", "must use https"),
            ("http://localhost.example.com", "must use https"),
            ("ftp://clerk.example.com", "must use https"),
            ("clerk.example.com", "scheme"),
            ("https://Clerk.example.com", "lower case"),
            ("https://a.b//", "more than one slash"),
            ("https://clerk.example.com\n", "visible ASCII"),
            ("https://a.b/.well-known/jwks.json", "base URL"),
        ] {
            let error = ExactIssuer::parse(text).unwrap_err();
            assert!(error.contains(reason), "{error} for {text:?}");
        }
    }
}
