//! The smallest server, which the guide shows.

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_clerk::testing::TestIssuer;

#[expect(dead_code, reason = "its `main` is for the example")]
#[path = "../../examples/minimal.rs"]
mod program;

#[tokio::test]
async fn the_smallest_server_guards_its_tool_and_says_where_to_start() {
    let issuer = TestIssuer::new();
    let app = program::app(issuer.config()).unwrap();
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "whoami" } });
    let request = |token: &str| {
        Request::post("/mcp")
            .header("host", "127.0.0.1:3001")
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(call.to_string()))
            .unwrap()
    };
    let response = app.clone().oneshot(request(&issuer.oauth_token("user_ada").sign())).await.unwrap();
    let said: Value = serde_json::from_slice(&to_bytes(response.into_body(), 1000).await.unwrap()).unwrap();
    assert_eq!(said["result"]["content"][0]["text"], "user_ada through client_test");

    let response = app.clone().oneshot(request(&issuer.token("user_ada").sign())).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    let metadata = "http://127.0.0.1:3001/.well-known/oauth-protected-resource/mcp";
    assert!(challenge.contains(metadata), "{challenge}");
    let response = app.oneshot(Request::get(metadata).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
