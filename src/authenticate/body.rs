use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// Response body of [`ClerkAuthService`](super::ClerkAuthService) and
    /// [`RequireService`](crate::authorize::RequireService).
    ///
    /// It is either the inner service's body or the bytes of a rejection. The inner body needs no `Default` and no
    /// `From<Bytes>`: a type of its own lets the middleware wrap services with any body whose data is [`Bytes`].
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Rejected { bytes: Option<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    /// The body of a response that the inner service made.
    pub(crate) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    /// The body of a response that the middleware made.
    ///
    /// Empty bytes become no frame at all: a HEAD response and a trailers-only gRPC response end with their headers.
    pub(crate) fn rejected(bytes: Bytes) -> Self {
        Self { kind: Kind::Rejected { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()) } }
    }
}

/// An empty body. Outer layers such as `tower_http::timeout::TimeoutLayer` need it to respond by themselves.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::rejected(Bytes::new())
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().kind.project() {
            KindProj::Inner { body } => body.poll_frame(context),
            KindProj::Rejected { bytes } => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Rejected { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Rejected { bytes } => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
        }
    }
}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
