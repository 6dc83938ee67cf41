//! Finds requests whose length could be read in two ways.
//!
//! hyper settles such a request by itself, as RFC 9112, section 6.3, allows: it drops `Content-Length` beside
//! `Transfer-Encoding`, and a service cannot see that it was there. A gateway is stricter, because the server in front
//! of it may have settled it differently. So the bytes are read here as well, with the parser that hyper uses.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{parser::Parser, requests::Requests};

pin_project! {
    /// A connection of which every byte that is read passes by the [`Parser`].
    pub(super) struct Observed<S> {
        #[pin]
        inner: S,
        // What was read before, still to be handed on.
        beginning: Vec<u8>,
        parser: Parser,
        requests: Arc<Requests>,
    }
}

impl<S> Observed<S> {
    pub(super) fn new(inner: S, beginning: Vec<u8>, requests: Arc<Requests>) -> Self {
        Self { inner, beginning, parser: Parser::default(), requests }
    }
}

impl<S: AsyncRead> AsyncRead for Observed<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        let polled = if this.beginning.is_empty() {
            this.inner.poll_read(context, buffer)
        } else {
            let length = this.beginning.len().min(buffer.remaining());
            buffer.put_slice(&this.beginning.drain(..length).collect::<Vec<_>>());
            Poll::Ready(Ok(()))
        };
        if let Some(bytes) = buffer.filled().get(before..) {
            this.parser.read(bytes, this.requests);
        }
        polled
    }
}

impl<S: AsyncWrite> AsyncWrite for Observed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(context)
    }
}
