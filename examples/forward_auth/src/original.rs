//! The request that a proxy asks about.

use http::{HeaderMap, Method};

use crate::problem::Problem;

/// Method and target of the request that the client sent to the proxy, as far as the proxy tells.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct OriginalRequest {
    pub(crate) method: Option<Method>,
    /// The path, without the query.
    pub(crate) path: Option<String>,
}

impl OriginalRequest {
    /// Reads the headers that nginx, Caddy and Traefik are set up to send.
    ///
    /// A proxy writes one family of them and passes on what a client wrote of the other. So all that are there must
    /// agree, and nothing is chosen.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let method = agreed(headers, &METHODS, |_, text| Some(text.to_owned()))?;
        let target = agreed(headers, &TARGETS, |name, text| match name {
            "x-original-url" => without_authority(text),
            _ => Some(text.to_owned()),
        })?;
        let method = method.map(|text| known_method(&text).ok_or(Problem::OriginalRequest)).transpose()?;
        let path = target.map(|target| path(&target).ok_or(Problem::OriginalRequest)).transpose()?;
        Ok(Self { method, path })
    }
}

/// The one value of all headers with these names, `None` if there is no such header.
fn agreed(
    headers: &HeaderMap,
    names: &[&str],
    read: impl Fn(&str, &str) -> Option<String>,
) -> Result<Option<String>, Problem> {
    let mut found = None;
    for name in names {
        for (number, value) in headers.get_all(*name).iter().enumerate() {
            let value = value.to_str().ok().and_then(|text| read(name, text));
            match value {
                Some(value) if number == 0 && found.as_ref().is_none_or(|found| *found == value) => found = Some(value),
                _ => return Err(Problem::OriginalRequest),
            }
        }
    }
    Ok(found)
}

/// Methods are case-sensitive (RFC 9110, section 9.1), but some servers are not.
pub(crate) fn known_method(text: &str) -> Option<Method> {
    let is_upper = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    is_upper.then(|| Method::from_bytes(text.as_bytes()).ok()).flatten()
}

/// The path and the query of a URL. An authority with other signs could hold the beginning of a path.
fn without_authority(url: &str) -> Option<String> {
    if url.starts_with('/') {
        return Some(url.to_owned());
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (authority, target) = rest.find('/').and_then(|end| rest.split_at_checked(end))?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (!authority.is_empty() && authority.bytes().all(is_plain)).then(|| target.to_owned())
}

fn path(target: &str) -> Option<String> {
    let path = target.split('?').next().unwrap_or_default();
    path.starts_with('/').then(|| path.to_owned())
}

const METHODS: [&str; 2] = ["x-forwarded-method", "x-original-method"];
const TARGETS: [&str; 3] = ["x-forwarded-uri", "x-original-uri", "x-original-url"];

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(lines: &[(&'static str, &'static str)]) -> Result<OriginalRequest, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        OriginalRequest::read(&headers)
    }

    fn original(method: Option<Method>, path: Option<&str>) -> Result<OriginalRequest, Problem> {
        Ok(OriginalRequest { method, path: path.map(str::to_owned) })
    }

    #[test]
    fn either_family_is_read() {
        assert_eq!(read(&[]), original(None, None));
        for (method, target) in [("x-forwarded-method", "x-forwarded-uri"), ("x-original-method", "x-original-uri")] {
            let both = read(&[(method, "POST"), (target, "/a/b?c=/d?e")]);
            assert_eq!(both, original(Some(Method::POST), Some("/a/b")));
            assert_eq!(read(&[(method, "DELETE")]), original(Some(Method::DELETE), None));
            assert_eq!(read(&[(target, "/")]), original(None, Some("/")));
        }
        for url in ["https://a.example:8443/a?b", "http://[::1]:80/a", "/a"] {
            assert_eq!(read(&[("x-original-url", url)]), original(None, Some("/a")), "{url}");
        }
    }

    #[test]
    fn both_families_must_agree() {
        let agreeing = [
            ("x-forwarded-method", "GET"),
            ("x-original-method", "GET"),
            ("x-forwarded-uri", "/a?b"),
            ("x-original-uri", "/a?b"),
            ("x-original-url", "https://a.example/a?b"),
        ];
        assert_eq!(read(&agreeing), original(Some(Method::GET), Some("/a")));
        for (number, other) in ["POST", "POST", "/b?b", "/a?c", "https://a.example/b?b"].into_iter().enumerate() {
            let mut lines = agreeing;
            lines[number].1 = other;
            assert_eq!(read(&lines), Err(Problem::OriginalRequest), "{other}");
        }
    }

    #[test]
    fn a_header_that_comes_twice_is_refused_even_if_it_agrees() {
        for (name, value) in [("x-forwarded-method", "GET"), ("x-original-uri", "/a"), ("x-original-url", "/a")] {
            assert!(read(&[(name, value)]).is_ok());
            assert_eq!(read(&[(name, value), (name, value)]), Err(Problem::OriginalRequest), "{name}");
        }
    }

    #[test]
    fn what_is_no_method_and_no_path_is_refused() {
        for (name, value) in [
            ("x-forwarded-method", ""),
            ("x-forwarded-method", "get"),
            ("x-forwarded-method", "GET, POST"),
            ("x-original-method", "G T"),
            ("x-forwarded-uri", ""),
            ("x-forwarded-uri", "*"),
            ("x-forwarded-uri", "a"),
            ("x-forwarded-uri", "?/a"),
            ("x-forwarded-uri", "https://a.example/a"),
            ("x-original-uri", "/ä"),
            ("x-original-url", ""),
            ("x-original-url", "https://a.example"),
            ("x-original-url", "https:///a"),
            ("x-original-url", "https://a?/admin"),
            ("x-original-url", "https://u@a.example/a"),
            ("x-original-url", "ftp://a.example/a"),
        ] {
            assert_eq!(read(&[(name, value)]), Err(Problem::OriginalRequest), "{name}: {value}");
        }
    }
}
