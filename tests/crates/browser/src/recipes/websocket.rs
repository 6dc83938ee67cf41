use axum::{Router, extract::ws::WebSocketUpgrade, response::Response, routing::any};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use std::borrow::Cow;
use tower_clerk::{ClerkAuth, ClerkAuthLayer, ConfigError, TokenSource};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;

async fn chat(user: ClerkAuth, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["chat"]).on_upgrade(async move |mut socket| {
        let _ = socket.send(format!("hello {}", user.user_id()).into()).await;
    })
}

fn app(clerk: ClerkAuthLayer) -> Result<Router, ConfigError> {
    let subprotocol = TokenSource::custom(|headers| {
        let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
        offered.split(',').find_map(|protocol| protocol.trim().strip_prefix("bearer.")).map(Cow::Borrowed)
    });
    let clerk = clerk.token_sources([TokenSource::authorization(), subprotocol])?;
    let sensitive = SetSensitiveRequestHeadersLayer::new([SEC_WEBSOCKET_PROTOCOL]);
    Ok(Router::new().route("/chat", any(chat)).route_layer(clerk).layer(sensitive))
}
