//! One request, from its head to the head of its response.

use std::{net::IpAddr, sync::Arc};

use arc_swap::ArcSwap;
use axum::body::Body;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, CONTENT_LENGTH, HOST, ORIGIN},
    uri::Authority,
};
use tower::ServiceExt;

use crate::{
    access_log::{AccessLog, RequestSummary, RouteLabel},
    cors::{self, Cors},
    policies::RouteService,
    problem,
    proxy::{ClientInfo, Proxy},
    routing::{self, NoRoute},
    site::{AMBIGUOUS, NOT_FOUND, Site},
};

/// Finds the route of each request and calls its policies and its handler.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    site: ArcSwap<Site>,
    proxy: Proxy,
    log: AccessLog,
}

impl Dispatcher {
    pub(crate) fn new(site: Site, proxy: Proxy, log: AccessLog) -> Self {
        Self { site: ArcSwap::from_pointee(site), proxy, log }
    }

    pub(crate) fn site(&self) -> Arc<Site> {
        self.site.load_full()
    }

    pub(crate) fn replace(&self, site: Site) {
        self.site.store(Arc::new(site));
    }

    /// Answers a request. `is_ambiguous` says that its length could be read in two ways.
    pub(crate) async fn respond(&self, request: Request<Body>, client: IpAddr, is_ambiguous: bool) -> Response<Body> {
        let summary = self.log.is_on().then(|| RequestSummary::new(&request, client));
        let response = match self.admit(request, client, is_ambiguous) {
            Ok(request) => self.route(request).await,
            Err(bad) => bad.into_response(),
        };
        match summary {
            Some(summary) => self.log.watch(summary, response),
            None => response,
        }
    }

    /// Refuses what no server may guess at, and removes what no client may send.
    fn admit(
        &self,
        mut request: Request<Body>,
        address: IpAddr,
        is_ambiguous: bool,
    ) -> Result<Request<Body>, BadRequest> {
        if is_ambiguous {
            return Err(BadRequest { detail: LENGTH, ends_connection: true });
        }
        // HTTP/2 allows the same length several times; HTTP/1.1 upstreams do not.
        if request.headers().get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
            return Err(BadRequest::of(LENGTH));
        }
        let host = host(&request).ok_or(BadRequest::of(NO_HOST))?;
        routing::path::check(request.uri().path()).map_err(|bad| BadRequest::of(bad.detail()))?;
        self.proxy.clean(&mut request);
        request.extensions_mut().insert(ClientInfo { address, host, scheme: "http" });
        Ok(request)
    }

    async fn route(&self, request: Request<Body>) -> Response<Body> {
        // A reload must not wait for requests in flight, so they take what they need with them.
        match choose(&self.site.load(), &request) {
            Choice::Own(response) => response,
            Choice::Preflight(label, cors) => labelled(cors.preflight_response(request.headers()).await, label),
            Choice::Metadata(service) => call(service, request).await,
            Choice::Route(label, service, cors) => {
                // What the response to another origin depends on.
                let origin = request.headers().get(ORIGIN).cloned();
                let response = call(service, request).await;
                labelled(cors.decorate(origin.as_ref(), response).await, label)
            }
        }
    }
}

async fn call(service: RouteService, request: Request<Body>) -> Response<Body> {
    match service.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn labelled(mut response: Response<Body>, label: RouteLabel) -> Response<Body> {
    response.extensions_mut().insert(label);
    response
}

/// Why a request is answered with 400 before a route is looked for.
struct BadRequest {
    detail: &'static str,
    /// Where the next request begins is not known.
    ends_connection: bool,
}

impl BadRequest {
    fn of(detail: &'static str) -> Self {
        Self { detail, ends_connection: false }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = problem::response(StatusCode::BAD_REQUEST, self.detail);
        if self.ends_connection {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Where a request goes.
enum Choice {
    /// The document has CORS headers of its own.
    Metadata(RouteService),
    /// A response of the gateway's own.
    Own(Response<Body>),
    Preflight(RouteLabel, Cors),
    Route(RouteLabel, RouteService, Cors),
}

fn choose(site: &Site, request: &Request<Body>) -> Choice {
    let path = request.uri().path();
    if cors::is_preflight(request) {
        let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
        match method.and_then(|name| Method::from_bytes(name).ok()).map(|method| site.find(&method, path)) {
            // Before any policy: browsers send no credentials with it.
            Some(Ok(route)) if route.cors.has_rules() => {
                return Choice::Preflight(RouteLabel(Arc::clone(&route.label)), route.cors.clone());
            }
            Some(Err(NoRoute::Ambiguous)) => return Choice::Own(problem::response(StatusCode::BAD_REQUEST, AMBIGUOUS)),
            // An OPTIONS operation of the files may take it.
            Some(Ok(_) | Err(NoRoute::NotFound)) | None => {}
        }
    }
    match site.find(request.method(), path) {
        Ok(route) => Choice::Route(RouteLabel(Arc::clone(&route.label)), route.service.clone(), route.cors.clone()),
        Err(NoRoute::Ambiguous) => Choice::Own(problem::response(StatusCode::BAD_REQUEST, AMBIGUOUS)),
        Err(NoRoute::NotFound) => match site.metadata(request) {
            Some(service) => Choice::Metadata(service),
            None => Choice::Own(problem::response(StatusCode::NOT_FOUND, NOT_FOUND)),
        },
    }
}

/// The authority that the request is for: that of its target, or its one `Host` (RFC 9112, section 3.2).
fn host(request: &Request<Body>) -> Option<String> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return None;
    }
    let authority = match (request.uri().authority(), first) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).ok()?,
        // HTTP/1.0 does without it.
        (None, None) if request.version() < Version::HTTP_11 => return Some(String::new()),
        (None, None) => return None,
    };
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:[]%".contains(&byte);
    // An empty port is the usual one (RFC 3986, section 3.2.3).
    let without_port = authority.as_str().trim_end_matches(':');
    let has_good_port = authority.port_u16().is_some() || authority.host() == without_port;
    (authority.as_str().bytes().all(is_of_host) && has_good_port).then(|| authority.as_str().to_owned())
}

const LENGTH: &str = "The length of the body is given in more than one way.";
const NO_HOST: &str = "The request must name one host.";
