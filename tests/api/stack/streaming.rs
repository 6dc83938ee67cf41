use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{Router, body::Body as AxumBody, extract::Request, routing::post};
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};
use tower::{service_fn, util::MapRequestLayer};
use tower_layer::Layer;

use super::arms;
use crate::support::sockets::{connect_http1, connect_http2, serve_axum, serve_http2};
use crate::support::{cold_layer, good, layer, with_body};

/// A body that is written while it is sent.
struct Piped(mpsc::Receiver<Bytes>);

impl Body for Piped {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn pipe() -> (mpsc::Sender<Bytes>, Piped) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Piped(receiver))
}

/// The next data; HTTP/2 may end with an empty frame.
async fn next(body: &mut Incoming) -> Option<Bytes> {
    loop {
        let data = body.frame().await?.expect("a frame").into_data().expect("data");
        if !data.is_empty() {
            return Some(data);
        }
    }
}

async fn echo(request: Request) -> AxumBody {
    request.into_body()
}

/// Sends each piece only after the previous one was echoed.
async fn converse(response: Response<Incoming>, sender: mpsc::Sender<Bytes>) {
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    for piece in ["two", "three"] {
        sender.send(Bytes::from_static(piece.as_bytes())).await.expect("a reader");
        assert_eq!(next(&mut body).await.as_deref(), Some(piece.as_bytes()));
    }
    drop(sender);
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn both_bodies_stream_over_http1_with_and_without_a_wait() {
    for (_, clerk) in arms() {
        let address = serve_axum(Router::new().route("/", post(echo)).layer(clerk)).await;
        let mut client = connect_http1(address).await;
        let (sender, body) = pipe();
        let response = client.send_request(with_body("POST", "/", &[("authorization", &good())], body));
        converse(response.await.expect("a response"), sender).await;
    }
}

#[tokio::test]
async fn data_sent_during_the_wait_arrives_after_it() {
    let (clerk, gate) = cold_layer();
    let inner = service_fn(|request: http::Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let address = serve_http2(clerk.layer(inner)).await;
    let mut client = connect_http2(address).await;
    let (sender, body) = pipe();
    let url = format!("http://{address}/");
    let response = tokio::spawn(client.send_request(with_body("POST", &url, &[("authorization", &good())], body)));
    sender.send(Bytes::from_static(b"one")).await.expect("a reader");
    gate.reached().await;
    assert!(!response.is_finished());
    gate.open();
    let mut response = response.await.expect("no panic").expect("a response");
    assert_eq!(next(response.body_mut()).await.as_deref(), Some(&b"one"[..]));
    converse(response, sender).await;
}

#[tokio::test]
async fn a_client_that_disconnects_during_the_wait_is_harmless() {
    let (clerk, gate) = cold_layer();
    let arrived = Arc::new(Semaphore::new(0));
    let arriving = Arc::clone(&arrived);
    let note_arrival = MapRequestLayer::new(move |request: Request| {
        arriving.add_permits(1);
        request
    });
    let address = serve_axum(Router::new().route("/", post(echo)).layer(clerk).layer(note_arrival)).await;
    for _ in 0..3 {
        let mut client = connect_http1::<AxumBody>(address).await;
        let body = AxumBody::from("never read");
        let request = client.send_request(with_body("POST", "/", &[("authorization", &good())], body));
        let leaving = tokio::spawn(request);
        arrived.acquire().await.expect("an open semaphore").forget();
        leaving.abort();
        assert!(leaving.await.is_err_and(|error| error.is_cancelled()));
    }
    gate.open();
    let mut client = connect_http1::<AxumBody>(address).await;
    let body = AxumBody::from("read");
    let response = client.send_request(with_body("POST", "/", &[("authorization", &good())], body));
    let mut response = response.await.expect("a response");
    assert_eq!(next(response.body_mut()).await.as_deref(), Some(&b"read"[..]));
    assert_eq!(gate.arrivals(), 1);
}

#[tokio::test]
async fn a_rejection_does_not_wait_for_the_rest_of_the_request() {
    let address = serve_axum(Router::new().route("/", post(echo)).layer(layer())).await;
    let mut client = connect_http1(address).await;
    let (sender, body) = pipe();
    let response = client.send_request(with_body("POST", "/", &[], body)).await.expect("a response");
    assert_eq!(response.status(), 401);
    drop(sender);
}
