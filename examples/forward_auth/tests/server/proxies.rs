//! Each proxy with its sample configuration: what passes, and how a refusal arrives.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, Message as Frame, client::IntoClientRequest},
};
use tower_clerk::testing::TestIssuer;

use crate::support::{
    CLERK, RULES,
    forward_auth::ForwardAuth,
    http::Message,
    proxy::Proxy,
    rules,
    site::{Site, with_flags},
};

/// The identity as the application got it. nginx and some versions of Caddy leave out an empty header.
fn identity(request: &Message) -> Vec<String> {
    let one = |name: &&str| {
        let values = request.all(name);
        assert!(values.len() < 2, "{name}: {request:?}");
        values.first().copied().unwrap_or_default().to_owned()
    };
    CLERK.iter().map(one).collect()
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_valid_token_brings_the_verified_identity_to_the_application() {
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[]).await;
        let answer = site.get("/a?b=c", &[("Authorization", &site.admin())]).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "from the application"), "{proxy:?}");
        let seen = site.upstream.seen();
        assert_eq!(seen.len(), 1, "{proxy:?}");
        assert!(seen[0].start.starts_with("GET /a?b=c HTTP/1.1"), "{proxy:?}: {seen:?}");
        assert_eq!(identity(&seen[0]), ["user_ada", "sess_1", "org_acme", "acme", "org:admin"], "{proxy:?}");

        // An organization without a slug.
        assert_eq!(site.get("/", &[("Authorization", &site.member())]).await.status(), 200, "{proxy:?}");
        let identity = identity(&site.upstream.seen()[0]);
        assert_eq!((&*identity[0], &*identity[3], &*identity[4]), ("user_bob", "", "org:member"), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_refusal_arrives_with_its_status_and_challenge() {
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[("FORWARD_AUTH_REQUIRE", "role=org:admin")]).await;
        let malformed = if proxy == Proxy::Nginx { 401 } else { 400 };
        for (authorization, status, challenge) in [
            (None, 401, "Bearer"),
            (Some("Bearer abc".to_owned()), 401, r#"Bearer error="invalid_token""#),
            (Some("Bearer a b".to_owned()), malformed, r#"Bearer error="invalid_request""#),
            (Some(site.member()), 403, r#"Bearer error="insufficient_scope""#),
        ] {
            for method in ["GET", "HEAD", "POST"] {
                let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
                let answer = site.request(method, "/", &headers, b"").await;
                assert_eq!(answer.status(), status, "{proxy:?} {method} {authorization:?}");
                assert_eq!(answer.all("www-authenticate"), [challenge], "{proxy:?} {method}");
                assert_eq!(answer.all("content-type"), ["application/problem+json"], "{proxy:?} {method}");
                let body = answer.text();
                assert!(method == "HEAD" || body.contains(&format!(r#""status":{status}"#)), "{proxy:?}: {body}");
            }
        }
        assert!(site.upstream.seen().is_empty(), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_refusal_arrives_as_503_while_the_issuer_is_down() {
    for proxy in Proxy::ALL {
        let issuer = TestIssuer::start().await.unwrap();
        issuer.serve_status(500);
        let forward_auth = ForwardAuth::start_without_keys(&issuer, &with_flags(proxy, &["--anonymous"]), &[]).await;
        let site = Site::of(proxy, issuer, forward_auth, proxy.sample()).await;
        let answer = site.get("/", &[("Authorization", &site.admin())]).await;
        assert_eq!(answer.status(), 503, "{proxy:?}");
        assert_eq!(answer.all("retry-after").len(), 1, "{proxy:?}");
        assert_eq!(answer.all("content-type"), ["application/problem+json"], "{proxy:?}");
        assert!(site.upstream.seen().is_empty(), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn nothing_passes_while_the_server_is_down() {
    for proxy in Proxy::ALL {
        let mut site = Site::start(proxy, &["--anonymous"], &[]).await;
        assert_eq!(site.get("/", &[("Authorization", &site.admin())]).await.status(), 200, "{proxy:?}");
        site.upstream.seen();
        site.forward_auth.process.kill().await.unwrap();
        let authorization = site.admin();
        for headers in [&[][..], &[("Authorization", authorization.as_str())]] {
            for target in ["/", "/fastcgi/a"] {
                let answer = site.get(target, headers).await;
                assert_eq!(answer.status(), proxy.status_without_server(), "{proxy:?} {target}");
            }
        }
        assert!(site.upstream.seen().is_empty() && site.fastcgi.seen().is_empty(), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn nobody_waits_for_ever_while_the_server_hangs() {
    for proxy in [Proxy::Nginx, Proxy::CaddyOfDistribution, Proxy::Caddy2_11] {
        let mut site = Site::start(proxy, &["--anonymous"], &[]).await;
        site.forward_auth.process.kill().await.unwrap();
        // Takes connections, and says nothing.
        let _hanging = TcpListener::bind(site.forward_auth.address).await.unwrap();
        let started = Instant::now();
        let answer = site.get("/", &[]).await;
        assert_eq!(answer.status(), if proxy == Proxy::Nginx { 503 } else { 504 }, "{proxy:?}");
        let time = started.elapsed();
        assert!(Duration::from_secs(9) < time && time < Duration::from_secs(25), "{proxy:?} {time:?}");
        assert!(site.upstream.seen().is_empty(), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn the_application_sees_the_host_as_the_client_wrote_it() {
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[]).await;
        let address = site.proxy.address;
        let text = format!(
            "GET / HTTP/1.1\r\nHost: app.example.com:8443\r\nConnection: close\r\nAuthorization: {}\r\n\r\n",
            site.admin()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{proxy:?} {answer}");
        let seen = site.upstream.seen().remove(0);
        for name in ["host", "x-forwarded-host"] {
            assert_eq!(seen.all(name), ["app.example.com:8443"], "{proxy:?} {name}");
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_content_type_of_grpc_opens_no_proxy() {
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[("FORWARD_AUTH_REQUIRE", "role=org:admin")]).await;
        for kind in ["application/grpc", "application/grpc-web+proto"] {
            for (authorization, status) in [("Bearer abc".to_owned(), 401), (site.member(), 403)] {
                let headers = [("Content-Type", kind), ("TE", "trailers"), ("Authorization", &authorization)];
                let answer = site.request("POST", "/", &headers, b"\0\0\0\0\0").await;
                assert_eq!(answer.status(), status, "{proxy:?} {kind}");
            }
        }
        assert!(site.upstream.seen().is_empty(), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn methods_and_large_bodies_arrive_unchanged() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251).to_le_bytes()[0]).collect();
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[]).await;
        let authorization = site.admin();
        let headers = [("Authorization", authorization.as_str())];
        for method in ["POST", "PUT", "PATCH"] {
            let answer = site.request(method, "/upload", &headers, &body).await;
            assert_eq!(answer.status(), 200, "{proxy:?} {method}");
            let seen = site.upstream.seen();
            assert!(seen[0].start.starts_with(&format!("{method} /upload ")), "{proxy:?} {:?}", seen[0].start);
            assert!(seen[0].body == body, "{proxy:?} {method}: {} bytes", seen[0].body.len());
        }
        let answer = site.request("HEAD", "/", &headers, b"").await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, ""), "{proxy:?}");
        assert!(site.upstream.seen()[0].start.starts_with("HEAD / "), "{proxy:?}");
        assert_eq!(site.request("POST", "/upload", &[], &body).await.status(), 401, "{proxy:?}");
        assert!(site.upstream.seen().is_empty(), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_body_in_chunks_is_not_taken_for_the_next_question() {
    // The proxy keeps its connection to the server. What it would send there of a body would be read as a request.
    let next = b"GET /verify HTTP/1.1\r\nHost: a\r\n\r\n";
    let body = [format!("{:x}\r\n", next.len()).as_bytes(), next, b"\r\n0\r\n\r\n"].concat();
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[]).await;
        let authorization = site.admin();
        let headers = [("Transfer-Encoding", "chunked"), ("Authorization", authorization.as_str())];
        for _ in 0..5 {
            assert_eq!(site.request("POST", "/", &headers, &body).await.status(), 200, "{proxy:?}");
            assert_eq!(site.upstream.seen()[0].body, next, "{proxy:?}");
            assert_eq!(site.request("POST", "/", &headers[..1], &body).await.status(), 401, "{proxy:?}");
            assert_eq!(site.get("/", &headers[1..]).await.status(), 200, "{proxy:?}");
            assert_eq!(site.get("/", &[]).await.status(), 401, "{proxy:?}");
            assert_eq!(site.upstream.seen().len(), 1, "{proxy:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_websocket_opens_with_a_token_only() {
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[]).await;
        let address = site.proxy.address;
        let connect = async |authorization: Option<String>| {
            let mut request = format!("ws://{address}/socket").into_client_request().unwrap();
            if let Some(authorization) = authorization {
                request.headers_mut().insert("authorization", authorization.parse().unwrap());
            }
            client_async(request, TcpStream::connect(address).await.unwrap()).await
        };
        let (mut socket, _) = connect(Some(site.admin())).await.unwrap_or_else(|error| panic!("{proxy:?}: {error}"));
        socket.send(Frame::text("hello")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Frame::text("hello"), "{proxy:?}");
        assert_eq!(identity(&site.upstream.seen()[0])[0], "user_ada", "{proxy:?}");

        let Err(Error::Http(response)) = connect(None).await else { panic!("{proxy:?}: no refusal") };
        assert_eq!(response.status(), 401, "{proxy:?}");
        assert!(site.upstream.seen().is_empty(), "{proxy:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn a_session_cookie_of_another_site_does_not_act() {
    let variables = [("CLERK_AUTHORIZED_PARTIES", "https://app.example.com")];
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &["--cookie"], &variables).await;
        let token = site.issuer.token("user_ada").authorized_party("https://app.example.com").sign();
        let cookie = format!("__session={token}");
        let socket = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-Fetch-Site", "cross-site"),
        ];
        for (method, lines, status) in [
            ("GET", &[("Sec-Fetch-Site", "cross-site")][..], 200),
            ("POST", &[("Origin", "https://app.example.com")], 200),
            ("POST", &[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")], 403),
            ("DELETE", &[("Sec-Fetch-Site", "same-site")], 403),
            ("GET", &socket, 403),
        ] {
            let headers: Vec<_> = [("Cookie", cookie.as_str())].into_iter().chain(lines.iter().copied()).collect();
            let answer = site.request(method, "/", &headers, b"").await;
            assert_eq!(answer.status(), status, "{proxy:?} {method} {lines:?}");
            assert_eq!(site.upstream.seen().len(), usize::from(status == 200), "{proxy:?} {method} {lines:?}");
        }
    }
}

/// nginx itself refuses a method with a digit or a small letter.
fn is_method_known_to(proxy: Proxy, method: &str) -> bool {
    proxy != Proxy::Nginx || method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn without_rules_a_request_of_any_method_and_uri_passes_with_a_token_only() {
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &[], &[]).await;
        let admin = site.admin();
        for (method, path) in [
            ("GET", "a?q=café"),
            ("POST", "a?é\u{a0}"),
            ("GET", "café"),
            ("GET", "café?q=é"),
            ("PROPFIND", "a"),
            ("GET_X", "a"),
            ("propfind", "a"),
            ("GET1", "a"),
        ] {
            let is_known = is_method_known_to(proxy, method);
            for folder in ["/", "/fastcgi/"] {
                let target = format!("{folder}{path}");
                let answer = site.request(method, &target, &[], b"").await;
                assert_eq!(answer.status(), if is_known { 401 } else { 400 }, "{proxy:?} {method} {target}");
                let answer = site.request(method, &target, &[("Authorization", &admin)], b"").await;
                assert_eq!(answer.status(), if is_known { 200 } else { 400 }, "{proxy:?} {method} {target}");
                let seen = (site.upstream.seen().len(), site.fastcgi.seen().len());
                let is_fastcgi = folder != "/";
                let expected = (usize::from(is_known && !is_fastcgi), usize::from(is_known && is_fastcgi));
                assert_eq!(seen, expected, "{proxy:?} {method} {target}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn with_rules_a_query_may_have_any_bytes_and_method_and_path_may_not() {
    let (_folder, file) = rules(RULES);
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &["--rules", &file], &[]).await;
        let (admin, member) = (site.admin(), site.member());
        let refused = if proxy == Proxy::Nginx { 401 } else { 400 };
        // Caddy encodes the path, for the question as for the application.
        let beyond_ascii = if proxy == Proxy::Nginx { 401 } else { 200 };
        for (authorization, method, target, status) in [
            (&member, "GET", "/a?q=café", 200),
            (&member, "POST", "/fastcgi/a?q=é\u{a0}", 200),
            (&admin, "GET", "/admin?q=é", 200),
            (&member, "GET", "/admin?q=é", 403),
            (&member, "GET", "/admin?é/../a", 403),
            (&member, "GET", "/café", beyond_ascii),
            (&member, "GET", "/fastcgi/café?q=é", beyond_ascii),
            (&member, "PROPFIND", "/a", 200),
            (&member, "GET_X", "/a", refused),
            (&member, "get", "/a", 400),
            (&member, "propfind", "/fastcgi/a", 400),
            (&member, "GET1", "/a", 400),
            (&admin, "get", "/admin", 400),
        ] {
            let answer = site.request(method, target, &[("Authorization", authorization)], b"").await;
            assert_eq!(answer.status(), status, "{proxy:?} {method} {target}: {answer:?}");
            let arrived = site.upstream.seen().len() + site.fastcgi.seen().len();
            assert_eq!(arrived, usize::from(status == 200), "{proxy:?} {method} {target}");
            if proxy == Proxy::Nginx || status != 400 {
                continue;
            }
            let detail = "The method has characters other than capital letters and hyphens.";
            assert!(answer.text().contains(detail), "{proxy:?} {method} {target}: {answer:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs Caddy"]
async fn the_query_is_told_once() {
    let (_folder, file) = rules(RULES);
    // Later versions refuse it themselves.
    for proxy in [Proxy::CaddyOfDistribution, Proxy::Caddy2_10] {
        let site = Site::start(proxy, &["--rules", &file], &[]).await;
        // Twice as long it would be too much for one head.
        let target = format!("/a?{}", "q".repeat(40_000));
        let answer = site.get(&target, &[("Authorization", &site.member())]).await;
        assert_eq!((answer.status(), site.upstream.seen().len()), (200, 1), "{proxy:?}: {answer:?}");
    }
}

#[tokio::test]
#[ignore = "needs nginx and Caddy"]
async fn rules_hold_whatever_the_client_writes() {
    let (_folder, file) = rules(RULES);
    for proxy in Proxy::ALL {
        let site = Site::start(proxy, &["--rules", &file], &[]).await;
        let (admin, member) = (site.admin(), site.member());
        for (authorization, method, target, status) in [
            (&admin, "GET", "/admin/a?b", 200),
            (&member, "GET", "/", 200),
            (&member, "POST", "/a%20b", 200),
            (&member, "GET", "/administrator", 200),
            (&member, "GET", "/admin", 403),
            (&member, "HEAD", "/admin", 403),
            (&member, "DELETE", "/admin", 403),
            (&admin, "DELETE", "/admin", 403),
        ] {
            let answer = site.request(method, target, &[("Authorization", authorization)], b"").await;
            assert_eq!(answer.status(), status, "{proxy:?} {method} {target}");
            assert_eq!(site.upstream.seen().len(), usize::from(status == 200), "{proxy:?} {method} {target}");
        }
        for target in [
            "//admin",
            "/x/../admin",
            "/x/%2e%2e/admin",
            "/./admin",
            "/%61dmin",
            "/ADMIN",
            "/admin;x",
            "/x%2f..%2fadmin",
            "/x%5c..%5cadmin",
            "/admin%20",
            "/x/..;/admin",
            "/%2561dmin",
            "/admin%3fx",
            "http://a.example/admin",
            "http://a.example//admin",
        ] {
            let answer = site.get(target, &[("Authorization", &member)]).await;
            assert!(answer.status() >= 300, "{proxy:?} {target}: {answer:?}");
            assert!(site.upstream.seen().is_empty(), "{proxy:?} {target}");
        }
        // Headers by which a client could say that it wants another path.
        for lines in [
            &[("X-Forwarded-Uri", "/")][..],
            &[("X-Original-URI", "/"), ("X-Original-Method", "GET")],
            &[("X-Original-URL", "https://app.example.com/")],
            &[("X-Forwarded-Uri", "/"), ("X-Original-URI", "/"), ("X-Original-URL", "/")],
            &[("X_Forwarded_Uri", "/"), ("X_Original_URI", "/")],
            &[("Connection", "X-Forwarded-Uri, X-Original-URI, X-Original-URL")],
            &[("Connection", "X-Forwarded-Uri, X-Original-URI"), ("X-Original-URL", "/")],
        ] {
            let headers: Vec<_> =
                [("Authorization", member.as_str())].into_iter().chain(lines.iter().copied()).collect();
            let answer = site.get("/admin", &headers).await;
            assert!([400, 401, 403].contains(&answer.status()), "{proxy:?} {lines:?}: {answer:?}");
            assert!(site.upstream.seen().is_empty(), "{proxy:?} {lines:?}");
        }
    }
}
