use std::fmt;

use super::frontend_api::HttpUrl;

/// An issuer as a token names it, before anything of the token is believed: an https URL of at most 255 bytes,
/// without user name, query and fragment, and without port or IP address unless the verifier
/// [allows](crate::verify::VerifierBuilder::allow_local_issuers) them.
///
/// It is a key to look up in the application's own records, and nothing to send a request to: whoever makes a
/// token chooses it.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    /// The issuer as the token spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` unless the text is spelled as a configured URL is after parsing, so that no two spellings are
    /// one issuer.
    pub(crate) fn parse(text: &str, allows_local: bool) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let url = HttpUrl::parse(text).ok().filter(|url| url.as_str() == text)?;
        let is_local = is_local(url.authority());
        let is_https = text.starts_with("https://");
        (allows_local || (is_https && !is_local)).then(|| Self(text.to_owned()))
    }
}

/// Whether it has a port, or names no host of the public DNS: HTTP clients read many a number as an IPv4 address.
fn is_local(authority: &str) -> bool {
    let last = authority.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    authority.contains([':', '[']) || !authority.contains('.') || is_number || last == "localhost"
}

/// Clients choose it, so it stays out of logs.
impl fmt::Debug for IssuerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IssuerUrl(..)")
    }
}

/// In bytes.
const MAX_LENGTH: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_bare_https_url_in_its_one_spelling() {
        for text in ["https://clerk.example.com", "https://a.b", "https://app.example.com/__clerk"] {
            assert_eq!(IssuerUrl::parse(text, false).unwrap().as_str(), text);
        }
        let longest = format!("https://{}.example.com", "a.".repeat(117).trim_end_matches('.'));
        assert_eq!(longest.len(), 253);
        assert!(IssuerUrl::parse(&longest, false).is_some());
        assert!(IssuerUrl::parse(&format!("{longest}/aa"), false).is_none());
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
            assert!(IssuerUrl::parse(text, false).is_none() && IssuerUrl::parse(text, true).is_none(), "{text}");
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
            assert!(IssuerUrl::parse(text, false).is_none(), "{text}");
            assert!(IssuerUrl::parse(text, true).is_some(), "{text}");
        }
    }
}
