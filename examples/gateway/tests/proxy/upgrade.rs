use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Error, Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

use crate::support::{Gateway, WRITTEN, soon};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A WebSocket through the gateway: the client's end, and the upstream's.
async fn open(gateway: &Gateway) -> (WebSocketStream<TcpStream>, WebSocketStream<TcpStream>) {
    #[allow(clippy::result_large_err, reason = "the type is that of tungstenite")]
    fn check(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
        assert_eq!(request.uri(), "/chat?room=1");
        assert_eq!(request.headers()["connection"], "upgrade");
        assert_eq!(request.headers()["x-forwarded-host"], "a");
        Ok(response)
    }
    let client = gateway.connect().await.into_stream();
    let client = tokio::spawn(client_async("ws://a/chat?room=1", client));
    let upstream = gateway.accept().await.into_stream();
    let upstream = soon(accept_hdr_async(upstream, check)).await.unwrap();
    (soon(client).await.unwrap().unwrap().0, upstream)
}

#[tokio::test]
async fn messages_pass_in_both_directions() {
    let gateway = Gateway::start().await;
    let (mut client, mut upstream) = open(&gateway).await;
    for number in 0..10 {
        let message = Message::text(format!("message {number}"));
        client.send(message.clone()).await.unwrap();
        assert_eq!(soon(upstream.next()).await.unwrap().unwrap(), message);
        let message = Message::binary(vec![number; 100_000]);
        upstream.send(message.clone()).await.unwrap();
        assert_eq!(soon(client.next()).await.unwrap().unwrap(), message);
    }
    client.close(None).await.unwrap();
    assert!(soon(upstream.next()).await.unwrap().unwrap().is_close());
    upstream.flush().await.unwrap();
    assert!(soon(client.next()).await.unwrap().unwrap().is_close());
}

#[tokio::test]
async fn an_end_that_goes_ends_the_other() {
    let gateway = Gateway::start().await;
    let (client, mut upstream) = open(&gateway).await;
    drop(client);
    assert!(matches!(soon(upstream.next()).await, Some(Err(Error::Protocol(_) | Error::Io(_)))));

    let (mut client, upstream) = open(&gateway).await;
    drop(upstream);
    assert!(matches!(soon(client.next()).await, Some(Err(Error::Protocol(_) | Error::Io(_)))));
}

#[tokio::test]
async fn connections_end_with_the_gateway() {
    let gateway = Gateway::start().await;
    let (mut client, mut upstream) = open(&gateway).await;
    client.send(Message::text("here")).await.unwrap();
    soon(upstream.next()).await.unwrap().unwrap();
    soon(gateway.proxy.close_tunnels()).await;
    assert!(soon(client.next()).await.unwrap().is_err());
    assert!(soon(upstream.next()).await.unwrap().is_err());
    // One that comes later ends at once.
    let (mut client, _upstream) = open(&gateway).await;
    assert!(soon(client.next()).await.unwrap().is_err());
}

#[tokio::test]
async fn an_answer_other_than_101_passes() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request(REQUEST).await;
    let mut upstream = gateway.accept().await;
    let head = upstream.head().await;
    assert_eq!((head.one("connection"), head.one("upgrade")), ("upgrade", "websocket"));
    assert_eq!(head.names_without(&WRITTEN), ["connection", "sec-websocket-key", "sec-websocket-version", "upgrade"]);
    upstream.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\nupgrade: websocket\r\n\r\nno.").await;
    let head = client.head().await;
    assert_eq!((head.status(), head.has("upgrade")), (403, false));
    client.until("no.").await;
    // The connections go on as before.
    client.write("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await;
}

#[tokio::test]
async fn bytes_behind_the_handshake_are_not_lost() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request(format!("{REQUEST}early")).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream
        .write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, x-hop\r\nUpgrade: websocket\r\nx-a: 1\r\n\
             x-hop: 1\r\nkeep-alive: timeout=5\r\n\r\nhello",
        )
        .await;
    let head = client.head().await;
    assert!(!head.has("x-hop") && !head.has("keep-alive"), "{head:?}");
    assert_eq!((head.one("connection"), head.one("upgrade"), head.one("x-a")), ("upgrade", "websocket", "1"));
    client.until("hello").await;
    upstream.until("early").await;
}

#[tokio::test]
async fn a_protocol_that_nobody_asked_for_is_502() {
    let gateway = Gateway::start().await;
    for (request, protocol) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", "websocket"),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok", "websocket"),
        ("GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\n\r\n", "websocket"),
        ("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c, websocket\r\n\r\n", "websocket"),
        ("POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n", "websocket"),
        (REQUEST, "h2c"),
    ] {
        let mut client = gateway.request(request).await;
        let mut upstream = gateway.accept().await;
        assert_eq!(upstream.head().await.has("upgrade"), request == REQUEST, "{request}");
        upstream
            .write(format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n"))
            .await;
        let head = client.head().await;
        assert_eq!((head.status(), head.one("failure")), (502, "InvalidResponse"), "{request}");
    }
}
