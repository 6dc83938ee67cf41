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
    /// [`ConfigError::Invalid`] if `url` is not an absolute `https` URL, or has userinfo, a query or a fragment, and if
    /// it is certainly another URL: that of a document under `/.well-known/`, of the dashboard, of the Backend API, or
    /// of an Account Portal (`….accounts.dev` without `clerk`). [Mistakes in settings](crate::guide::settings) lists
    /// them.
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
        Self::parse_setting(url, "frontend_api_url")
    }

    /// As [`parse`](Self::parse), for the setting with this name.
    pub(super) fn parse_setting(url: &str, setting: &'static str) -> Result<Self, ConfigError> {
        let url = HttpUrl::parse(url).and_then(|url| check(&url).map(|()| url));
        url.map(|url| Self { url }).map_err(|reason| ConfigError::invalid(setting, reason))
    }

    /// The Frontend API of a publishable key. Clerk makes these keys, so their hosts are not checked for mix-ups.
    pub(super) fn of_key(host: &str) -> Option<Self> {
        HttpUrl::parse(host).ok().map(|url| Self { url })
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

/// Refuses URLs that are certainly not those of a Frontend API. Each would start, and no token would ever be accepted.
fn check(url: &HttpUrl) -> Result<(), &'static str> {
    let path = url.path();
    if path.split('/').any(|segment| segment == ".well-known") || path.ends_with("/jwks.json") {
        return Err("must be the base URL, without /.well-known/ and all after it");
    }
    let Some(host) = url.host_name() else { return Ok(()) };
    if WEBSITES.contains(&host) {
        return Err("is a page of Clerk's website; the dashboard shows the Frontend API URL under API keys");
    }
    if host == "api.clerk.com" {
        return Err("is the Backend API; the dashboard shows the Frontend API URL under API keys");
    }
    if !host.contains('.') && host != "localhost" {
        return Err("must have a whole host name, such as clerk.example.com");
    }
    match host.strip_suffix(".accounts.dev").map(|instance| instance.strip_suffix(".clerk")) {
        None => Ok(()),
        Some(None) => {
            Err("is an Account Portal; the Frontend API of a development instance ends in .clerk.accounts.dev")
        }
        Some(Some(_)) if path.is_empty() => Ok(()),
        Some(Some(_)) => Err("must be the base URL, without a path"),
    }
}

const WEBSITES: [&str; 3] = ["clerk.com", "dashboard.clerk.com", "www.clerk.com"];

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
            ("https://clerk.example.com:0443", "https://clerk.example.com"),
            ("https://clerk.example.com:08443", "https://clerk.example.com:8443"),
            ("https://[0:0:0:0:0:0:0:1]:3000", "https://[::1]:3000"),
            ("https://[::FFFF:7f00:1]", "https://[::ffff:7f00:1]"),
            (" https://clerk.example.com\n", "https://clerk.example.com"),
            ("\u{feff}clerk.example.com", "https://clerk.example.com"),
            ("https://happy-hippo-1.clerk.accounts.dev/", "https://happy-hippo-1.clerk.accounts.dev"),
            ("https://https.example/__clerk", "https://https.example/__clerk"),
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
            "https://127.1",
            "https://0x7f.1",
            "https://a.b.",
            "https:/a.b",
            "https//a.b",
            "//a.b",
            "https://https://a.b",
            "'https://a.b'",
        ] {
            assert!(FrontendApi::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_that_are_certainly_not_a_frontend_api_say_what_they_are() {
        for (url, reason) in [
            ("https://clerk.example.com/.well-known/jwks.json", "base URL"),
            ("https://clerk.example.com/.well-known/openid-configuration", "base URL"),
            ("https://app.example.com/__clerk/.well-known/jwks.json/", "base URL"),
            ("https://clerk.example.com/jwks.json", "base URL"),
            ("https://happy-hippo-1.clerk.accounts.dev/v1/client", "base URL"),
            ("https://dashboard.clerk.com/apps/app_a/instances/ins_a", "website"),
            ("https://api.clerk.com/v1/jwks", "Backend API"),
            ("https://api.clerk.com", "Backend API"),
            ("https://happy-hippo-1.accounts.dev", "Account Portal"),
            ("https://clerk.accounts.dev", "Account Portal"),
            ("clerk", "whole host name"),
            ("https://clerk:8443", "whole host name"),
            ("pk_test_Y2xlcmsuY2xlcmsuZGV2JA", "publishable key"),
            ("sk_test_abc", "secret key"),
            ("-----BEGIN PUBLIC KEY-----", "PEM"),
        ] {
            let error = FrontendApi::parse(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{error} for {url}");
        }
    }
}
