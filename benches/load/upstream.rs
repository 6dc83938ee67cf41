//! An upstream that costs next to nothing, so that the proxies in front of it are what is measured.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Sends one response to every request without a body, and says where.
pub(crate) async fn serve() -> io::Result<()> {
    let response =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{BODY}", BODY.len());
    let response: &'static [u8] = response.leak().as_bytes();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that goes away is of no interest.
        tokio::spawn(async move { answer(stream, response).await.ok() });
    }
}

/// Until the client closes the connection. The next request comes after the response to the last one.
async fn answer(mut stream: TcpStream, response: &[u8]) -> io::Result<()> {
    let mut head = Vec::with_capacity(8 << 10);
    while stream.read_buf(&mut head).await? > 0 {
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            stream.write_all(response).await?;
        }
    }
    Ok(())
}

/// The body of all the scenarios.
pub(crate) const BODY: &str = "hello user_2mXv4Q1zB7cN9dK3fG6hJ8lP0rT\n";
