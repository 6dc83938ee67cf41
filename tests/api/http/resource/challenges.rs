//! `WWW-Authenticate` of a service that is a protected resource.

use axum::{Router, routing};
use http::{HeaderValue, request::Parts};
use tower_clerk::{
    ApiKey, ClerkAuth, ClerkAuthLayer, OAuthToken, Principal, ProtectedResource, Rejection, RequireLayer, Requirement,
    authorize::RequireAuthenticatedLayer, rejection::RejectionFormat,
};
use tower_layer::Layer;

use super::{MCP, layer_for, oauth_layer, resource};
use crate::support::{BAD, Recorder, bearer, good, issuer, layer_without_keys, request, send, send_through, token};

const METADATA: &str = r#"resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/mcp""#;

fn scoped() -> ProtectedResource {
    resource(MCP).scopes(["things:read", "things:write"]).expect("scopes")
}

fn oauth() -> String {
    bearer(&issuer().oauth_token("user_ada").claim("scope", "things:read"))
}

#[tokio::test]
async fn each_rejection_names_the_metadata_if_another_token_may_help() {
    let (oauth, expired) = (oauth(), bearer(&token().expired()));
    let twice = [("authorization", oauth.as_str()), ("authorization", oauth.as_str())];
    for (headers, status, error) in [
        (&[][..], 401, ""),
        (&[("authorization", "Basic YTpi")], 401, ""),
        (&[("authorization", BAD)], 401, "invalid_token"),
        (&[("authorization", &expired)], 401, "invalid_token"),
        (&[("authorization", "Bearer ak_live")], 401, "invalid_token"),
        (&twice, 400, "invalid_request"),
    ] {
        for (resource, scope) in [(resource(MCP), ""), (scoped(), ", scope=\"things:read things:write\"")] {
            // The scope says nothing about a malformed request.
            let scope = if status == 400 { "" } else { scope };
            let error = if error.is_empty() { String::new() } else { format!("error=\"{error}\", ") };
            let answer = send_through(&layer_for(resource), request("POST", "/mcp", headers)).await;
            let expected = format!("Bearer {error}{METADATA}{scope}");
            assert_eq!((answer.status(), answer.header("www-authenticate")), (status, Some(expected.as_str())));
            assert_eq!(answer.parts.headers.get_all("www-authenticate").iter().count(), 1);
        }
    }
}

