//! The endpoints, without a proxy.

use tower_clerk::testing::TestIssuer;

use crate::support::{
    CLERK, RULES,
    forward_auth::ForwardAuth,
    http::{Message, request},
    rules,
    site::bearer,
};

fn identity(answer: &Message, names: &[&str]) -> Vec<String> {
    let one = |name: &&str| {
        let values = answer.all(name);
        assert_eq!(values.len(), 1, "{name}: {answer:?}");
        values[0].to_owned()
    };
    names.iter().map(one).collect()
}

#[tokio::test]
async fn a_valid_token_gets_200_with_every_identity_header() {
    let issuer = TestIssuer::start().await.unwrap();
    let token = issuer.token("user_ada").session_id("sess_1").organization("org_acme", "admin");
    let authorization = bearer(&token.organization_slug("acme").claim("email", "ada@example.com"));
    let headers = [("authorization", authorization.as_str())];

    let server = ForwardAuth::start(&issuer, &[], &[]).await;
    let answer = server.verify(&headers).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(identity(&answer, &CLERK), ["user_ada", "sess_1", "org_acme", "acme", "org:admin"]);
    assert_eq!(answer.text(), "");

    for (name, names) in [
        ("authelia", ["remote-user", "remote-email", "remote-groups", "remote-name"]),
        (
            "oauth2-proxy",
            [
                "x-auth-request-user",
                "x-auth-request-email",
                "x-auth-request-groups",
                "x-auth-request-preferred-username",
            ],
        ),
    ] {
        let server = ForwardAuth::start(&issuer, &["--headers", name], &[]).await;
        let answer = server.verify(&headers).await;
        assert_eq!(identity(&answer, &names), ["user_ada", "ada@example.com", "", ""]);
        assert!(answer.all("x-clerk-user-id").is_empty());
    }
}

#[tokio::test]
async fn every_method_is_answered_and_bodies_are_ignored() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = ForwardAuth::start(&issuer, &[], &[]).await;
    let authorization = bearer(&issuer.token("user_ada"));
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "TRACE"] {
        let body = vec![b'x'; if ["GET", "HEAD", "TRACE"].contains(&method) { 0 } else { 300_000 }];
        let answer = request(server.address, method, "/verify", &[("authorization", &authorization)], &body).await;
        assert_eq!(answer.status(), 200, "{method}");
        assert_eq!(identity(&answer, &CLERK)[0], "user_ada", "{method}");
        let answer = request(server.address, method, "/verify?a=b", &[], &body).await;
        assert_eq!(answer.status(), 401, "{method}");
        assert_eq!(answer.all("www-authenticate"), ["Bearer"], "{method}");
        assert_eq!(answer.text().is_empty(), method == "HEAD", "{method}");
    }
}

