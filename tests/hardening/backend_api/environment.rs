//! The proxy that the environment names. Environment variables belong to the process, so the test starts itself again
//! with its own.

use std::process::Command;

use tokio::io::AsyncReadExt;
use tower_clerk::{ClerkConfig, TokenKind, Verifier, testing::ManualClock};

use super::api::{config, good};
use crate::support::{issuer, server::Server, sockets::listen, within};

/// Says that the test runs in a process of its own, with the URL of the Backend API.
const AGAIN_WITH_URL: &str = "TOWER_CLERK_TEST_AGAIN_WITH_URL";

async fn verify(config: ClerkConfig) -> bool {
    let verifier = Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier");
    within(verifier.verify_principal("ak_a")).await.is_ok()
}

#[tokio::test]
async fn a_proxy_is_used_for_other_hosts_and_never_for_loopback() {
    if let Ok(url) = std::env::var(AGAIN_WITH_URL) {
        assert!(verify(config(&url)).await);
        assert!(!verify(config("https://127.0.0.1:9")).await);
        let remote = ClerkConfig::from_jwt_key(issuer().public_key_pem())
            .and_then(|config| {
                config.secret_key("sk_test_a")?.accept([TokenKind::ApiKey])?.api_url("https://a.example")
            })
            .expect("a configuration");
        assert!(!verify(remote).await);
        return;
    }
    let server = Server::start(good()).await;
    let (listener, address) = listen().await;
    let proxy = tokio::spawn(async move {
        let mut heads = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 256];
            let count = stream.read(&mut head).await.expect("a request");
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            // The test ends the proxy.
            if head.is_empty() {
                break;
            }
            heads.push(head);
        }
        heads
    });
    let mut command = Command::new(std::env::current_exe().expect("this test's path"));
    let name = "backend_api::environment::a_proxy_is_used_for_other_hosts_and_never_for_loopback";
    command.args(["--exact", name, "--nocapture"]).env(AGAIN_WITH_URL, server.url());
    for variable in ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"] {
        let value = format!("http://{address}");
        command.env(variable, &value).env(variable.to_lowercase(), &value);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = within(tokio::task::spawn_blocking(move || command.output())).await;
    let output = output.expect("a thread").expect("a process");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    drop(tokio::net::TcpStream::connect(address).await.expect("the proxy listens"));
    let heads = within(proxy).await.expect("no panic");
    assert!(heads.len() == 1 && heads[0].starts_with("CONNECT a.example:443 "), "{heads:?}");
    assert_eq!(server.requests(), 1);
}
