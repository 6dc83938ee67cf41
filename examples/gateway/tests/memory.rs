//! Bodies pass in little memory. A binary with one test, so that nothing else disturbs its sockets.

#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::{
    support::{Program, Site},
    wire::{Wire, soon},
};

#[allow(dead_code, reason = "this binary uses a part of it")]
#[path = "program/support.rs"]
mod support;
#[path = "support/wire.rs"]
mod wire;

#[tokio::test]
async fn large_bodies_pass_in_flat_memory_and_at_the_pace_of_the_reader() {
    let site = Site::new(&[("/a", "get", "none", &[]), ("/a", "post", "none", &[])]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let program = Program::serve_from(&site, &format!("http://{}", listener.local_addr().unwrap()), &[]).await;
    let mut client = Wire::new(TcpStream::connect(program.address).await.unwrap());

    client.write("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = Wire::new(soon(listener.accept()).await.unwrap().0);
    upstream.head().await;
    upstream.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    client.until("ok").await;
    // The first request is behind it, so what is allocated once is there.
    let limit = memory(&program, "VmRSS:") + ALLOWANCE;

    client.write(format!("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY}\r\n\r\n")).await;
    upstream.head().await;
    pass(&mut client, &mut upstream).await;
    let peak = memory(&program, "VmHWM:");
    assert!(peak < limit, "the body of a request: {peak} of {limit} bytes");

    upstream.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n")).await;
    assert_eq!(client.head().await.status(), 200);
    pass(&mut upstream, &mut client).await;
    let peak = memory(&program, "VmHWM:");
    assert!(peak < limit, "the body of an answer: {peak} of {limit} bytes");
    assert!(client.is_silent() && upstream.is_silent());
}

/// Sends a body. Nothing of it is read until nothing more can be written.
async fn pass(from: &mut Wire, to: &mut Wire) {
    let part = vec![b'x'; 64 << 10];
    let sent = AtomicUsize::new(0);
    let sending = async {
        for _ in 0..BODY / part.len() {
            from.write(&part).await;
            sent.fetch_add(part.len(), Ordering::Relaxed);
        }
    };
    let reading = async {
        let mut before = 0;
        loop {
            sleep(PAUSE).await;
            let now = sent.load(Ordering::Relaxed);
            assert!(now < BODY, "the gateway holds all that nobody has read");
            if now == before {
                break;
            }
            before = now;
        }
        to.skip(BODY).await;
    };
    tokio::join!(sending, reading);
}

/// A size from what the system knows of the program, in bytes. `VmHWM` is the highest `VmRSS` so far.
fn memory(program: &Program, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// Far above the buffers of a connection, far below a body.
const ALLOWANCE: usize = 16 << 20;

/// More than the buffers of all sockets on the way hold.
const BODY: usize = 50 << 20;

/// If a busy machine stands still for longer, the reader begins too early, and the test finds less but does not fail.
const PAUSE: Duration = Duration::from_millis(200);
