//! One line of JSON for each request, on stdout.

use std::{
    io::Write,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use serde::Serialize;
use tower_clerk::Rejection;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::proxy::{FailureCause, UpstreamFailure};

/// Where the lines go. A thread of its own writes them, so that a slow reader of stdout delays no request; when 128 000
/// lines are waiting, further ones are lost.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    writer: Option<NonBlocking>,
    with_query_values: bool,
}

/// What is known of a request before it is routed.
#[derive(Debug)]
pub(crate) struct RequestSummary {
    client: IpAddr,
    method: Method,
    started: Instant,
    uri: Uri,
}

/// The path of the route as the file has it; in the extensions of the response.
#[derive(Clone, Debug)]
pub(crate) struct RouteLabel(pub(crate) Arc<str>);

impl RequestSummary {
    pub(crate) fn new<B>(request: &Request<B>, client: IpAddr) -> Self {
        Self { client, method: request.method().clone(), started: Instant::now(), uri: request.uri().clone() }
    }
}

impl AccessLog {
    /// A log that writes nothing.
    pub(crate) fn off() -> Self {
        Self { writer: None, with_query_values: false }
    }

    /// Writes to stdout until the guard is dropped, which waits for the lines that are not written yet.
    pub(crate) fn to_stdout(with_query_values: bool) -> (Self, WorkerGuard) {
        let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(std::io::stdout());
        (Self { writer: Some(writer), with_query_values }, guard)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Writes the line when the response has been sent, or its client is gone.
    pub(crate) fn watch(&self, request: RequestSummary, response: Response<Body>) -> Response<Body> {
        let rejection = response.extensions().get::<Rejection>().map(|rejection| {
            // Why the token is invalid says more than that it is.
            rejection.verify_error_kind().map_or(rejection.kind().as_str(), |kind| kind.as_str())
        });
        let upstream = response.extensions().get::<UpstreamFailure>().map(|failure| failure.as_str());
        let line = Line {
            log: self.clone(),
            request,
            route: response.extensions().get::<RouteLabel>().cloned(),
            status: response.status(),
            reason: rejection.or(upstream),
            cause: response.extensions().get::<FailureCause>().cloned(),
            bytes: 0,
            is_complete: response.body().is_end_stream(),
        };
        response.map(|inner| Body::new(LoggedBody { inner, line }))
    }
}

pin_project! {
    /// A body that counts its bytes.
    struct LoggedBody {
        #[pin]
        inner: Body,
        line: Line,
    }
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                this.line.bytes += u64::try_from(length).unwrap_or(u64::MAX);
                // A server that knows the length does not ask for the end.
                this.line.is_complete = this.inner.is_end_stream();
            }
            Some(Err(_)) => this.line.is_complete = false,
            None => this.line.is_complete = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A line that is written when it is dropped: with the body, whether that has been sent or not.
struct Line {
    log: AccessLog,
    request: RequestSummary,
    route: Option<RouteLabel>,
    status: StatusCode,
    reason: Option<&'static str>,
    cause: Option<FailureCause>,
    bytes: u64,
    is_complete: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(writer) = &mut self.log.writer else { return };
        let query = self.request.uri.query();
        let record = Record {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            client: self.request.client,
            method: self.request.method.as_str(),
            path: self.request.uri.path(),
            query: query.map(|query| if self.log.with_query_values { query.to_owned() } else { names(query) }),
            route: self.route.as_ref().map(|RouteLabel(path)| &**path),
            status: self.status.as_u16(),
            reason: self.reason,
            cause: self.cause.as_ref().map(FailureCause::as_str),
            bytes: self.bytes,
            complete: self.is_complete,
            duration_ms: self.request.started.elapsed().as_secs_f64() * MILLISECONDS,
        };
        if let Ok(mut line) = serde_json::to_vec(&record) {
            line.push(b'\n');
            // There is nobody to tell that the log cannot be written.
            let _ = writer.write_all(&line);
        }
    }
}

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    client: IpAddr,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    bytes: u64,
    complete: bool,
    duration_ms: f64,
}

/// The names of a query. Values may be tokens, and so may a query without `=`.
fn names(query: &str) -> String {
    let names = query.split('&').map(|pair| pair.split_once('=').map_or("", |(name, _)| name));
    names.collect::<Vec<_>>().join("&")
}

const MILLISECONDS: f64 = 1000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_left_out() {
        for (query, expected) in [("a=1&b=secret", "a&b"), ("secret", ""), ("a=b=c&", "a&"), ("", "")] {
            assert_eq!(names(query), expected, "{query}");
        }
    }
}
