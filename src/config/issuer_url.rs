use std::{fmt, str::FromStr};

use super::{ConfigError, url::HttpUrl};

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

    /// Parses an issuer, for tests of an [`InstanceResolver`](crate::verify::InstanceResolver).
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
///
/// A last label that is a number counts as local: the URL standard parses such hosts as IPv4 addresses, in decimal,
/// octal or hexadecimal.
fn is_local(authority: &str) -> bool {
    let last = authority.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    authority.contains([':', '[']) || !authority.contains('.') || is_number || last == "localhost"
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
        ] {
            assert!(
                IssuerUrl::from_claim(text, false).is_none() && IssuerUrl::from_claim(text, true).is_none(),
                "{text}"
            );
        }
        for text in [
            "https://a.b:8443",
            "https://10.0.0.1",
            "https://127.1",
            "https://2130706433",
            "https://0x7f000001",
            "https://0x7f.1",
            "https://0x7f.0x1",
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
}
