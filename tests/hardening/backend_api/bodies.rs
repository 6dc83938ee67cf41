use std::sync::Arc;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::api::{Api, TOKEN, good_body, is_a_failure};
use crate::{
    faults::instance::response,
    support::server::{Script, Step},
};

const MIB: usize = 1024 * 1024;

async fn is_accepted(script: Script) {
    let api = Api::start(script).await;
    api.verify(TOKEN).await.expect("a good key");
    assert_eq!(api.server.requests(), 1);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_a_failure() {
    let good = good_body();
    let half = good[..good.len() / 2].to_owned();
    for body in [String::new(), "<html>".into(), half, format!("{good}{good}")] {
        is_a_failure(response("200 OK", &[], body), FetchErrorKind::InvalidDocument).await;
    }
    let any: Vec<u8> = (0..=255).cycle().take(5000).collect();
    is_a_failure(response("200 OK", &[], any), FetchErrorKind::InvalidDocument).await;
}

#[tokio::test]
async fn json_that_is_not_sound_rejects_the_token() {
    for body in [
        "{}".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        r#"{"active":false}"#.to_owned(),
        good_body().replace("api_key", "API_KEY"),
    ] {
        let api = Api::start(response("200 OK", &[], body)).await;
        assert_eq!(api.verify(TOKEN).await.expect_err("not sound").kind(), VerifyErrorKind::Inactive);
    }
}

#[tokio::test]
async fn the_content_type_is_ignored() {
    for media_type in ["text/html", "application/json; charset=utf-8", "nonsense", ""] {
        is_accepted(response("200 OK", &[("Content-Type", media_type)], good_body())).await;
    }
    is_accepted(response("200 OK", &[], good_body())).await;
}

#[tokio::test]
async fn a_body_is_read_up_to_64_kib() {
    let padded = |length: usize| format!("{}{}", good_body(), " ".repeat(length - good_body().len()));
    is_accepted(response("200 OK", &[], padded(65_536))).await;
    is_a_failure(response("200 OK", &[], padded(65_537)), FetchErrorKind::TooLarge).await;
}

#[tokio::test]
async fn an_encoded_body_is_a_failure() {
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, identity"] {
        let script = response("200 OK", &[("Content-Encoding", encoding)], good_body());
        is_a_failure(script, FetchErrorKind::UnexpectedEncoding).await;
    }
    for encoding in ["identity", "Identity", ""] {
        is_accepted(response("200 OK", &[("Content-Encoding", encoding)], good_body())).await;
    }
}

#[tokio::test]
async fn a_body_in_chunks_is_read() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = good_body();
    let (first, second) = body.split_at(7);
    let chunks = format!("{head}7\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
    is_accepted(vec![Step::Write(chunks.into_bytes())]).await;
    let single = good_body().into_bytes().into_iter().map(|byte| Step::Write(vec![byte]));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", good_body().len());
    is_accepted([Step::Write(head.into_bytes())].into_iter().chain(single).collect()).await;
}

#[tokio::test]
async fn half_a_body_is_a_failure() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", good_body().len() + 1);
    for end in [Step::Close, Step::Reset] {
        let script = vec![Step::Write(head.clone().into_bytes()), Step::Write(good_body().into_bytes()), end];
        is_a_failure(script, FetchErrorKind::Transport).await;
    }
}

#[tokio::test]
async fn garbage_is_a_failure() {
    for bytes in ["HTTP/9.9 200 OK\r\n\r\n", "SSH-2.0-OpenSSH_9.6\r\n", "\0\0\0\0\0\0\0\0", "{}"] {
        is_a_failure(vec![Step::Write(bytes.into()), Step::Close], FetchErrorKind::Transport).await;
    }
}

/// This head and a body of 200 MB.
fn huge(head: &str, unit: &[u8]) -> Script {
    let block: Arc<[u8]> = unit.repeat(65_536 / unit.len()).into();
    let times = 200 * MIB / block.len() + 1;
    vec![Step::Write(head.as_bytes().to_vec()), Step::Repeat(block, times), Step::Close]
}

async fn is_cut_off(script: Script, kind: FetchErrorKind) {
    let api = Api::start(script).await;
    api.fails(kind).await;
    was_cut_off(&api).await;
}

async fn was_cut_off(api: &Api) {
    api.server.until(|seen| seen.closed == 1).await;
    // Bytes in flight when the client disconnected are in the buffers of two sockets.
    let written = api.server.seen().written;
    assert!(written < 64 * MIB, "{written}");
}

#[tokio::test]
async fn a_huge_body_is_cut_off() {
    let chunk = format!("40\r\n{}\r\n", " ".repeat(0x40));
    let of_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 200 * MIB);
    is_cut_off(huge(&of_length, b" "), FetchErrorKind::TooLarge).await;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    is_cut_off(huge(chunked, chunk.as_bytes()), FetchErrorKind::TooLarge).await;
    is_cut_off(huge("HTTP/1.1 200 OK\r\n\r\n", b" "), FetchErrorKind::TooLarge).await;
}

#[tokio::test]
async fn a_huge_body_of_a_failure_is_not_read() {
    let head = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", 200 * MIB);
    is_cut_off(huge(&head("500 Any"), b" "), FetchErrorKind::UnexpectedStatus).await;
    is_cut_off(huge(&head("401 Any"), b" "), FetchErrorKind::Unauthorized).await;
}

#[tokio::test]
async fn the_body_of_a_status_about_the_token_is_not_read() {
    let half = "HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\n{";
    let encoded = "HTTP/1.1 404 Not Found\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n{";
    let whole = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n", 200 * MIB);
    for script in [
        vec![Step::Write(half.into()), Step::Reset],
        vec![Step::Write(half.into()), Step::Close],
        vec![Step::Write(encoded.into()), Step::Close],
        huge(&whole, b" "),
    ] {
        let api = Api::start(script).await;
        assert_eq!(api.verify(TOKEN).await.expect_err("unknown").kind(), VerifyErrorKind::Inactive);
        was_cut_off(&api).await;
    }
}

#[tokio::test]
async fn a_head_without_an_end_is_cut_off() {
    is_cut_off(huge("HTTP/1.1 200 OK\r\nX-Long: ", b"a"), FetchErrorKind::Transport).await;
}
