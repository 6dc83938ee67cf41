//! The decision about one request.

use std::{convert::Infallible, future::ready, net::IpAddr, sync::Once};

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header::UPGRADE, request::Parts};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, ClerkConfig, ConfigError, Rejection, RequireLayer, Requirement, TokenSource, Verifier,
    rejection::RejectionFormat,
};

use crate::{
    identity_headers::IdentityHeaders,
    original::OriginalRequest,
    peers::TrustedPeers,
    problem::{self, Problem},
    settings::{Policy, Settings},
};

/// Decides by the settings.
#[derive(Clone)]
pub(crate) struct Decider {
    headers: IdentityHeaders,
    is_for_nginx: bool,
    peers: TrustedPeers,
    policy: Policy,
    /// One for each rule, or one for all requests.
    services: Vec<Service>,
    verifier: Verifier,
}

type Service = BoxCloneSyncService<Request<()>, Response<Body>, Infallible>;

impl Decider {
    pub(crate) fn new(config: ClerkConfig, settings: &Settings) -> Result<Self, ConfigError> {
        let is_for_nginx = settings.is_for_nginx;
        let respond = move |rejection: &Rejection, _: &Parts| {
            let mut response = rejection.default_response();
            let status = problem::for_proxy(response.status(), is_for_nginx);
            if status != response.status() {
                // The body names the status too.
                response = problem::response(status, rejection.code(), None);
            }
            response
        };
        metrics::describe_counter!(
            "forward_auth_refusals",
            "requests that this program refused before their token was looked at"
        );
        // A client that claims to speak gRPC would otherwise be refused with the 200 of that protocol.
        let layer = ClerkAuthLayer::from_config(config)?.rejection_format(RejectionFormat::Http);
        let mut layer = layer.rejection_response(respond);
        if settings.accepts_cookies {
            layer = layer.token_sources([TokenSource::authorization(), TokenSource::session_cookie()])?;
        }
        let layer = if settings.is_anonymous_allowed { layer.allow_missing_token() } else { layer };
        let service = |requirement: Option<&Requirement>| service(&layer, requirement, settings.headers);
        let services = match &settings.policy {
            Policy::Everywhere(requirement) => vec![service(requirement.as_ref())],
            Policy::ByPath(rules) => rules.requirements().map(service).collect(),
        };
        Ok(Self {
            headers: settings.headers,
            is_for_nginx,
            peers: settings.peers.clone(),
            policy: settings.policy.clone(),
            services,
            verifier: layer.verifier().clone(),
        })
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Answers 200 with all identity headers, or the refusal for the client.
    pub(crate) async fn decide(&self, headers: HeaderMap, peer: IpAddr) -> Response<Body> {
        match self.prepare(headers, peer) {
            Ok((service, request)) => {
                let Ok(response) = service.oneshot(request).await;
                response
            }
            Err(problem) => {
                // The layer has not seen it, and so has not counted it.
                metrics::counter!("forward_auth_refusals", "reason" => problem.code()).increment(1);
                problem.response(self.is_for_nginx)
            }
        }
    }

    fn prepare(&self, headers: HeaderMap, peer: IpAddr) -> Result<(Service, Request<()>), Problem> {
        // The proxy removes those of clients. Where it does not, the client's value could take the place of an empty
        // one that is sent back for it.
        if self.headers.are_forged_in(&headers) {
            return Err(Problem::ForgedIdentity);
        }
        let is_trusted = self.peers.contain(peer);
        let original = if is_trusted { OriginalRequest::read(&headers)? } else { OriginalRequest::default() };
        let number = match &self.policy {
            Policy::Everywhere(_) => 0,
            Policy::ByPath(rules) => {
                if !is_trusted {
                    // Once: anyone could fill the log.
                    let report =
                        || tracing::warn!(%peer, "not a trusted proxy: rules need --trusted-proxy with its network");
                    UNTRUSTED_PEER.call_once(report);
                }
                rules.decide(original)?
            }
        };
        let service = self.services.get(number).ok_or(Problem::NoRule)?;
        let method = original.method().ok();
        Ok((service.clone(), request(headers, method)))
    }
}

/// The request as the layer has to see it. Its path does not matter there.
fn request(mut headers: HeaderMap, method: Option<Method>) -> Request<()> {
    // Proxies leave out `Upgrade`, which belongs to the client's connection. The layer must know of a handshake: a page
    // of another site can make a browser start one, with its cookies.
    if headers.keys().any(|name| name.as_str().starts_with("sec-websocket-")) {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    let mut request = Request::new(());
    // Proxies ask with a GET, whatever the client does. Unknown, or in a spelling that servers may take for another
    // one, it may be one that another site must not cause.
    *request.method_mut() = method.unwrap_or(Method::POST);
    *request.headers_mut() = headers;
    request
}

fn service(layer: &ClerkAuthLayer, requirement: Option<&Requirement>, headers: IdentityHeaders) -> Service {
    let accept = service_fn(move |request: Request<()>| {
        let mut response = Response::new(Body::empty());
        response.headers_mut().extend(headers.of(request.extensions().get::<ClerkAuth>()));
        response.headers_mut().insert(CACHE.0, CACHE.1);
        ready(Ok::<_, Infallible>(response))
    });
    match requirement {
        Some(requirement) => {
            let inner = RequireLayer::new(requirement.clone()).layer(accept);
            BoxCloneSyncService::new(layer.layer(inner).map_response(|response| response.map(Body::new)))
        }
        None => BoxCloneSyncService::new(layer.layer(accept).map_response(|response| response.map(Body::new))),
    }
}

static UNTRUSTED_PEER: Once = Once::new();
/// The answer is for this one request.
const CACHE: (HeaderName, HeaderValue) = (http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use tower_clerk::testing::TestIssuer;

    use super::*;
    use crate::{rules::Rules, settings::Command};

    const FORWARDED: [(&str, &str); 2] = [("x-forwarded-method", "GET"), ("x-forwarded-uri", "/open")];

    async fn status(policy: Policy, peer: &str, lines: &[(&'static str, &'static str)]) -> u16 {
        let issuer = TestIssuer::new();
        let arguments = ["--trusted-proxy", "10.0.0.0/8"].map(Into::into);
        let Ok(Command::Serve(settings)) = Command::read(arguments, |_| None) else { panic!("no settings") };
        let decider = Decider::new(issuer.config(), &Settings { policy, ..*settings }).unwrap();
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", issuer.token("user_ada").sign());
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&bearer).unwrap());
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        decider.decide(headers, peer.parse().unwrap()).await.status().as_u16()
    }

