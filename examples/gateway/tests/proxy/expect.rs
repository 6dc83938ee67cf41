use std::time::{Duration, Instant};

use crate::support::Gateway;

const REQUEST: &str = "PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[tokio::test]
async fn a_client_is_told_to_go_on_when_the_upstream_says_so() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request(REQUEST).await;
    let mut upstream = gateway.accept().await;
    assert_eq!(upstream.head().await.one("expect"), "100-continue");
    assert!(client.is_silent() && upstream.is_silent());
    upstream.write(CONTINUE).await;
    assert_eq!(client.until("\r\n\r\n").await, CONTINUE);
    client.write("body").await;
    assert_eq!(upstream.until("body").await, "body");
    upstream.write("HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 201);
    // Both connections serve on.
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(upstream.head().await.first, "GET / HTTP/1.1");
}

#[tokio::test]
async fn a_client_that_is_refused_is_not_told_to_go_on() {
    let gateway = Gateway::start().await;
    for answer in [
        "HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nno.\n",
        "HTTP/1.1 413 Content Too Large\r\ntransfer-encoding: chunked\r\n\r\n4\r\nno.\n\r\n0\r\n\r\n",
    ] {
        let mut client = gateway.request(REQUEST).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.write(answer).await;
        let head = client.head().await;
        assert!(answer.starts_with(&head.first), "{head:?}");
        if !answer.contains("length: 0") {
            client.until("no.\n").await;
        }
        // Neither connection waits for the body.
        assert_eq!(upstream.rest().await, "");
        assert!(!client.rest().await.contains("100"));
    }
}

#[tokio::test]
async fn an_upstream_that_waits_for_the_body_gets_it_after_a_second() {
    let gateway = Gateway::start().await;
    let start = Instant::now();
    let mut client = gateway.request(REQUEST).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    assert_eq!(client.until("\r\n\r\n").await, CONTINUE);
    assert!(start.elapsed() >= Duration::from_secs(1));
    client.write("body").await;
    assert_eq!(upstream.until("body").await, "body");
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn a_body_that_comes_unasked_waits_at_the_gate() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request(format!("{REQUEST}body")).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    assert!(upstream.is_silent());
    upstream.write(CONTINUE).await;
    upstream.until("body").await;
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    // hyper leaves out what the client did not wait for, or says it: both are allowed.
    client.until("200 OK\r\n").await;
}
