//! Where the document can be served: by the layer, as a route of its own, over sockets, and behind a prefix.

use std::{convert::Infallible, net::SocketAddr};

use axum::{Router, body::Body, extract::Request, response::Response, routing::post};
use bytes::Bytes;
use http::Uri;
use http_body_util::Empty;
use serde_json::json;
use tower::{Service, ServiceExt, service_fn};
use tower_clerk::{OAuthToken, ProtectedResource, authenticate::ResourceMetadataService};
use tower_layer::Layer;

use super::{MCP, WELL_KNOWN, document, layer_for, oauth_layer, resource};
use crate::support::{
    Answer, Recorder, bearer, get_path, issuer, request, send, send_through,
    sockets::{connect_http1, connect_http2, serve_axum, serve_http1, serve_http2},
};

fn service(resource: ProtectedResource) -> ResourceMetadataService {
    ResourceMetadataService::new(resource, oauth_layer().verifier())
}

fn guarded(resource: ProtectedResource) -> Router {
    let call = |token: OAuthToken| async move { token.user_id().to_owned() };
    Router::new().route("/", post(call)).layer(layer_for(resource))
}

/// A server whose guarded router is nested, with the document as a route outside of it.
fn nested() -> Router {
    let mcp = resource(MCP);
    let metadata = service(mcp.clone());
    Router::new().route_service(&mcp.metadata_path(), metadata).nest("/mcp", guarded(mcp))
}

#[tokio::test]
async fn a_route_of_its_own_answers_as_the_layer_does() {
    let mcp = resource(MCP).scopes(["read"]).expect("scopes").name("Things");
    let path = mcp.metadata_path();
    let by_layer = layer_for(mcp.clone());
    let route = Router::new().route_service(&path, service(mcp.clone()));
    for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE"] {
        for headers in [&[][..], &[("access-control-request-headers", "authorization")], &[("host", "internal")]] {
            let asked = || request(method, &path, headers);
            let expected = send_through(&by_layer, asked()).await;
            let bare = send(&service(mcp.clone()), asked()).await;
            assert_eq!(
                (bare.outcome(), &bare.parts.headers),
                (expected.outcome(), &expected.parts.headers),
                "{method}"
            );
            let routed = send(&route, asked()).await;
            assert_eq!(routed.outcome(), expected.outcome(), "{method}");
            for name in expected.parts.headers.keys() {
                assert_eq!(routed.header(name.as_str()), expected.header(name.as_str()), "{method} {name}");
            }
        }
    }
}

#[tokio::test]
async fn a_route_of_its_own_needs_no_token_beside_a_nested_guarded_router() {
    let app = nested();
    let token = bearer(&issuer().oauth_token("user_ada"));
    let refused = send(&app, request("POST", "/mcp", &[("host", "internal")])).await;
    let challenge = format!("Bearer resource_metadata=\"https://api.example.com{WELL_KNOWN}/mcp\"");
    assert_eq!((refused.status(), refused.header("www-authenticate")), (401, Some(challenge.as_str())));
    let answer = send(&app, get_path(&format!("{WELL_KNOWN}/mcp"), None)).await;
    assert_eq!(document(&answer)["resource"], json!(MCP));
    assert_eq!(send(&app, request("POST", "/mcp", &[("authorization", &token)])).await.outcome(), (200, "user_ada"));
    // Inside of the nested router the layer never sees that path.
    let without = Router::new().nest("/mcp", guarded(resource(MCP)));
    assert_eq!(send(&without, get_path(&format!("{WELL_KNOWN}/mcp"), None)).await.status(), 404);
}