#[tokio::test]
async fn a_service_that_is_no_resource_has_plain_challenges() {
    for (headers, challenge) in [(&[][..], "Bearer"), (&[("authorization", BAD)], r#"Bearer error="invalid_token""#)] {
        let answer = send_through(&oauth_layer(), request("GET", "/mcp", headers)).await;
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
    }
}

#[tokio::test]
async fn an_outage_and_a_cross_site_request_have_no_challenge() {
    let unavailable = layer_without_keys().protected_resource(scoped()).expect("a layer");
    let answer = send_through(&unavailable, request("GET", "/mcp", &[("authorization", &good())])).await;
    answer.assert_rejected(503, "keys_unavailable");
    assert_eq!(answer.header("www-authenticate"), None);
}

#[tokio::test]
async fn a_grpc_rejection_has_no_challenge() {
    for (format, method, media_type) in
        [(RejectionFormat::Auto, "POST", "application/grpc"), (RejectionFormat::Grpc, "GET", "text/plain")]
    {
        let layer = layer_for(scoped()).rejection_format(format);
        let answer = send_through(&layer, request(method, "/mcp", &[("content-type", media_type)])).await;
        answer.assert_rejected_grpc("16", "missing_token");
        assert_eq!(answer.header("www-authenticate"), None);
    }
}

#[tokio::test]
async fn the_challenge_of_a_named_resource_ignores_host_and_path() {
    let layer = layer_for(resource(MCP));
    for (path, hosts) in [
        ("/", &[][..]),
        ("/other/path", &[("host", "evil.example")]),
        ("/mcp\u{7f}".trim_end_matches('\u{7f}'), &[("host", "a\"b")]),
        ("http://evil.example/mcp", &[]),
        ("/mcp/", &[("host", "a"), ("host", "b")]),
    ] {
        let answer = send_through(&layer, request("GET", path, hosts)).await;
        assert_eq!(answer.header("www-authenticate"), Some(format!("Bearer {METADATA}").as_str()), "{path}");
    }
}

#[tokio::test]
async fn the_metadata_of_a_path_with_a_slash_at_its_end_has_it_too() {
    for (url, metadata) in [
        ("https://api.example.com/mcp/", "https://api.example.com/.well-known/oauth-protected-resource/mcp/"),
        ("https://api.example.com/", "https://api.example.com/.well-known/oauth-protected-resource"),
        ("http://[::1]:3001/mcp", "http://[::1]:3001/.well-known/oauth-protected-resource/mcp"),
    ] {
        let answer = send_through(&layer_for(resource(url)), request("GET", "/", &[])).await;
        let expected = format!("Bearer resource_metadata=\"{metadata}\"");
        assert_eq!(answer.header("www-authenticate"), Some(expected.as_str()));
    }
}

#[tokio::test]
async fn a_derived_url_that_is_none_or_needs_escapes_is_left_out() {
    let derived = ProtectedResource::from_request().scopes(["read"]).expect("scopes");
    let layer = layer_for(derived);
    let host = [("host", "api.example.com")];
    for path in ["/a\"b", "/\u{e9}"] {
        let answer = send_through(&layer, request("GET", path, &host)).await;
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer scope="read""#), "{path}");
    }
    for host in ["api.example.com:99999", "api.example.com:", "evil,foo=bar", "evil;x"] {
        let answer = send_through(&layer, request("GET", "/mcp", &[("host", host)])).await;
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer scope="read""#), "{host}");
    }
    let answer = send_through(&layer, request("OPTIONS", "*", &host)).await;
    assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer scope="read""#));
    let answer = send_through(&layer, request("GET", "/mcp?x='", &host)).await;
    let expected = format!(r#"Bearer {METADATA}, scope="read""#);
    assert_eq!(answer.header("www-authenticate"), Some(expected.as_str()));
}

#[tokio::test]
async fn an_unmet_scope_is_named_in_place_of_the_declared_ones() {
    let service =
        layer_for(scoped()).layer(RequireLayer::new(Requirement::scope("things:delete")).layer(Recorder::default()));
    let answer = send(&service, request("POST", "/mcp", &[("authorization", &oauth())])).await;
    answer.assert_rejected(403, "insufficient_scope");
    let expected = format!(r#"Bearer error="insufficient_scope", scope="things:delete", {METADATA}"#);
    assert_eq!(answer.header("www-authenticate"), Some(expected.as_str()));

    // A role is no scope: none would help.
    let service =
        layer_for(scoped()).layer(RequireLayer::new(Requirement::role("org:admin")).layer(Recorder::default()));
    let answer = send(&service, request("POST", "/mcp", &[("authorization", &oauth())])).await;
    let expected = format!(r#"Bearer error="insufficient_scope", {METADATA}"#);
    assert_eq!((answer.status(), answer.header("www-authenticate")), (403, Some(expected.as_str())));
}

/// Every way in which something behind the layer rejects a request, at these paths.
fn inside(clerk: ClerkAuthLayer) -> Router {
    let guards = Router::new()
        .route("/user", routing::get(|_: ClerkAuth| async {}))
        .route("/oauth", routing::get(|_: OAuthToken| async {}))
        .route("/key", routing::get(|_: ApiKey| async {}))
        .route("/any", routing::get(|_: Principal| async {}))
        .route("/signed-in", routing::get(|| async {}).route_layer(RequireAuthenticatedLayer::new()))
        .route("/scope", routing::get(|| async {}).route_layer(RequireLayer::new(Requirement::scope("things:delete"))))
        .route(
            "/checked",
            routing::get(|principal: Principal| async move { principal.require(&Requirement::scope("things:delete")) }),
        );
    Router::new().nest("/deep/er", guards).layer(clerk)
}

#[tokio::test]
async fn what_is_further_in_responds_with_the_same_challenge() {
    let clerk = layer_for(scoped()).allow_unauthenticated_requests();
    // The router cuts off two segments, and the outer one a third.
    for (app, prefix) in
        [(inside(clerk.clone()), "/deep/er"), (Router::new().nest("/mcp", inside(clerk)), "/mcp/deep/er")]
    {
        let missing = format!("Bearer {METADATA}, scope=\"things:read things:write\"");
        let invalid = format!("Bearer error=\"invalid_token\", {METADATA}, scope=\"things:read things:write\"");
        for guard in ["user", "oauth", "key", "any", "signed-in", "scope", "checked"] {
            for (headers, expected) in [(&[][..], &missing), (&[("authorization", BAD)], &invalid)] {
                let answer = send(&app, request("GET", &format!("{prefix}/{guard}"), headers)).await;
                let found = (answer.status(), answer.header("www-authenticate"));
                assert_eq!(found, (401, Some(expected.as_str())), "{prefix} {guard}");
            }
        }
        let oauth = oauth();
        let forbidden = format!(r#"Bearer error="insufficient_scope", scope="things:delete", {METADATA}"#);
        for (guard, status, expected) in
            [("user", 401, &invalid), ("key", 401, &invalid), ("scope", 403, &forbidden), ("checked", 403, &forbidden)]
        {
            let asked = request("GET", &format!("{prefix}/{guard}"), &[("authorization", &oauth)]);
            let answer = send(&app, asked).await;
            let found = (answer.status(), answer.header("www-authenticate"));
            assert_eq!(found, (status, Some(expected.as_str())), "{prefix} {guard}");
        }
        let asked = request("GET", &format!("{prefix}/oauth"), &[("authorization", &oauth)]);
        assert_eq!(send(&app, asked).await.status(), 200);
    }
}

#[tokio::test]
async fn the_innermost_layer_decides_which_resource_is_named() {
    let other = layer_for(resource("https://api.example.com/other")).allow_unauthenticated_requests();
    let service = other.layer(layer_for(resource(MCP)).layer(Recorder::default()));
    let answer = send(&service, request("GET", "/mcp", &[])).await;
    assert_eq!(answer.header("www-authenticate"), Some(format!("Bearer {METADATA}").as_str()));
}

#[tokio::test]
async fn a_response_of_the_application_starts_from_the_challenge() {
    let clerk = layer_for(resource(MCP)).rejection_response(|rejection: &Rejection, _: &Parts| {
        let mut response = rejection.default_response();
        response.headers_mut().insert("x-own", HeaderValue::from_static("1"));
        response
    });
    let answer = send_through(&clerk, request("GET", "/mcp", &[])).await;
    assert_eq!(answer.header("x-own"), Some("1"));
    assert_eq!(answer.header("www-authenticate"), Some(format!("Bearer {METADATA}").as_str()));
}
