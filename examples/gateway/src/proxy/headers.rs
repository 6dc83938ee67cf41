use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
};

use crate::identity_headers::{IdentityHeaders, is_like, starts_like};

/// The names that only the gateway may set, in every spelling: servers that hand headers to programs as variables make
/// `_` of `-`, and some of any other sign too, so that `x_clerk.user-id` would arrive as `x-clerk-user-id`.
#[derive(Clone, Debug)]
pub(super) struct ReservedHeaders(Arc<[HeaderName]>);

impl ReservedHeaders {
    pub(super) fn new(identity_headers: &[HeaderName]) -> Self {
        Self(identity_headers.into())
    }

    fn contains(&self, name: &HeaderName) -> bool {
        let may_be_known = matches!(name.as_str().as_bytes(), [b'c' | b'f' | b'k' | b'p' | b't' | b'x', ..]);
        may_be_known && is_known(name) || self.0.iter().any(|reserved| is_like(name, reserved.as_str()))
    }
}

/// Whether a client's header of this name is removed before any policy sees it.
pub(crate) fn never_arrives(name: &HeaderName) -> bool {
    is_hop_by_hop(name) || is_known(name)
}

fn is_known(name: &HeaderName) -> bool {
    IdentityHeaders::Clerk.contain(name)
        || RESERVED_PREFIXES.iter().any(|prefix| starts_like(name, prefix))
        || RESERVED_NAMES.iter().any(|reserved| is_like(name, reserved))
        // In its own spelling it belongs to the message.
        || MESSAGE_NAMES.iter().any(|own| name.as_str() != *own && is_like(name, own))
}

/// Removes what is meant for the next hop alone, and what only the gateway may say.
pub(super) fn clean_request(headers: &mut HeaderMap, reserved: &ReservedHeaders) {
    let has_trailers = headers.contains_key(TE) && wants_trailers(headers);
    remove_hop_by_hop_and(headers, |name| reserved.contains(name));
    if has_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes what was meant for the gateway alone.
pub(super) fn clean_response(headers: &mut HeaderMap) {
    remove_hop_by_hop_and(headers, |_| false);
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if lengths.next().is_some_and(|length| length.as_bytes().contains(&b',')) || lengths.next().is_some() {
        // The same length several times, or hyper had refused it: it is written once, from the body.
        headers.remove(CONTENT_LENGTH);
    }
}

/// Removes from trailers what would not have been let through as a header, and what a receiver that merges trailers
/// into headers must not see there.
pub(super) fn clean_trailers(trailers: &mut HeaderMap, reserved: &ReservedHeaders) {
    remove_hop_by_hop_and(trailers, |name| {
        [AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, TE, TRAILER].contains(name) || reserved.contains(name)
    });
}

fn remove_hop_by_hop_and(headers: &mut HeaderMap, is_unwanted: impl Fn(&HeaderName) -> bool) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // It wins over a length (RFC 9112, 6.3), which must not stay behind alone.
        headers.remove(CONTENT_LENGTH);
    }
    let mut unwanted = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let names = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        unwanted.extend(names.filter_map(|name| HeaderName::from_bytes(name).ok()));
    }
    unwanted.extend(headers.keys().filter(|name| is_hop_by_hop(name) || is_unwanted(name)).cloned());
    for name in unwanted {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(name.as_str().as_bytes(), [b'c' | b'k' | b'p' | b't' | b'u', ..])
        && (HOP_BY_HOP.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection"))
}

/// Whether `TE` has `trailers`, the one of its words that is no matter of the connection.
fn wants_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(TE).iter().any(|value| {
        let mut words = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        words.any(|word| word.eq_ignore_ascii_case(b"trailers"))
    })
}

/// Headers that some servers believe: on the address of the client, on the path or the method of the request, which the
/// gateway has decided by others, or (`Proxy`, which becomes `HTTP_PROXY`) on where to send requests of their own.
const RESERVED_NAMES: [&str; 8] = [
    "forwarded",
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
];
const RESERVED_PREFIXES: [&str; 3] = ["x-forwarded-", "x-original-", "x-rewrite-"];

