//! The metadata document, served by the layer.

use serde_json::{Value, json};
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, ProtectedResource, TokenKind,
    config::IssuerUrl,
    verify::{Instance, ResolveError, VerifierBuilder},
};

use super::{MCP, WELL_KNOWN, document, layer_for, resource};
use crate::support::{cold_layer, get_path, issuer, layer, request, send_through};

fn path() -> String {
    format!("{WELL_KNOWN}/mcp")
}

#[tokio::test]
async fn the_document_has_every_member_that_is_set() {
    let full = resource(MCP).scopes(["things:read", "things:write"]).expect("scopes").name("Things");
    let full = full.documentation("https://docs.example.com/things").expect("a page");
    let answer = send_through(&layer_for(full), get_path(&path(), None)).await;
    assert_eq!(
        document(&answer),
        json!({
            "resource": MCP,
            "authorization_servers": [issuer().url()],
            "scopes_supported": ["things:read", "things:write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Things",
            "resource_documentation": "https://docs.example.com/things",
        })
    );
    assert_eq!(answer.header("cache-control"), Some("max-age=3600"));
    assert_eq!(answer.header("vary"), None);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.seen().is_none());

    let bare = send_through(&layer_for(resource(MCP)), get_path(&path(), None)).await;
    assert_eq!(
        document(&bare),
        json!({ "resource": MCP, "authorization_servers": [issuer().url()], "bearer_methods_supported": ["header"] })
    );
}

#[tokio::test]
async fn the_host_of_a_request_does_not_change_a_named_resource() {
    let layer = layer_for(resource(MCP));
    for hosts in [
        &[][..],
        &[("host", "api.example.com")],
        &[("host", "127.0.0.1:3000")],
        &[("host", "evil.example")],
        &[("host", "a\"b")],
        &[("host", "a"), ("host", "b")],
        &[("x-forwarded-host", "evil.example"), ("host", "internal")],
    ] {
        let answer = send_through(&layer, request("GET", &path(), hosts)).await;
        assert_eq!(document(&answer)["resource"], json!(MCP), "{hosts:?}");
    }
    let absolute = format!("http://evil.example{}", path());
    assert_eq!(document(&send_through(&layer, get_path(&absolute, None)).await)["resource"], json!(MCP));
}

#[tokio::test]
async fn a_named_resource_is_described_at_its_own_path_alone() {
    for (url, served, other) in [
        (MCP, &["/mcp", "/mcp/", "/mcp?x=1"][..], &["", "/", "/mc", "/mcpx", "/mcp/x", "/mcp//", "/MCP", "/x/mcp"][..]),
        ("https://api.example.com/mcp/", &["/mcp", "/mcp/"], &["", "/mcp//"]),
        ("https://api.example.com", &["", "/", "?x"], &["/mcp", "//", "s"]),
        ("https://api.example.com/a/b", &["/a/b"], &["/a", "/b", "/a/b/c", "/a%2Fb"]),
    ] {
        let layer = layer_for(resource(url));
        for rest in served {
            let answer = send_through(&layer, get_path(&format!("{WELL_KNOWN}{rest}"), None)).await;
            let expected = if url.ends_with(".com") { "https://api.example.com" } else { url };
            assert_eq!(document(&answer)["resource"], json!(expected), "{rest}");
        }
        for rest in other {
            let path = format!("{WELL_KNOWN}{rest}");
            for method in ["GET", "OPTIONS", "POST"] {
                let answer = send_through(&layer, request(method, &path, &[])).await;
                answer.assert_rejected(401, "missing_token");
            }
        }
        for prefixed in [format!("/v1{WELL_KNOWN}/mcp"), format!("/mcp{WELL_KNOWN}"), "/mcp".to_owned()] {
            send_through(&layer, get_path(&prefixed, None)).await.assert_rejected(401, "missing_token");
        }
    }
}

