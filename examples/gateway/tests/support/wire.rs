//! Raw connections: every test says what is written, and reads what arrives.

#![allow(dead_code, reason = "no binary uses all of it")]

use std::{fmt::Debug, future::Future, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// One end of a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Reads the head of a message.
    pub(crate) async fn head(&mut self) -> Head {
        Head::parse(&self.until("\r\n\r\n").await)
    }

    /// Reads up to the end of this text.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        loop {
            let end = self.unread.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(end) = end {
                let read = self.unread.drain(..end + text.len()).collect();
                return String::from_utf8(read).unwrap();
            }
            let count = soon(self.stream.read_buf(&mut self.unread)).await;
            assert!(
                count.as_ref().is_ok_and(|count| *count > 0),
                "{count:?} before {text:?}, after {:?}",
                String::from_utf8_lossy(&self.unread)
            );
        }
    }

    /// Reads to the end of the connection, however it ends.
    pub(crate) async fn rest(&mut self) -> String {
        while soon(self.stream.read_buf(&mut self.unread)).await.is_ok_and(|count| count > 0) {}
        String::from_utf8(std::mem::take(&mut self.unread)).unwrap()
    }

    /// Reads and forgets that many bytes.
    pub(crate) async fn skip(&mut self, mut count: usize) {
        let mut buffer = vec![0; 64 * 1024];
        let unread = count.min(self.unread.len());
        self.unread.drain(..unread);
        count -= unread;
        while count > 0 {
            let length = count.min(buffer.len());
            let read = soon(self.stream.read(&mut buffer[..length])).await.unwrap();
            assert!(read > 0, "{count} bytes are missing");
            count -= read;
        }
    }

    /// Whether nothing has arrived that was not read.
    pub(crate) fn is_silent(&mut self) -> bool {
        let arrived = self.stream.try_read_buf(&mut self.unread);
        self.unread.is_empty() && arrived.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// The head of a message.
#[derive(Debug)]
pub(crate) struct Head {
    /// The request line, or the status line.
    pub(crate) first: String,
    /// The other lines, names in lower case.
    pub(crate) lines: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.trim_end().split("\r\n");
        let first = lines.next().unwrap().to_owned();
        let line = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self { first, lines: lines.map(line).collect() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.first.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The values of a header, in their order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.lines.iter().filter(|line| line.0 == name).map(|line| line.1.as_str()).collect()
    }

    /// The value of a header that is there once.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &str {
        let [value] = self.all(name)[..] else { panic!("{name} in {self:?}") };
        value
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// The names except these, sorted.
    pub(crate) fn names_without(&self, expected: &[&str]) -> Vec<&str> {
        let mut names: Vec<_> = self.lines.iter().map(|line| line.0.as_str()).collect();
        names.retain(|name| !expected.contains(name));
        names.sort_unstable();
        names
    }
}

/// Fails rather than hangs.
pub(crate) async fn soon<F: Future<Output: Debug>>(future: F) -> F::Output {
    timeout(DEADLINE, future).await.expect("nothing happens")
}

/// Above everything that a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
