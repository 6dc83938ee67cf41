use std::{convert::Infallible, net::SocketAddr};

use axum::{Router, routing::get as route};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tower::service_fn;
use tower_layer::Layer;

use super::arms;
use crate::support::sockets::{connect_http2, serve_axum, serve_http2};
use crate::support::{Answer, BAD, cold_layer, good, layer, layer_without_keys, whoami, with_body};

async fn ask(
    client: &mut SendRequest<Full<Bytes>>,
    address: SocketAddr,
    method: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answer {
    let request = with_body(method, &format!("http://{address}/"), headers, Full::new(body));
    client.ready().await.expect("the connection stays usable");
    Answer::of(client.send_request(request).await.expect("a response")).await
}

#[tokio::test]
async fn each_outcome_has_its_status() {
    let bearer = good();
    for (clerk, headers, status, text) in [
        (layer(), vec![("authorization", bearer.as_str())], 200, "user_ada"),
        (arms()[1].1.clone(), vec![("authorization", &bearer)], 200, "user_ada"),
        (layer(), vec![], 401, "missing_token"),
        (layer(), vec![("authorization", BAD)], 401, "invalid_token"),
        (layer(), vec![("authorization", &bearer), ("authorization", &bearer)], 400, "malformed_request"),
        (layer_without_keys(), vec![("authorization", &bearer)], 503, "keys_unavailable"),
    ] {
        let address = serve_http2(clerk.layer(service_fn(whoami::<Incoming>))).await;
        let mut client = connect_http2(address).await;
        let answer = ask(&mut client, address, "GET", &headers, Bytes::new()).await;
        assert_eq!(answer.status(), status, "{answer:?}");
        assert!(answer.text.contains(text), "{answer:?}");
    }
}

#[tokio::test]
async fn head_is_rejected_with_the_headers_of_get() {
    for (arm, clerk) in arms() {
        let address = serve_http2(clerk.layer(service_fn(whoami::<Incoming>))).await;
        let mut client = connect_http2(address).await;
        for headers in [vec![], vec![("authorization", BAD)], vec![("authorization", "Bearer a b")]] {
            let mut got = ask(&mut client, address, "GET", &headers, Bytes::new()).await;
            let mut head = ask(&mut client, address, "HEAD", &headers, Bytes::new()).await;
            got.parts.headers.remove("date");
            head.parts.headers.remove("date");
            assert_eq!((head.status(), head.text.as_str()), (got.status(), ""), "{arm}");
            assert_eq!(head.parts.headers, got.parts.headers, "{arm}");
            assert_eq!(head.header("content-length"), Some(got.text.len().to_string().as_str()), "{arm}");
        }
    }
}

#[tokio::test]
async fn head_is_admitted() {
    for (arm, clerk) in arms() {
        let app = Router::new().route("/", route(|| async { "body" })).layer(clerk);
        let address = serve_axum(app).await;
        let mut client = connect_http2(address).await;
        let bearer = good();
        let answer = ask(&mut client, address, "HEAD", &[("authorization", &bearer)], Bytes::new()).await;
        assert_eq!((answer.outcome(), answer.header("content-length")), ((200, ""), Some("4")), "{arm}");
    }
}

#[tokio::test]
async fn rejected_uploads_do_not_use_up_the_connection_window() {
    let inner = service_fn(|request: Request<Incoming>| async {
        let body = request.into_body().collect().await.expect("the body").to_bytes();
        Ok::<_, Infallible>(Response::new(Full::from(body.len().to_string())))
    });
    let address = serve_http2(layer().layer(inner)).await;
    let mut client = connect_http2(address).await;
    let bearer = good();
    // Half of hyper's connection window each, so the test fails if rejections do not release their part of the window.
    let upload = Bytes::from(vec![b'a'; 512 * 1024]);
    for _ in 0..8 {
        let url = format!("http://{address}/");
        client.ready().await.expect("the connection stays usable");
        let rejected = client.send_request(with_body("POST", &url, &[], Full::new(upload.clone())));
        let headers = [("authorization", bearer.as_str())];
        let admitted = client.send_request(with_body("POST", &url, &headers, Full::new(upload.clone())));
        let (rejected, admitted) = tokio::join!(rejected, admitted);
        assert_eq!(rejected.expect("a rejection").status(), 401);
        assert_eq!(Answer::of(admitted.expect("a response")).await.outcome(), (200, "524288"));
    }
}

#[tokio::test]
async fn a_waiting_stream_does_not_block_others() {
    let (clerk, gate) = cold_layer();
    let address = serve_http2(clerk.layer(service_fn(whoami::<Incoming>))).await;
    let mut client = connect_http2(address).await;
    let url = format!("http://{address}/");
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let request = with_body("GET", &url, &[("authorization", &good())], Full::<Bytes>::default());
            tokio::spawn(client.send_request(request))
        })
        .collect();
    gate.reached().await;
    for (headers, status) in
        [(vec![], 401), (vec![("authorization", BAD)], 401), (vec![("authorization", "Bearer a b")], 400)]
    {
        assert_eq!(ask(&mut client, address, "GET", &headers, Bytes::new()).await.status(), status);
    }
    assert!(waiting.iter().all(|waiter| !waiter.is_finished()));
    gate.open();
    for waiter in waiting {
        let response = waiter.await.expect("no panic").expect("a response");
        assert_eq!(Answer::of(response).await.outcome(), (200, "user_ada"));
    }
}

#[tokio::test]
async fn a_stream_reset_during_the_wait_does_not_affect_others() {
    let (clerk, gate) = cold_layer();
    let address = serve_http2(clerk.layer(service_fn(whoami::<Incoming>))).await;
    let mut client = connect_http2(address).await;
    let url = format!("http://{address}/");
    let mut send = || {
        let request = with_body("GET", &url, &[("authorization", &good())], Full::<Bytes>::default());
        tokio::spawn(client.send_request(request))
    };
    let (leaving, staying) = (send(), send());
    gate.reached().await;
    leaving.abort();
    assert!(leaving.await.is_err_and(|error| error.is_cancelled()));
    gate.open();
    let response = staying.await.expect("no panic").expect("a response");
    assert_eq!(Answer::of(response).await.outcome(), (200, "user_ada"));
}
