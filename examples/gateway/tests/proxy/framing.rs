use crate::support::Gateway;

#[tokio::test]
async fn ambiguous_lengths_of_a_request_reach_no_upstream() {
    let gateway = Gateway::start().await;
    for lines in [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2, 3",
        "content-length: +2",
        "content-length: 0x2",
        "content-length: -1",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "content-length : 2",
        "x: 1\r\n folded: 1\r\ncontent-length: 2",
    ] {
        let mut client = gateway.request(format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\nok")).await;
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{lines}: {answer}");
        assert!(gateway.is_left_alone().await, "{lines}");
    }
}

#[tokio::test]
async fn a_client_never_sees_two_lengths() {
    let gateway = Gateway::start().await;
    for (lines, expected) in [
        ("content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Some("transfer-encoding")),
        ("transfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n", Some("transfer-encoding")),
        ("content-length: 2\r\ncontent-length: 2\r\n\r\nok", Some("content-length")),
        ("content-length: 2, 2\r\n\r\nok", Some("content-length")),
        ("content-length: 2\r\ncontent-length: 3\r\n\r\nok!", None),
        ("content-length: 2, 3\r\n\r\nok!", None),
        ("content-length: two\r\n\r\nok", None),
    ] {
        let mut client = gateway.request("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.write(format!("HTTP/1.1 200 OK\r\n{lines}")).await;
        drop(upstream);
        let head = client.head().await;
        match expected {
            Some(name) => {
                assert_eq!(head.status(), 200, "{lines}");
                head.one(name);
                assert_eq!(head.all("content-length").len() + head.all("transfer-encoding").len(), 1, "{lines}");
                client.until("ok").await;
            }
            None => assert_eq!((head.status(), head.one("failure")), (502, "InvalidResponse"), "{lines}"),
        }
    }
}

#[tokio::test]
async fn http_1_0_works_on_both_sides() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request("GET / HTTP/1.0\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    assert_eq!(upstream.head().await.first, "GET / HTTP/1.1");
    upstream.write("HTTP/1.0 200 OK\r\n\r\nall of it").await;
    drop(upstream);
    let head = client.head().await;
    assert_eq!(head.first, "HTTP/1.0 200 OK");
    assert!(!head.has("transfer-encoding"));
    assert_eq!(client.rest().await, "all of it");
}
