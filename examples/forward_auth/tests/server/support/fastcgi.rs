//! An application that speaks FastCGI (version 1, role of the responder). It remembers the variables that reached it.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::http::Server;

type Variables = Vec<(String, String)>;

#[derive(Debug)]
pub(crate) struct FastCgi {
    pub(crate) server: Server,
    seen: Arc<Mutex<Vec<Variables>>>,
}

impl FastCgi {
    pub(crate) async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&seen);
        let server = Server::start(move |stream| serve(stream, Arc::clone(&memory))).await;
        Self { server, seen }
    }

    /// The requests that came since the last call.
    pub(crate) fn seen(&self) -> Vec<Variables> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Variables>>>) {
    let mut parameters = Vec::new();
    loop {
        // Version, type, id, length of the content and of the padding, and a reserved byte.
        let mut head = [0; 8];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
        let mut content = vec![0; length + usize::from(head[6])];
        stream.read_exact(&mut content).await.unwrap();
        content.truncate(length);
        match head[1] {
            PARAMS => parameters.extend(content),
            STDIN if content.is_empty() => break,
            _ => {}
        }
    }
    seen.lock().unwrap().push(variables(&parameters));
    for (kind, content) in
        [(STDOUT, &b"Content-Type: text/plain\r\n\r\nfrom the application"[..]), (STDOUT, b""), (END, &[0; 8])]
    {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        stream.write_all(&[1, kind, 0, 1, length[0], length[1], 0, 0]).await.unwrap();
        stream.write_all(content).await.unwrap();
    }
}

fn variables(mut bytes: &[u8]) -> Variables {
    let mut variables = Vec::new();
    while !bytes.is_empty() {
        let (name, value) = (length(&mut bytes), length(&mut bytes));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        variables.push((text(&bytes[..name]), text(&bytes[name..name + value])));
        bytes = &bytes[name + value..];
    }
    variables
}

/// One byte, or four with the highest bit set.
fn length(bytes: &mut &[u8]) -> usize {
    let first = bytes[0];
    let size = if first < 0x80 { 1 } else { 4 };
    let (length, rest) = bytes.split_at(size);
    *bytes = rest;
    let number = length.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    if size == 1 { number } else { number & 0x7fff_ffff }
}

const END: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
