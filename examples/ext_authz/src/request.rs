//! The request that Envoy asks about.

use std::str::FromStr;

use envoy_types::pb::envoy::service::auth::v3::{CheckRequest, attribute_context::HttpRequest};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header::HOST};

/// A request to decide about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) head: Request<()>,
    /// What the configuration of the route requires, `context_extensions.require`.
    pub(crate) requirement: Option<String>,
}

/// The request has something that no HTTP message has. Envoy lets none of that through, so this is a caller of another
/// kind, or a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

impl TryFrom<CheckRequest> for Asked {
    type Error = Malformed;

    fn try_from(check: CheckRequest) -> Result<Self, Malformed> {
        let mut attributes = check.attributes.ok_or(Malformed)?;
        let requirement = attributes.context_extensions.remove(REQUIRE);
        let asked = attributes.request.and_then(|request| request.http).ok_or(Malformed)?;
        let mut head = Request::new(());
        *head.method_mut() = Method::from_str(&asked.method).map_err(|_| Malformed)?;
        // Without the path: routes are Envoy's, and two readings of a path would be a way around them.
        *head.headers_mut() = headers(asked)?;
        Ok(Self { head, requirement })
    }
}

/// The headers as they came, with `encode_raw_headers`. Without it they are a map, in which those of one name are a
/// list with commas: a credential with a comma is malformed.
fn headers(asked: HttpRequest) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::new();
    let mut append = |name: &str, value: &[u8]| {
        // The method, the path and the authority, which have fields of their own.
        if name.starts_with(':') {
            return Ok(());
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Malformed)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| Malformed)?;
        headers.try_append(name, value).map(drop).map_err(|_| Malformed)
    };
    match asked.header_map {
        Some(raw) => {
            for header in &raw.headers {
                let is_raw = !header.raw_value.is_empty();
                append(&header.key, if is_raw { &header.raw_value } else { header.value.as_bytes() })?;
            }
        }
        None => {
            for (name, value) in &asked.headers {
                append(name, value.as_bytes())?;
            }
        }
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_str(&asked.host).map_err(|_| Malformed)?);
    }
    Ok(headers)
}

const REQUIRE: &str = "require";

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use envoy_types::pb::envoy::{
        config::core::v3::{HeaderMap as RawHeaders, HeaderValue as RawHeader},
        service::auth::v3::{AttributeContext, attribute_context},
    };

    use super::*;

    fn asked(http: HttpRequest) -> Result<Asked, Malformed> {
        let request = attribute_context::Request { http: Some(http), ..Default::default() };
        let context_extensions = HashMap::from([("require".to_owned(), "role=org:admin".to_owned())]);
        let attributes = AttributeContext { request: Some(request), context_extensions, ..Default::default() };
        CheckRequest { attributes: Some(attributes) }.try_into()
    }

    fn http() -> HttpRequest {
        HttpRequest { method: "GET".to_owned(), path: "/a?b".to_owned(), host: "h:1".to_owned(), ..Default::default() }
    }

    fn raw(headers: &[(&str, &[u8])]) -> Option<RawHeaders> {
        let raw = |(key, value): &(&str, &[u8])| RawHeader {
            key: (*key).to_owned(),
            raw_value: value.to_vec(),
            ..Default::default()
        };
        Some(RawHeaders { headers: headers.iter().map(raw).collect() })
    }

    fn values(asked: &Asked, name: &str) -> Vec<Vec<u8>> {
        asked.head.headers().get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    #[test]
    fn raw_headers_stay_apart_and_keep_their_bytes() {
        let header_map =
            raw(&[(":method", b"GET"), ("authorization", b"Bearer a"), ("authorization", b"Bearer b"), ("x", b"\xff")]);
        let asked = asked(HttpRequest { header_map, ..http() }).unwrap();
        assert_eq!(values(&asked, "authorization"), [b"Bearer a", b"Bearer b"]);
        assert_eq!(values(&asked, "x"), [b"\xff"]);
        assert_eq!(asked.head.method(), Method::GET);
        assert_eq!(asked.requirement.as_deref(), Some("role=org:admin"));
    }

    #[test]
    fn the_map_is_read_only_where_there_are_no_raw_headers() {
        let headers = HashMap::from([("authorization".to_owned(), "Bearer a,Bearer b".to_owned())]);
        let merged = asked(HttpRequest { headers: headers.clone(), ..http() }).unwrap();
        assert_eq!(values(&merged, "authorization"), [b"Bearer a,Bearer b"]);
        let both = asked(HttpRequest { headers, header_map: raw(&[]), ..http() }).unwrap();
        assert!(values(&both, "authorization").is_empty());
    }

    #[test]
    fn the_authority_is_the_host_unless_there_is_one() {
        assert_eq!(values(&asked(http()).unwrap(), "host"), [b"h:1"]);
        let asked = asked(HttpRequest { header_map: raw(&[("host", b"other")]), ..http() }).unwrap();
        assert_eq!(values(&asked, "host"), [b"other"]);
    }

    #[test]
    fn what_no_http_message_has_is_malformed() {
        for http in [
            HttpRequest { method: "G T".to_owned(), ..http() },
            HttpRequest { method: String::new(), ..http() },
            HttpRequest { host: "a\n".to_owned(), ..http() },
            HttpRequest { header_map: raw(&[("a b", b"")]), ..http() },
            HttpRequest { header_map: raw(&[("a", b"\n")]), ..http() },
        ] {
            assert_eq!(asked(http.clone()).err(), Some(Malformed), "{http:?}");
        }
        assert_eq!(Asked::try_from(CheckRequest::default()).err(), Some(Malformed));
        assert_eq!(Asked::try_from(CheckRequest { attributes: Some(Default::default()) }).err(), Some(Malformed));
    }
}
