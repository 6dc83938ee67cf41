use tower_clerk::{ClerkConfig, Verifier, jwks::FetchErrorKind};

use super::instance::{Instance, PATIENT, bytes, document, is_a_failure, is_accepted, keys};
use crate::support::{issuer, other_issuer};
use crate::support::{
    server::{Script, Server, Step},
    within,
};

async fn is_broken(script: Script) {
    is_a_failure(script, FetchErrorKind::Transport).await;
}

fn write_and(bytes: impl AsRef<[u8]>, then: Step) -> Script {
    vec![Step::Write(bytes.as_ref().to_vec()), then]
}

#[tokio::test]
async fn a_connection_closed_without_a_response_is_a_failure() {
    is_broken(vec![Step::Close]).await;
    is_broken(write_and("HTTP/1.1 200 OK\r\nContent-Le", Step::Close)).await;
}

#[tokio::test]
async fn a_reset_is_a_failure() {
    is_broken(vec![Step::Reset]).await;
    is_broken(write_and("HTTP/1.1 200 OK\r\nContent-Le", Step::Reset)).await;
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_body_is_a_failure() {
    let jwks = other_issuer().jwks();
    let (half, _) = jwks.split_at(jwks.len() / 2);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", jwks.len());
    is_broken(write_and(format!("{head}{half}"), Step::Reset)).await;
    is_broken(write_and(format!("HTTP/1.1 200 OK\r\n\r\n{half}"), Step::Reset)).await;
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_a_failure() {
    let jwks = other_issuer().jwks();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", jwks.len() + 1);
    is_broken(write_and(format!("{head}{jwks}"), Step::Close)).await;
}

#[tokio::test]
async fn a_chunked_body_without_its_last_chunk_is_a_failure() {
    let jwks = other_issuer().jwks();
    let chunk = format!("{:x}\r\n{jwks}\r\n", jwks.len());
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    is_broken(write_and(format!("{head}{chunk}"), Step::Close)).await;
    is_broken(write_and(format!("{head}{chunk}0\r\n"), Step::Close)).await;
}

#[tokio::test]
async fn malformed_chunks_are_a_failure() {
    let jwks = other_issuer().jwks();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunk in [format!("zz\r\n{jwks}\r\n0\r\n\r\n"), format!("ffffffffffffffffff\r\n{jwks}"), jwks.clone()] {
        is_broken(bytes(format!("{head}{chunk}"))).await;
    }
}

#[tokio::test]
async fn an_ambiguous_content_length_is_a_failure() {
    let jwks = other_issuer().jwks();
    for lengths in ["Content-Length: 1\r\nContent-Length: 2", "Content-Length: -1", "Content-Length: 1, 2"] {
        is_broken(bytes(format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\n{jwks}"))).await;
    }
    let beyond_u64 = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}";
    is_broken(bytes(beyond_u64)).await;
}

#[tokio::test]
async fn bytes_that_are_not_http_are_a_failure() {
    let jwks = other_issuer().jwks();
    let settings_frame_of_http_2 = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let alert_of_tls = [0x15, 3, 1, 0, 2, 2, 40];
    let any: Vec<u8> = (0..=255).rev().collect();
    for garbage in [
        jwks.as_bytes(),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n{}",
        b"HTTP/1.1 2000 OK\r\n\r\n{}",
        b"HTTP/1.1 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n{}",
        b"RTSP/1.0 200 OK\r\n\r\n{}",
        b"\0\0\0\0\r\n\r\n",
        &settings_frame_of_http_2,
        &alert_of_tls,
        &any,
    ] {
        is_broken(write_and(garbage, Step::Close)).await;
    }
}

#[tokio::test]
async fn plain_http_is_a_failure_for_an_https_url() {
    let server = Server::start(keys()).await;
    let config = ClerkConfig::from_frontend_api_url(server.url().replace("http://", "https://"));
    let verifier = Verifier::new(config.expect("a configuration")).expect("a verifier");
    let error = within(verifier.warm_up()).await.expect_err("no keys");
    assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Transport));
    assert_eq!(server.connections().await, 1);
}

#[tokio::test]
async fn huge_headers_are_a_failure() {
    let jwks = other_issuer().jwks();
    let length = jwks.len();
    let one = format!("X-Long: {}", "a".repeat(1024 * 1024));
    let many: Vec<String> = (0..5000).map(|number| format!("X-{number}: 1")).collect();
    for headers in [one, many.join("\r\n")] {
        is_broken(bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{headers}\r\n\r\n{jwks}"))).await;
    }
}

#[tokio::test]
async fn an_http_1_0_response_is_accepted() {
    let jwks = issuer().jwks();
    let length = jwks.len();
    is_accepted(bytes(format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{jwks}"))).await;
    is_accepted(write_and(format!("HTTP/1.0 200 OK\r\n\r\n{jwks}"), Step::Close)).await;
    is_accepted(write_and(format!("HTTP/1.0 200\r\nServer: old\r\n\r\n{jwks}"), Step::Close)).await;
}

#[tokio::test]
async fn a_truncated_set_in_http_1_0_is_a_failure() {
    let jwks = other_issuer().jwks();
    let (half, _) = jwks.split_at(jwks.len() - 1);
    is_a_failure(write_and(format!("HTTP/1.0 200 OK\r\n\r\n{half}"), Step::Close), FetchErrorKind::InvalidDocument)
        .await;
}

#[tokio::test]
async fn a_response_sent_ahead_is_not_used_for_the_next_request() {
    let [own, other] = [issuer(), other_issuer()].map(|issuer| {
        let jwks = issuer.jwks();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{jwks}", jwks.len())
    });
    let instance = Instance::warm(PATIENT, bytes(format!("{own}{other}"))).await;
    within(instance.verifier.refresh()).await.expect("keys");
    instance.server.respond(document(&issuer().jwks()));
    within(instance.verifier.refresh()).await.expect("keys");
    instance.verify_at_once().expect("a good token");
    assert!(instance.verifier.try_verify(&instance.token_of(other_issuer())).is_err());
    assert_eq!(instance.server.connections().await, 3);
}
