use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message as ServerMessage, WebSocketUpgrade},
    },
    response::Response,
    routing::any,
};
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use tower_clerk::{ClerkAuth, ClerkAuthLayer};

use super::arms;
use crate::support::sockets::serve_axum;
use crate::support::{BAD, cold_layer, good, layer, layer_without_keys};

/// Echoes each message after the user's id.
async fn talk(State(upgrades): State<Arc<AtomicUsize>>, user: ClerkAuth, upgrade: WebSocketUpgrade) -> Response {
    upgrades.fetch_add(1, Ordering::SeqCst);
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(ServerMessage::Text(text))) = socket.recv().await {
            let reply = format!("{}: {text}", user.user_id());
            socket.send(ServerMessage::Text(reply.into())).await.expect("a listener");
        }
    })
}

async fn serve(clerk: ClerkAuthLayer) -> (SocketAddr, Arc<AtomicUsize>) {
    let upgrades = Arc::new(AtomicUsize::new(0));
    let app = Router::new().route("/ws", any(talk)).layer(clerk).with_state(Arc::clone(&upgrades));
    (serve_axum(app).await, upgrades)
}

async fn connect(address: SocketAddr, authorization: Option<&str>) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let mut request = format!("ws://{address}/ws").into_client_request().expect("a request");
    if let Some(value) = authorization {
        request.headers_mut().insert("authorization", HeaderValue::from_str(value).expect("a value"));
    }
    client_async(request, stream).await.map(|(socket, _)| socket)
}

async fn converse(mut socket: WebSocketStream<TcpStream>) {
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.expect("a server");
        let reply = socket.next().await.expect("a reply").expect("a message");
        assert_eq!(reply, Message::text(format!("user_ada: {text}")));
    }
    socket.close(None).await.expect("closed");
}

#[tokio::test]
async fn an_upgrade_succeeds_with_and_without_a_wait() {
    for (arm, clerk) in arms() {
        let (address, upgrades) = serve(clerk).await;
        converse(connect(address, Some(&good())).await.expect(arm)).await;
        assert_eq!(upgrades.load(Ordering::SeqCst), 1, "{arm}");
    }
}

#[tokio::test]
async fn an_upgrade_that_waits_for_its_key_succeeds_after_the_wait() {
    let (clerk, gate) = cold_layer();
    let (address, upgrades) = serve(clerk).await;
    let waiting = tokio::spawn(async move { connect(address, Some(&good())).await });
    gate.reached().await;
    assert!(!waiting.is_finished());
    assert_eq!(upgrades.load(Ordering::SeqCst), 0);
    gate.open();
    converse(waiting.await.expect("no panic").expect("an upgrade")).await;
}

#[tokio::test]
async fn a_rejected_upgrade_is_a_plain_response() {
    for (clerk, authorization, status) in [
        (layer(), None, 401),
        (layer(), Some(BAD.to_owned()), 401),
        (layer(), Some("Bearer a b".to_owned()), 400),
        (layer_without_keys(), Some(good()), 503),
    ] {
        let (address, upgrades) = serve(clerk).await;
        match connect(address, authorization.as_deref()).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), status),
            other => panic!("{other:?}"),
        }
        assert_eq!(upgrades.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn the_connection_stays_http_after_a_rejected_upgrade() {
    let (address, upgrades) = serve(layer()).await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let upgrade = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let last = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{upgrade}{last}").as_bytes()).await.expect("sent");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("two responses");
    assert_eq!(answers.matches("HTTP/1.1 401 ").count(), 2, "{answers}");
    assert!(!answers.contains("upgrade"), "{answers}");
    assert_eq!(upgrades.load(Ordering::SeqCst), 0);
}
