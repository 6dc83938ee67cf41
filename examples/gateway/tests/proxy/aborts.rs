use http::StatusCode;

use crate::support::{GET, Gateway, Head, Wire, settings};

const DELETE: &str = "DELETE / HTTP/1.1\r\nhost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok";

#[track_caller]
fn assert_problem(head: &Head, status: StatusCode, failure: &str) {
    assert_eq!(head.status(), status.as_u16());
    assert_eq!(head.one("content-type"), "application/problem+json");
    assert_eq!(head.one("failure"), failure);
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_ends_the_request() {
    let gateway = Gateway::start().await;
    for request in [GET, POST] {
        let client = gateway.request(request).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        drop(client);
        upstream.rest().await;
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_reads_ends_the_request() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request(GET).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n").await;
    client.until("part").await;
    drop(client);
    upstream.rest().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_arrives_as_broken() {
    let gateway = Gateway::start().await;
    for (lines, part) in [("content-length: 10", "part"), ("transfer-encoding: chunked", "4\r\npart\r\n")] {
        let client = gateway.request(format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n{part}")).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.until("part").await;
        drop(client);
        let rest = upstream.rest().await;
        assert!(!rest.contains('0') && rest.trim().is_empty(), "{rest:?}");
    }
}

#[tokio::test]
async fn a_malformed_body_is_the_clients_fault() {
    let gateway = Gateway::start().await;
    let mut client =
        gateway.request("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.until("ok").await;
    client.write("x\r\n").await;
    assert!(!upstream.rest().await.contains('0'));
    assert_problem(&client.head().await, StatusCode::BAD_REQUEST, "RequestBody");
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_502() {
    let (address, _server) = Gateway::start().await.close_upstream();
    let mut client = Wire::new(tokio::net::TcpStream::connect(address).await.unwrap());
    client.write(GET).await;
    let head = client.head().await;
    assert_problem(&head, StatusCode::BAD_GATEWAY, "Connect");
    assert!(head.one("cause").contains("Connection refused"), "{head:?}");
    assert!(client.until("}").await.contains(r#""status":502"#));
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_is_502() {
    let gateway = Gateway::with_scheme(settings(), "https").await;
    let mut client = gateway.request(GET).await;
    let mut upstream = gateway.accept().await;
    upstream.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_problem(&client.head().await, StatusCode::BAD_GATEWAY, "Connect");
}

#[tokio::test]
async fn an_upstream_that_closes_before_its_answer_is_502() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    for (request, part, times) in [
        (GET, "", 2),
        (GET, "HTTP/1.1 200 OK\r\ncontent-", 2),
        (DELETE, "", 1),
        (DELETE, "HTTP/1.1 2", 1),
        (POST, "", 1),
        (POST, "HTTP/1.1 2", 1),
    ] {
        client.write(request).await;
        // What changes nothing is sent once more, and no more than once.
        for _ in 0..times {
            let mut upstream = gateway.accept().await;
            upstream.head().await;
            upstream.write(part).await;
        }
        assert_problem(&client.head().await, StatusCode::BAD_GATEWAY, "InvalidResponse");
        client.until("}").await;
        assert!(gateway.is_left_alone().await);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_502() {
    let gateway = Gateway::start().await;
    for answer in ["SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200 OK\r\na b: c\r\n\r\n"] {
        let mut client = gateway.request(GET).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.write(answer).await;
        assert_problem(&client.head().await, StatusCode::BAD_GATEWAY, "InvalidResponse");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_arrives_as_broken() {
    let gateway = Gateway::start().await;
    for (lines, part) in [("content-length: 10", "part"), ("transfer-encoding: chunked", "4\r\npart\r\n")] {
        let (mut client, upstream) = gateway.answered_in_part(lines, part).await;
        drop(upstream);
        let rest = client.rest().await;
        assert!(rest.trim().is_empty(), "{rest:?}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_502() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    for method in ["GET", "HEAD", "OPTIONS"] {
        let request = format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n");
        client.write(&request).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
        // The upstream closes just when the next request is on its way.
        client.write(&request).await;
        upstream.head().await;
        drop(upstream);
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
    }
}

#[tokio::test]
async fn a_request_that_may_have_changed_something_is_not_repeated() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request(GET).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    client.head().await;
    client.write(DELETE).await;
    upstream.head().await;
    drop(upstream);
    assert_problem(&client.head().await, StatusCode::BAD_GATEWAY, "InvalidResponse");
    assert!(gateway.is_left_alone().await);
}

#[tokio::test]
async fn a_connection_without_use_is_closed() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request(GET).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    client.until("ok").await;
    assert_eq!(upstream.rest().await, "");
}