#[tokio::test]
async fn the_layer_serves_it_around_a_router_and_not_around_matched_routes() {
    let routes = || Router::new().route("/mcp", post(|_: OAuthToken| async {}));
    let path = format!("{WELL_KNOWN}/mcp");
    let around = routes().layer(layer_for(resource(MCP)));
    assert_eq!(document(&send(&around, get_path(&path, None)).await)["resource"], json!(MCP));
    let matched = routes().route_layer(layer_for(resource(MCP)));
    assert_eq!(send(&matched, get_path(&path, None)).await.status(), 404);
    let with_route = matched.route_service(&path, service(resource(MCP)));
    assert_eq!(document(&send(&with_route, get_path(&path, None)).await)["resource"], json!(MCP));
}

#[tokio::test]
async fn a_named_resource_is_described_wherever_the_service_is_mounted() {
    let app = Router::new().nest_service("/v1/metadata", service(resource(MCP)));
    for path in ["/v1/metadata", "/v1/metadata/x", "/v1/metadata/.well-known/oauth-protected-resource/mcp"] {
        assert_eq!(document(&send(&app, get_path(path, None)).await)["resource"], json!(MCP), "{path}");
    }
}

#[tokio::test]
async fn a_derived_resource_needs_the_whole_path_and_a_host() {
    let derived = service(ProtectedResource::from_request());
    let host = [("host", "api.example.com")];
    let app = Router::new()
        .route_service(WELL_KNOWN, derived.clone())
        .route_service(&format!("{WELL_KNOWN}/{{*path}}"), derived.clone());
    for (rest, expected) in [("", "https://api.example.com"), ("/mcp", MCP), ("/a/b", "https://api.example.com/a/b")] {
        let answer = send(&app, request("GET", &format!("{WELL_KNOWN}{rest}"), &host)).await;
        assert_eq!(document(&answer)["resource"], json!(expected));
    }
    for (path, headers) in [
        ("/", &host[..]),
        ("/mcp", &host),
        ("/.well-known/oauth-protected-resources", &host),
        (WELL_KNOWN, &[]),
        (WELL_KNOWN, &[("host", "u@a")]),
    ] {
        let answer = send(&derived, request("GET", path, headers)).await;
        assert_eq!(answer.outcome(), (404, ""), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}

#[tokio::test]
async fn the_service_takes_any_request_body_and_never_fails() {
    fn is_service<B, S: Service<http::Request<B>, Error = Infallible> + Clone + Send + Sync + 'static>(
        service: S,
    ) -> S {
        service
    }
    let service = service(resource(MCP));
    let service = is_service::<(), _>(is_service::<String, _>(is_service::<Body, _>(service)));
    let response = service.oneshot(http::Request::new(())).await.expect("a response");
    assert!(response.into_body().starts_with(r#"{"resource":"https://api.example.com/mcp","#));
}

/// GET or OPTIONS over HTTP/1, with this host.
async fn over_http1(address: SocketAddr, method: &str, path: &str, host: &str) -> Answer {
    let mut connection = connect_http1::<Empty<Bytes>>(address).await;
    let request = http::Request::builder().method(method).uri(path).header("host", host).body(Empty::new());
    Answer::of(connection.send_request(request.expect("a request")).await.expect("a response")).await
}

#[tokio::test]
async fn over_http1_a_client_finds_the_document_by_the_challenge() {
    let layer = layer_for(resource(MCP).scopes(["read"]).expect("scopes"));
    let path = format!("{WELL_KNOWN}/mcp");
    for address in [
        serve_http1(layer.layer(service_fn(crate::support::whoami::<hyper::body::Incoming>))).await,
        serve_axum(Router::new().route("/mcp", post(|_: OAuthToken| async {})).layer(layer)).await,
    ] {
        let refused = over_http1(address, "POST", "/mcp", "internal:8080").await;
        let expected = format!("Bearer resource_metadata=\"https://api.example.com{path}\", scope=\"read\"");
        assert_eq!((refused.status(), refused.header("www-authenticate")), (401, Some(expected.as_str())));
        let found = over_http1(address, "GET", &path, "internal:8080").await;
        assert_eq!(document(&found)["scopes_supported"], json!(["read"]));
        assert_eq!(found.header("cache-control"), Some("max-age=3600"));
        let head = over_http1(address, "HEAD", &path, "internal:8080").await;
        let length = found.text.len().to_string();
        assert_eq!((head.outcome(), head.header("content-length")), ((200, ""), Some(length.as_str())));
        let preflight = over_http1(address, "OPTIONS", &path, "internal:8080").await;
        assert_eq!((preflight.status(), preflight.header("access-control-max-age")), (204, Some("86400")));
        assert_eq!(over_http1(address, "PUT", &path, "internal:8080").await.status(), 405);
    }
}

#[tokio::test]
async fn over_http2_the_authority_is_the_host_of_a_derived_resource() {
    let derived = ProtectedResource::from_request();
    let address = serve_http2(service(derived)).await;
    let mut connection = connect_http2::<Empty<Bytes>>(address).await;
    for method in ["GET", "HEAD"] {
        let request = http::Request::builder().method(method).uri(format!("https://api.example.com{WELL_KNOWN}/mcp"));
        let response = connection.send_request(request.body(Empty::new()).expect("a request")).await;
        let answer = Answer::of(response.expect("a response")).await;
        assert_eq!(answer.status(), 200);
        match method {
            "GET" => assert_eq!(document(&answer)["resource"], json!(MCP)),
            _ => assert_eq!(answer.text, ""),
        }
    }
}

#[tokio::test]
async fn a_route_of_its_own_is_served_over_a_socket() {
    let address = serve_axum(nested()).await;
    let found = over_http1(address, "GET", &format!("{WELL_KNOWN}/mcp"), "internal").await;
    assert_eq!(document(&found)["resource"], json!(MCP));
    let preflight = over_http1(address, "OPTIONS", &format!("{WELL_KNOWN}/mcp"), "internal").await;
    assert_eq!((preflight.status(), preflight.header("access-control-allow-headers")), (204, Some("*")));
    assert_eq!(over_http1(address, "POST", "/mcp", "internal").await.status(), 401);
}

/// A reverse proxy that sends `/v1…` on without the prefix, and the well-known path as it is.
fn proxy(upstream: Router) -> Router {
    Router::new().fallback_service(service_fn(move |mut request: Request| {
        let upstream = upstream.clone();
        async move {
            let path = request.uri().path().to_owned();
            let path = path.strip_prefix("/v1").unwrap_or(&path);
            *request.uri_mut() = path.parse::<Uri>().expect("a path");
            request.headers_mut().insert("host", "internal:8080".parse().expect("a host"));
            Ok::<Response, Infallible>(upstream.oneshot(request).await.expect("a response"))
        }
    }))
}

#[tokio::test]
async fn behind_a_proxy_that_cuts_off_a_prefix_the_public_url_is_named() {
    let public = resource("https://api.example.com/v1/mcp");
    let routes = Router::new().route("/mcp", post(|_: OAuthToken| async {}));
    let address = serve_axum(proxy(routes.layer(layer_for(public)))).await;
    let refused = over_http1(address, "POST", "/v1/mcp", "api.example.com").await;
    let expected = format!("Bearer resource_metadata=\"https://api.example.com{WELL_KNOWN}/v1/mcp\"");
    assert_eq!((refused.status(), refused.header("www-authenticate")), (401, Some(expected.as_str())));
    let found = over_http1(address, "GET", &format!("{WELL_KNOWN}/v1/mcp"), "api.example.com").await;
    assert_eq!(document(&found)["resource"], json!("https://api.example.com/v1/mcp"));
}

#[tokio::test]
async fn a_request_for_the_document_never_reaches_the_service() {
    let inner = Recorder::default();
    let service = layer_for(resource(MCP)).layer(inner.clone());
    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        send(&service, request(method, &format!("{WELL_KNOWN}/mcp"), &[("authorization", "Bearer a")])).await;
    }
    assert_eq!(inner.calls(), 0);
}
