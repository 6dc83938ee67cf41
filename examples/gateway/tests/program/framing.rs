use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{Program, Site, head, read_answer, send};

const BODY: &str = "0\r\n\r\n";

#[tokio::test]
async fn a_request_with_two_lengths_is_400_and_the_last_on_its_connection() {
    let site = Site::new(&[("/a", "post", "none", &[]), ("/b", "get", "none", &[])]).await;
    let program = Program::serve(&site).await;
    let smuggled = format!("{BODY}GET /b HTTP/1.1\r\nhost: gateway.test\r\n\r\n");
    for fields in [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 4\r\ntransfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5, 5",
        "content-length: +5",
        "content-length: -1",
        "content-length: 0x5",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: identity",
        "transfer-encoding: xchunked",
        "transfer-encoding: \x0bchunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding : chunked",
        "transfer-encoding:\r\n chunked",
        "content-length : 5",
    ] {
        let request = format!("POST /a HTTP/1.1\r\nhost: gateway.test\r\n{fields}\r\n\r\n{smuggled}");
        let answer = send(program.address, &request).await;
        assert_eq!(answer.status, 400, "{fields}");
        assert!(!answer.body.contains("HTTP/1.1"), "{fields}: {answer:?}");
        assert_eq!(site.upstream.take(), [""; 0], "{fields}");
    }
}

#[tokio::test]
async fn a_request_must_name_one_host() {
    let site = Site::new(&[("/b", "get", "none", &[])]).await;
    let program = Program::serve(&site).await;
    for (hosts, status) in [
        ("host: a\r\n", 200),
        ("", 400),
        ("host: a\r\nhost: b\r\n", 400),
        ("host: a\r\nhost: a\r\n", 400),
        ("host: a, b\r\n", 400),
        ("host: user@a\r\n", 400),
        ("host: a/b\r\n", 400),
        ("host: \r\n", 400),
        ("host: a,b\r\n", 400),
        ("host: a;b=c\r\n", 400),
        ("host: a:b\r\n", 400),
        ("host: a:99999\r\n", 400),
        ("host: A.example:\r\n", 200),
        ("host: [::1]:8080\r\n", 200),
    ] {
        let request = format!("GET /b HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n");
        assert_eq!(send(program.address, &request).await.status, status, "{hosts:?}");
    }
}

#[tokio::test]
async fn requests_that_arrive_together_are_answered_in_turn() {
    let site = Site::new(&[("/a", "post", "none", &["clerk"]), ("/b", "get", "none", &[])]).await;
    let program = Program::serve(&site).await;
    let chunked = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let sized = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    let requests = [chunked, sized, "GET /b HTTP/1.1\r\nhost: a\r\n\r\n", &head("GET /b", &[])];
    // Byte by byte too, since a head may be cut anywhere. Its last byte comes with the body: a rejection that is there
    // before the body ends the connection.
    let cut = |request: &&str| {
        let (head, rest) = request.split_at(request.find("\r\n\r\n").expect("a head") + 3);
        head.as_bytes().chunks(1).chain([rest.as_bytes()]).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    for pieces in [vec![requests.concat().into_bytes()], requests.iter().flat_map(cut).collect()] {
        let mut stream = TcpStream::connect(program.address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        for piece in &pieces {
            stream.write_all(piece).await.expect("a piece");
        }
        let answer = read_answer(&mut stream).await;
        let statuses = format!("{}\r\n\r\n{}", answer.head, answer.body);
        let statuses = statuses.split("HTTP/1.1 ").skip(1).map(|text| &text[..3]).collect::<Vec<_>>();
        assert_eq!(statuses, ["401", "401", "200", "200"]);
        assert_eq!(site.upstream.take().len(), 2);
    }
}

#[tokio::test]
async fn a_body_in_a_doubtful_spelling_ends_the_connection() {
    let site = Site::new(&[("/a", "post", "none", &[]), ("/b", "get", "none", &[])]).await;
    let program = Program::serve(&site).await;
    let chunked = "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let two = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for body in ["00000000000000000000003\r\nabc\r\n0\r\n\r\n", "0\r\nx: y\n\r\n"] {
        let answer = send(program.address, &[chunked, body, two, two, &head("GET /b", &[])].concat()).await;
        let answers = format!("{}\r\n\r\n{}", answer.head, answer.body);
        let passed = answers.matches("HTTP/1.1 200").count();
        assert!(passed <= 1 && answers.contains("HTTP/1.1 400"), "{body:?}: {answers}");
        assert!(site.upstream.take().iter().all(|head| !head.contains("content-length: 5")), "{body:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_431() {
    let site = Site::new(&[("/b", "get", "none", &[])]).await;
    let program = Program::serve(&site).await;
    for (length, status) in [(16 * 1024, 200), (128 * 1024, 431)] {
        let answer = program.send("GET /b", &[("x", &"y".repeat(length))]).await;
        assert_eq!(answer.status, status, "{length}");
    }
}
