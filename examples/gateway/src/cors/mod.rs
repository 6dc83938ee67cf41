//! Which other origins may use a route.

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::{
    documents::{AnyOr, CorsPolicy, OriginPattern, RouteCors},
    problem,
};

/// Whether a browser asks with this request if it may send another one.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    *request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a route grants to other origins.
#[derive(Clone, Debug)]
pub(crate) struct Cors(Option<Arc<Rules>>);

impl Cors {
    /// Makes what `corsPolicy` of a route says.
    pub(crate) fn new(cors: &RouteCors) -> Self {
        let rules = match cors {
            RouteCors::None => return Self(None),
            RouteCors::AnythingGoes => Rules::anything_goes(),
            RouteCors::Named(policy) => Rules::new(policy),
        };
        Self(Some(Arc::new(rules)))
    }

    /// Whether another origin may use the route at all.
    pub(crate) fn has_rules(&self) -> bool {
        self.0.is_some()
    }

    /// Answers a preflight: with what is allowed, or 404.
    pub(crate) async fn preflight_response(&self, headers: &HeaderMap) -> Response<Body> {
        let Some(rules) = self.0.as_ref().filter(|rules| rules.allow(headers)) else {
            return problem::response(StatusCode::NOT_FOUND, "This origin may not send such a request here.");
        };
        let mut request = Request::new(());
        *request.method_mut() = Method::OPTIONS;
        for name in [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS] {
            request.headers_mut().extend(headers.get(&name).map(|value| (name, value.clone())));
        }
        rules.apply(request, Response::default()).await
    }

    /// Takes the CORS headers of the upstream from a response, and adds those of the route. `origin` is the header of
    /// the request, which is no preflight.
    pub(crate) async fn decorate(&self, origin: Option<&HeaderValue>, mut response: Response<Body>) -> Response<Body> {
        strip(response.headers_mut());
        let Some(rules) = &self.0 else {
            return response;
        };
        // The layer would respond to OPTIONS itself; what it adds to a response does not depend on the method.
        let mut request = Request::new(());
        request.headers_mut().extend(origin.map(|origin| (ORIGIN, origin.clone())));
        rules.apply(request, response).await
    }
}

#[derive(Debug)]
struct Rules {
    origins: AnyOr<OriginPattern>,
    methods: AnyOr<Method>,
    headers: AnyOr<HeaderName>,
    layer: CorsLayer,
}

impl Rules {
    fn anything_goes() -> Self {
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::any())
            .allow_methods(AllowMethods::mirror_request())
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(ExposeHeaders::any());
        Self { origins: AnyOr::Any, methods: AnyOr::Any, headers: AnyOr::Any, layer }
    }

    fn new(policy: &CorsPolicy) -> Self {
        let CorsPolicy { allowed_origins: origins, allowed_methods: methods, allowed_headers: headers, .. } =
            policy.clone();
        let allow_origin = match origins.clone() {
            AnyOr::Any => AllowOrigin::any(),
            AnyOr::List(patterns) => {
                AllowOrigin::predicate(move |origin, _| patterns.iter().any(|pattern| matches(pattern, origin)))
            }
        };
        // Each is named as it was asked for, since `*` does not cover Authorization.
        let allow_methods = match methods.clone() {
            AnyOr::Any => AllowMethods::mirror_request(),
            AnyOr::List(methods) => AllowMethods::list(methods),
        };
        let allow_headers = match headers.clone() {
            AnyOr::Any => AllowHeaders::mirror_request(),
            AnyOr::List(headers) => AllowHeaders::list(headers),
        };
        let expose_headers = match policy.expose_headers.clone() {
            AnyOr::Any => ExposeHeaders::any(),
            AnyOr::List(headers) => ExposeHeaders::list(headers),
        };
        let layer = CorsLayer::new()
            .allow_origin(allow_origin)
            .allow_methods(allow_methods)
            .allow_headers(allow_headers)
            .expose_headers(expose_headers)
            .allow_credentials(policy.allow_credentials);
        let layer = match policy.max_age {
            Some(age) => layer.max_age(age),
            None => layer,
        };
        Self { origins, methods, headers, layer }
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        let origin = only(headers, &ORIGIN);
        let method = only(headers, &ACCESS_CONTROL_REQUEST_METHOD);
        let (Some(origin), Some(method)) = (origin, method) else {
            return false;
        };
        self.origins.allows(|pattern| matches(pattern, origin))
            && self.allows_method(method)
            && self.allows_headers(headers)
    }

    fn allows_method(&self, method: &HeaderValue) -> bool {
        let Ok(method) = Method::from_bytes(method.as_bytes()) else {
            return false;
        };
        // Fetch allows these three without a grant.
        let is_safe = matches!(method, Method::GET | Method::HEAD | Method::POST);
        is_safe || self.methods.allows(|allowed| *allowed == method)
    }

    fn allows_headers(&self, headers: &HeaderMap) -> bool {
        if !headers.contains_key(ACCESS_CONTROL_REQUEST_HEADERS) {
            return true;
        }
        let Some(names) = only(headers, &ACCESS_CONTROL_REQUEST_HEADERS).and_then(|names| names.to_str().ok()) else {
            return false;
        };
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).all(|name| {
            let name = HeaderName::from_bytes(name.as_bytes());
            name.is_ok_and(|name| self.headers.allows(|allowed| *allowed == name))
        })
    }

    /// Has the layer see a request, and respond to it or change the response.
    async fn apply(&self, request: Request<()>, response: Response<Body>) -> Response<Body> {
        let mut response = Some(response);
        let inner = service_fn(move |_| -> Ready<Result<Response<Body>, Infallible>> {
            ready(Ok(response.take().unwrap_or_default()))
        });
        self.layer.layer(inner).oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

/// Removes every CORS header of a response.
fn strip(headers: &mut HeaderMap) {
    let is_ours = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    while let Some(name) = headers.keys().find(is_ours).cloned() {
        headers.remove(name);
    }
}

fn matches(pattern: &OriginPattern, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    match pattern {
        OriginPattern::Exact(exact) => origin == exact,
        OriginPattern::Subdomain { prefix, suffix } => {
            let label = origin.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_suffix(suffix.as_str()));
            label.is_some_and(|label| !label.is_empty() && label.bytes().all(is_of_label))
        }
    }
}

/// As browsers send it: in small letters.
fn is_of_label(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

/// The value of a header that occurs once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}
