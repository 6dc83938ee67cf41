//! Which tokens are accepted, and that every other one sends the client back to the start.

use std::time::Duration;

use mcp::{Server, Settings};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tower_clerk::{ClerkConfig, testing::TestIssuer};

use crate::support::{Running, challenge, http, start};

/// Where a challenge leads.
fn metadata_of(server: &Running) -> String {
    server.at("/.well-known/oauth-protected-resource/mcp")
}

#[tokio::test]
async fn a_request_without_a_token_is_told_where_to_start() {
    let server = start().await;
    let response = server.call(None, "whoami").await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let expected = format!("Bearer resource_metadata=\"{}\", scope=\"profile\"", metadata_of(&server));
    assert_eq!(challenge(&response), expected);

    // From there it finds everything else by itself.
    let resource: Value = http().get(metadata_of(&server)).send().await.unwrap().json().await.unwrap();
    assert_eq!(resource["resource"], server.url);
    assert_eq!((&resource["scopes_supported"], &resource["resource_name"]), (&json!(["profile"]), &json!("Things")));
    let issuer = resource["authorization_servers"][0].as_str().unwrap();
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let found: Value = http().get(format!("{issuer}{path}")).send().await.unwrap().json().await.unwrap();
        assert_eq!(found["issuer"], issuer);
    }
}

#[tokio::test]
async fn only_unexpired_oauth_tokens_of_the_issuer_for_this_server_pass() {
    let server = start().await;
    let issuer = server.issuer.url();
    let keys = server.issuer.keys();
    let token = || server.issuer.token();
    assert_eq!(server.call(Some(&token().sign()), "whoami").await.status(), StatusCode::OK);
    for (what, refused) in [
        ("expired", token().expired().sign()),
        ("for another server", token().claim("aud", "https://other.example/mcp").sign()),
        ("for the origin", token().claim("aud", issuer).sign()),
        ("for nobody", token().without_claim("aud").sign()),
        ("of another issuer", token().claim("iss", "https://clerk.example.com").sign()),
        (
            "of another key",
            TestIssuer::new().oauth_token("user_eve").claim("iss", issuer).claim("aud", &server.url).sign(),
        ),
        ("a session", keys.token("user_ada").claim("iss", issuer).claim("aud", &server.url).sign()),
        ("of a machine", keys.m2m_token("mch_a").claim("iss", issuer).claim("aud", &server.url).sign()),
        ("an opaque token", "oat_3Fb".to_owned()),
        ("an opaque token of a machine", "mt_3Fb".to_owned()),
        ("an API key", "ak_3Fb".to_owned()),
        ("nonsense", "a.b.c".to_owned()),
    ] {
        let response = server.call(Some(&refused), "whoami").await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{what}");
        let challenge = challenge(&response);
        assert!(challenge.contains("error=\"invalid_token\""), "{what}: {challenge}");
        let start = format!("resource_metadata=\"{}\"", metadata_of(&server));
        assert!(challenge.contains(&start), "{what}: {challenge}");
    }
}

#[tokio::test]
async fn a_tool_that_needs_more_is_refused_before_mcp_answers() {
    let server = start().await;
    let metadata = metadata_of(&server);
    for (scope, status) in [
        ("profile things:write", StatusCode::OK),
        ("things:write profile other", StatusCode::OK),
        ("profile", StatusCode::FORBIDDEN),
        ("things:write", StatusCode::FORBIDDEN),
        ("profile things:writer", StatusCode::FORBIDDEN),
        ("", StatusCode::FORBIDDEN),
    ] {
        let token = server.issuer.token().claim("scope", scope).sign();
        let response = server.call(Some(&token), "create_thing").await;
        assert_eq!(response.status(), status, "{scope}");
        if status == StatusCode::FORBIDDEN {
            let challenge = challenge(&response);
            assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
            assert!(challenge.contains("scope=\"profile things:write\""), "{challenge}");
            assert!(challenge.contains(&format!("resource_metadata=\"{metadata}\"")), "{challenge}");
        }
        assert_eq!(server.call(Some(&token), "whoami").await.status(), StatusCode::OK, "{scope}");
    }
}

