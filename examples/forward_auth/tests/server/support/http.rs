//! HTTP/1.1 byte by byte: clients and servers that send what a library would correct or refuse.

use std::net::SocketAddr;

use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

/// A message: its first line, its headers as they were sent, and its body.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// The values of a header, under exactly this name in any case.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request and reads the whole answer. `target` is sent as it is.
pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Message {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // A body in chunks has to be given as such.
    let is_chunked = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
    if !body.is_empty() && !is_chunked {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let (mut reader, mut writer) = stream.split();
    let write = async {
        // A server that refuses does not read the body.
        let _ = writer.write_all(head.as_bytes()).await;
        let _ = writer.write_all(body).await;
    };
    let ((), answer) = tokio::join!(write, read(&mut reader, method == "HEAD"));
    answer.expect("an answer")
}

/// A server that stops with this value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Calls `serve` for each connection.
    pub(crate) async fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { address, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves one request, with what `answer` makes of it: headers, and the body.
///
/// A WebSocket handshake is accepted, and its messages are sent back.
pub(crate) async fn serve_one(mut stream: TcpStream, answer: impl FnOnce(&Message) -> (Vec<String>, String)) {
    // A proxy may open connections and close them again.
    let Some(message) = read(&mut stream, false).await else { return };
    let (headers, body) = answer(&message);
    if let [key] = message.all("sec-websocket-key")[..] {
        let accept = derive_accept_key(key.as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let (sink, source) = WebSocketStream::from_raw_socket(stream, Role::Server, None).await.split();
        let _ = source.forward(sink).await;
        return;
    }
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let body = if message.start.starts_with("HEAD ") { String::new() } else { body };
    let text = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _ = stream.write_all(text.as_bytes()).await;
}

/// Reads a message. `None`: the connection ended before.
async fn read(stream: &mut (impl AsyncReadExt + Unpin), is_without_body: bool) -> Option<Message> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        more(stream, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes.split_off(end + 4);
    let mut lines = head.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut message = Message { start, headers, body: Vec::new() };
    let is_without_body = is_without_body || message.start.starts_with("HTTP/1.1 1");
    if is_without_body {
        return Some(message);
    }
    if let [length] = message.all("content-length")[..] {
        let length = length.parse().unwrap();
        while body.len() < length {
            more(stream, &mut body).await?;
        }
    } else if message.all("transfer-encoding") == ["chunked"] {
        while !body.ends_with(b"0\r\n\r\n") {
            more(stream, &mut body).await?;
        }
        body = dechunk(&body);
    } else if message.start.starts_with("HTTP/") {
        while more(stream, &mut body).await.is_some() {}
    }
    message.body = body;
    Some(message)
}

async fn more(stream: &mut (impl AsyncReadExt + Unpin), bytes: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        let (start, stop) = (end + 2, end + 2 + length);
        body.extend_from_slice(&bytes[start..stop]);
        bytes = &bytes[stop + 2..];
    }
    body
}