#[tokio::test]
async fn a_refusal_has_status_challenge_and_body_of_the_library() {
    let issuer = TestIssuer::start().await.unwrap();
    let bad = "Bearer abc".to_owned();
    for (arguments, malformed) in [(&[][..], 400), (&["--nginx"], 401)] {
        let server = ForwardAuth::start(&issuer, arguments, &[("FORWARD_AUTH_REQUIRE", "role=org:admin")]).await;
        for (authorization, status, challenge, code) in [
            ("", 401, "Bearer", "missing_token"),
            (&bad, 401, r#"Bearer error="invalid_token""#, "invalid_token"),
            (&bearer(&issuer.token("user_ada").expired()), 401, r#"Bearer error="invalid_token""#, "token_expired"),
            ("Bearer a b", malformed, r#"Bearer error="invalid_request""#, "malformed_request"),
            (
                &bearer(&issuer.token("user_bob").organization("org_acme", "member")),
                403,
                r#"Bearer error="insufficient_scope""#,
                "insufficient_scope",
            ),
        ] {
            let answer = server.verify(&[("authorization", authorization)]).await;
            assert_eq!(answer.status(), status, "{code}");
            assert_eq!(answer.all("www-authenticate"), [challenge], "{code}");
            assert_eq!(answer.all("content-type"), ["application/problem+json"], "{code}");
            let body = answer.text();
            assert!(body.contains(&format!(r#""status":{status},"code":"{code}""#)), "{body}");
            assert!(CLERK.iter().all(|name| answer.all(name).is_empty()), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_content_type_of_grpc_changes_nothing() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = ForwardAuth::start(&issuer, &[], &[("FORWARD_AUTH_REQUIRE", "role=org:admin")]).await;
    let member = bearer(&issuer.token("user_bob").organization("org_acme", "member"));
    for kind in
        ["application/grpc", "application/grpc+proto", "application/grpc-web+proto", "application/grpc-web-text"]
    {
        for (authorization, status) in [("", 401), ("Bearer abc", 401), ("Bearer a b", 400), (&member, 403)] {
            let headers = [("content-type", kind), ("te", "trailers"), ("authorization", authorization)];
            let answer = request(server.address, "POST", "/verify", &headers, b"").await;
            assert_eq!(answer.status(), status, "{kind} {authorization}");
            assert!(answer.all("grpc-status").is_empty(), "{kind} {authorization}");
        }
    }
}

#[tokio::test]
async fn without_keys_it_is_not_ready_and_answers_503() {
    let issuer = TestIssuer::start().await.unwrap();
    issuer.serve_status(500);
    for arguments in [&[][..], &["--nginx"], &["--anonymous"]] {
        let server = ForwardAuth::start_without_keys(&issuer, arguments, &[]).await;
        assert_eq!(server.get("/readyz").await.status(), 503, "{arguments:?}");
        assert_eq!(server.get("/healthz").await.status(), 200, "{arguments:?}");
        let answer = server.verify(&[("authorization", &bearer(&issuer.token("user_ada")))]).await;
        assert_eq!(answer.status(), 503, "{arguments:?}");
        assert_eq!(answer.all("retry-after").len(), 1, "{arguments:?}");
        assert!(answer.text().contains("keys_unavailable"), "{arguments:?}");
    }
}

#[tokio::test]
async fn it_becomes_ready_without_any_request_when_the_issuer_is_back() {
    let issuer = TestIssuer::start().await.unwrap();
    issuer.serve_status(500);
    let server = ForwardAuth::start_without_keys(&issuer, &[], &[]).await;
    assert_eq!(server.get("/readyz").await.status(), 503);
    issuer.serve_keys();
    server.becomes_ready().await;
}

#[tokio::test]
async fn an_anonymous_request_passes_as_nobody_and_a_bad_token_does_not() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = ForwardAuth::start(&issuer, &["--anonymous"], &[]).await;
    let answer = server.verify(&[]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(identity(&answer, &CLERK), ["", "", "", "", ""]);
    assert_eq!(server.verify(&[("authorization", "Bearer abc")]).await.status(), 401);
    let answer = server.verify(&[("authorization", &bearer(&issuer.token("user_ada")))]).await;
    assert_eq!(identity(&answer, &CLERK)[0], "user_ada");

    // Nobody has no role.
    let server = ForwardAuth::start(&issuer, &["--anonymous"], &[("FORWARD_AUTH_REQUIRE", "role=org:admin")]).await;
    assert_eq!(server.verify(&[]).await.status(), 401);
}

#[tokio::test]
async fn a_request_that_brings_an_identity_is_refused() {
    let issuer = TestIssuer::start().await.unwrap();
    let authorization = bearer(&issuer.token("user_ada"));
    for (arguments, status) in [(&[][..], 400), (&["--nginx"], 401), (&["--anonymous"], 400)] {
        let server = ForwardAuth::start(&issuer, arguments, &[]).await;
        for name in ["X-Clerk-User-Id", "x_clerk_user_id", "X-Clerk_Org.Role", "X-CLERK-Anything", "X-Clerk-Session-Id"]
        {
            let answer = server.verify(&[("authorization", &authorization), (name, "user_root")]).await;
            assert_eq!(answer.status(), status, "{name}");
            assert!(answer.text().contains(r#""code":"forged_identity""#), "{name}");
            assert_eq!(answer.all("www-authenticate"), [r#"Bearer error="invalid_request""#], "{name}");
            // The second line counts too, and an empty one does no harm in the spelling that is overwritten.
            let twice = [("authorization", authorization.as_str()), (name, ""), (name, "user_root")];
            assert_eq!(server.verify(&twice).await.status(), status, "{name}");
            let empty = [("authorization", authorization.as_str()), (name, "")];
            let is_overwritten = ["X-Clerk-User-Id", "X-Clerk-Session-Id"].contains(&name);
            assert_eq!(server.verify(&empty).await.status(), if is_overwritten { 200 } else { status }, "{name}");
        }
    }
    let server = ForwardAuth::start(&issuer, &["--headers", "authelia"], &[]).await;
    for name in ["Remote-User", "Remote_User", "Remote.Groups", "X-Clerk-User-Id"] {
        assert_eq!(server.verify(&[("authorization", &authorization), (name, "root")]).await.status(), 400, "{name}");
    }
}

#[tokio::test]
async fn rules_decide_by_method_and_path_of_the_original_request() {
    let issuer = TestIssuer::start().await.unwrap();
    let (_folder, file) = rules(RULES);
    let server = ForwardAuth::start(&issuer, &["--rules", &file, "--anonymous"], &[]).await;
    let admin = bearer(&issuer.token("user_ada").organization("org_acme", "admin"));
    let member = bearer(&issuer.token("user_bob").organization("org_acme", "member"));
    for (authorization, method, target, status) in [
        ("", "GET", "/", 200),
        ("", "GET", "/admin", 401),
        (&member, "GET", "/admin", 403),
        (&member, "HEAD", "/admin?x", 403),
        (&member, "GET", "/administrator", 200),
        (&admin, "GET", "/admin/users", 200),
        (&admin, "POST", "/admin/users", 403),
        (&admin, "GET", "/x/..%2fadmin", 400),
        (&admin, "GET", "/%61dmin", 400),
    ] {
        for (of_method, of_target) in
            [("X-Forwarded-Method", "X-Forwarded-Uri"), ("X-Original-Method", "X-Original-URI")]
        {
            let headers = [("authorization", authorization), (of_method, method), (of_target, target)];
            let answer = server.verify(&headers).await;
            assert_eq!(answer.status(), status, "{method} {target}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn rules_need_one_method_and_one_uri_that_are_clear() {
    let issuer = TestIssuer::start().await.unwrap();
    let (_folder, file) = rules(RULES);
    let server = ForwardAuth::start(&issuer, &["--rules", &file], &[]).await;
    let admin = bearer(&issuer.token("user_ada").organization("org_acme", "admin"));
    for lines in [
        &[][..],
        &[("X-Forwarded-Method", "GET")],
        &[("X-Forwarded-Uri", "/")],
        &[("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/"), ("X-Original-URI", "/admin")],
        &[("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/admin"), ("X-Original-Method", "POST")],
        &[("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/"), ("X-Forwarded-Uri", "/")],
        &[("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/"), ("X-Original-URL", "https://a.example/admin")],
        // No other spelling is read.
        &[("X_Forwarded_Method", "GET"), ("X_Forwarded_Uri", "/")],
    ] {
        let headers: Vec<_> = [("authorization", admin.as_str())].into_iter().chain(lines.iter().copied()).collect();
        let answer = server.verify(&headers).await;
        assert_eq!(answer.status(), 400, "{lines:?}");
        assert!(answer.text().contains(r#""code":"original_request""#), "{lines:?}");
    }
}

#[tokio::test]
async fn without_rules_what_contradicts_itself_is_refused_too() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = ForwardAuth::start(&issuer, &[], &[]).await;
    let admin = bearer(&issuer.token("user_ada"));
    for (name, value, other_name, other) in [
        ("X-Forwarded-Uri", "/a", "X-Original-URI", "/b"),
        ("X-Forwarded-Uri", "/é", "X-Original-URI", "/è"),
        ("X-Forwarded-Uri", "/?é", "X-Original-URL", "https://a.example/?e"),
        ("X-Forwarded-Method", "GET", "X-Original-Method", "get"),
        ("X-Forwarded-Uri", "/é", "X-Forwarded-Uri", "/é"),
    ] {
        let two = [("authorization", admin.as_str()), (name, value), (other_name, other)];
        let answer = server.verify(&two).await;
        assert_eq!(answer.status(), 400, "{two:?}");
        assert!(answer.text().contains("twice, or contradict each other"), "{two:?}: {}", answer.text());
        assert_eq!(server.verify(&two[..2]).await.status(), 200, "{two:?}");
    }
}

/// The lines of a question about a request that is unusual, and what is wrong with it where rules need to know.
const UNUSUAL: [(&str, &str, &str); 9] = [
    ("GET", "/?q=café", ""),
    ("GET", "/a?\u{a0}\t", ""),
    ("PROPFIND", "/", ""),
    ("propfind", "/", "characters other than capital letters"),
    ("GET1", "/", "characters other than capital letters"),
    ("get", "/", "characters other than capital letters"),
    ("GET", "/café", "is visible ASCII throughout"),
    ("GET", "/café?q", "is visible ASCII throughout"),
    ("GET", "*", "begins with a slash"),
];

#[tokio::test]
async fn without_rules_the_token_alone_decides_whatever_method_and_uri_are() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = ForwardAuth::start(&issuer, &[], &[]).await;
    let authorization = bearer(&issuer.token("user_ada"));
    for (method, target, _) in UNUSUAL {
        let headers =
            [("X-Original-Method", method), ("X-Original-URI", target), ("authorization", authorization.as_str())];
        assert_eq!(server.verify(&headers).await.status(), 200, "{method} {target}");
        assert_eq!(server.verify(&headers[..2]).await.status(), 401, "{method} {target}");
    }
}

#[tokio::test]
async fn with_rules_the_query_may_be_anything_and_method_and_path_may_not() {
    let issuer = TestIssuer::start().await.unwrap();
    let (_folder, file) = rules(RULES);
    let server = ForwardAuth::start(&issuer, &["--rules", &file], &[]).await;
    let member = bearer(&issuer.token("user_bob").organization("org_acme", "member"));
    for (method, target, detail) in UNUSUAL {
        for names in [["X-Original-Method", "X-Original-URI"], ["X-Forwarded-Method", "X-Forwarded-Uri"]] {
            let headers = [(names[0], method), (names[1], target), ("authorization", member.as_str())];
            let answer = server.verify(&headers).await;
            assert_eq!(answer.status(), if detail.is_empty() { 200 } else { 400 }, "{method} {target}");
            let is_refused = answer.text().contains(r#""code":"original_request""#);
            assert!(is_refused != detail.is_empty() && answer.text().contains(detail), "{target}: {}", answer.text());
        }
    }
    for query in ["q=café", "/../a", "\u{a0}"] {
        let target = format!("/admin?{query}");
        let headers = [("X-Original-Method", "GET"), ("X-Original-URI", &target), ("authorization", member.as_str())];
        assert_eq!(server.verify(&headers).await.status(), 403, "{query}");
    }
}

#[tokio::test]
async fn a_cookie_counts_only_if_asked_for_and_not_from_another_site() {
    let issuer = TestIssuer::start().await.unwrap();
    let token = issuer.token("user_ada").authorized_party("https://app.example.com").sign();
    let cookie = format!("__session={token}");
    let parties = [("CLERK_AUTHORIZED_PARTIES", "https://app.example.com")];
    let server = ForwardAuth::start(&issuer, &[], &parties).await;
    assert_eq!(server.verify(&[("cookie", &cookie)]).await.status(), 401);

    let server = ForwardAuth::start(&issuer, &["--cookie"], &parties).await;
    for (lines, status) in [
        (&[("X-Forwarded-Method", "GET")][..], 200),
        (&[("X-Forwarded-Method", "POST"), ("origin", "https://app.example.com")], 200),
        (&[("X-Forwarded-Method", "POST"), ("origin", "https://evil.example")], 403),
        (&[("X-Forwarded-Method", "POST")], 403),
        // The proxy asks with a GET, and does not tell what for.
        (&[], 403),
        // Which a server may take for any other one.
        (&[("X-Forwarded-Method", "get")], 403),
        (&[("X-Forwarded-Method", "GET1")], 403),
        (&[("sec-fetch-site", "same-origin")], 200),
        // A handshake of WebSocket is a GET. Proxies leave out `Upgrade` when they ask.
        (&[("X-Forwarded-Method", "GET"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")], 403),
    ] {
        let headers: Vec<_> = [("cookie", cookie.as_str())].into_iter().chain(lines.iter().copied()).collect();
        assert_eq!(server.verify(&headers).await.status(), status, "{lines:?}");
    }
}

#[tokio::test]
async fn the_other_endpoints_answer() {
    let issuer = TestIssuer::start().await.unwrap();
    let server = ForwardAuth::start(&issuer, &[], &[]).await;
    server.verify(&[]).await;
    server.verify(&[("x_clerk_user_id", "user_root")]).await;
    assert_eq!(server.get("/healthz").await.text(), "ok\n");
    let metrics = server.get("/metrics").await;
    assert_eq!(metrics.status(), 200);
    assert!(metrics.all("content-type")[0].starts_with("text/plain; version=0.0.4"));
    // Of the library, and of the program.
    for line in [r#"reason="missing_token""#, "\nforward_auth_refusals_total{reason=\"forged_identity\"} 1\n"] {
        assert!(metrics.text().contains(line), "{line}: {}", metrics.text());
    }
    for path in ["/", "/verify/", "/verify/a", "//verify", "/Verify", "/metrics/a"] {
        assert_eq!(server.get(path).await.status(), 404, "{path}");
    }
    assert_eq!(request(server.address, "POST", "/readyz", &[], b"").await.status(), 405);
}
