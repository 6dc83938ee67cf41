//! The token in a subprotocol of a WebSocket, as a browser sends it.

use std::{borrow::Cow, net::SocketAddr};

use axum::{Router, extract::ws::WebSocketUpgrade, response::Response, routing::any};
use futures_util::StreamExt;
use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        error::{ProtocolError, SubProtocolError},
        handshake::client,
    },
};
use tower_clerk::{ClerkAuth, ClerkAuthLayer, TokenSource};

use super::arms;
use crate::support::sockets::serve_axum;
use crate::support::{layer, layer_without_keys, token};

type Connected = Result<(WebSocketStream<TcpStream>, client::Response), Error>;

/// The source in the guide.
fn subprotocol() -> TokenSource {
    TokenSource::custom(|headers| {
        let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
        offered.split(',').find_map(|protocol| protocol.trim().strip_prefix("bearer.")).map(Cow::Borrowed)
    })
}

/// Selects `chat` and says who connected.
async fn serve(clerk: ClerkAuthLayer) -> SocketAddr {
    serve_with(clerk, |upgrade| upgrade.protocols(["chat"])).await
}

async fn serve_with(
    clerk: ClerkAuthLayer,
    select: impl Fn(WebSocketUpgrade) -> WebSocketUpgrade + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let chat = async move |user: ClerkAuth, upgrade: WebSocketUpgrade| -> Response {
        select(upgrade).on_upgrade(async move |mut socket| {
            socket.send(user.user_id().to_owned().into()).await.expect("a listener");
        })
    };
    let clerk = clerk.token_sources([TokenSource::authorization(), subprotocol()]).expect("sources");
    serve_axum(Router::new().route("/chat", any(chat)).route_layer(clerk)).await
}

async fn connect(address: SocketAddr, offer: &str) -> Connected {
    let mut request = format!("ws://{address}/chat").into_client_request().expect("a request");
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(offer).expect("a value"));
    client_async(request, TcpStream::connect(address).await.expect("a connection")).await
}

fn status(connected: Connected) -> u16 {
    match connected {
        Err(Error::Http(response)) => response.status().as_u16(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_in_a_subprotocol_connects_and_chat_is_selected() {
    let token = token().sign();
    for (arm, clerk) in arms() {
        let address = serve(clerk).await;
        for offer in [format!("chat, bearer.{token}"), format!("bearer.{token},chat")] {
            let (mut socket, response) = connect(address, &offer).await.expect(arm);
            assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], "chat", "{arm}");
            assert!(!format!("{:?}", response.headers()).contains(&token), "{arm}");
            let message = socket.next().await.expect("a message").expect("a message");
            assert_eq!(message, Message::text("user_ada"), "{arm}");
        }
    }
}

#[tokio::test]
async fn an_upgrade_without_a_valid_token_in_its_subprotocols_is_rejected() {
    let expired = format!("chat, bearer.{}", token().expired().sign());
    for offer in ["chat", "chat, bearer.a.b.c", "chat, bearer.", &expired] {
        assert_eq!(status(connect(serve(layer()).await, offer).await), 401, "{offer}");
    }
    let good = format!("chat, bearer.{}", token().sign());
    assert_eq!(status(connect(serve(layer_without_keys()).await, &good).await), 503);
}

#[tokio::test]
async fn a_client_that_gets_none_of_its_subprotocols_fails() {
    let offer = format!("chat, bearer.{}", token().sign());
    let address = serve_with(layer(), |upgrade| upgrade).await;
    let error = connect(address, &offer).await.expect_err("browsers close with 1006");
    let no_selection = ProtocolError::SecWebSocketSubProtocolError(SubProtocolError::NoSubProtocol);
    assert!(matches!(&error, Error::Protocol(protocol) if *protocol == no_selection), "{error:?}");
}
