use std::{convert::Infallible, io::ErrorKind, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::service_fn;
use tower_clerk::{ClerkAuthLayer, Rejection};
use tower_layer::Layer;

use super::arms;
use crate::support::sockets::{connect_http1, serve_http1};
use crate::support::{Answer, BAD, cold_layer, good, layer, layer_without_keys, whoami, with_body};

/// Responds with the request's body.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.expect("the body").to_bytes();
    Ok(Response::new(Full::new(body)))
}

async fn serve(clerk: ClerkAuthLayer) -> SocketAddr {
    serve_http1(clerk.layer(service_fn(whoami::<Incoming>))).await
}

#[tokio::test]
async fn each_outcome_has_its_status() {
    let bearer = good();
    for (clerk, headers, status, text) in [
        (layer(), vec![("authorization", bearer.as_str())], 200, "user_ada"),
        (arms()[1].1.clone(), vec![("authorization", &bearer)], 200, "user_ada"),
        (layer(), vec![], 401, "missing_token"),
        (layer(), vec![("authorization", BAD)], 401, "invalid_token"),
        (layer(), vec![("authorization", &bearer), ("authorization", &bearer)], 400, "malformed_request"),
        (layer(), vec![("authorization", "")], 401, "missing_token"),
        (layer_without_keys(), vec![("authorization", &bearer)], 503, "keys_unavailable"),
    ] {
        let mut client = connect_http1::<Full<Bytes>>(serve(clerk).await).await;
        let response = client.send_request(with_body("GET", "/", &headers, Full::default())).await;
        let answer = Answer::of(response.expect("a response")).await;
        assert_eq!(answer.status(), status, "{answer:?}");
        assert!(answer.text.contains(text), "{answer:?}");
    }
}

#[tokio::test]
async fn a_hook_can_replace_the_body_of_the_default_response() {
    let clerk = layer().rejection_response(|rejection: &Rejection, _: &Parts| {
        rejection.default_response().map(|_| Bytes::from_static(b"nope"))
    });
    let mut client = connect_http1::<Full<Bytes>>(serve(clerk).await).await;
    for (method, text) in [("GET", "nope"), ("HEAD", ""), ("GET", "nope")] {
        let response = client.send_request(with_body(method, "/", &[], Full::default())).await;
        let answer = Answer::of(response.expect("a response")).await;
        assert_eq!((answer.outcome(), answer.header("content-length")), ((401, text), Some("4")), "{method}");
    }
}

#[tokio::test]
async fn a_connection_stays_usable_after_rejections() {
    for (arm, clerk) in arms() {
        let mut client = connect_http1::<Full<Bytes>>(serve(clerk).await).await;
        for (method, authorization, status) in [
            ("GET", None, 401),
            ("GET", Some(BAD.to_owned()), 401),
            ("HEAD", None, 401),
            ("GET", Some("Bearer a b".to_owned()), 400),
            ("GET", Some(good()), 200),
            ("HEAD", Some(good()), 200),
            ("GET", None, 401),
        ] {
            let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
            let response = client.send_request(with_body(method, "/", &headers, Full::default())).await;
            let answer = Answer::of(response.expect("the connection stays usable")).await;
            assert_eq!(answer.status(), status, "{arm} {method}");
            assert_eq!(answer.text.is_empty(), method == "HEAD", "{arm} {method}");
        }
    }
}

/// Reads the head of one message.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.expect("more of the head"));
    }
    String::from_utf8(bytes).expect("ASCII")
}

fn expecting(authorization: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: a\r\nauthorization: {authorization}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
    )
}

#[tokio::test]
async fn a_rejected_upload_gets_no_100_continue() {
    for (clerk, authorization, status) in [
        (layer(), BAD.to_owned(), "401"),
        (layer(), "Bearer a b".to_owned(), "400"),
        (layer_without_keys(), good(), "503"),
    ] {
        let mut stream =
            TcpStream::connect(serve_http1(clerk.layer(service_fn(echo))).await).await.expect("a connection");
        stream.write_all(expecting(&authorization).as_bytes()).await.expect("sent");
        let head = head(&mut stream).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}

#[tokio::test]
async fn an_admitted_upload_gets_100_continue_after_the_wait() {
    let (clerk, gate) = cold_layer();
    let mut stream = TcpStream::connect(serve_http1(clerk.layer(service_fn(echo))).await).await.expect("a connection");
    stream.write_all(expecting(&good()).as_bytes()).await.expect("sent");
    gate.reached().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let too_early = stream.try_read(&mut [0; 32]).expect_err("nothing yet");
    assert_eq!(too_early.kind(), ErrorKind::WouldBlock);
    gate.open();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 100 "));
    stream.write_all(b"body").await.expect("sent");
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut body = [0; 4];
    stream.read_exact(&mut body).await.expect("the echo");
    assert_eq!(&body, b"body");
}

#[tokio::test]
async fn pipelined_requests_get_their_responses_in_order() {
    let (clerk, gate) = cold_layer();
    let mut stream = TcpStream::connect(serve(clerk).await).await.expect("a connection");
    let waits = format!("GET /1 HTTP/1.1\r\nhost: a\r\nauthorization: {}\r\n\r\n", good());
    let rejected = "GET /2 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{waits}{rejected}").as_bytes()).await.expect("sent");
    gate.reached().await;
    gate.open();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("two responses");
    assert!(answers.starts_with("HTTP/1.1 200 "), "{answers}");
    assert!(answers.contains("user_adaHTTP/1.1 401 "), "{answers}");
}

#[tokio::test]
async fn two_authorization_lines_on_the_wire_are_a_bad_request() {
    let mut stream = TcpStream::connect(serve(layer()).await).await.expect("a connection");
    let bearer = good();
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nAuthorization: {bearer}\r\nx-between: 1\r\naUTHORIZATION: {bearer}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn a_rejected_upload_gets_its_response_and_the_connection_ends() {
    const UPLOAD: usize = 50 * 1024 * 1024;
    let (mut read, mut write) = TcpStream::connect(serve(layer()).await).await.expect("a connection").into_split();
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\nauthorization: {BAD}\r\ncontent-length: {UPLOAD}\r\n\r\n");
    let uploading = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await.expect("sent");
        let (chunk, mut sent) = (vec![b'x'; 64 * 1024], 0);
        while sent < UPLOAD && write.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        sent
    });
    let mut answer = Vec::new();
    let ended = read.read_to_end(&mut answer).await.map_err(|error| error.kind());
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.ends_with(r#""code":"invalid_token"}"#), "{answer}");
    assert!(matches!(ended, Ok(_) | Err(ErrorKind::ConnectionReset)), "{ended:?}");
    let sent = uploading.await.expect("no panic");
    assert!(sent < UPLOAD, "the whole upload was read");
}
