//! Protected resource metadata (RFC 9728), by which OAuth clients find the authorization server of a resource.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE,
        HOST, VARY,
    },
};
use serde::Serialize;
use tower_service::Service;

use crate::{
    config::ClerkConfig, rejection::for_method, resource::ProtectedResource, token_kind::TokenKind, verify::Verifier,
};

/// Serves the metadata of a [`ProtectedResource`] (RFC 9728) as a route of its own.
///
/// A [`ClerkAuthLayer`](crate::ClerkAuthLayer) with the resource serves the same document where it sees the path of it.
/// This service is for the other cases: the layer guards a nested router or matched routes alone, or another server
/// than the service itself answers for the well-known path.
///
/// The document needs no token, and pages of any origin may read it: GET, HEAD and preflight requests (OPTIONS) are
/// answered, other methods get 405. `authorization_servers` are the issuers of the instances that accept OAuth tokens,
/// or of all configured instances if none does; those of a [resolver](crate::verify::VerifierBuilder::resolver) are not
/// known beforehand.
///
/// The router chooses the path, so a resource with a URL is described at every path. One that is
/// [derived](ProtectedResource::from_request) needs the whole path of the request, and gets 404 elsewhere.
///
/// ```
/// # #[cfg(all(feature = "axum", feature = "testing"))]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use axum::{Router, body::Body, http::Request, routing::post};
/// use tower::ServiceExt;
/// use tower_clerk::{
///     ClerkAuthLayer, OAuthToken, ProtectedResource, TokenKind, authenticate::ResourceMetadataService,
///     testing::TestIssuer,
/// };
///
/// async fn call(token: OAuthToken) -> String {
///     token.user_id().to_owned()
/// }
///
/// let issuer = TestIssuer::new();
/// let resource = ProtectedResource::new("https://api.example.com/mcp")?;
/// let clerk = ClerkAuthLayer::from_config(issuer.config().accept([TokenKind::OAuth])?)?;
/// let metadata = ResourceMetadataService::new(resource.clone(), clerk.verifier());
/// let path = resource.metadata_path();
/// let guarded = Router::new().route("/", post(call)).layer(clerk.protected_resource(resource)?);
/// let app: Router = Router::new().nest("/mcp", guarded).route_service(&path, metadata);
///
/// let response = app.clone().oneshot(Request::post("/mcp").body(Body::empty())?).await?;
/// assert_eq!(
///     response.headers()["www-authenticate"],
///     r#"Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/mcp""#,
/// );
///
/// let request = Request::get("/.well-known/oauth-protected-resource/mcp").body(Body::empty())?;
/// let body = axum::body::to_bytes(app.oneshot(request).await?.into_body(), 1000).await?;
/// let document: serde_json::Value = serde_json::from_slice(&body)?;
/// assert_eq!(document["resource"], "https://api.example.com/mcp");
/// assert_eq!(document["authorization_servers"][0], issuer.url());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResourceMetadataService {
    resource: Arc<ProtectedResource>,
    verifier: Verifier,
}

impl ResourceMetadataService {
    /// Makes a service for this resource, whose authorization servers are the instances of `verifier`.
    #[must_use]
    pub fn new(resource: ProtectedResource, verifier: &Verifier) -> Self {
        Self { resource: Arc::new(resource), verifier: verifier.clone() }
    }
}

impl<B> Service<Request<B>> for ResourceMetadataService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // A router may have cut off the path, or a proxy may have changed it.
        let rest = match self.resource.url() {
            Some(_) => Some(""),
            None => self.resource.below_well_known(request.uri().path()),
        };
        let response = rest.and_then(|rest| document(&self.resource, rest, &request, &self.verifier));
        ready(Ok(response.unwrap_or_else(|| without_body(StatusCode::NOT_FOUND))))
    }
}

/// The members of the document that apply here (RFC 9728, section 2). Section 3.2 has empty lists omitted.
#[derive(Serialize)]
struct Metadata<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    authorization_servers: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes_supported: &'a [String],
    bearer_methods_supported: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_documentation: Option<&'a str>,
}

/// Returns the response if the request is for the metadata, `None` if it is to be authenticated.
///
/// The document is public: a client reads it before it has a token. `None` also if the resource is derived from a
/// request that does not name its host, since the document must name the resource.
pub(super) fn response<B>(
    resource: &ProtectedResource,
    request: &Request<B>,
    verifier: &Verifier,
) -> Option<Response<String>> {
    let rest = resource.below_well_known(request.uri().path())?;
    document(resource, rest, request, verifier)
}

/// Answers a request at the path of the document, of which `rest` follows the well-known path.
fn document<B>(
    resource: &ProtectedResource,
    rest: &str,
    request: &Request<B>,
    verifier: &Verifier,
) -> Option<Response<String>> {
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Some(preflight(request.headers())),
        _ => {
            let mut response = without_body(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, METHODS);
            return Some(response);
        }
    }
    let identifier = resource.identifier(rest, request.uri(), request.headers())?;
    let metadata = Metadata {
        resource: &identifier,
        authorization_servers: &authorization_servers(verifier),
        scopes_supported: resource.supported_scopes(),
        bearer_methods_supported: ["header"],
        resource_name: resource.display_name(),
        resource_documentation: resource.documentation_url(),
    };
    let mut response = Response::new(serde_json::to_string(&metadata).ok()?);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    if resource.url().is_none() {
        headers.insert(VARY, HeaderValue::from(HOST));
    }
    Some(for_method(response, request.method()))
}

/// The issuers whose tokens a client can use here. Without one that issues access tokens, the document still names the
/// instances, for clients that know how else to sign in there.
fn authorization_servers(verifier: &Verifier) -> Vec<&str> {
    let accepts_oauth = |config: &ClerkConfig| config.accepted.contains(TokenKind::OAuth);
    let is_any = !verifier.configs().any(accepts_oauth);
    verifier.configs().filter(|config| is_any || accepts_oauth(config)).flat_map(ClerkConfig::issuers).collect()
}

/// Answers the preflight request (CORS) of a browser, which stands before a GET with a header of an MCP client.
///
/// A CORS layer further out usually answers before this one. The wildcard covers all headers but `Authorization`
/// (Fetch, "CORS non-wildcard request-header name"), which a client may send along although the document needs none.
fn preflight(asked: &HeaderMap) -> Response<String> {
    let mut names = asked
        .get_all(ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    let asks_authorization = names.any(|name| name.eq_ignore_ascii_case(AUTHORIZATION.as_str().as_bytes()));
    let allowed = if asks_authorization { HeaderValue::from_static("authorization, *") } else { ANY };
    let mut response = without_body(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    headers.insert(ACCESS_CONTROL_MAX_AGE, DAY);
    headers.insert(ALLOW, METHODS);
    response
}

fn without_body(status: StatusCode) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    response
}

/// Browser clients read the document from other origins. It is the same for everybody, and no cookie is read for it.
const ANY: HeaderValue = HeaderValue::from_static("*");
/// In seconds: what a preflight request allows never changes, and browsers keep it for a day at most.
const DAY: HeaderValue = HeaderValue::from_static("86400");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
