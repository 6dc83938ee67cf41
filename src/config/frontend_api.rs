use std::str::FromStr;

use super::{ConfigError, url::HttpUrl};

/// The URL of an instance's Frontend API, such as `https://sensible-skunk-49.clerk.accounts.dev`.
///
/// The scheme is `https`, also if the text has none; `http` is accepted for loopback addresses only. A path is allowed
/// for instances behind a [proxy](https://clerk.com/docs/guides/dashboard/dns-domains/proxy-fapi).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FrontendApi {
    url: HttpUrl,
}

impl FrontendApi {
    /// Parses a Frontend API URL and normalizes it: lower-case host, no default port, no trailing slash.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] if `url` is not an absolute `https` URL, or has userinfo, a query or a fragment.
    ///
    /// ```
    /// use tower_clerk::config::FrontendApi;
    ///
    /// let api = FrontendApi::parse("clerk.example.com/")?;
    /// assert_eq!(api.as_str(), "https://clerk.example.com");
    /// assert!(FrontendApi::parse("http://clerk.example.com").is_err());
    /// # Ok::<(), tower_clerk::ConfigError>(())
    /// ```
    pub fn parse(url: &str) -> Result<Self, ConfigError> {
        HttpUrl::parse(url).map(|url| Self { url }).map_err(|reason| ConfigError::invalid("frontend_api_url", reason))
    }

    /// Returns the normalized URL, which is the issuer (`iss`) of this instance's tokens.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the URL of the JWK Set, which needs no credentials.
    pub(crate) fn jwks_url(&self) -> String {
        format!("{}/.well-known/jwks.json", self.url.as_str())
    }

    pub(super) fn authority(&self) -> &str {
        self.url.authority()
    }
}

impl FromStr for FrontendApi {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<Self, ConfigError> {
        Self::parse(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_or_loopback_without_extras() {
        for (text, url) in [
            ("https://clerk.example.com", "https://clerk.example.com"),
            ("clerk.example.com/", "https://clerk.example.com"),
            ("HTTPS://Clerk.Example.com:8443", "https://clerk.example.com:8443"),
            ("https://app.example.com/__clerk/", "https://app.example.com/__clerk"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("http://localhost", "http://localhost"),
            ("https://clerk.example.com:443", "https://clerk.example.com"),
            ("http://127.0.0.1:80/", "http://127.0.0.1"),
            ("https://[::1]:443", "https://[::1]"),
            ("https://clerk.example.com:80", "https://clerk.example.com:80"),
        ] {
            assert_eq!(FrontendApi::parse(text).unwrap().as_str(), url, "{text}");
        }
        for text in [
            "",
            "https://",
            "http://clerk.example.com",
            "http://localhost.example.com",
            "http://128.0.0.1",
            "ftp://a.b",
            "https://u@a.b",
            "https://u:p@a.b",
            "https://a.b?x",
            "https://a.b#x",
            "https://a.b//",
            "https://a.b/../c",
            "https://a b",
            "https://a..b",
            "https://-a.b",
            "https://a.b:0",
            "https://a.b:65536",
            "https://a.b:x",
            "https://a.b:",
            "https://a.b:+1",
            "http://[::2]",
            "https://[::1",
            "https://[x]",
            "https://ü.example",
            "https://a.b/%2e",
        ] {
            assert!(FrontendApi::parse(text).is_err(), "{text}");
        }
    }
}
