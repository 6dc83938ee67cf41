//! Origins of CORS policies, in the form in which browsers send them.

use super::OriginPattern;

/// Parses an origin, or one with a star as its first label.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Result<OriginPattern, &'static str> {
    let (scheme, authority) =
        text.split_once("://").ok_or("must be an origin, such as `https://app.example.com`, or `*` for any")?;
    let scheme = scheme.to_ascii_lowercase();
    if !is_scheme(&scheme) {
        return Err("must begin with a scheme, such as `https://`");
    }
    if authority.contains(['/', '\\', '?', '#']) {
        return Err("must have no path and no slash at its end; browsers send none");
    }
    if authority.contains('@') {
        return Err("must not have a user name; browsers send none");
    }
    if !authority.is_ascii() {
        return Err("must be ASCII; write the name of the host as browsers send it, with `xn--`");
    }
    let authority = authority.to_ascii_lowercase();
    let (host, port) = split_port(&authority)?;
    let port = if default_port(&scheme) == Some(port) { "" } else { port };
    let colon = if port.is_empty() { "" } else { ":" };
    match host.strip_prefix("*.") {
        Some(domain) if is_name(domain) => {
            Ok(OriginPattern::Subdomain { prefix: format!("{scheme}://"), suffix: format!(".{domain}{colon}{port}") })
        }
        _ if host.contains('*') => Err("must have a star only as the whole first label, as in `https://*.example.com`"),
        _ if is_name(host) || is_ip6(host) => Ok(OriginPattern::Exact(format!("{scheme}://{host}{colon}{port}"))),
        _ => Err("must have a valid host"),
    }
}

fn split_port(authority: &str) -> Result<(&str, &str), &'static str> {
    let end_of_host = authority.rfind(']').unwrap_or(0);
    let Some((host, port)) = authority.rsplit_once(':').filter(|(host, _)| host.len() > end_of_host) else {
        return Ok((authority, ""));
    };
    let is_port = port.parse::<u16>().is_ok_and(|number| number > 0 && !port.starts_with(['0', '+']));
    if is_port { Ok((host, port)) } else { Err("must have a port from 1 to 65535") }
}

/// Browsers leave out the port that belongs to the scheme.
fn default_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" => Some("80"),
        "https" => Some("443"),
        _ => None,
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn is_name(host: &str) -> bool {
    host.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

fn is_ip6(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_take_the_form_that_browsers_send() {
        let cases = [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.Example.COM", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("http://app.example.com:80", "http://app.example.com"),
            ("http://app.example.com:443", "http://app.example.com:443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
        ];
        for (text, origin) in cases {
            assert_eq!(parse(text), Ok(OriginPattern::Exact(origin.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_star_is_the_first_label() {
        let subdomain = |prefix: &str, suffix: &str| {
            Ok(OriginPattern::Subdomain { prefix: prefix.to_owned(), suffix: suffix.to_owned() })
        };
        assert_eq!(parse("https://*.Example.com"), subdomain("https://", ".example.com"));
        assert_eq!(parse("https://*.example.com:443"), subdomain("https://", ".example.com"));
        assert_eq!(parse("http://*.localhost:3000"), subdomain("http://", ".localhost:3000"));
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        let cases = [
            ("", "`*` for any"),
            ("null", "`*` for any"),
            ("app.example.com", "`*` for any"),
            ("*.example.com", "`*` for any"),
            ("://a.example", "scheme"),
            ("*://a.example", "scheme"),
            ("https://a.example/", "no slash at its end"),
            ("https://a.example/path", "no path"),
            ("https://a.example?x", "no path"),
            ("https://me@a.example", "user name"),
            ("https://bücher.example", "xn--"),
            ("https://*", "whole first label"),
            ("https://a.*.example", "whole first label"),
            ("https://*.*.example", "whole first label"),
            ("https://*a.example", "whole first label"),
            ("https://a.example:*", "port"),
            ("https://a.example:", "port"),
            ("https://a.example:0", "port"),
            ("https://a.example:+1", "port"),
            ("https://a.example:65536", "port"),
            ("https://", "host"),
            ("https://a..example", "host"),
            ("https://a example", "host"),
            ("https://[::1", "host"),
            ("https://[nope]", "host"),
        ];
        for (text, reason) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
