//! The documents, ready for requests.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    sync::Arc,
};

use axum::body::Body;
use http::{Method, Request, StatusCode, Uri};
use tower::{service_fn, util::BoxCloneSyncService};
use tower_clerk::{ClerkAuthLayer, Verifier, gateway::GatewayPolicy};

use crate::{
    cors::Cors,
    documents::{Documents, Handler, Policy, PolicyAction, Route},
    excerpt::excerpt,
    exit,
    policies::{CustomLayer, EditHeaders, PolicyLayer, RouteService, authentication_layer},
    problem,
    proxy::{ClientInfo, Proxy},
    routing::{NoRoute, Params, PathPattern, RouteTable},
    template::{BadTarget, RequestFacts},
};

/// Routes with their policies and handlers. A reload makes a new one; requests in flight keep theirs.
#[derive(Debug)]
pub(crate) struct Site {
    table: RouteTable,
    routes: Vec<SiteRoute>,
    authentications: Vec<Authentication>,
}

/// A route with its policies around its handler.
#[derive(Debug)]
pub(crate) struct SiteRoute {
    /// The path as it is written in the file, for the access log.
    pub(crate) label: Arc<str>,
    pub(crate) cors: Cors,
    pub(crate) service: RouteService,
    /// The first of its policies that serves protected resource metadata (RFC 9728).
    metadata: Option<ClerkAuthLayer>,
}

#[derive(Clone, Debug)]
struct Authentication {
    policy: GatewayPolicy,
    layer: ClerkAuthLayer,
}

impl Site {
    /// Builds the routes. Policies that are the same in `previous` keep their keys and their cached tokens.
    ///
    /// # Errors
    ///
    /// What cannot be built, such as a policy whose keys cannot be asked for.
    pub(crate) fn build(
        documents: &Documents,
        custom: &BTreeMap<String, CustomLayer>,
        proxy: &Proxy,
        previous: Option<&Self>,
    ) -> Result<Self, String> {
        let kept = previous.map(|site| site.authentications.as_slice()).unwrap_or_default();
        let mut layers = Layers { custom, kept, authentications: Vec::new(), made: HashMap::new() };
        let entries = documents.routes.iter().map(Route::entry).collect::<Vec<_>>();
        let guards = entries.iter().flat_map(|entry| &entry.guards).collect::<BTreeSet<_>>();
        let routes = documents.routes.iter().zip(&entries).map(|(route, entry)| {
            let has_every_guard = guards.iter().all(|guard| entry.guards.contains(guard));
            let mut service = handler(route, proxy.clone(), has_every_guard);
            let mut metadata = None;
            for policy in route.policies.iter().rev() {
                let layer = layers.layer(policy)?;
                if let (PolicyAction::Authenticate(read), PolicyLayer::Authenticate(layer)) = (&policy.action, &layer)
                    && read.options().oauth_resource_metadata_enabled()
                {
                    metadata = Some(layer.clone());
                }
                service = layer.wrap(service);
            }
            let cors = Cors::new(&route.cors);
            Ok(SiteRoute { label: route.pattern.as_str().into(), cors, service, metadata })
        });
        let routes = routes.collect::<Result<_, String>>()?;
        Ok(Self { table: RouteTable::new(&entries), routes, authentications: layers.authentications })
    }

