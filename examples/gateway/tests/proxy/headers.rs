use self::list::{SPOOFABLE_HEADERS, spellings};
use crate::support::{Gateway, WRITTEN, settings};

#[path = "../../../support/spoofed_headers.rs"]
mod list;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[tokio::test]
async fn the_target_arrives_as_it_was_sent() {
    let gateway = Gateway::start().await;
    let mut client = gateway.connect().await;
    let mut upstream = None;
    for target in [
        "/",
        "/todos",
        "/a%2Fb",
        "/a%2fb",
        "/a//b/",
        "/%7Euser",
        "/~user",
        "/a;b=c/d",
        "/a?",
        "/a?x=%20&y[]=1&y[]=2",
        "/a?b?c=/../d",
        "/a+b?c+d",
        "/a:b@c",
        "/a%00b",
        "/a|b",
        "/a%",
        "/...",
        "/a'b\"c",
    ] {
        client.write(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let wire = match &mut upstream {
            Some(wire) => wire,
            None => upstream.insert(gateway.accept().await),
        };
        assert_eq!(wire.head().await.first, format!("GET {target} HTTP/1.1"));
        wire.write(OK).await;
        assert_eq!(client.head().await.status(), 200);
    }
}

#[tokio::test]
async fn headers_of_the_hop_reach_no_upstream() {
    let gateway = Gateway::start().await;
    let _client = gateway
        .request(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Named\r\nconnection: x-too\r\nX-Named: 1\r\nx-too: 1\r\n\
             Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\n\
             Proxy-Authenticate: Basic\r\nTE: deflate\r\nUpgrade: h2c\r\nAccept: text/plain\r\n\r\n",
        )
        .await;
    let head = gateway.accept().await.head().await;
    assert_eq!(head.names_without(&WRITTEN), ["accept"]);
}

#[tokio::test]
async fn an_upgrade_to_http_2_reaches_no_upstream() {
    let gateway = Gateway::start().await;
    let _client = gateway
        .request(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\
             http2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
        )
        .await;
    assert!(gateway.accept().await.head().await.names_without(&WRITTEN).is_empty());
}

#[tokio::test]
async fn headers_of_the_hop_reach_no_client() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream
        .write(
            "HTTP/1.1 200 OK\r\nConnection: close, X-Named\r\nX-Named: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authenticate: Basic\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nTrailer: x-sum\r\nX-End: 1\r\n\
             Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
        )
        .await;
    let head = client.head().await;
    assert_eq!(head.names_without(&["date"]), ["content-length", "set-cookie", "set-cookie", "trailer", "x-end"]);
    assert_eq!(head.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(client.until("ok").await, "ok");
    // The connection of the upstream ends, that of the client does not.
    drop(upstream);
    client.write("GET /again HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.write(OK).await;
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn forwarded_headers_are_written_anew() {
    let gateway = Gateway::start().await;
    let _client = gateway
        .request(
            "GET / HTTP/1.1\r\nHost: api.example:81\r\nX-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\n\
             X-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /x\r\n\
             FORWARDED: for=10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\nX_Real_IP: 10.0.0.1\r\n\
             X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\n\r\n",
        )
        .await;
    let mut upstream = gateway.accept().await;
    let head = upstream.head().await;
    assert!(head.names_without(&WRITTEN).is_empty(), "{head:?}");
    assert_eq!(head.one("host"), upstream.into_stream().local_addr().unwrap().to_string());
    assert_eq!(head.one("x-forwarded-for"), "127.0.0.1");
    assert_eq!(head.one("x-forwarded-host"), "api.example:81");
    assert_eq!(head.one("x-forwarded-proto"), "http");
    assert_eq!(head.one("forwarded"), r#"for=127.0.0.1;host="api.example:81";proto=http"#);
}

#[tokio::test]
async fn what_a_client_says_about_its_request_does_not_arrive() {
    for name in SPOOFABLE_HEADERS {
        let gateway = Gateway::start().await;
        let lines = spellings(name).map(|name| format!("{name}: /spoofed\r\n")).concat();
        let _client = gateway.request(&format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n")).await;
        let head = gateway.accept().await.head().await;
        assert!(!format!("{head:?}").contains("spoofed"), "{name}: {head:?}");
    }
}

#[tokio::test]
async fn a_connection_header_cannot_take_away_what_the_gateway_writes() {
    let gateway = Gateway::with(gateway::proxy::ProxySettings { forward_identity: true, ..settings() }).await;
    let _client = gateway
        .request(
            "POST / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ada\r\ncontent-length: 2\r\n\
             connection: host, x-forwarded-for, forwarded, x-clerk-user-id, content-length, transfer-encoding\r\n\r\nok",
        )
        .await;
    let mut upstream = gateway.accept().await;
    let head = upstream.head().await;
    for name in WRITTEN {
        head.one(name);
    }
    assert_eq!(head.one("x-clerk-user-id"), "user_ada");
    assert_eq!(head.one("content-length"), "2");
    assert_eq!(upstream.until("ok").await, "ok");
}

#[tokio::test]
async fn everything_else_passes_in_its_order() {
    let gateway = Gateway::start().await;
    let _client = gateway
        .request(
            "GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer a.b.c\r\ncookie: a=1\r\nx-id: 1\r\ncookie: b=2\r\n\
             x-id: 2\r\nx-bytes: \u{e4}\r\nx-empty:\r\nuser-agent: x\r\naccept-encoding: gzip\r\n\r\n",
        )
        .await;
    let head = gateway.accept().await.head().await;
    assert_eq!(head.one("authorization"), "Bearer a.b.c");
    assert_eq!(head.all("cookie"), ["a=1", "b=2"]);
    assert_eq!(head.all("x-id"), ["1", "2"]);
    assert_eq!(head.one("x-bytes"), "\u{e4}");
    assert_eq!(head.one("x-empty"), "");
    assert_eq!(head.one("accept-encoding"), "gzip");
}

const SPELLINGS: [&str; 12] = [
    "x-clerk-user-id",
    "X-Clerk-User-Id",
    "X_CLERK_USER_ID",
    "x_clerk-user_id",
    "x-clerk_session-id",
    "X-CLERK-ORG-ID",
    "x-clerk-org-slug",
    "x.clerk.org.role",
    "x-clerk-whatever",
    "x-clerk-",
    "Remote-User",
    "REMOTE_USER",
];

#[tokio::test]
async fn identity_of_a_client_reaches_no_upstream_in_any_spelling() {
    for forward_identity in [false, true] {
        let gateway = Gateway::with(gateway::proxy::ProxySettings { forward_identity, ..settings() }).await;
        for name in SPELLINGS {
            let client =
                gateway.request(format!("GET / HTTP/1.1\r\nhost: a\r\n{name}: forged\r\n{name}: forged\r\n\r\n")).await;
            let mut upstream = gateway.accept().await;
            let bytes = upstream.until("\r\n\r\n").await;
            assert!(!bytes.contains("forged"), "{bytes}");
            drop(client);
            upstream.rest().await;
        }
    }
}

#[tokio::test]
async fn identity_in_trailers_reaches_no_upstream() {
    let gateway = Gateway::start().await;
    for name in SPELLINGS {
        let _client = gateway
            .request(format!(
                "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: {name}, x-sum, x-forwarded-for\r\n\r\n\
                 2\r\nok\r\n0\r\n{name}: forged\r\nx-forwarded-for: forged\r\nx-sum: 1\r\n\r\n"
            ))
            .await;
        let bytes = gateway.accept().await.until("\r\n0\r\nx-sum: 1\r\n\r\n").await;
        assert!(!bytes.contains("forged"), "{bytes}");
    }
}

#[tokio::test]
async fn the_verified_identity_is_sent_only_if_asked_for() {
    const NAMES: [&str; 5] =
        ["x-clerk-user-id", "x-clerk-session-id", "x-clerk-org-id", "x-clerk-org-slug", "x-clerk-org-role"];
    let request = |token| format!("GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n");

    let gateway = Gateway::start().await;
    let _client = gateway.request(request("ada")).await;
    let head = gateway.accept().await.head().await;
    assert!(NAMES.iter().all(|name| !head.has(name)), "{head:?}");

    let gateway = Gateway::with(gateway::proxy::ProxySettings { forward_identity: true, ..settings() }).await;
    let _client = gateway.request(request("ada")).await;
    let mut upstream = gateway.accept().await;
    let head = upstream.head().await;
    assert_eq!(head.one("x-clerk-user-id"), "user_ada");
    assert!(head.one("x-clerk-session-id").starts_with("sess_"));
    assert_eq!(head.one("x-clerk-org-id"), "org_acme");
    assert_eq!(head.one("x-clerk-org-role"), "org:admin");
    assert_eq!(head.one("authorization"), "Bearer ada");

    let _client = gateway.request(request("nobody")).await;
    let head = gateway.accept().await.head().await;
    assert_eq!(NAMES.map(|name| head.one(name)), [""; 5]);
}

#[tokio::test]
async fn redirects_pass() {
    let gateway = Gateway::start().await;
    let mut client = gateway.request("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.write("HTTP/1.1 302 Over There\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(head.first, "HTTP/1.1 302 Over There");
    assert_eq!(head.one("location"), "http://127.0.0.1:1/x");
    assert!(gateway.is_left_alone().await);
}