    #[tokio::test]
    async fn only_a_trusted_proxy_is_believed_about_the_path() {
        let rules = Rules::read("rules.toml", "[[rule]]\nprefix = '/open'\n").unwrap();
        for (peer, expected) in [("127.0.0.1", 200), ("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("192.0.2.1", 400)] {
            assert_eq!(status(Policy::ByPath(rules.clone()), peer, &FORWARDED).await, expected, "{peer}");
        }
    }

    #[tokio::test]
    async fn what_others_say_about_the_path_is_ignored_without_rules() {
        let contradiction = [("x-forwarded-uri", "/a"), ("x-original-uri", "/b")];
        for (peer, expected) in [("127.0.0.1", 400), ("192.0.2.1", 200)] {
            assert_eq!(status(Policy::Everywhere(None), peer, &contradiction).await, expected, "{peer}");
        }
    }

    #[test]
    fn a_handshake_is_told_to_the_layer_and_an_unknown_method_is_unsafe() {
        let mut headers = HeaderMap::new();
        assert!(!request(headers.clone(), Some(Method::GET)).headers().contains_key(UPGRADE));
        assert_eq!(request(headers.clone(), None).method(), Method::POST);
        headers.insert("sec-websocket-version", HeaderValue::from_static("13"));
        let request = request(headers, Some(Method::GET));
        assert_eq!(
            (request.method(), &request.headers()[UPGRADE]),
            (&Method::GET, &HeaderValue::from_static("websocket"))
        );
    }
}
