use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{Gateway, soon};

#[tokio::test]
async fn a_request_without_a_body_has_none_at_the_upstream() {
    let gateway = Gateway::start().await;
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "POST"] {
        let client = gateway.request(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let mut upstream = gateway.accept().await;
        let head = upstream.head().await;
        assert!(head.first.starts_with(method), "{head:?}");
        assert!(!head.has("transfer-encoding") && !head.has("content-length"), "{head:?}");
        drop(client);
        upstream.rest().await;
    }
    let _client = gateway.request("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(gateway.accept().await.head().await.one("content-length"), "0");
}

#[tokio::test]
async fn a_body_keeps_its_framing() {
    let gateway = Gateway::start().await;
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let _client =
            gateway.request(format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello")).await;
        let mut upstream = gateway.accept().await;
        let head = upstream.head().await;
        assert_eq!(head.one("content-length"), "5");
        assert!(!head.has("transfer-encoding"), "{head:?}");
        upstream.until("hello").await;

        let _client = gateway
            .request(format!(
                "{method} / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            ))
            .await;
        let mut upstream = gateway.accept().await;
        let head = upstream.head().await;
        assert_eq!(head.one("transfer-encoding"), "chunked");
        assert!(!head.has("content-length"), "{head:?}");
        assert_eq!(upstream.until("\r\n0\r\n\r\n").await, "5\r\nhello\r\n0\r\n\r\n");
    }
}

#[tokio::test]
async fn both_bodies_stream_part_by_part() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!(client.head().await.one("transfer-encoding"), "chunked");
    // Each part is written only when the one before has come through.
    for _ in 0..10 {
        client.write("4\r\nping\r\n").await;
        assert_eq!(upstream.until("ping\r\n").await, "4\r\nping\r\n");
        upstream.write("4\r\npong\r\n").await;
        assert_eq!(client.until("pong\r\n").await, "4\r\npong\r\n");
    }
    client.write("0\r\n\r\n").await;
    assert_eq!(upstream.until("\r\n\r\n").await, "0\r\n\r\n");
    upstream.write("0\r\n\r\n").await;
    assert_eq!(client.until("\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn events_arrive_one_at_a_time() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request("GET /events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    // Until the connection is closed, as servers for events often do it.
    upstream.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").await;
    assert_eq!(client.head().await.one("content-type"), "text/event-stream");
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        upstream.write(&event).await;
        assert!(client.until(&event).await.ends_with(&event));
        assert!(client.until("\r\n").await == "\r\n" && client.is_silent());
    }
    drop(upstream);
    assert_eq!(client.until("\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let gateway = Gateway::start().await;
    let mut client = gateway
        .request(
            "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\
             trailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
        )
        .await;
    let mut upstream = gateway.accept().await;
    let head = upstream.head().await;
    assert_eq!((head.one("te"), head.one("trailer")), ("trailers", "x-sum"));
    assert_eq!(upstream.until("0\r\nx-sum: 1\r\n\r\n").await, "2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n");
    upstream
        .write(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, x-clerk-user-id, connection\r\n\r\n\
             2\r\nok\r\n0\r\nx-sum: 2\r\nx-clerk-user-id: x\r\nconnection: x\r\n\r\n",
        )
        .await;
    client.head().await;
    assert_eq!(client.until("\r\n\r\n").await, "2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n");
}

#[tokio::test]
async fn http_2_of_a_client_becomes_http_1_and_keeps_trailers() {
    let gateway = Gateway::start().await;
    let io = TokioIo::new(gateway.connect().await.into_stream());
    let (mut sender, connection) =
        hyper::client::conn::http2::Builder::new(TokioExecutor::new()).handshake(io).await.unwrap();
    tokio::spawn(connection);
    let frames = [Frame::data(Bytes::from_static(b"ok")), Frame::trailers(trailers("x-sum"))];
    let body = StreamBody::new(futures_util::stream::iter(frames).map(Ok::<_, std::convert::Infallible>));
    let request = Request::post("http://api.example/x").header("trailer", "x-sum").header("te", "trailers").body(body);
    let response = tokio::spawn(sender.send_request(request.unwrap()));
    let mut upstream = gateway.accept().await;
    let head = upstream.head().await;
    assert_eq!(head.first, "POST /x HTTP/1.1");
    assert_eq!((head.one("te"), head.one("transfer-encoding")), ("trailers", "chunked"));
    assert_eq!(upstream.until("\r\n\r\n").await, "2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n");
    // Over HTTP/2 they need not be announced.
    upstream.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 1\r\n\r\n").await;
    let body = soon(response).await.unwrap().unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.trailers(), Some(&trailers("grpc-status")));
    assert_eq!(body.to_bytes(), "ok");
}

fn trailers(name: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), "1".parse().unwrap())])
}

#[tokio::test]
async fn answers_without_a_body_keep_their_headers() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    let mut upstream = None;
    for (method, answer, length) in [
        ("HEAD", "200 OK\r\ncontent-length: 1234\r\nx-a: 1", vec!["1234"]),
        ("HEAD", "200 OK\r\ntransfer-encoding: chunked\r\nx-a: 1", vec![]),
        ("HEAD", "200 OK\r\nx-a: 1", vec![]),
        ("GET", "204 No Content\r\nx-a: 1", vec![]),
        ("GET", "304 Not Modified\r\netag: \"1\"\r\nx-a: 1", vec![]),
        // hyper leaves the length out here, which RFC 9110, 8.6, allows.
        ("GET", "304 Not Modified\r\ncontent-length: 1234\r\nx-a: 1", vec![]),
        ("HEAD", "304 Not Modified\r\ncontent-length: 1234\r\nx-a: 1", vec!["1234"]),
        ("GET", "200 OK\r\ncontent-length: 0\r\nx-a: 1", vec!["0"]),
    ] {
        client.write(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let wire = match &mut upstream {
            Some(wire) => wire,
            None => upstream.insert(gateway.accept().await),
        };
        assert!(wire.head().await.first.starts_with(method));
        wire.write(format!("HTTP/1.1 {answer}\r\n\r\n")).await;
        let head = client.head().await;
        assert!(answer.starts_with(&head.status().to_string()));
        assert_eq!(head.all("content-length"), length, "{method} {answer}");
        assert!(!head.has("transfer-encoding"), "{method} {answer}");
        assert_eq!(head.one("x-a"), "1");
        assert!(client.is_silent());
    }
}

#[tokio::test]
async fn an_answer_after_early_hints_arrives() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.write("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n").await;
    upstream.write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    assert!(!head.has("link"));
    client.until("ok").await;
}

#[tokio::test]
async fn pipelined_requests_share_a_connection_in_their_order() {
    let gateway = Gateway::start().await;
    let requests: String = (0..3).map(|number| format!("GET /{number} HTTP/1.1\r\nhost: a\r\n\r\n")).collect();
    let mut client = gateway.request(requests).await;
    let mut upstream = gateway.accept().await;
    for number in 0..3 {
        assert_eq!(upstream.head().await.first, format!("GET /{number} HTTP/1.1"));
        upstream.write(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}")).await;
    }
    for number in 0..3 {
        client.head().await;
        client.until(&number.to_string()).await;
    }
    assert!(client.is_silent() && gateway.is_left_alone().await);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_arrives() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\npart").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.until("part").await;
    upstream.write("HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig").await;
    assert_eq!(client.head().await.status(), 413);
    client.until("big").await;
}
