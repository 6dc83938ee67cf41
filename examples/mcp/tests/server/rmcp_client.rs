//! The client of rmcp goes through the whole flow.

use std::sync::Arc;

use rmcp::{
    ServiceExt,
    model::{CallToolRequestParams, JsonObject},
    service::ClientInitializeError,
    transport::{
        StreamableHttpClientTransport,
        auth::{AuthClient, AuthorizationCallback, AuthorizationRequest, OAuthState, WWWAuthenticateParams},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use url::Url;

use crate::support::{click, parameter, start};

const REDIRECT_URI: &str = "http://127.0.0.1:33418/callback";

fn call(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let arguments: JsonObject = serde_json::from_value(arguments).unwrap();
    CallToolRequestParams::new(tool).with_arguments(arguments)
}

#[tokio::test]
async fn it_signs_in_calls_steps_up_and_calls_again() {
    let server = start().await;

    // Without a token it gets the challenge.
    let refused = ().serve(StreamableHttpClientTransport::from_uri(server.url.clone())).await.unwrap_err();
    let challenge = ClientInitializeError::auth_challenge(&refused).unwrap().to_owned();
    assert!(challenge.starts_with("Bearer resource_metadata="), "{challenge}");

    // Discovery, registration, PKCE, consent.
    let mut state = OAuthState::new(&server.url, None).await.unwrap();
    let request = AuthorizationRequest::new(REDIRECT_URI).with_client_name("rmcp").with_challenge(&challenge);
    state.start_authorization(request).await.unwrap();
    let url = state.get_authorization_url().await.unwrap();
    let asked = Url::parse(&url).unwrap();
    assert_eq!(parameter(&asked, "scope").as_deref(), Some("profile"));
    assert_eq!(parameter(&asked, "resource").as_deref(), Some(server.url.as_str()));
    let callback = click(&url, "allow").await;
    assert!(callback.as_str().starts_with(REDIRECT_URI));
    state.handle_callback_url(callback.as_str()).await.unwrap();

    // Calls.
    let http = AuthClient::new(reqwest::Client::new(), state.into_authorization_manager().unwrap());
    let manager = Arc::clone(&http.auth_manager);
    let config = StreamableHttpClientTransportConfig::with_uri(server.url.clone());
    let client = ().serve(StreamableHttpClientTransport::with_client(http, config)).await.unwrap();
    assert_eq!(client.list_all_tools().await.unwrap().len(), 2);
    let caller = client.call_tool(call("whoami", json!({}))).await.unwrap().structured_content.unwrap();
    assert_eq!((&caller["user"], &caller["scopes"]), (&json!("user_ada"), &json!(["profile"])));
    let client_id = caller["client"].as_str().unwrap().to_owned();

    // The second tool needs more.
    let refused = client.call_tool(call("create_thing", json!({ "name": "lamp" }))).await.unwrap_err();
    let parameters = WWWAuthenticateParams::parse(refused.auth_challenge().unwrap(), &Url::parse(&server.url).unwrap());
    assert!(parameters.is_insufficient_scope());
    let scope = parameters.scope.unwrap();
    assert_eq!(scope, "profile things:write");

    // It asks its user, and the same connection goes on with the new token.
    let manager_of_step_up = manager.lock().await;
    let url = manager_of_step_up.request_scope_upgrade(&scope).await.unwrap();
    let callback = AuthorizationCallback::from_redirect_url(click(&url, "allow").await.as_str()).unwrap();
    manager_of_step_up
        .exchange_code_for_token_with_issuer(&callback.code, &callback.csrf_token, callback.issuer.as_deref())
        .await
        .unwrap();
    drop(manager_of_step_up);
    let thing = client.call_tool(call("create_thing", json!({ "name": "lamp" }))).await.unwrap();
    assert_eq!(thing.structured_content.unwrap(), json!({ "name": "lamp", "owner": "user_ada" }));
    let caller = client.call_tool(call("whoami", json!({}))).await.unwrap().structured_content.unwrap();
    assert_eq!(caller, json!({ "user": "user_ada", "client": client_id, "scopes": ["profile", "things:write"] }));
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn it_signs_in_again_at_another_port_as_the_same_client() {
    let server = start().await;
    let mut clients = Vec::new();
    for port in [33418, 33419] {
        let redirect_uri = format!("http://127.0.0.1:{port}/callback");
        let request = AuthorizationRequest::new(&redirect_uri);
        let request = clients.iter().fold(request, |request, id: &String| request.with_preregistered_client(id));
        let mut state = OAuthState::new(&server.url, None).await.unwrap();
        state.start_authorization(request).await.unwrap();
        let callback = click(&state.get_authorization_url().await.unwrap(), "allow").await;
        assert!(callback.as_str().starts_with(&redirect_uri), "{callback}");
        state.handle_callback_url(callback.as_str()).await.unwrap();

        let http = AuthClient::new(reqwest::Client::new(), state.into_authorization_manager().unwrap());
        let config = StreamableHttpClientTransportConfig::with_uri(server.url.clone());
        let client = ().serve(StreamableHttpClientTransport::with_client(http, config)).await.unwrap();
        let caller = client.call_tool(call("whoami", json!({}))).await.unwrap().structured_content.unwrap();
        clients.push(caller["client"].as_str().unwrap().to_owned());
        client.cancel().await.unwrap();
    }
    assert_eq!(clients[0], clients[1]);
}

#[tokio::test]
async fn it_learns_that_the_user_says_no() {
    let server = start().await;
    let mut state = OAuthState::new(&server.url, None).await.unwrap();
    state.start_authorization(AuthorizationRequest::new(REDIRECT_URI)).await.unwrap();
    let callback = click(&state.get_authorization_url().await.unwrap(), "deny").await;
    assert_eq!(parameter(&callback, "error").as_deref(), Some("access_denied"));
    assert!(state.handle_callback_url(callback.as_str()).await.is_err());
}
