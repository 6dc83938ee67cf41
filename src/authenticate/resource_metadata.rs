//! Protected resource metadata (RFC 9728), by which OAuth clients find the authorization server of a resource.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL,
        CONTENT_TYPE, HOST,
    },
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
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Some(preflight()),
        _ => return Some(without_body(StatusCode::METHOD_NOT_ALLOWED)),
    }
    let resource = format!("{}{rest}", origin(request)?);
    let authorization_servers = configs.flat_map(ClerkConfig::issuers).collect();
    let metadata = Metadata { resource: &resource, authorization_servers, bearer_methods_supported: ["header"] };
    let body = Bytes::from(serde_json::to_vec(&metadata).ok()?);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    Some(for_method(response, request.method()))
}

/// Answers the preflight request (CORS) of a browser, which stands before a GET with a header of an MCP client.
///
/// A CORS layer further out usually answers before this one. The wildcard covers all headers but `Authorization`, which
/// a client may send along although the document needs none. Old browsers take it for a name.
fn preflight() -> Response<Bytes> {
    let mut response = without_body(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization,mcp-protocol-version,*"));
    response
}

fn without_body(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response.headers_mut().insert(ALLOW, METHODS);
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    response
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
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// Browser clients read the document from other origins. It is the same for everybody, and no cookie is read for it.
const ANY: HeaderValue = HeaderValue::from_static("*");
