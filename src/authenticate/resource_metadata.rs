//! Protected resource metadata (RFC 9728), by which OAuth clients find the authorization server.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST},
    uri::Authority,
};
use serde::Serialize;

use crate::config::ClerkConfig;

/// RFC 9728, section 2.
#[derive(Serialize)]
struct Metadata<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<&'a str>,
    bearer_methods_supported: [&'a str; 1],
}

/// The metadata, if that is what the request asks for; it needs no token.
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
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(if request.method() == Method::HEAD { Bytes::new() } else { body });
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // The document is public, and browser clients read it from other origins.
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Some(response)
}

/// The parameter that points a challenge at the metadata of the resource asked for (RFC 9728, section 5.1).
pub(super) fn challenge<B>(request: &Request<B>) -> Option<HeaderValue> {
    let path = request.uri().path();
    let path = if path == "/" { "" } else { path };
    let url = format!("{}{WELL_KNOWN}{path}", origin(request)?);
    if url.contains(['"', '\\']) {
        return None;
    }
    HeaderValue::try_from(format!("resource_metadata=\"{url}\"")).ok()
}

/// The origin as the client sees it, whatever stands between: RFC 9728 wants https, so only loopback is plain.
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
    let is_loopback = matches!(authority.host(), "localhost" | "[::1]")
        || authority.host().parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    let scheme = if is_loopback && request.uri().scheme_str() != Some("https") { "http" } else { "https" };
    Some(format!("{scheme}://{authority}"))
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
