use std::sync::Arc;

use tower_clerk::jwks::FetchErrorKind;

use super::instance::{Instance, PATIENT, document, is_a_failure, is_accepted, response};
use crate::support::issuer;
use crate::support::server::{Script, Step};

const MIB: usize = 1024 * 1024;
/// The maximum length of a document.
const LIMIT: usize = MIB / 2;

/// The instance's keys, padded with white space.
fn keys_of_length(length: usize) -> String {
    let jwks = issuer().jwks();
    let padding = " ".repeat(length - jwks.len());
    jwks + &padding
}

fn chunked(body: &str) -> Script {
    let (first, second) = body.split_at(body.len() / 2);
    let mut text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for chunk in [first, second] {
        text.push_str(&format!("{:x};extension=1\r\n{chunk}\r\n", chunk.len()));
    }
    vec![Step::Write((text + "0\r\nTrailer: 1\r\n\r\n").into_bytes())]
}

fn until_close(body: &str) -> Script {
    vec![Step::Write(format!("HTTP/1.1 200 OK\r\n\r\n{body}").into_bytes()), Step::Close]
}

#[tokio::test]
async fn a_document_of_512_kib_is_accepted_with_any_framing() {
    let body = keys_of_length(LIMIT);
    for script in [document(&body), chunked(&body), until_close(&body)] {
        is_accepted(script).await;
    }
}

#[tokio::test]
async fn a_document_of_512_kib_and_a_byte_is_too_large_with_any_framing() {
    let body = keys_of_length(LIMIT + 1);
    for script in [document(&body), chunked(&body), until_close(&body)] {
        is_a_failure(script, FetchErrorKind::TooLarge).await;
    }
}

fn set_of(members: usize) -> String {
    issuer().jwks().replacen('[', &format!("[{}", "{},".repeat(members - 1)), 1)
}

#[tokio::test]
async fn a_set_of_1024_members_is_accepted() {
    is_accepted(document(&set_of(1024))).await;
}

#[tokio::test]
async fn a_set_of_1025_members_is_too_large() {
    is_a_failure(document(&set_of(1025)), FetchErrorKind::TooLarge).await;
}

/// This head and a body of 200 MB.
fn huge(head: &str, unit: &[u8]) -> Script {
    let block: Arc<[u8]> = unit.repeat(65_536 / unit.len()).into();
    let times = 200 * MIB / block.len() + 1;
    vec![Step::Write(head.as_bytes().to_vec()), Step::Repeat(block, times), Step::Close]
}

async fn is_cut_off(script: Script, kind: FetchErrorKind) {
    let instance = Instance::cold(PATIENT, script.clone()).await;
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(kind));
    instance.server.until(|seen| seen.closed == 1).await;
    // Bytes in flight when the client disconnected are in the buffers of two sockets.
    let written = instance.server.seen().written;
    assert!(written < 64 * MIB, "{written}");
    is_a_failure(script, kind).await;
}

#[tokio::test]
async fn a_huge_body_of_a_known_length_is_cut_off() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 200 * MIB);
    is_cut_off(huge(&head, b" "), FetchErrorKind::TooLarge).await;
}

#[tokio::test]
async fn a_huge_body_in_chunks_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("40\r\n{}\r\n", " ".repeat(0x40));
    is_cut_off(huge(head, chunk.as_bytes()), FetchErrorKind::TooLarge).await;
}

#[tokio::test]
async fn a_huge_body_until_the_close_is_cut_off() {
    is_cut_off(huge("HTTP/1.1 200 OK\r\n\r\n", b" "), FetchErrorKind::TooLarge).await;
}

#[tokio::test]
async fn a_huge_body_of_another_status_is_not_read() {
    let head = format!("HTTP/1.1 500 Internal Server Error\r\nContent-Length: {}\r\n\r\n", 200 * MIB);
    is_cut_off(huge(&head, b" "), FetchErrorKind::UnexpectedStatus).await;
}

#[tokio::test]
async fn a_head_without_an_end_is_cut_off() {
    is_cut_off(huge("HTTP/1.1 200 OK\r\nX-Long: ", b"a"), FetchErrorKind::Transport).await;
    is_cut_off(huge("HTTP/1.1 200 OK\r\n", b"X: 1\r\n"), FetchErrorKind::Transport).await;
}

#[tokio::test]
async fn trailers_without_an_end_are_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n0\r\n";
    is_cut_off(huge(head, b"X: 1\r\n"), FetchErrorKind::Transport).await;
}

#[tokio::test]
async fn a_compressed_response_is_a_failure_and_not_inflated() {
    for encoding in ["gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "identity2", "\u{e9}"] {
        is_a_failure(
            response("200 OK", &[("Content-Encoding", encoding)], issuer().jwks()),
            FetchErrorKind::UnexpectedEncoding,
        )
        .await;
    }
    let compressed = gzip(issuer().jwks().as_bytes());
    is_a_failure(response("200 OK", &[("Content-Encoding", "gzip")], &compressed), FetchErrorKind::UnexpectedEncoding)
        .await;
    is_a_failure(response("200 OK", &[], &compressed), FetchErrorKind::InvalidDocument).await;
}

#[tokio::test]
async fn the_encoding_identity_and_an_empty_one_are_accepted() {
    for encoding in ["identity", "IDENTITY", " Identity ", "", "identity,", "identity, identity"] {
        is_accepted(response("200 OK", &[("Content-Encoding", encoding)], issuer().jwks())).await;
    }
    let twice = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")];
    is_a_failure(response("200 OK", &twice, issuer().jwks()), FetchErrorKind::UnexpectedEncoding).await;
    let body = keys_of_length(LIMIT + 1);
    let identity = [("Content-Encoding", "identity")];
    is_a_failure(response("200 OK", &identity, body), FetchErrorKind::TooLarge).await;
}

#[tokio::test]
async fn a_huge_compressed_response_is_a_failure_and_not_read() {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", 200 * MIB);
    is_cut_off(huge(&head, b"\x1f\x8b\x08\0"), FetchErrorKind::UnexpectedEncoding).await;
}

/// A gzip member with the data in one stored block (RFC 1952, section 2.3; RFC 1951, section 3.2.4).
fn gzip(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).expect("a short text");
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    member.extend(length.to_le_bytes());
    member.extend((!length).to_le_bytes());
    member.extend(data);
    member.extend((!crc).to_le_bytes());
    member.extend(u32::from(length).to_le_bytes());
    member
}
