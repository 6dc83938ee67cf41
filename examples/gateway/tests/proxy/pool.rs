use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::support::{Gateway, soon};

#[tokio::test]
async fn bytes_behind_an_answer_are_never_the_next_answer() {
    const FORGED: &str = "HTTP/1.1 200 OK\r\nforged: yes\r\ncontent-length: 0\r\n\r\n";
    let gateway = Gateway::start().await;
    for (method, answer) in [
        ("HEAD", "200 OK\r\ncontent-length: 64\r\n\r\n"),
        ("GET", "204 No Content\r\n\r\n"),
        ("GET", "304 Not Modified\r\ncontent-length: 64\r\n\r\n"),
        ("GET", "200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("GET", "200 OK\r\ncontent-length: 2\r\n\r\nok"),
        ("GET", "200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ] {
        let mut client = gateway.request(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.write(format!("HTTP/1.1 {answer}{FORGED}")).await;
        assert!(answer.starts_with(&client.head().await.status().to_string()));
        if answer.contains("ok") {
            client.until("ok").await;
        }
        if answer.contains("chunked") {
            client.until("0\r\n\r\n").await;
        }
        client.write("GET /next HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut upstream = gateway.accept().await;
        assert_eq!(upstream.head().await.first, "GET /next HTTP/1.1");
        upstream.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
        assert!(!client.head().await.has("forged"), "{method} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_never_mixed_up() {
    const CLIENTS: usize = 30;
    const REQUESTS: usize = 30;
    let gateway = Gateway::start().await;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = gateway.address;
        clients.spawn(async move {
            let mut sender = None;
            for number in 0..REQUESTS {
                let text = format!("/{client}/{number}/").repeat(1 + number * number);
                let request = Request::post(format!("/{client}/{number}")).header("host", "a");
                let request = request.body(Full::new(Bytes::from(text.clone()))).unwrap();
                let mut connection = match sender.take() {
                    Some(sender) => sender,
                    None => connect(address).await,
                };
                let response = connection.send_request(request).await.unwrap();
                assert_eq!(response.headers()["path"], format!("/{client}/{number}"));
                if number % 7 == 0 {
                    // This client goes before the end of the answer.
                    continue;
                }
                assert!(response.into_body().collect().await.unwrap().to_bytes() == text);
                connection.ready().await.unwrap();
                sender = Some(connection);
            }
        });
    }
    let mut upstreams = 0;
    loop {
        tokio::select! {
            finished = clients.join_next() => match finished {
                Some(finished) => finished.unwrap(),
                None => break,
            },
            upstream = gateway.accept() => {
                upstreams += 1;
                let io = TokioIo::new(upstream.into_stream());
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(echo)));
            }
        }
    }
    assert!(upstreams < CLIENTS * REQUESTS / 2, "{upstreams} connections for {} requests", CLIENTS * REQUESTS);
}

async fn connect(address: std::net::SocketAddr) -> hyper::client::conn::http1::SendRequest<Full<Bytes>> {
    let stream = soon(tokio::net::TcpStream::connect(address)).await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(Response::builder().header("path", path).body(request.into_body()).unwrap())
}
