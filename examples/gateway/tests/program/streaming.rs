//! Messages as they come, through the program: parts, trailers, interim answers, and answers without a body.

use tokio::net::{TcpListener, TcpStream};

use crate::{
    support::{Program, Site},
    wire::{Wire, soon},
};

/// The program before an upstream that does nothing by itself.
struct Path {
    program: Program,
    upstream: TcpListener,
    _site: Site,
}

impl Path {
    async fn start() -> Self {
        let site = Site::new(&[("/a", "get", "none", &[]), ("/a", "post", "none", &[])]).await;
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", upstream.local_addr().unwrap());
        Self { program: Program::serve_from(&site, &url, &[]).await, upstream, _site: site }
    }

    /// Sends a request over a new connection: the client's end, and the upstream's.
    async fn send(&self, request: &str) -> (Wire, Wire) {
        let mut client = Wire::new(soon(TcpStream::connect(self.program.address)).await.unwrap());
        client.write(request).await;
        (client, Wire::new(soon(self.upstream.accept()).await.unwrap().0))
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn events_arrive_one_at_a_time() {
    let path = Path::start().await;
    let (mut client, mut upstream) = path.send(GET).await;
    upstream.head().await;
    upstream.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").await;
    assert_eq!(client.head().await.one("content-type"), "text/event-stream");
    for number in 0..5 {
        // The next one is written only when this one has arrived.
        let event = format!("data: {number}\n\n");
        upstream.write(&event).await;
        client.until(&event).await;
    }
    drop(upstream);
    assert_eq!(client.until("0\r\n\r\n").await, "\r\n0\r\n\r\n");
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let path = Path::start().await;
    let (mut client, mut upstream) = path
        .send(
            "POST /a HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n\
             trailer: x-sum, x-clerk-user-id\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\nx-clerk-user-id: forged\r\n\r\n",
        )
        .await;
    assert_eq!(upstream.head().await.one("te"), "trailers");
    assert_eq!(upstream.until("\r\n\r\n").await, "2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n");
    upstream.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n").await;
    upstream.write("2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n").await;
    assert_eq!(client.head().await.one("trailer"), "x-sum");
    assert_eq!(client.until("\r\n\r\n").await, "2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n");
}

#[tokio::test]
async fn a_client_goes_on_only_when_the_upstream_says_so() {
    const POST: &str = "POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    let path = Path::start().await;
    let (mut client, mut upstream) = path.send(POST).await;
    assert_eq!(upstream.head().await.one("expect"), "100-continue");
    assert!(client.is_silent() && upstream.is_silent());
    upstream.write("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await.first, "HTTP/1.1 100 Continue");
    client.write("body").await;
    upstream.until("body").await;
    upstream.write("HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 201);

    let (mut client, mut upstream) = path.send(POST).await;
    upstream.head().await;
    upstream.write("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 417);
    assert_eq!(upstream.rest().await, "");
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    let path = Path::start().await;
    let mut open: Option<(Wire, Wire)> = None;
    for (method, answer, length) in [
        ("HEAD", "200 OK\r\ncontent-length: 1234", vec!["1234"]),
        ("GET", "204 No Content", vec![]),
        ("GET", "304 Not Modified\r\netag: \"1\"", vec![]),
        ("GET", "200 OK\r\ncontent-length: 0", vec!["0"]),
    ] {
        let request = format!("{method} /a HTTP/1.1\r\nhost: a\r\n\r\n");
        // All of them over the same two connections, so that a byte too many would begin the next answer.
        let (client, upstream) = match &mut open {
            Some((client, upstream)) => {
                client.write(&request).await;
                (client, upstream)
            }
            None => {
                let (client, upstream) = open.insert(path.send(&request).await);
                (client, upstream)
            }
        };
        assert!(upstream.head().await.first.starts_with(method));
        upstream.write(format!("HTTP/1.1 {answer}\r\n\r\n")).await;
        let head = client.head().await;
        assert!(answer.starts_with(&head.status().to_string()), "{head:?}");
        assert_eq!(head.all("content-length"), length, "{method} {answer}");
        assert!(!head.has("transfer-encoding"), "{method} {answer}");
    }
}

#[tokio::test]
async fn early_hints_do_not_take_the_place_of_the_answer() {
    let path = Path::start().await;
    let (mut client, mut upstream) = path.send(GET).await;
    upstream.head().await;
    upstream.write("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n").await;
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let head = client.head().await;
    assert_eq!((head.status(), head.has("link")), (200, false));
    client.until("ok").await;
}

#[tokio::test]
async fn a_client_that_goes_ends_the_request_at_the_upstream() {
    let path = Path::start().await;
    let (client, mut upstream) = path.send(GET).await;
    upstream.head().await;
    drop(client);
    assert_eq!(upstream.rest().await, "");

    let (mut client, mut upstream) = path.send(GET).await;
    upstream.head().await;
    upstream.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n").await;
    client.until("part").await;
    drop(client);
    assert_eq!(upstream.rest().await, "");
    path.program.stdout.wait_for("\"complete\":false").await;
}