/// However a message is written, the tool does not run without its scope.
#[tokio::test]
async fn no_spelling_of_a_message_gets_past_the_scope() {
    let server = start().await;
    let token = server.issuer.token().sign();
    let call = r#""method":"tools/call","params":{"name":"create_thing","arguments":{"name":"lamp"}}"#;
    for body in [
        format!(r#"{{"jsonrpc":"2.0","id":1,{call}}}"#),
        format!(r#"[{{"jsonrpc":"2.0","id":1,{call}}}]"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping",{call}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,{call},"method":"ping"}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,{call},"params":{{"name":"whoami"}}}}"#),
        format!(r#"{{"jsonrpc":"2.0",{call}}}"#),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"create_th\u0069ng","arguments":{"name":"a"}}}"#
            .to_owned(),
    ] {
        let request = http().post(&server.url).bearer_auth(&token).header("content-type", "application/json");
        let request = request.header("accept", "application/json, text/event-stream");
        let text = request.body(body.clone()).send().await.unwrap().text().await.unwrap();
        assert!(!text.contains("user_ada"), "{body}: {text}");
    }
}

#[tokio::test]
async fn an_oversized_message_is_refused() {
    let server = start().await;
    let request = http().post(&server.url).bearer_auth(server.issuer.token().sign());
    let request =
        request.header("content-type", "application/json").header("accept", "application/json, text/event-stream");
    let response = request.body(" ".repeat(256 * 1024 + 1)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_broken_upload_is_no_oversized_message() {
    let server = start().await;
    let address = server.url.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    // Of a chunk with a length of no hexadecimal digits.
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        server.issuer.token().sign()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
}

/// Sends a message in parts, with a pause before each, and returns the response.
async fn upload(server: &Running, parts: usize, pause: Duration) -> String {
    let address = server.url.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let message = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        server.issuer.token().sign(),
        parts - 1 + message.len(),
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    for part in 1..=parts {
        let is_over = timeout(pause, connection.read_to_string(&mut response)).await.is_ok();
        if is_over {
            return response;
        }
        connection.write_all(if part < parts { b" " } else { message.as_bytes() }).await.unwrap();
    }
    connection.read_to_string(&mut response).await.unwrap();
    response
}

/// Time passes at once where nothing else is left to do.
#[tokio::test(start_paused = true)]
async fn a_body_has_30_seconds_however_it_trickles() {
    let server = start().await;
    for (parts, pause, status) in [(1, 29, 200), (29, 1, 200), (1, 31, 408), (31, 1, 408)] {
        let start = Instant::now();
        let response = upload(&server, parts, Duration::from_secs(pause)).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{parts}, {pause}: {response}");
        assert!(start.elapsed() <= Duration::from_secs(31), "{parts}, {pause}: {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_token_of_an_instance_may_lack_an_audience_but_not_name_only_others() {
    let clerk = TestIssuer::new();
    let other = "https://other.example/mcp";
    for is_audience_set in [false, true] {
        let public_url = Some("https://mcp.example.com".to_owned());
        let config = clerk.config();
        let config = if is_audience_set { config.oauth_audience([other]).unwrap() } else { config };
        let settings = Settings { clerk: Some(config), public_url, is_audience_set, ..Settings::default() };
        let server = Server::bind(settings).await.unwrap();
        let (url, address) = (server.url().to_owned(), server.address());
        tokio::spawn(server.run());
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
        let request = |token: String| {
            let request = http().post(format!("http://{address}/mcp")).bearer_auth(token);
            request.header("accept", "application/json, text/event-stream").json(&list).send()
        };
        let refused = request(clerk.oauth_token("user_ada").expired().sign()).await.unwrap();
        let (own, same_host) = (url.as_str(), "https://mcp.example.com");
        for (audience, is_accepted) in [
            (&[][..], !is_audience_set),
            (&[own], !is_audience_set),
            (&[other, own], true),
            (&[other], is_audience_set),
            (&[same_host], false),
            (&[same_host, "https://mcp.example.com/mcp/"], false),
        ] {
            let token = clerk.oauth_token("user_ada");
            let token = if audience.is_empty() { token } else { token.audience(audience.iter().copied()) };
            let response = request(token.sign()).await.unwrap();
            if is_accepted {
                assert_eq!(response.status(), StatusCode::OK, "{audience:?}");
            } else {
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{audience:?}");
                assert_eq!(challenge(&response), challenge(&refused), "{audience:?}");
                assert_eq!(response.headers()["cache-control"], "no-store");
            }
        }
    }
}

#[tokio::test]
async fn a_clerk_instance_replaces_the_embedded_issuer() {
    let clerk = TestIssuer::start().await.unwrap();
    let config = ClerkConfig::from_frontend_api_url(clerk.url()).unwrap();
    let server = Server::bind(Settings { clerk: Some(config), ..Settings::default() }).await.unwrap();
    assert!(server.issuer().is_none());
    let url = server.url().to_owned();
    let origin = url.strip_suffix("/mcp").unwrap().to_owned();
    tokio::spawn(server.run());

    let metadata = format!("{origin}/.well-known/oauth-protected-resource/mcp");
    let metadata: Value = http().get(metadata).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["authorization_servers"], json!([clerk.url()]));
    for path in ["/oauth/authorize", "/oauth/register", "/.well-known/oauth-authorization-server"] {
        assert_eq!(
            http().get(format!("{origin}{path}")).send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    // Clerk's tokens have no `aud` unless the instance writes one.
    for (token, status) in [
        (clerk.oauth_token("user_ada").sign(), StatusCode::OK),
        (clerk.token("user_ada").sign(), StatusCode::UNAUTHORIZED),
        (TestIssuer::new().oauth_token("user_ada").sign(), StatusCode::UNAUTHORIZED),
    ] {
        let request = http().post(&url).header("accept", "application/json, text/event-stream").json(&list);
        assert_eq!(request.bearer_auth(token).send().await.unwrap().status(), status);
    }
}
