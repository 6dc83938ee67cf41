//! URLs, origins and hosts, in the forms that settings may have.
//!
//! They are narrower than the URL standard on purpose: a URL that two parsers read differently can name one host in a
//! check and another one in a request.

use std::{
    borrow::Cow,
    net::{Ipv4Addr, Ipv6Addr},
};

use http::Uri;

/// A base URL to which paths are appended: `https`, or `http` on a loopback address, without userinfo, query and
/// fragment.
///
/// It is normalized, so equal URLs are equal texts: lower-case host, no default port, no trailing slash.
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
        let text = text.trim();
        let text = if text.contains("://") { Cow::Borrowed(text) } else { Cow::Owned(format!("https://{text}")) };
        if !text.is_ascii() {
            return Err("is not a URL");
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
        let authority = authority.as_str().to_ascii_lowercase();
        let Some(host) = Host::of_authority(&authority) else { return Err("does not name a host") };
        match scheme {
            "https" => {}
            "http" if host.is_loopback() => {}
            "http" => return Err("must use https (plain http is for loopback addresses only)"),
            _ => return Err("must use https"),
        }
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default_port).unwrap_or(&authority).to_owned();
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
}

/// Whether `text` is an origin, `scheme://host[:port]`, as browsers send it in `Origin` (RFC 6454, section 6.2).
///
/// Any scheme is accepted, since browser extensions have schemes of their own (`chrome-extension://…`).
pub(super) fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, authority)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && Host::of_authority(authority).is_some()
    })
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
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (Self::Ipv6(address.parse().ok()?), port)
            }
            None => {
                let end = authority.find(':').unwrap_or(authority.len());
                let (host, port) = authority.split_at_checked(end)?;
                (Self::of_text(host)?, port)
            }
        };
        (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(host)
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

    fn of_text(host: &'a str) -> Option<Self> {
        match host.parse() {
            Ok(address) => Some(Self::Ipv4(address)),
            Err(_) => is_dns_name(host).then_some(Self::Name(host)),
        }
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_dns_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for origin in
            ["https://app.example.com", "http://localhost:3000", "chrome-extension://abcdef", "https://[::1]:3000"]
        {
            assert!(is_origin(origin), "{origin}");
        }
        for text in [
            "",
            "*",
            "app.example.com",
            "https://",
            "https://a.b/",
            "https://a.b/c",
            "https://*.a.b",
            "https://u@a.b",
            "://a.b",
            "https://a.b:",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }

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