    /// Finds the route of a request.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<&SiteRoute, NoRoute> {
        self.routes.get(self.table.find(method, path)?).ok_or(NoRoute::NotFound)
    }

    /// The service for a request for the protected resource metadata (RFC 9728) of a path; `None` if the request is for
    /// something else. Of several routes with the path, the first one that has metadata describes it.
    pub(crate) fn metadata(&self, request: &Request<Body>) -> Option<RouteService> {
        let resource = request.uri().path().strip_prefix(WELL_KNOWN)?;
        let path = if resource.is_empty() { "/" } else { resource };
        let metadata = |index: usize| Some((index, self.routes.get(index)?.metadata.as_ref()?));
        let (_, layer) = self.table.find_any_method(path).filter_map(metadata).min_by_key(|(index, _)| *index)?;
        let missing = service_fn(async |_: Request<Body>| {
            Ok::<_, Infallible>(problem::response(StatusCode::NOT_FOUND, NOT_FOUND))
        });
        Some(PolicyLayer::Authenticate(layer.clone()).wrap(BoxCloneSyncService::new(missing)))
    }

    /// Whether the keys of every authentication policy are there.
    pub(crate) fn has_keys(&self) -> bool {
        self.verifiers().all(|verifier| verifier.keys_status().keys > 0)
    }

    /// The names of all authentication policies, with their verifiers.
    pub(crate) fn authentications(&self) -> impl Iterator<Item = (&str, &Verifier)> {
        self.authentications.iter().map(|one| (one.policy.name(), one.layer.verifier()))
    }

    /// The verifiers of all policies, to fetch their keys before the first request.
    pub(crate) fn verifiers(&self) -> impl Iterator<Item = &Verifier> {
        self.authentications.iter().map(|one| one.layer.verifier())
    }
}

/// The layers of policies. Routes that name the same policy share its layer.
struct Layers<'a> {
    custom: &'a BTreeMap<String, CustomLayer>,
    /// Those of the site before.
    kept: &'a [Authentication],
    authentications: Vec<Authentication>,
    /// By the names of policies.
    made: HashMap<&'a str, PolicyLayer>,
}

impl<'a> Layers<'a> {
    fn layer(&mut self, policy: &'a Policy) -> Result<PolicyLayer, String> {
        if let Some(layer) = self.made.get(policy.name.as_str()) {
            return Ok(layer.clone());
        }
        let failed = |reason: &str| format!("the policy `{}`: {reason}", excerpt(&policy.name));
        let layer = match &policy.action {
            PolicyAction::Authenticate(read) => {
                let layer = match self.kept.iter().find(|kept| kept.policy == **read) {
                    Some(kept) => kept.layer.clone(),
                    None => authentication_layer(read).map_err(|error| failed(&exit::line(&error)))?,
                };
                self.authentications.push(Authentication { policy: (**read).clone(), layer: layer.clone() });
                PolicyLayer::Authenticate(layer)
            }
            PolicyAction::Custom => {
                let layer = self.custom.get(&policy.name).cloned();
                PolicyLayer::Custom(layer.ok_or_else(|| failed("no layer of that name is registered"))?)
            }
            PolicyAction::EditHeaders(edits) => PolicyLayer::EditHeaders(EditHeaders::new(edits.clone())),
        };
        self.made.insert(&policy.name, layer.clone());
        Ok(layer)
    }
}

fn handler(route: &Route, proxy: Proxy, has_every_guard: bool) -> RouteService {
    let parts = Arc::new((route.handler.clone(), route.pattern.clone()));
    BoxCloneSyncService::new(service_fn(move |request: Request<Body>| {
        let (proxy, parts) = (proxy.clone(), Arc::clone(&parts));
        async move {
            let target = target(&request, &parts.0, &parts.1, has_every_guard);
            Ok::<_, Infallible>(match target {
                Ok(target) => proxy.forward(request, target).await,
                Err(BadTarget) => problem::response(StatusCode::BAD_REQUEST, AMBIGUOUS),
            })
        }
    }))
}

fn target(
    request: &Request<Body>,
    handler: &Handler,
    pattern: &PathPattern,
    has_every_guard: bool,
) -> Result<Uri, BadTarget> {
    let host = request.extensions().get::<ClientInfo>().map_or("", |client| client.host.as_str());
    let params = if handler.uses_params() { pattern.params(request.uri().path()) } else { Params::default() };
    handler.url(&RequestFacts {
        method: request.method(),
        uri: request.uri(),
        host,
        headers: request.headers(),
        has_every_guard,
        params: &params,
    })
}