#[tokio::test]
async fn get_head_and_options_are_answered_and_other_methods_get_405() {
    let layer = layer_for(resource(MCP));
    let got = send_through(&layer, get_path(&path(), None)).await;
    let head = send_through(&layer, request("HEAD", &path(), &[])).await;
    assert_eq!(head.outcome(), (200, ""));
    assert_eq!(head.header("content-length"), Some(got.text.len().to_string().as_str()));
    for name in ["content-type", "cache-control", "access-control-allow-origin"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get"] {
        let answer = send_through(&layer, request(method, &path(), &[])).await;
        assert_eq!(answer.outcome(), (405, ""), "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("cache-control"), None);
    }
}

#[tokio::test]
async fn a_preflight_allows_every_header_for_a_day() {
    for layer in [layer_for(resource(MCP)), layer().oauth_resource_metadata()] {
        for (asked, allowed) in [
            ("mcp-protocol-version", "*"),
            ("x-authorization", "*"),
            // The wildcard does not cover this one.
            ("authorization,mcp-protocol-version", "authorization, *"),
            ("mcp-protocol-version, Authorization", "authorization, *"),
        ] {
            let headers = [
                ("origin", "https://inspector.example"),
                ("access-control-request-method", "GET"),
                ("access-control-request-headers", asked),
            ];
            let answer = send_through(&layer, request("OPTIONS", &path(), &headers)).await;
            assert_eq!(answer.outcome(), (204, ""));
            assert!(answer.seen().is_none());
            for (name, value) in [
                ("access-control-allow-origin", Some("*")),
                ("access-control-allow-methods", Some("GET, HEAD, OPTIONS")),
                ("access-control-allow-headers", Some(allowed)),
                ("access-control-max-age", Some("86400")),
                ("access-control-allow-credentials", None),
            ] {
                assert_eq!(answer.header(name), value, "{name} {asked}");
            }
        }
        let bare = send_through(&layer, request("OPTIONS", &path(), &[])).await;
        assert_eq!((bare.status(), bare.header("access-control-allow-headers")), (204, Some("*")));
    }
}

#[tokio::test]
async fn the_document_needs_neither_keys_nor_a_good_token() {
    let (cold, gate) = cold_layer();
    let layer = cold.protected_resource(resource(MCP)).expect("a layer");
    for headers in [&[][..], &[("authorization", "Bearer a.b.c")], &[("authorization", "Bearer a b")]] {
        document(&send_through(&layer, request("GET", &path(), headers)).await);
    }
    assert_eq!(gate.arrivals(), 0);
}

#[tokio::test]
async fn a_derived_resource_is_that_of_the_request() {
    let derived = ProtectedResource::from_request().scopes(["read"]).expect("scopes").name("Things");
    let layer = layer_for(derived);
    for (host, rest, resource) in [
        ("api.example.com", "/mcp", "https://api.example.com/mcp"),
        ("api.example.com", "", "https://api.example.com"),
        ("api.example.com:8443", "/a/b", "https://api.example.com:8443/a/b"),
        ("127.0.0.1:3001", "/mcp", "http://127.0.0.1:3001/mcp"),
        ("[::1]:3001", "/mcp", "http://[::1]:3001/mcp"),
        ("localhost", "/mcp/", "http://localhost/mcp/"),
        ("api.example.com", "/mcp?x", "https://api.example.com/mcp"),
    ] {
        let answer = send_through(&layer, request("GET", &format!("{WELL_KNOWN}{rest}"), &[("host", host)])).await;
        let expected = json!({
            "resource": resource,
            "authorization_servers": [issuer().url()],
            "scopes_supported": ["read"],
            "bearer_methods_supported": ["header"],
            "resource_name": "Things",
        });
        assert_eq!(document(&answer), expected, "{host} {rest}");
        assert_eq!(answer.header("cache-control"), Some("max-age=3600"));
        assert_eq!(answer.header("vary"), Some("host"));
    }
    for hosts in [&[][..], &[("host", "u@a")], &[("host", "a b")], &[("host", "a"), ("host", "b")]] {
        let answer = send_through(&layer, request("GET", &path(), hosts)).await;
        answer.assert_rejected(401, "missing_token");
    }
}

fn instance(url: &str, kinds: &[TokenKind]) -> Instance {
    let config = ClerkConfig::from_jwks(issuer().jwks()).and_then(|config| config.add_issuer(url));
    config.and_then(|config| config.accept(kinds.iter().copied())).expect("a configuration").into()
}

async fn servers(instances: Vec<Instance>) -> Value {
    let layer = ClerkAuthLayer::from_instances(instances).expect("a layer");
    let layer = layer.protected_resource(resource(MCP)).expect("a layer");
    document(&send_through(&layer, get_path(&path(), None)).await)["authorization_servers"].clone()
}

#[tokio::test]
async fn the_authorization_servers_are_the_instances_that_accept_oauth_tokens() {
    let (sessions, oauth) = (&[TokenKind::Session][..], &[TokenKind::Session, TokenKind::OAuth][..]);
    let of = |url: &str, kinds: &[TokenKind]| instance(&format!("https://clerk.{url}.example"), kinds);
    assert_eq!(
        servers(vec![of("a", sessions), of("b", oauth), of("c", &[TokenKind::OAuth]), of("d", &[TokenKind::M2m])])
            .await,
        json!(["https://clerk.b.example", "https://clerk.c.example"])
    );
    assert_eq!(
        servers(vec![of("a", sessions), of("b", &[TokenKind::M2m])]).await,
        json!(["https://clerk.a.example", "https://clerk.b.example"])
    );
}

#[tokio::test]
async fn the_instances_of_a_resolver_are_no_authorization_servers() {
    let nobody = |_: IssuerUrl| async { Ok::<_, ResolveError>(None::<ClerkConfig>) };
    let verifier = VerifierBuilder::new().resolver(nobody).build().expect("a verifier");
    let layer = ClerkAuthLayer::from(verifier).protected_resource(resource(MCP)).expect("a layer");
    let answer = send_through(&layer, get_path(&path(), None)).await;
    assert_eq!(document(&answer), json!({ "resource": MCP, "bearer_methods_supported": ["header"] }));
}
