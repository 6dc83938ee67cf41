use serde_json::{Value, json};

use crate::support::{Program, Site, clerk};

#[tokio::test]
async fn a_guarded_route_answers_401_without_a_token_and_200_with_one() {
    let site = Site::new(&[
        ("/a", "get", "none", &["clerk"]),
        ("/call", "post", "none", &["clerk"]),
        ("/open", "get", "none", &[]),
    ])
    .await;
    let program = Program::serve(&site).await;
    let refused = program.send("GET /a?x=1", &[]).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(site.upstream.take(), [""; 0]);

    let bearer = site.bearer();
    let answer = program.send("GET /a?x=1", &[("authorization", &bearer)]).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    let heads = site.upstream.take();
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with("GET /a?x=1 HTTP/1.1\r\n") && heads[0].contains(&bearer), "{heads:?}");

    for (line, headers, status) in [
        ("GET /a", &[("authorization", "Bearer a.b.c")][..], 401),
        ("GET /a", &[("authorization", &bearer), ("authorization", &bearer)], 400),
        // gRPC is always POST.
        ("POST /call", &[("content-type", "application/grpc"), ("content-length", "0")], 401),
        ("POST /call", &[("content-type", "application/grpc-web"), ("content-length", "0")], 401),
        ("GET /open", &[], 200),
        ("HEAD /open", &[], 200),
        ("HEAD /a", &[], 401),
        ("POST /a", &[("content-length", "0")], 404),
        ("GET /missing", &[], 404),
        ("GET /A", &[], 404),
        ("OPTIONS *", &[], 400),
    ] {
        let answer = program.send(line, headers).await;
        assert_eq!(answer.status, status, "{line} {headers:?}");
        assert!(!answer.head.contains("grpc"), "{}", answer.head);
    }
}

#[tokio::test]
async fn a_policy_for_everybody_lets_both_pass() {
    let site = Site::new(&[("/a", "get", "none", &["anyone"])]).await;
    let program = Program::serve_with(&site, &["--forward-identity"]).await;
    for (headers, user) in [(&[][..], ""), (&[("authorization", &*site.bearer())], "user_ada")] {
        assert_eq!(program.send("GET /a", headers).await.status, 200);
        let head = site.upstream.take().remove(0).to_ascii_lowercase();
        assert!(head.contains(&format!("x-clerk-user-id: {user}\r\n")), "{head}");
    }
}

#[tokio::test]
async fn a_clients_identity_headers_never_arrive_on_any_route() {
    let site = Site::new(&[("/a", "get", "none", &["clerk"]), ("/open", "get", "none", &[])]).await;
    let bearer = site.bearer();
    for arguments in [&[][..], &["--forward-identity", "--identity-header", "user-id"]] {
        let program = Program::serve_with(&site, arguments).await;
        for path in ["GET /a", "GET /open"] {
            let forged = [
                ("X-Clerk-User-Id", "forged"),
                ("x_clerk_user_id", "forged"),
                ("X-CLERK_org-role", "forged"),
                ("x-clerk-anything", "forged"),
                ("forwarded", "for=forged"),
                ("x-forwarded-for", "forged"),
                ("X_Forwarded_User", "forged"),
                ("proxy", "http://forged"),
                ("x-http-method-override", "forged"),
                ("x.original-url", "/forged"),
                ("content_length", "forged"),
                ("transfer_encoding", "forged"),
                ("X-Real-IP", "forged"),
                ("authorization", &bearer),
            ];
            assert_eq!(program.send(path, &forged).await.status, 200);
            let head = site.upstream.take().remove(0);
            assert!(!head.contains("forged"), "{head}");
            assert_eq!(head.contains("x-clerk-"), !arguments.is_empty(), "{head}");
        }
        let configured = program.send("GET /open", &[("User_ID", "forged")]).await;
        assert_eq!(configured.status, 200);
        assert_eq!(site.upstream.take()[0].contains("forged"), arguments.is_empty());
    }
}

