//! `/healthz`, `/readyz` and `/metrics`, on a port of their own that is not for clients.

use std::{convert::Infallible, sync::Arc};

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::{
    dispatch::Dispatcher,
    gauges,
    metrics::{self, Metrics},
    problem, server,
    shutdown::Shutdown,
};

/// What operators ask about.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) dispatcher: Arc<Dispatcher>,
    /// Without them there is no `/metrics`: the code around has a recorder of its own.
    pub(crate) metrics: Option<Metrics>,
    pub(crate) shutdown: Shutdown,
}

impl Admin {
    /// Answers until the process ends, so that `/readyz` can say that it drains.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            let (stream, _) = server::accept(&listener).await;
            let admin = self.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let response = admin.respond(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move {
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service);
                // A probe that goes away is of no interest.
                let _ = connection.await;
            });
        }
    }

    fn respond<B>(&self, request: &Request<B>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return problem::response(StatusCode::METHOD_NOT_ALLOWED, "Use GET.");
        }
        let detail = match (request.uri().path(), &self.metrics) {
            ("/readyz", _) if self.shutdown.is_draining() => Some("The gateway ends: send requests elsewhere."),
            ("/readyz", _) if !self.dispatcher.site().has_keys() => {
                Some("The keys of an authentication policy are missing.")
            }
            ("/healthz" | "/readyz", _) => None,
            ("/metrics", Some(metrics)) => return self.exposition(metrics),
            (_, None) => return problem::response(StatusCode::NOT_FOUND, "There are /healthz and /readyz."),
            _ => return problem::response(StatusCode::NOT_FOUND, "There are /healthz, /readyz and /metrics."),
        };
        match detail {
            None => Response::new(Body::from("ok\n")),
            Some(detail) => problem::response(StatusCode::SERVICE_UNAVAILABLE, detail),
        }
    }

    fn exposition(&self, metrics: &Metrics) -> Response<Body> {
        // The gauges have a recorder of their own, so that none is among the others.
        let text = metrics.render([]) + &gauges::render(self.dispatcher.site().authentications());
        let mut response = Response::new(Body::from(text));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
        response
    }
}
