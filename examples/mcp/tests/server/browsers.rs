//! Clients that run in a web page, and pages that should not reach the server.

use mcp::{Server, Settings};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::json;
use tower_clerk::testing::TestIssuer;

use crate::support::{Running, challenge, http, start, start_with};

const INSPECTOR: &str = "http://localhost:6274";

async fn preflight(server: &Running, path: &str, origin: &str) -> Response {
    let request = http().request(Method::OPTIONS, server.at(path)).header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    let headers = "authorization,content-type,mcp-protocol-version,x-custom";
    request.header("access-control-request-headers", headers).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn status_of_a_call(server: &Running, name: &str, value: &str) -> StatusCode {
    let request = http().post(&server.url).bearer_auth(server.issuer.token().sign());
    list(request.header(name, value)).await.status()
}

/// Sends a message that every token may send.
async fn list(request: RequestBuilder) -> Response {
    let request = request.header("accept", "application/json, text/event-stream");
    request.json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).send().await.unwrap()
}

#[tokio::test]
async fn a_page_on_this_machine_may_call_and_reads_the_challenge() {
    let server = start().await;
    let response = preflight(&server, "/mcp", INSPECTOR).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(header(&response, "access-control-allow-origin"), INSPECTOR);
    assert!(header(&response, "access-control-allow-methods").contains("POST"));
    for name in ["authorization", "content-type", "mcp-protocol-version", "x-custom"] {
        assert!(header(&response, "access-control-allow-headers").contains(name), "{name}");
    }

    let response = http().post(&server.url).header("origin", INSPECTOR).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&response, "access-control-allow-origin"), INSPECTOR);
    for name in ["www-authenticate", "mcp-session-id", "mcp-protocol-version"] {
        assert!(header(&response, "access-control-expose-headers").contains(name), "{name}");
    }
    assert_eq!(status_of_a_call(&server, "origin", INSPECTOR).await, StatusCode::OK);
}

#[tokio::test]
async fn any_page_may_read_what_a_client_needs_to_start() {
    let server = start().await;
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let response = preflight(&server, path, "https://client.example").await;
        assert!(response.status().is_success(), "{path}");
        assert_eq!(header(&response, "access-control-allow-origin"), "*", "{path}");
        let request = http().get(server.at(path)).header("origin", "https://client.example");
        let response = request.header("mcp-protocol-version", "2025-11-25").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "access-control-allow-origin"), "*", "{path}");
    }
    for path in ["/oauth/register", "/oauth/token"] {
        let response = preflight(&server, path, "https://client.example").await;
        assert_eq!(header(&response, "access-control-allow-origin"), "*", "{path}");
    }
}

#[tokio::test]
async fn other_pages_call_only_if_they_are_named() {
    let allowed_origins = vec!["https://client.example".to_owned()];
    let server = start_with(Settings { allowed_origins, ..Settings::default() }).await;
    for (origin, is_allowed) in [
        ("https://client.example", true),
        ("https://client.example:8443", false),
        ("http://client.example", false),
        ("https://other.example", false),
        ("http://localhost.other.example", false),
        ("https://localhost", false),
        ("null", false),
        (server.issuer.url(), true),
        ("http://127.0.0.1:9", true),
        ("http://[::1]:9", true),
        ("http://localhost", true),
        ("http://127.0.0.2", false),
        ("http://127.0.0.2:9", false),
        ("http://[::ffff:127.0.0.1]:9", false),
        ("http://127.1:9", false),
    ] {
        let allowed = header(&preflight(&server, "/mcp", origin).await, "access-control-allow-origin") == origin;
        assert_eq!(allowed, is_allowed, "{origin}");
        let status = if is_allowed { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(status_of_a_call(&server, "origin", origin).await, status, "{origin}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_by_dns_is_refused() {
    let server = start().await;
    assert_eq!(status_of_a_call(&server, "host", "evil.example:3001").await, StatusCode::FORBIDDEN);
    for path in ["/oauth/authorize", "/.well-known/oauth-authorization-server"] {
        for (host, is_refused) in [("evil.example", true), ("localhost:3001", false), ("localhost.evil.example", true)]
        {
            let response = http().get(server.at(path)).header("host", host).send().await.unwrap();
            assert_eq!(response.status() == StatusCode::FORBIDDEN, is_refused, "{path} {host}");
        }
    }
}

#[tokio::test]
async fn the_public_host_is_allowed_and_named_everywhere() {
    let clerk = TestIssuer::new();
    let public_url = Some("https://mcp.example.com".to_owned());
    let server =
        Server::bind(Settings { clerk: Some(clerk.config()), public_url, ..Settings::default() }).await.unwrap();
    assert_eq!(server.url(), "https://mcp.example.com/mcp");
    let url = format!("http://{}/mcp", server.address());
    tokio::spawn(server.run());
    for (host, status) in [
        ("mcp.example.com", StatusCode::OK),
        ("MCP.example.com:443", StatusCode::OK),
        ("evil.example", StatusCode::FORBIDDEN),
        ("mcp.example.com.evil.example", StatusCode::FORBIDDEN),
    ] {
        let token = clerk.oauth_token("user_ada").sign();
        let request = http().post(&url).header("host", host).header("origin", "https://mcp.example.com");
        assert_eq!(list(request.bearer_auth(token)).await.status(), status, "{host}");
    }
    let response = http().post(&url).send().await.unwrap();
    let metadata = "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
    assert!(challenge(&response).contains(metadata), "{}", challenge(&response));
}
