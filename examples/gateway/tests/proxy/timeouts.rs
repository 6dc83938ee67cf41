use std::time::Duration;

use gateway::proxy::ProxySettings;

use crate::support::{GET, Gateway, settings};

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_504() {
    let gateway = Gateway::with(ProxySettings { header_timeout: SHORT, ..settings() }).await;
    for request in [GET, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok"] {
        let mut client = gateway.request(request).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        let head = client.head().await;
        assert_eq!((head.status(), head.one("failure")), (504, "HeaderTimeout"));
        assert_eq!(head.one("content-type"), "application/problem+json");
        assert!(client.until("}").await.contains(r#""status":504"#));
        // The upstream need not answer any more.
        upstream.rest().await;
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_finish_its_handshake_is_504() {
    let gateway = Gateway::with_scheme(ProxySettings { connect_timeout: SHORT, ..settings() }, "https").await;
    let mut client = gateway.request(GET).await;
    let _upstream = gateway.accept().await;
    let head = client.head().await;
    assert_eq!((head.status(), head.one("failure")), (504, "ConnectTimeout"));
}

#[tokio::test]
async fn a_slow_upload_is_no_reason_for_504() {
    let gateway = Gateway::with(ProxySettings { header_timeout: SHORT, ..settings() }).await;
    let mut client = gateway.request("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    for part in ["a", "b", "c", "d"] {
        tokio::time::sleep(SHORT * 3 / 2).await;
        client.write(part).await;
        upstream.until(part).await;
    }
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_408_and_arrives_as_broken() {
    let gateway = Gateway::with(ProxySettings { idle_timeout: SHORT, ..settings() }).await;
    let mut client =
        gateway.request("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.until("part\r\n").await;
    let head = client.head().await;
    assert_eq!((head.status(), head.one("failure")), (408, "RequestBodyTimeout"));
    assert_eq!(upstream.rest().await, "");
}

#[tokio::test]
async fn an_answer_that_stands_still_arrives_as_broken() {
    let gateway = Gateway::with(ProxySettings { idle_timeout: SHORT, ..settings() }).await;
    for (lines, part) in [("content-length: 10", "part"), ("transfer-encoding: chunked", "4\r\npart\r\n")] {
        let (mut client, mut upstream) = gateway.answered_in_part(lines, part).await;
        assert_eq!(client.rest().await.trim(), "");
        assert_eq!(upstream.rest().await, "");
    }
}

#[tokio::test]
async fn a_duration_of_zero_is_no_limit() {
    let none = Duration::ZERO;
    let limits = ProxySettings { connect_timeout: none, header_timeout: none, idle_timeout: none, ..settings() };
    let gateway = Gateway::with(limits).await;
    for request in [GET, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"] {
        let mut client = gateway.request(request).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        tokio::task::yield_now().await;
        upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
        upstream.write("ok").await;
        client.until("ok").await;
    }
}
