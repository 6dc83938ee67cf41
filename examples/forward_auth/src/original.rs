//! The request that a proxy asks about.

use http::{HeaderMap, Method};

use crate::problem::Problem;

/// Method and target of the request that the client sent to the proxy, as far as the proxy tells.
///
/// Their form is judged only when they are asked for: without rules, a request of any spelling passes with its token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct OriginalRequest<'a> {
    method: Option<&'a [u8]>,
    target: Option<&'a [u8]>,
}

impl<'a> OriginalRequest<'a> {
    /// Reads the headers that nginx, Caddy and Traefik are set up to send.
    ///
    /// A proxy writes one family of them and passes on what a client wrote of the other. So all that are there must
    /// agree, byte by byte, and nothing is chosen.
    pub(crate) fn read(headers: &'a HeaderMap) -> Result<Self, Problem> {
        let method = agreed(headers, &METHODS, |_, bytes| bytes)?;
        let target = agreed(headers, &TARGETS, |name, bytes| match name {
            // What cannot be cut stays whole, and so is no path.
            "x-original-url" => without_authority(bytes).unwrap_or(bytes),
            _ => bytes,
        })?;
        Ok(Self { method, target })
    }

    pub(crate) fn method(self) -> Result<Method, Problem> {
        let bytes = self.method.ok_or(Problem::MissingRequest)?;
        known_method(bytes).ok_or(Problem::InvalidMethod)
    }

    /// The path, without the query. No rule looks at the query, which may have any bytes.
    pub(crate) fn path(self) -> Result<&'a str, Problem> {
        let target = self.target.ok_or(Problem::MissingRequest)?;
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        // Servers take other bytes for different letters, or for none.
        let is_plain = path.starts_with(b"/") && path.iter().all(u8::is_ascii_graphic);
        std::str::from_utf8(path).ok().filter(|_| is_plain).ok_or(Problem::InvalidPath)
    }
}

/// The one value of all headers with these names, `None` if there is no such header.
fn agreed<'a>(
    headers: &'a HeaderMap,
    names: &[&str],
    read: impl Fn(&str, &'a [u8]) -> &'a [u8],
) -> Result<Option<&'a [u8]>, Problem> {
    let mut found = None;
    for name in names {
        for (number, value) in headers.get_all(*name).iter().enumerate() {
            let value = read(name, value.as_bytes());
            if number > 0 || *found.get_or_insert(value) != value {
                return Err(Problem::ContradictoryRequest);
            }
        }
    }
    Ok(found)
}

/// Methods are case-sensitive (RFC 9110, section 9.1), but some servers are not.
pub(crate) fn known_method(name: &[u8]) -> Option<Method> {
    let is_upper = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    is_upper.then(|| Method::from_bytes(name).ok()).flatten()
}

/// The path and the query of a URL. An authority with other characters could hold the beginning of a path.
fn without_authority(url: &[u8]) -> Option<&[u8]> {
    if url.starts_with(b"/") {
        return Some(url);
    }
    let rest = url.strip_prefix(b"https://").or_else(|| url.strip_prefix(b"http://"))?;
    let end = rest.iter().position(|byte| *byte == b'/')?;
    let (authority, target) = rest.split_at_checked(end)?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte);
    (!authority.is_empty() && authority.iter().all(is_plain)).then_some(target)
}

