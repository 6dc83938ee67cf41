//! URLs and hosts, in the forms that settings may have.
//!
//! They are narrower than the URL standard on purpose: a URL that two parsers read differently can name one host in a
//! check and another one in a request.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, Ipv6Addr},
};

use http::Uri;

use super::pasted::{Pasted, cleaned};

/// A base URL to which paths are appended: `https`, or `http` on a loopback address, without userinfo, query and
/// fragment.
///
/// It is normalized, so equal URLs are equal texts: lower-case host, no default port, addresses in their short form, no
/// trailing slash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct HttpUrl {
    text: String,
    authority: String,
}

impl HttpUrl {
    /// Parses and normalizes a URL. A missing scheme means `https`.
    ///
    /// A path with empty or dot segments, `%` or `\` is an error: HTTP clients would normalize it, and request another
    /// path than the configured one. The error completes the sentence "`<setting>` …".
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = cleaned(text)?;
        match Pasted::recognize(text) {
            Some(Pasted::Pem) => return Err("is a PEM; set it as jwt_key (CLERK_JWT_KEY)"),
            Some(Pasted::PublishableKey) => {
                return Err("is a publishable key; set it as publishable_key (CLERK_PUBLISHABLE_KEY)");
            }
            Some(Pasted::SecretKey) => return Err("is a secret key; set it as secret_key (CLERK_SECRET_KEY)"),
            _ => {}
        }
        let text = with_scheme(text)?;
        if !text.is_ascii() {
            return Err("is not a URL, which is ASCII; give the form of the host that starts with xn--");
        }
        if text.contains(['?', '#']) {
            return Err("must have no query and no fragment");
        }
        if text.contains('@') {
            return Err("must have no user name or password");
        }
        let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("is not an absolute URL");
        };
        let (host, port) = split_authority(authority.as_str()).ok_or("does not name a valid host and port")?;
        let host_text = host.to_text();
        match scheme {
            "https" => {}
            "http" if Host::of_authority(&host_text).is_some_and(Host::is_loopback) => {}
            "http" => return Err("must use https (plain http is for loopback addresses only)"),
            _ => return Err("must use https"),
        }
        let authority = authority_text(scheme, host_text, port);
        let path = uri.path();
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) || path.contains(['\\', '%']) {
            return Err("has an invalid path");
        }
        Ok(Self { text: format!("{scheme}://{authority}{path}"), authority })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host, with the port if it is not the default one.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the host if it is a name.
    pub(super) fn host_name(&self) -> Option<&str> {
        match Host::of_authority(&self.authority) {
            Some(Host::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// Returns the path: empty, or a slash and the segments.
    pub(super) fn path(&self) -> &str {
        let after_scheme = self.text.split_once("://").map_or("", |(_, rest)| rest);
        after_scheme.strip_prefix(self.authority.as_str()).unwrap_or_default()
    }

    /// Removes `suffix` from the end of the path.
    pub(super) fn without_suffix(self, suffix: &str) -> Self {
        match self.text.strip_suffix(suffix) {
            Some(text) if self.path().ends_with(suffix) => Self { text: text.to_owned(), ..self },
            _ => self,
        }
    }
}

/// Adds `https://` to a text without a scheme, unless the text has one that is misspelled.
fn with_scheme(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let lower = text.to_ascii_lowercase();
    if lower.matches("://").count() > 1 {
        return Err("has two schemes; give one URL");
    }
    if lower.contains("://") {
        return Ok(Cow::Borrowed(text));
    }
    let is_misspelled = ["http:", "https:", "http/", "https/", "//"].iter().any(|start| lower.starts_with(start));
    if is_misspelled { Err("must start with https://") } else { Ok(Cow::Owned(format!("https://{text}"))) }
}

/// The host of a URL. It alone decides which texts are hosts and which hosts are loopback.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Host<'a> {
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    /// A DNS name (RFC 1123, section 2.1), underscores allowed.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Parses the host of `host[:port]`; `None` if either is malformed or the port is zero.
    pub(crate) fn of_authority(authority: &'a str) -> Option<Self> {
        split_authority(authority).map(|(host, _)| host)
    }

    /// Whether the host is this machine: 127.0.0.0/8, `[::1]` (RFC 6890, section 2.2) or `localhost` (RFC 6761, section
    /// 6.3).
    ///
    /// Names under `.localhost` are not, because resolvers may still send them to the network.
    pub(crate) fn is_loopback(self) -> bool {
        match self {
            Self::Ipv4(address) => address.is_loopback(),
            Self::Ipv6(address) => address.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }

    /// Returns the host as browsers write it, by the serialization of the URL standard.
    pub(super) fn to_text(self) -> String {
        match self {
            Self::Ipv4(address) => address.to_string(),
            Self::Ipv6(address) => match address.segments() {
                // The standard library writes the last four bytes of these in decimal.
                [0, 0, 0, 0, 0, 0xffff, high, low] => format!("[::ffff:{high:x}:{low:x}]"),
                _ => format!("[{address}]"),
            },
            Self::Name(name) => name.to_ascii_lowercase(),
        }
    }

    fn of_text(host: &'a str) -> Option<Self> {
        match host.parse() {
            Ok(address) => Some(Self::Ipv4(address)),
            Err(_) => is_dns_name(host).then_some(Self::Name(host)),
        }
    }
}

/// Parses `host[:port]`. Zeros before the digits of a port are ignored, as browsers do.
pub(super) fn split_authority(authority: &str) -> Option<(Host<'_>, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (Host::Ipv6(address.parse().ok()?), port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, port) = authority.split_at_checked(end)?;
            (Host::of_text(host)?, port)
        }
    };
    if port.is_empty() {
        return Some((host, None));
    }
    let digits = port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|port| *port > 0).map(|port| (host, Some(port)))
}

/// Joins host and port, and omits the default port of the scheme.
pub(super) fn authority_text(scheme: &str, host: String, port: Option<u16>) -> String {
    match (scheme, port) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => host,
        (_, Some(port)) => format!("{host}:{port}"),
    }
}

fn is_dns_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.len() <= 253 && host.split('.').all(is_label) && !ends_in_a_number(host)
}

/// Whether the last label is a number. Browsers and HTTP clients read such a host as an IPv4 address, in decimal, octal
/// or hexadecimal: `127.1` is 127.0.0.1.
fn ends_in_a_number(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match last.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_alone() {
        let is_loopback = |authority| Host::of_authority(authority).is_some_and(Host::is_loopback);
        for authority in ["127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:443", "localhost", "localhost:3000"] {
            assert!(is_loopback(authority), "{authority}");
        }
        for authority in ["128.0.0.1", "[::2]", "localhost.example.com", "a.localhost", "127.1", "0.0.0.0"] {
            assert!(!is_loopback(authority), "{authority}");
        }
    }
}
