//! Clients of HTTP/1.1 and HTTP/2 that send what a test says.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Http {
    One,
    Two,
}

pub(crate) const BOTH: [Http; 2] = [Http::One, Http::Two];

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Sends a GET with these headers, in their order and as often as they are there.
pub(crate) async fn get(address: SocketAddr, http: Http, path: &str, headers: &[(&str, &str)]) -> Reply {
    send(address, http, request("GET", path, headers, Full::default().boxed())).await
}

/// Sends a POST with trailers.
pub(crate) async fn post_with_trailers(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    trailers: &[(&str, &str)],
) -> Reply {
    let trailers = head(trailers);
    let body = Full::from("body").with_trailers(async move { Some(Ok(trailers)) }).boxed();
    send(address, Http::Two, request("POST", path, headers, body)).await
}

/// Sends a POST as gRPC clients do.
pub(crate) async fn call(address: SocketAddr, http: Http, path: &str, headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("content-type", "application/grpc"), ("te", "trailers")], headers].concat();
    send(address, http, request("POST", path, &headers, Full::from(&[0_u8; 5][..]).boxed())).await
}

fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: BoxBody<Bytes, Infallible>,
) -> Request<BoxBody<Bytes, Infallible>> {
    let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
    *request.headers_mut() = head(headers);
    request
}

fn head(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

async fn send(address: SocketAddr, http: Http, mut request: Request<BoxBody<Bytes, Infallible>>) -> Reply {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let response = match http {
        Http::One => {
            request.headers_mut().insert(HOST, HeaderValue::from_static("example.com"));
            let mut builder = hyper::client::conn::http1::Builder::new();
            let (mut sender, connection) = builder.title_case_headers(true).handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
        Http::Two => {
            let uri = format!("http://example.com{}", request.uri());
            *request.uri_mut() = uri.parse().unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
    };
    let (head, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Reply { status: head.status, headers: head.headers, body }
}

/// The header of a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
