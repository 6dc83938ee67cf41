//! Proxies and certificates that the environment names. Environment variables belong to the process, so each test
//! starts itself again with its own.

use std::{
    error::Error,
    net::SocketAddr,
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tower_clerk::{ClerkConfig, ConfigError, Verifier};

use super::instance::keys;
use crate::support::{issuer, server::Server, sockets::listen, within};

/// What one client sent to a SOCKS5 proxy (RFC 1928).
struct Asked {
    /// The kind of address and the address, as they were sent.
    destination: Vec<u8>,
    port: u16,
    /// The first bytes for the destination, to which the proxy answers nothing.
    first: Vec<u8>,
}

struct SocksProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    accepting: JoinHandle<()>,
}

impl SocksProxy {
    async fn start() -> Self {
        let (listener, address) = listen().await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let asked = serve(stream).await.expect("a SOCKS5 client");
                seen.lock().expect("no panic").push(asked);
            }
        });
        Self { address, asked, accepting }
    }

    fn take(&self) -> Vec<Asked> {
        assert!(!self.accepting.is_finished(), "a client did not speak SOCKS5");
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<Asked> {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await?;
    assert_eq!(greeting[0], 5);
    stream.read_exact(&mut vec![0; usize::from(greeting[1])]).await?;
    stream.write_all(&[5, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request[..3], [5, 1, 0]);
    let length = match request[3] {
        1 => 4,
        3 => usize::from(stream.read_u8().await?),
        kind => panic!("an address of kind {kind}"),
    };
    let mut destination = vec![0; length];
    stream.read_exact(&mut destination).await?;
    let port = stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    let mut first = vec![0; 4096];
    let count = stream.read(&mut first).await?;
    first.truncate(count);
    Ok(Asked { destination, port, first })
}

/// Runs the test with this name again, in a process whose environment has these variables, and no other proxy or
/// certificates.
async fn run_again(name: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().expect("this test's path"));
    command.args(["--exact", &format!("faults::environment::{name}"), "--nocapture"]);
    for name in ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env(AGAIN, "1").envs(variables.iter().copied());
    let output = within(tokio::task::spawn_blocking(move || command.output())).await;
    let Output { status, stdout, stderr } = output.expect("a thread").expect("a process");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(status.success() && stdout.contains("1 passed"), "{variables:?}\n{stdout}\n{stderr}");
}

fn is_again() -> bool {
    std::env::var_os(AGAIN).is_some()
}

/// Fetches keys from hosts that do not exist, or do not answer.
async fn fetch_in_vain(urls: &[&str]) {
    for url in urls {
        let config = ClerkConfig::from_frontend_api_url(url).expect("a configuration");
        within(Verifier::new(config).expect("a verifier").warm_up()).await.expect_err("no keys");
    }
}

#[tokio::test]
async fn a_socks_proxy_that_resolves_names_is_used_for_other_hosts() {
    if is_again() {
        return fetch_in_vain(&["https://clerk.test.example", "https://127.0.0.1:9"]).await;
    }
    let proxy = SocksProxy::start().await;
    let url = format!("socks5h://{}", proxy.address);
    for variable in ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"] {
        run_again("a_socks_proxy_that_resolves_names_is_used_for_other_hosts", &[(variable, &url)]).await;
        let asked = proxy.take();
        let [asked] = asked.as_slice() else { panic!("{} connections for {variable}", asked.len()) };
        assert_eq!((asked.destination.as_slice(), asked.port), (b"clerk.test.example".as_slice(), 443));
        // A TLS handshake record, with the name of the host inside.
        let names_host = asked.first.windows(18).any(|bytes| bytes == b"clerk.test.example");
        assert!(asked.first.starts_with(&[0x16, 3]) && names_host, "{variable}");
    }
    let direct = [("ALL_PROXY", url.as_str()), ("NO_PROXY", "test.example")];
    run_again("a_socks_proxy_that_resolves_names_is_used_for_other_hosts", &direct).await;
    assert!(proxy.take().is_empty(), "NO_PROXY names the host");
}

#[tokio::test]
async fn a_socks_proxy_may_leave_names_to_the_client() {
    if is_again() {
        return fetch_in_vain(&["https://192.0.2.1"]).await;
    }
    let proxy = SocksProxy::start().await;
    run_again("a_socks_proxy_may_leave_names_to_the_client", &[("ALL_PROXY", &format!("socks5://{}", proxy.address))])
        .await;
    let asked = proxy.take();
    assert_eq!(asked.iter().map(|asked| asked.destination.as_slice()).collect::<Vec<_>>(), [[192, 0, 2, 1]]);
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_an_error_at_start() {
    if is_again() {
        let own = reqwest::Client::builder().no_proxy().build().expect("a client");
        let config = || ClerkConfig::from_frontend_api_url("https://clerk.test.example").expect("a configuration");
        let error = Verifier::new(config()).expect_err("no verifier");
        assert!(matches!(&error, ConfigError::Invalid { setting, .. } if setting.variable() == Some("ALL_PROXY")));
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        // Nothing that needs no proxy minds.
        Verifier::builder(config()).http_client(own).build().expect("a verifier");
        let loopback = ClerkConfig::from_frontend_api_url("http://127.0.0.1:9").expect("a configuration");
        Verifier::new(loopback).expect("a verifier");
        return;
    }
    for value in ["socks://hunter2:1080", "ftp://hunter2", "http://hunter2:port", "http://"] {
        run_again("a_proxy_that_cannot_be_used_is_an_error_at_start", &[("ALL_PROXY", value)]).await;
    }
}

#[tokio::test]
async fn only_https_needs_certificate_authorities() {
    if let Some(url) = std::env::var_os(AGAIN_WITH_URL) {
        let url = url.into_string().expect("a URL");
        let plain = ClerkConfig::from_frontend_api_url(url).expect("a configuration");
        within(Verifier::new(plain).expect("a verifier").warm_up()).await.expect("keys");
        let pem = ClerkConfig::from_jwt_key(issuer().public_key_pem()).expect("a configuration");
        Verifier::new(pem).expect("a verifier");
        for url in ["https://clerk.test.example", "https://127.0.0.1:9"] {
            let config = ClerkConfig::from_frontend_api_url(url).expect("a configuration");
            let error = Verifier::new(config).expect_err("no verifier");
            assert!(matches!(error, ConfigError::NoCertificateAuthorities { .. }), "{error:?}");
            assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
            let cause = error.source().and_then(Error::source).expect("the cause behind the error of the client");
            assert!(cause.to_string().contains("CA certificates"), "{cause}");
        }
        return;
    }
    let server = Server::start(keys()).await;
    let variables =
        [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent"), (AGAIN_WITH_URL, &server.url())];
    run_again("only_https_needs_certificate_authorities", &variables).await;
    assert_eq!(server.requests(), 1);
}

/// Says that the test runs in a process of its own.
const AGAIN: &str = "TOWER_CLERK_TEST_AGAIN";
const AGAIN_WITH_URL: &str = "TOWER_CLERK_TEST_AGAIN_WITH_URL";
