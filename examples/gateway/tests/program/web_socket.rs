use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gateway::Gateway;
use serde_json::json;
use tokio::{net::TcpListener, time::timeout};
use tokio_tungstenite::{
    accept_async, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::support::{PATIENCE, Program, Site};

/// An upstream that sends back what it gets.
async fn echo(listener: TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            let Ok(mut socket) = accept_async(stream).await else { return };
            while let Some(Ok(message)) = socket.next().await {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        });
    }
}

#[tokio::test]
async fn a_web_socket_needs_a_token_and_ends_with_the_gateway() {
    let site = Site::new(&[("/socket", "get", "none", &["clerk"])]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(echo(listener));
    let mut program = Program::serve_from(&site, &url, &[]).await;

    let request = || format!("ws://{}/socket", program.address).into_client_request().expect("a request");
    match timeout(PATIENCE, connect_async(request())).await.expect("in time") {
        Err(Error::Http(response)) => assert_eq!(response.status(), 401),
        other => panic!("{other:?}"),
    }
    let mut accepted = request();
    accepted.headers_mut().insert("authorization", site.bearer().parse().expect("a value"));
    let connecting = timeout(PATIENCE, connect_async(accepted));
    let (mut socket, response) = connecting.await.expect("in time").expect("a socket");
    assert_eq!(response.status(), 101);
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.expect("sent");
        let back = timeout(PATIENCE, socket.next()).await.expect("in time").expect("a message").expect("good");
        assert_eq!(back, Message::text(text));
    }
    program.signal("TERM");
    assert_eq!(program.end().await, Some(0));
    let ended = timeout(PATIENCE, socket.next()).await.expect("in time");
    assert!(!matches!(ended, Some(Ok(Message::Text(_)))), "{ended:?}");
}

/// The process goes on, and so would a connection that nobody ends.
#[tokio::test]
async fn a_web_socket_ends_with_a_gateway_that_is_stopped() {
    let site = Site::new(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(echo(listener));
    let routes = json!({ "openapi": "3.1.0", "paths": { "/socket": { "get": { "x-zuplo-route": { "handler": {
        "export": "urlForwardHandler", "module": "$import(@zuplo/runtime)", "options": { "baseUrl": url } } } } } } });
    site.write("routes.oas.json", &routes.to_string());
    let running = Gateway::new().start(site.path()).await.expect("a gateway");

    let connecting = connect_async(format!("ws://{}/socket", running.address()));
    let (mut socket, _) = timeout(PATIENCE, connecting).await.expect("in time").expect("a socket");
    socket.send(Message::text("one")).await.expect("sent");
    let back = timeout(PATIENCE, socket.next()).await.expect("in time").expect("a message").expect("good");
    assert_eq!(back, Message::text("one"));
    timeout(PATIENCE, running.stop(Duration::ZERO)).await.expect("an end");
    let ended = timeout(PATIENCE, socket.next()).await.expect("in time");
    assert!(matches!(ended, None | Some(Err(_))), "{ended:?}");
}