/// The path that RFC 9728, section 3, defines.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
pub(crate) const AMBIGUOUS: &str = "The path could be read in more than one way: send it in its shortest form.";
pub(crate) const NOT_FOUND: &str = "No route has this method and path.";

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        documents::{Context, read},
        proxy::ProxySettings,
    };

    /// Policies whose keys are never asked for here.
    const POLICIES: &str = r#"{"policies": [{"name": "openid", "policyType": "x", "handler": {
        "export": "OpenIdJwtInboundPolicy", "module": "$import(@zuplo/runtime)",
        "options": {"issuer": "https://a.example", "jwkUrl": "https://a.example/keys",
            "oAuthResourceMetadataEnabled": true}}}, {"name": "anyone", "policyType": "x", "handler": {
        "export": "OpenIdJwtInboundPolicy", "module": "$import(@zuplo/runtime)",
        "options": {"issuer": "https://a.example", "jwkUrl": "https://a.example/keys",
            "allowUnauthenticatedRequests": true}}}]}"#;

    const FORWARD: &str = r#""urlForwardHandler", "options": {"baseUrl": "https://upstream.example"}"#;

    fn documents(method: &str, policies: &str) -> Documents {
        documents_at("/a", method, FORWARD, policies)
    }

    fn documents_at(path: &str, method: &str, export: &str, policies: &str) -> Documents {
        let routes = format!(
            r#"{{"openapi": "3.1.0", "paths": {{"{path}": {{"{method}": {{"x-zuplo-route": {{
                "handler": {{"module": "$import(@zuplo/runtime)", "export": {export}}},
                "policies": {{"inbound": {policies}}}}}}}}}}}}}"#
        );
        let files = [("policies.json", POLICIES), ("a.oas.json", &routes)];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
        read(&files, &Context { variable: &|_| None, is_registered: &|name| name == "own" }).unwrap()
    }

    fn site(documents: &Documents) -> Result<Site, String> {
        let proxy = Proxy::new(ProxySettings::default()).unwrap();
        Site::build(documents, &BTreeMap::new(), &proxy, None)
    }

    #[tokio::test]
    async fn a_route_of_any_method_has_metadata() {
        let request = |path: &str| Request::get(format!("{WELL_KNOWN}{path}")).body(Body::empty()).unwrap();
        for method in ["get", "trace"] {
            let site = site(&documents(method, r#"["openid"]"#)).unwrap();
            assert!(site.metadata(&request("/a")).is_some(), "{method}");
            assert!(site.metadata(&request("/b")).is_none(), "{method}");
        }
        assert!(site(&documents("get", "[]")).unwrap().metadata(&request("/a")).is_none());
    }

    #[tokio::test]
    async fn a_policy_without_its_layer_never_opens_a_route() {
        let error = site(&documents("get", r#"["openid", "own"]"#)).unwrap_err();
        assert_eq!(error, "the policy `own`: no layer of that name is registered");
    }

    #[test]
    fn every_policy_that_may_reject_guards_its_route() {
        let documents = documents("get", r#"["anyone", "own", "openid"]"#);
        assert_eq!(documents.routes[0].entry().guards, ["own", "openid"]);
    }

    #[tokio::test]
    async fn a_value_reaches_no_path_that_another_route_guards() {
        // Nobody listens there.
        let export = r#""urlRewriteHandler", "options": {"rewritePattern": "http://127.0.0.1:9/b/${params.id}"}"#;
        for policies in ["[]", r#"["anyone"]"#] {
            let open = documents_at("/a/{id}", "get", export, policies);
            let mut guarded = open.clone();
            guarded.routes.extend(documents("get", r#"["openid"]"#).routes);
            let (open, guarded) = (site(&open).unwrap(), site(&guarded).unwrap());
            for (site, path, status) in [
                (&guarded, "/a/1%2Fsecrets", StatusCode::BAD_REQUEST),
                (&guarded, "/a/1", StatusCode::BAD_GATEWAY),
                // Without a guard there is nothing to pass by.
                (&open, "/a/1%2Fsecrets", StatusCode::BAD_GATEWAY),
            ] {
                let route = site.find(&Method::GET, path).unwrap();
                let response = route.service.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
                assert_eq!(response.await.unwrap().status(), status, "{policies} {path}");
            }
        }
    }
}