const METHODS: [&str; 2] = ["x-forwarded-method", "x-original-method"];
const TARGETS: [&str; 3] = ["x-forwarded-uri", "x-original-uri", "x-original-url"];

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers<V: AsRef<[u8]>>(lines: &[(&'static str, V)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_ref()).unwrap());
        }
        headers
    }

    fn read<V: AsRef<[u8]>>(lines: &[(&'static str, V)]) -> Result<(), Problem> {
        OriginalRequest::read(&headers(lines)).map(drop)
    }

    fn method<V: AsRef<[u8]>>(lines: &[(&'static str, V)]) -> Result<Method, Problem> {
        OriginalRequest::read(&headers(lines))?.method()
    }

    fn path<V: AsRef<[u8]>>(lines: &[(&'static str, V)]) -> Result<String, Problem> {
        OriginalRequest::read(&headers(lines))?.path().map(str::to_owned)
    }

    #[test]
    fn either_family_is_read() {
        for (of_method, of_target) in
            [("x-forwarded-method", "x-forwarded-uri"), ("x-original-method", "x-original-uri")]
        {
            let both = [(of_method, "POST"), (of_target, "/a/b?c=/d?e")];
            assert_eq!((method(&both), path(&both)), (Ok(Method::POST), Ok("/a/b".to_owned())));
            assert_eq!(method(&[(of_method, "DELETE")]), Ok(Method::DELETE));
            assert_eq!(path(&[(of_target, "/")]).as_deref(), Ok("/"));
        }
        for url in ["https://a.example:8443/a?b", "http://[::1]:80/a", "/a"] {
            assert_eq!(path(&[("x-original-url", url)]).as_deref(), Ok("/a"), "{url}");
        }
    }

    #[test]
    fn what_is_not_told_is_missing() {
        let nothing = OriginalRequest::default();
        assert_eq!(OriginalRequest::read(&HeaderMap::new()), Ok(nothing));
        assert_eq!((nothing.method(), nothing.path()), (Err(Problem::MissingRequest), Err(Problem::MissingRequest)));
        assert_eq!(method(&[("x-forwarded-uri", "/")]), Err(Problem::MissingRequest));
        assert_eq!(path(&[("x-forwarded-method", "GET")]), Err(Problem::MissingRequest));
    }

    #[test]
    fn both_families_must_agree() {
        let agreeing = [
            ("x-forwarded-method", "GET"),
            ("x-original-method", "GET"),
            ("x-forwarded-uri", "/a?b=é"),
            ("x-original-uri", "/a?b=é"),
            ("x-original-url", "https://a.example/a?b=é"),
        ];
        assert_eq!((method(&agreeing), path(&agreeing).as_deref()), (Ok(Method::GET), Ok("/a")));
        for (number, others) in [
            &["POST", "get", "GET ", ""][..],
            &["POST", "get", "GÉT", ""],
            &["/b?b=é", "/a?b=%C3%A9", "/a?b=e\u{301}", "/é", ""],
            &["/a?c", "/a?b=É", "/a", "/a?b=é&", ""],
            &["https://a.example/b?b=é", "https://a.example/a?b=e", "https://u@a.example/a?b=é", "ftp://a/a?b=é", ""],
        ]
        .into_iter()
        .enumerate()
        {
            for other in others {
                let mut lines = agreeing;
                lines[number].1 = other;
                assert_eq!(read(&lines), Err(Problem::ContradictoryRequest), "{other}");
            }
        }
        // Neither is text, and both would be the same sign in its place.
        let bytes: [(_, &[u8]); 2] = [("x-forwarded-uri", b"/?\xe9"), ("x-original-uri", b"/?\xe8")];
        assert_eq!(read(&bytes), Err(Problem::ContradictoryRequest));
    }

    #[test]
    fn a_header_that_comes_twice_is_refused_even_if_it_agrees() {
        for (name, value) in
            [("x-forwarded-method", "GET"), ("x-original-uri", "/a"), ("x-original-url", "/a"), ("x-original-uri", "é")]
        {
            assert_eq!(read(&[(name, value)]), Ok(()));
            assert_eq!(read(&[(name, value), (name, value)]), Err(Problem::ContradictoryRequest), "{name}");
        }
    }

    #[test]
    fn a_query_may_have_any_bytes() {
        for query in [&b"q=caf\xc3\xa9"[..], b"\xff\xe9", b"a b\t", b"/\\..;?#", b""] {
            for start in ["/a?", "/?", "/caf%C3%A9?"] {
                let target = [start.as_bytes(), query].concat();
                let of_path = Ok(start.trim_end_matches('?'));
                for name in ["x-forwarded-uri", "x-original-uri", "x-original-url"] {
                    assert_eq!(path(&[(name, &target)]).as_deref(), of_path, "{name} {target:?}");
                }
                let url = [b"https://a.example", &*target].concat();
                assert_eq!(path(&[("x-original-url", &url)]).as_deref(), of_path, "{url:?}");
            }
        }
    }

    #[test]
    fn what_is_no_method_is_let_be_until_somebody_asks() {
        for value in ["", "get", "propfind", "Get", "GET1", "G_T", "GET, POST", "G T", "GÉT"] {
            for name in ["x-forwarded-method", "x-original-method"] {
                assert_eq!(read(&[(name, value)]), Ok(()), "{value}");
                assert_eq!(method(&[(name, value)]), Err(Problem::InvalidMethod), "{value}");
            }
        }
        assert_eq!(method(&[("x-forwarded-method", "M-SEARCH")]).unwrap(), "M-SEARCH");
    }

    #[test]
    fn what_is_no_path_is_let_be_until_somebody_asks() {
        for (name, value) in [
            ("x-forwarded-uri", &b""[..]),
            ("x-forwarded-uri", b"*"),
            ("x-forwarded-uri", b"a"),
            ("x-forwarded-uri", b"?/a"),
            ("x-forwarded-uri", b"https://a.example/a"),
            ("x-original-uri", "/ä".as_bytes()),
            ("x-original-uri", b"/a\xff"),
            ("x-original-uri", b"/a b"),
            ("x-original-uri", b"/a\tb?c"),
            ("x-original-uri", "/ä?b".as_bytes()),
            ("x-original-url", b""),
            ("x-original-url", "https://a.example/ä".as_bytes()),
            ("x-original-url", b"https://a.example"),
            ("x-original-url", b"https:///a"),
            ("x-original-url", b"https://a?/admin"),
            ("x-original-url", b"https://u@a.example/a"),
            ("x-original-url", "https://ä.example/a".as_bytes()),
            ("x-original-url", b"ftp://a.example/a"),
        ] {
            assert_eq!(read(&[(name, value)]), Ok(()), "{name}: {value:?}");
            assert_eq!(path(&[(name, value)]), Err(Problem::InvalidPath), "{name}: {value:?}");
        }
    }
}
