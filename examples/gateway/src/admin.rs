//! `/healthz` and `/readyz`, on a port of their own that is not for clients.

use std::{convert::Infallible, sync::Arc};

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::{dispatch::Dispatcher, problem, server, shutdown::Shutdown};

/// Answers probes until the process ends, so that `/readyz` can say that it drains.
pub(crate) async fn serve(listener: TcpListener, dispatcher: Arc<Dispatcher>, shutdown: Shutdown) {
    loop {
        let (stream, _) = server::accept(&listener).await;
        let (dispatcher, shutdown) = (Arc::clone(&dispatcher), shutdown.clone());
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let response = respond(&request, &dispatcher, &shutdown);
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

fn respond<B>(request: &Request<B>, dispatcher: &Dispatcher, shutdown: &Shutdown) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return problem::response(StatusCode::METHOD_NOT_ALLOWED, "Probes use GET.");
    }
    let detail = match request.uri().path() {
        "/readyz" if shutdown.is_draining() => Some("The gateway ends: send requests elsewhere."),
        "/readyz" if !dispatcher.site().has_keys() => Some("The keys of an authentication policy are missing."),
        "/healthz" | "/readyz" => None,
        _ => return problem::response(StatusCode::NOT_FOUND, "There are /healthz and /readyz."),
    };
    match detail {
        None => Response::new(Body::from("ok\n")),
        Some(detail) => problem::response(StatusCode::SERVICE_UNAVAILABLE, detail),
    }
}
