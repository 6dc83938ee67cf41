use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use super::ClientInfo;

/// Writes `Forwarded` (RFC 7239) and the older headers with the same content.
pub(super) fn set(headers: &mut HeaderMap, client: &ClientInfo) {
    // One allocation: the older ones are parts of the new one.
    let mut text = String::with_capacity(FIXED_PARTS + LONGEST_ADDRESS + client.host.len());
    let address = match client.address.to_canonical() {
        IpAddr::V4(address) => write(&mut text, "for=", format_args!("{address}"), ""),
        IpAddr::V6(address) => write(&mut text, "for=\"[", format_args!("{address}"), "]\""),
    };
    let host = is_plain(&client.host).then(|| write(&mut text, ";host=\"", format_args!("{}", client.host), "\""));
    text.push_str(";proto=");
    text.push_str(client.scheme);

    let text = Bytes::from(text);
    insert(headers, X_FORWARDED_FOR, text.slice(address));
    if let Some(host) = host {
        insert(headers, X_FORWARDED_HOST, text.slice(host));
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme));
    insert(headers, FORWARDED, text);
}

fn write(text: &mut String, before: &str, part: std::fmt::Arguments<'_>, after: &str) -> std::ops::Range<usize> {
    text.push_str(before);
    let start = text.len();
    // Writing to a string does not fail.
    let _ = text.write_fmt(part);
    let end = text.len();
    text.push_str(after);
    start..end
}

/// Whether the authority can stand between quotes.
fn is_plain(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(value) {
        headers.insert(name, value);
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The names, signs and scheme of a `Forwarded`, so that its text grows once.
const FIXED_PARTS: usize = r#"for="[]";host="";proto=https"#.len();

const LONGEST_ADDRESS: usize = size_of::<Ipv6Addr>() / 2 * "ffff:".len();

#[cfg(test)]
mod tests {
    use super::*;

    fn written(address: &str, host: &str) -> Vec<String> {
        let client = ClientInfo { address: address.parse().unwrap(), host: host.to_owned(), scheme: "https" };
        let mut headers = HeaderMap::new();
        set(&mut headers, &client);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn address_host_and_scheme_are_written() {
        assert_eq!(
            written("192.0.2.7", "api.example.com:8080"),
            [
                r#"forwarded: for=192.0.2.7;host="api.example.com:8080";proto=https"#,
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: api.example.com:8080",
                "x-forwarded-proto: https",
            ]
        );
    }

    #[test]
    fn addresses_of_version_6_are_quoted() {
        let lines = written("2001:db8::1", "a");
        assert!(lines.contains(&r#"forwarded: for="[2001:db8::1]";host="a";proto=https"#.to_owned()));
        assert!(lines.contains(&"x-forwarded-for: 2001:db8::1".to_owned()));
    }

    #[test]
    fn version_4_addresses_of_a_version_6_socket_are_written_as_such() {
        assert!(written("::ffff:192.0.2.7", "a").contains(&"x-forwarded-for: 192.0.2.7".to_owned()));
    }

    #[test]
    fn a_host_that_would_end_the_quotes_is_left_out() {
        for host in ["", r#"a";for=10.0.0.1"#, r"a\", "a b", "ä"] {
            let lines = written("192.0.2.7", host);
            assert!(lines.contains(&"forwarded: for=192.0.2.7;proto=https".to_owned()), "{lines:?}");
            assert_eq!(lines.len(), 3);
        }
    }
}
