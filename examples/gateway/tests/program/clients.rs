//! Clients that are slow, and clients that speak HTTP/2.

use std::time::Duration;

use axum::body::Body;
use gateway::Gateway;
use http::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

use crate::support::{PATIENCE, Program, Site, head};

/// Time passes at once whenever nothing happens, so the limit of the gateway is all that ends the wait.
#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_head_is_cut_after_a_minute() {
    let site = Site::new(&[]).await;
    let route = r#"{ "openapi": "3.1.0", "paths": { "/a": { "get": { "x-zuplo-route": { "handler": {
        "export": "urlForwardHandler", "module": "$import(@zuplo/runtime)",
        "options": { "baseUrl": "http://127.0.0.1:9" } } } } } } }"#;
    site.write("routes.oas.json", route);
    let running = Gateway::new().start(site.path()).await.expect("a gateway");
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET", "GET /a HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut stream = TcpStream::connect(running.address()).await.expect("a connection");
        stream.write_all(beginning.as_bytes()).await.expect("bytes");
        let began = Instant::now();
        let mut end = Vec::new();
        // A reset ends it too.
        let _ = timeout(Duration::from_secs(200), stream.read_to_end(&mut end)).await.expect("an end");
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(59) && waited <= Duration::from_secs(125), "{beginning:?}: {waited:?}");
        assert!(!end.starts_with(b"HTTP/1.1 200"), "{beginning:?}");
    }
}

async fn send_over_http_2(program: &Program, request: Request<Body>) -> StatusCode {
    let stream = TokioIo::new(TcpStream::connect(program.address).await.expect("a connection"));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    timeout(PATIENCE, sender.send_request(request)).await.expect("in time").expect("an answer").status()
}

#[tokio::test]
async fn http_2_clients_pass_the_same_door() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"]), ("/open", "post", "none", &[])]).await;
    let program = Program::serve(&site).await;
    let get = || Request::get("http://gateway.test/a");
    let refused = get().body(Body::empty()).expect("a request");
    assert_eq!(send_over_http_2(&program, refused).await, 401);
    assert_eq!(site.upstream.take(), [""; 0]);

    let accepted = get().header("authorization", site.bearer()).header("cookie", "a=1").header("cookie", "b=2");
    let accepted = accepted.header("x_clerk_user_id", "forged").body(Body::empty()).expect("a request");
    assert_eq!(send_over_http_2(&program, accepted).await, 200);
    let head = site.upstream.take().remove(0);
    assert!(head.contains("cookie: a=1; b=2\r\n") && head.contains("x-forwarded-host: gateway.test\r\n"), "{head}");
    assert!(!head.contains("forged") && head.matches("cookie").count() == 1, "{head}");

    let long = get().header("authorization", site.bearer()).header("cookie", "a".repeat(40_000));
    assert_eq!(send_over_http_2(&program, long.body(Body::empty()).expect("a request")).await, 200);
    assert!(site.upstream.take()[0].len() > 40_000);

    for (name, value) in [("transfer-encoding", "chunked"), ("connection", "close")] {
        let request = get().header(name, value).header("authorization", site.bearer());
        let request = request.body(Body::empty()).expect("a request");
        let stream = TokioIo::new(TcpStream::connect(program.address).await.expect("a connection"));
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await;
        let (mut sender, connection) = handshake.expect("HTTP/2");
        tokio::spawn(connection);
        // hyper's client leaves it out or refuses to send it; in no case does it arrive.
        let _ = timeout(PATIENCE, sender.send_request(request)).await.expect("in time");
        assert!(site.upstream.take().iter().all(|head| !head.contains(&format!("{name}: {value}"))), "{name}");
    }
}

#[tokio::test]
async fn an_http_2_request_with_a_length_twice_is_400() {
    let site = Site::new(&[("/open", "post", "none", &[])]).await;
    let program = Program::serve(&site).await;
    let post = |times: usize| {
        let request = (0..times)
            .fold(Request::post("http://gateway.test/open"), |request, _| request.header("content-length", "3"));
        request.body(Body::from("abc")).expect("a request")
    };
    assert_eq!(send_over_http_2(&program, post(2)).await, 400);
    assert_eq!(site.upstream.take(), [""; 0]);
    assert_eq!(send_over_http_2(&program, post(1)).await, 200);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let site = Site::new(&[("/a", "get", "none", &[])]).await;
    let upstream = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", upstream.local_addr().expect("an address"));
    let program = Program::serve_from(&site, &url, &["--idle-timeout", "200ms"]).await;
    let mut client = TcpStream::connect(program.address).await.expect("a connection");
    client.write_all(head("GET /a", &[]).as_bytes()).await.expect("a request");

    let sending = async {
        let (mut stream, _) = upstream.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n").await.expect("a head");
        // It ends when the gateway has closed the connection.
        while stream.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
    };
    timeout(PATIENCE, sending).await.expect("an end");
    drop(client);
}
