//! Protected resource metadata (RFC 9728), by which OAuth clients find the authorization server of a resource.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST},
    uri::Authority,
};
use serde::Serialize;

use crate::{
    config::{ClerkConfig, Host},
    rejection::for_method,
};

/// The members of the document that apply here (RFC 9728, section 2). Section 3.2 has empty lists omitted.
#[derive(Serialize)]
struct Metadata<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<&'a str>,
    bearer_methods_supported: [&'a str; 1],
}

/// Returns the response if the request is for the metadata, `None` if it is to be authenticated.
///
/// The document is public: a client reads it before it has a token. `None` also if the request does not name its host,
/// since the document must name the resource.
pub(super) fn response<'a, B>(
    request: &Request<B>,
    configs: impl Iterator<Item = &'a ClerkConfig>,
) -> Option<Response<Bytes>> {
    let rest = request.uri().path().strip_prefix(WELL_KNOWN)?;
    if !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    let resource = format!("{}{rest}", origin(request)?);
    let authorization_servers = configs.flat_map(ClerkConfig::issuers).collect();
    let metadata = Metadata { resource: &resource, authorization_servers, bearer_methods_supported: ["header"] };
    let body = Bytes::from(serde_json::to_vec(&metadata).ok()?);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Browser clients read it from other origins.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Some(for_method(response, request.method()))
}

/// Returns the challenge parameter `resource_metadata` for the requested resource (RFC 9728, section 5.1).
///
/// The well-known path is inserted between the host and the path of the resource (section 3.1). `None` if the URL would
/// need escapes in a quoted string.
pub(super) fn challenge<B>(request: &Request<B>) -> Option<HeaderValue> {
    let path = request.uri().path();
    let path = if path == "/" { "" } else { path };
    let url = format!("{}{WELL_KNOWN}{path}", origin(request)?);
    if url.contains(['"', '\\']) {
        return None;
    }
    HeaderValue::try_from(format!("resource_metadata=\"{url}\"")).ok()
}

/// Returns the origin of the resource as the client sees it; `None` if the request names no host, or several.
///
/// The scheme is `https` except on loopback: RFC 9728, section 1.2, requires it, and behind a proxy that terminates TLS
/// the request itself does not show it.
fn origin<B>(request: &Request<B>) -> Option<String> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.clone(),
        None => {
            let mut hosts = request.headers().get_all(HOST).iter();
            match (hosts.next(), hosts.next()) {
                (Some(host), None) => Authority::try_from(host.as_bytes()).ok()?,
                _ => return None,
            }
        }
    };
    if authority.as_str().contains(['@', '"', '\\']) {
        return None;
    }
    let is_loopback = Host::of_authority(authority.host()).is_some_and(Host::is_loopback);
    let scheme = if is_loopback && request.uri().scheme_str() != Some("https") { "http" } else { "https" };
    Some(format!("{scheme}://{authority}"))
}

/// The path that RFC 9728, section 3, defines.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
