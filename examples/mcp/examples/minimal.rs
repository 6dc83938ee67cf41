//! The smallest MCP server behind Clerk: its tool knows which user and which client call it.
//!
//! ```text
//! CLERK_PUBLISHABLE_KEY=pk_test_… cargo run --manifest-path examples/mcp/Cargo.toml --example minimal
//! ```

use std::{error::Error, sync::Arc};

use axum::Router;
use http::request::Parts;
use rmcp::{
    ErrorData,
    handler::server::tool::Extension,
    tool, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use tower_clerk::{ClerkAuthLayer, ClerkConfig, ConfigError, OAuthToken, ProtectedResource, TokenKind};

struct Tools;

#[tool_router(server_handler)]
impl Tools {
    #[tool(description = "Says which user and which client call")]
    fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let token = parts.extensions.get::<OAuthToken>();
        let token = token.ok_or_else(|| ErrorData::internal_error("no ClerkAuthLayer outside", None))?;
        Ok(format!("{} through {}", token.user_id(), token.client_id().unwrap_or("a client")))
    }
}

pub(crate) fn app(config: ClerkConfig) -> Result<Router, ConfigError> {
    let resource = ProtectedResource::new("http://127.0.0.1:3001/mcp")?.scopes(["profile"])?;
    let clerk = ClerkAuthLayer::from_config(config.accept([TokenKind::OAuth])?)?.protected_resource(resource)?;
    // Each request has its token and one answer, so there is nothing to keep between requests.
    let settings = StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let mcp = StreamableHttpService::new(|| Ok(Tools), Arc::new(NeverSessionManager::default()), settings);
    // `layer`, not `route_layer`: it also serves the metadata, at a path of its own.
    Ok(Router::new().route_service("/mcp", mcp).layer(clerk))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    Ok(axum::serve(listener, app(ClerkConfig::from_env()?)?).await?)
}