#[tokio::test]
async fn a_spelling_of_a_guarded_path_never_takes_an_open_route() {
    let site = Site::new(&[("/admin/{id}", "get", "none", &["clerk"]), ("/{rest}", "get", "none", &[])]).await;
    let open = json!({ "openapi": "3.1.0", "paths": { "/(.*)": {
        "x-zuplo-path": { "pathMode": "url-pattern" },
        "get": { "x-zuplo-route": { "handler": { "export": "urlForwardHandler",
            "module": "$import(@zuplo/runtime)", "options": { "baseUrl": "${env.UPSTREAM_URL}" } } } } } } });
    site.write("z.oas.json", &open.to_string());
    let program = Program::serve(&site).await;
    for path in [
        "/admin/1",
        "//admin/1",
        "/admin//1",
        "/ADMIN/1",
        "/admin/1/",
        "/%61dmin/1",
        "/%2561dmin/1",
        "/admin%2f1",
        "/admin\\1",
        "/admin%5c1",
        "/x/../admin/1",
        "/x/%2e%2e/admin/1",
        "/x/..;/admin/1",
        "/admin;a=b/1",
        "/./admin/1",
        "/x%2f..%2fadmin/1",
        "/admin/1;x",
        "/admin/%31",
        "/x/.%2e/admin/1",
        "/admin/1%00",
        "/admin/%u0031",
        "/%zz",
        "//x/admin/1",
        "///x/admin/1",
        "/\\x/admin/1",
        "/admin/1%3fx",
        "/admin/1%23",
        "/admin/1%253fx",
    ] {
        let answer = program.send(&format!("GET {path}"), &[]).await;
        assert!([400, 401].contains(&answer.status), "{path}: {}", answer.status);
        assert_eq!(site.upstream.take(), [""; 0], "{path}");
    }
    for path in ["/public", "/public/a", "/Public/A%20b", "/a.b/..c", "/public/"] {
        assert_eq!(program.send(&format!("GET {path}"), &[]).await.status, 200, "{path}");
        let heads = site.upstream.take();
        assert!(heads[0].starts_with(&format!("GET {path} HTTP/1.1")), "{heads:?}");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_before_the_policies() {
    let site = Site::new(&[
        ("/a", "post", "app", &["clerk"]),
        ("/b", "post", "none", &["clerk"]),
        ("/{rest}", "post", "none", &[]),
    ])
    .await;
    let program = Program::serve(&site).await;
    let preflight = |origin: &'static str, method: &'static str| {
        [
            ("origin", origin),
            ("access-control-request-method", method),
            ("access-control-request-headers", "authorization"),
        ]
    };
    let app = "https://app.example.com";
    let answer = program.send("OPTIONS /a", &preflight(app, "POST")).await;
    assert!((200..300).contains(&answer.status), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(app));
    for (path, headers) in [
        ("OPTIONS /a", preflight("https://evil.example", "POST")),
        ("OPTIONS /a", preflight(app, "GET")),
        ("OPTIONS /b", preflight(app, "POST")),
        ("OPTIONS /missing", preflight(app, "POST")),
    ] {
        assert_eq!(program.send(path, &headers).await.status, 404, "{path} {headers:?}");
    }
    let ambiguous = program.send("OPTIONS /A", &preflight(app, "POST")).await;
    assert_eq!(ambiguous.status, 400, "the answer to the request itself");
    assert_eq!(site.upstream.take(), [""; 0]);
    // The page must be able to read why it was refused.
    let refused = program.send("POST /a", &[("origin", app), ("content-length", "0")]).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some(app)));
    let plain =
        program.send("POST /b", &[("origin", app), ("content-length", "0"), ("authorization", &site.bearer())]).await;
    assert_eq!((plain.status, plain.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn protected_resource_metadata_names_the_instance() {
    let site = Site::new(&[("/a", "post", "none", &["clerk"]), ("/b", "get", "none", &["plain"])]).await;
    site.write_policies(&[
        clerk("clerk", &json!({ "oAuthResourceMetadataEnabled": true })),
        clerk("plain", &json!({})),
    ]);
    let program = Program::serve(&site).await;
    let path = "/.well-known/oauth-protected-resource";
    let answer = program.send(&format!("GET {path}/a"), &[]).await;
    assert_eq!(answer.status, 200);
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!(document["authorization_servers"], json!([site.issuer.url()]));
    assert_eq!(answer.header("cache-control"), Some("max-age=3600"));
    for missing in ["/b", "/missing", ""] {
        assert_eq!(program.send(&format!("GET {path}{missing}"), &[]).await.status, 404, "{missing}");
    }
    let refused = program.send("POST /a", &[("content-length", "0")]).await;
    assert!(refused.header("www-authenticate").expect("a challenge").contains(&format!("{path}/a")));
}

#[tokio::test]
async fn a_dead_upstream_is_502_and_a_silent_one_504() {
    let site = Site::new(&[("/a", "get", "none", &[])]).await;
    let program = Program::serve_with(&site, &["--header-timeout", "100ms"]).await;
    *site.upstream.gate.lock().expect("a gate") = Some(std::sync::Arc::default());
    let silent = program.send("GET /a", &[]).await;
    assert_eq!((silent.status, silent.header("content-type")), (504, Some("application/problem+json")));

    let program = Program::serve_from(&site, "http://127.0.0.1:1", &[]).await;
    let dead = program.send("GET /a", &[]).await;
    assert_eq!((dead.status, dead.header("content-type")), (502, Some("application/problem+json")));
}
