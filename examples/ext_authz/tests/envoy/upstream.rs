//! The application behind Envoy: it remembers what it was sent, and serves gRPC's health service too.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::Request, response::Response};
use http::HeaderMap;
use http_body_util::BodyExt;
use tonic::service::Routes;

/// What arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) headers: HeaderMap,
    pub(crate) path: String,
    pub(crate) trailers: HeaderMap,
}

#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (_, health) = tonic_health::server::health_reporter();
        let remember = {
            let seen = Arc::clone(&seen);
            axum::middleware::from_fn(move |request: Request, next: axum::middleware::Next| {
                let seen = Arc::clone(&seen);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap();
                    let trailers = body.trailers().cloned().unwrap_or_default();
                    let path = head.uri.path().to_owned();
                    seen.lock().unwrap().push(Seen { headers: head.headers.clone(), path, trailers });
                    next.run(Request::from_parts(head, Body::from(body.to_bytes()))).await
                }
            })
        };
        let app: Router = Routes::new(health).prepare().into_axum_router();
        let app = app.fallback(async || Response::new(Body::from("reached\n"))).layer(remember);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, seen }
    }

    /// What has arrived since the last look.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// The one request that has arrived since the last look.
    pub(crate) fn take_one(&self) -> Seen {
        let mut seen = self.take();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }
}

impl Seen {
    /// The values under a name, as text.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}