/// Names that a server which makes variables of headers would take another spelling for.
const MESSAGE_NAMES: [&str; 5] =
    ["content-length", "keep-alive", "proxy-authorization", "proxy-connection", "transfer-encoding"];

/// RFC 9110, 7.6.1; `Trailer` stays, as hyper sends those trailers only that it names.
static HOP_BY_HOP: [HeaderName; 6] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE];

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(lines: &[(&'static str, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static(value));
        }
        clean_request(&mut headers, &ReservedHeaders::new(&[HeaderName::from_static("remote-user")]));
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn headers_of_the_hop_do_not_pass() {
        for name in [
            "Connection",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "Proxy-Connection",
            "TE",
            "Transfer-Encoding",
            "Upgrade",
        ] {
            assert_eq!(cleaned(&[(name, "x"), ("accept", "*/*")]), ["accept: */*"], "{name}");
        }
    }

    #[test]
    fn headers_named_in_connection_do_not_pass() {
        let lines = [
            ("connection", "close, X-One"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("connection", "x-TWO ,,\tx-three"),
            ("x-three", "3"),
        ];
        assert!(cleaned(&lines).is_empty());
    }

    #[test]
    fn reserved_names_do_not_pass_in_any_spelling() {
        for name in [
            "x-clerk-user-id",
            "X-Clerk-Anything",
            "x_clerk_user_id",
            "X_CLERK-user.id",
            "x.clerk.org.id",
            "x-clerk-",
            "Forwarded",
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-Forwarded_Port",
            "FORWARDED",
            "x_forwarded-HOST",
            "x.forwarded.proto",
            "X-Original-URL",
            "X_ORIGINAL_URL",
            "x-rewrite-url",
            "x_rewrite_url",
            "X-Real-IP",
            "x_real_ip",
            "X-REAL.IP",
            "Proxy",
            "X-HTTP-Method",
            "x-http-method-override",
            "X-Method-Override",
            "X-Original-URI",
            "X-Original-Method",
            "x_original_path",
            "X-Rewrite-Path",
            "X-Client-IP",
            "True-Client-IP",
            "true_client_ip",
            "Content_Length",
            "keep_alive",
            "proxy_authorization",
            "proxy.connection",
            "transfer.encoding",
            "Remote-User",
            "remote_user",
            "REMOTE.USER",
        ] {
            assert!(cleaned(&[(name, "x")]).is_empty(), "{name}");
        }
        for name in [
            "x-clerk",
            "x-clerks-id",
            "x-forwarded",
            "forwarded-by",
            "x-real-ips",
            "x-original",
            "remote-users",
            "xx-clerk-user-id",
        ] {
            assert_eq!(cleaned(&[(name, "x")]), [format!("{name}: x")], "{name}");
        }
    }

    #[test]
    fn what_belongs_to_the_head_does_not_pass_in_trailers() {
        let reserved = ReservedHeaders::new(&[HeaderName::from_static("remote-user")]);
        for name in [
            "Authorization",
            "Connection",
            "Content-Length",
            "Cookie",
            "Host",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "X-Forwarded-For",
            "x_clerk_user_id",
            "Remote_User",
        ] {
            let mut trailers = HeaderMap::new();
            for name in [name, "x-sum"] {
                trailers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("x"));
            }
            clean_trailers(&mut trailers, &reserved);
            assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-sum"], "{name}");
        }
    }

    #[test]
    fn te_passes_only_for_trailers() {
        assert_eq!(cleaned(&[("te", "deflate;q=0.5, Trailers"), ("connection", "te")]), ["te: trailers"]);
        assert!(cleaned(&[("te", "deflate")]).is_empty());
    }

    #[test]
    fn a_length_beside_a_transfer_coding_goes() {
        assert!(cleaned(&[("content-length", "5"), ("transfer-encoding", "chunked")]).is_empty());
        assert_eq!(cleaned(&[("content-length", "5")]), ["content-length: 5"]);
    }
}
