//! The memory that endless responses of a key endpoint can take. The test needs its own process to
//! measure that.
#![cfg(target_os = "linux")]

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use tower_clerk::{ClerkConfig, Verifier, jwks::FetchErrorKind, verify::VerifyError};

const MIB: usize = 1024 * 1024;
/// The size of the whole response.
const HUGE: usize = 200 * MIB;

/// The head of a response, and the bytes that are repeated after it.
type Answer = (String, Vec<u8>);

/// Accepts one connection per response, and reports how many bytes of it were written.
fn serve(listener: &TcpListener, answers: &Receiver<Answer>, written: &Sender<usize>) {
    while let Ok((head, unit)) = answers.recv() {
        let block = unit.repeat((65_536 / unit.len()).max(1));
        let (mut stream, _) = listener.accept().expect("a connection");
        read_head(&mut stream);
        let mut taken = 0;
        let mut rest = stream.write_all(head.as_bytes());
        while rest.is_ok() && taken < HUGE {
            rest = stream.write_all(&block);
            taken += block.len();
        }
        written.send(taken).expect("the test is there");
    }
}

fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a request");
        head.extend(byte);
    }
}

fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this process's status");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
    let kib: usize = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// The growth of the peak resident memory during `work`.
fn growth<T>(work: impl FnOnce() -> T) -> (T, usize) {
    // Resets the peak to the current resident memory (proc(5)). If that is not permitted, the earlier peak counts.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = status("VmHWM");
    let done = work();
    (done, status("VmHWM").saturating_sub(before))
}

fn fetch(runtime: &tokio::runtime::Runtime, address: SocketAddr, client: Option<reqwest::Client>) -> VerifyError {
    let config = ClerkConfig::from_frontend_api_url(format!("http://{address}"));
    let config = config.and_then(|config| config.jwks_timeout(std::time::Duration::from_secs(50)));
    let builder = Verifier::builder(config.expect("a configuration"));
    let builder = match client {
        Some(client) => builder.http_client(client),
        None => builder,
    };
    let verifier = builder.build().expect("a verifier");
    runtime.block_on(verifier.warm_up()).expect_err("no keys")
}

#[test]
fn an_endless_response_takes_at_most_16_mib() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = listener.local_addr().expect("its address");
    let (answers, to_serve) = channel();
    let (written, taken) = channel();
    thread::spawn(move || serve(&listener, &to_serve, &written));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let own = reqwest::Client::builder().no_proxy().build().expect("a client");

    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    let of_length = head(&format!("Content-Length: {HUGE}\r\n"));
    let encoded = head(&format!("Content-Encoding: gzip\r\nContent-Length: {HUGE}\r\n"));
    let cases: [(Answer, FetchErrorKind); 9] = [
        // The first one initializes statics.
        ((head("Content-Length: 2\r\n"), b"{}".to_vec()), FetchErrorKind::InvalidDocument),
        ((of_length, b" ".to_vec()), FetchErrorKind::TooLarge),
        ((head("Transfer-Encoding: chunked\r\n"), b"1\r\n \r\n".to_vec()), FetchErrorKind::TooLarge),
        ((head("Transfer-Encoding: chunked\r\n"), chunk(60_000)), FetchErrorKind::TooLarge),
        ((head(""), b" ".to_vec()), FetchErrorKind::TooLarge),
        ((encoded, gzip_bomb()), FetchErrorKind::UnexpectedEncoding),
        ((head("").replace("200 OK", "500 No"), b" ".to_vec()), FetchErrorKind::UnexpectedStatus),
        (("HTTP/1.1 200 OK\r\nX-Long: ".to_owned(), b"a".to_vec()), FetchErrorKind::Transport),
        (("HTTP/1.1 200 OK\r\n".to_owned(), b"X: 1\r\n".to_vec()), FetchErrorKind::Transport),
    ];
    for client in [None, Some(own)] {
        for ((head, unit), kind) in &cases {
            answers.send((head.clone(), unit.clone())).expect("the server is there");
            let (error, grown) = growth(|| fetch(&runtime, address, client.clone()));
            assert_eq!(error.fetch_error_kind(), Some(*kind), "{head}");
            // Bytes in flight when the client disconnected are in the buffers of two sockets.
            let taken = taken.recv().expect("the server is there");
            assert!(taken < 64 * MIB, "{taken} bytes after {head}");
            assert!(grown <= 16 * MIB, "{grown} bytes for {head}");
        }
    }
    // The measurement works.
    let ((), grown) = growth(|| drop(black_box(vec![1_u8; 64 * MIB])));
    assert!(grown > 32 * MIB, "{grown}");
}

fn chunk(length: usize) -> Vec<u8> {
    format!("{length:x}\r\n{}\r\n", " ".repeat(length)).into_bytes()
}

/// 1.3 MB that inflate to 200 MB of spaces: a literal and then matches of 258 bytes at distance 1, in one block of
/// fixed codes (RFC 1951, section 3.2.6) of a gzip member (RFC 1952, section 2.3).
fn gzip_bomb() -> Vec<u8> {
    let (block, space, matched, end) = ("110", "01010000", "1100010100000", "0000000");
    let bits = format!("{block}{space}{}{end}", matched.repeat(HUGE / 258));
    let from_least = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| (byte << 1) | (bit - b'0'));
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    member.extend(bits.as_bytes().chunks(8).map(from_least));
    member
}
