use std::{error::Error, io, pin::pin, time::Duration};

use axum::BoxError;
use http::{
    HeaderValue, Method, Request, Response, Uri,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    request::Parts,
    uri::Scheme,
};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::{
        self,
        connect::{HttpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, crypto::aws_lc_rs};
use tokio::net::TcpStream;
use tower::{
    timeout::{Timeout, error::Elapsed},
    util::BoxCloneSyncService,
};

use super::{
    UpstreamFailure,
    body::RequestBody,
    failure::Failed,
    progress::{self, Progress},
};

/// Sends requests to upstreams.
#[derive(Debug)]
pub(super) struct Client {
    any: HyperClient,
    /// For TLS upstreams, to which HTTP/2 is not offered.
    http1: HyperClient,
    header_timeout: Duration,
}

/// Which protocols a request may use.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Protocols {
    /// HTTP/2 if a TLS upstream offers it.
    Any,
    /// HTTP/1.1, which alone has upgrades and reports informational responses.
    Http1,
}

impl Client {
    pub(super) fn new(connect_timeout: Duration, header_timeout: Duration) -> Result<Self, String> {
        let tls = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.try_with_platform_verifier())
            .map_err(|error| format!("cannot read the certificates that this system trusts: {error}"))?
            .with_no_client_auth();
        Ok(Self::with_tls(tls, connect_timeout, header_timeout))
    }

    fn with_tls(tls: ClientConfig, connect_timeout: Duration, header_timeout: Duration) -> Self {
        Self {
            any: hyper_client(tls.clone(), Protocols::Any, connect_timeout),
            http1: hyper_client(tls, Protocols::Http1, connect_timeout),
            header_timeout,
        }
    }

    /// Returns the response as soon as its head is there.
    pub(super) async fn send(
        &self,
        mut parts: Parts,
        body: RequestBody,
        progress: Option<&Progress>,
        protocols: Protocols,
    ) -> Result<Response<Incoming>, Failed> {
        let client = match protocols {
            Protocols::Http1 if parts.uri.scheme() == Some(&Scheme::HTTPS) => &self.http1,
            Protocols::Any | Protocols::Http1 => &self.any,
        };
        // hyper-util's client writes the one of the upstream.
        parts.headers.remove(HOST);
        let is_unsized = !body.is_end_stream() && body.size_hint().exact().is_none();
        if is_unsized && !parts.headers.contains_key(CONTENT_LENGTH) {
            // hyper takes GET and HEAD for requests without a body unless they say otherwise.
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let spare = (body.is_end_stream() && is_safe(&parts.method)).then(|| parts.clone());
        let sent = self.try_send(client, Request::from_parts(parts, body), progress).await?;
        let sent = match (sent, spare) {
            (Err(error), Some(spare)) if is_closed(&error) => {
                self.try_send(client, Request::from_parts(spare, RequestBody::empty()), None).await?
            }
            (sent, _) => sent,
        };
        sent.map_err(|error| failed(&error))
    }

    async fn try_send(
        &self,
        client: &HyperClient,
        mut request: Request<RequestBody>,
        progress: Option<&Progress>,
    ) -> Result<Result<Response<Incoming>, legacy::Error>, Failed> {
        let mut connection = capture_connection(&mut request);
        let mut response = pin!(client.request(request));
        // To connect has a limit of its own.
        tokio::select! {
            biased;
            sent = &mut response => return Ok(sent),
            () = async { drop(connection.wait_for_connection_metadata().await) } => {}
        }
        Ok(progress::within(self.header_timeout, progress, response).await?)
    }
}

type HyperClient = legacy::Client<Connector, RequestBody>;

type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;

fn hyper_client(tls: ClientConfig, protocols: Protocols, connect_timeout: Duration) -> HyperClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector = match protocols {
        Protocols::Any => builder.enable_all_versions().wrap_connector(tcp),
        Protocols::Http1 => builder.enable_http1().wrap_connector(tcp),
    };
    let connector = if connect_timeout.is_zero() {
        Connector::new(connector)
    } else {
        Connector::new(Timeout::new(connector, connect_timeout))
    };
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .build(connector)
}

fn failed(error: &legacy::Error) -> Failed {
    if has_cause::<Elapsed>(error, |_| true) {
        return UpstreamFailure::ConnectTimeout.into();
    }
    let failure = if error.is_connect() { UpstreamFailure::Connect } else { UpstreamFailure::InvalidResponse };
    // The error itself says no more than that it is one of the client.
    Failed::because(failure, error.source().unwrap_or(error))
}

/// Whether the upstream has closed the connection, rather than answered badly.
fn is_closed(error: &legacy::Error) -> bool {
    !error.is_connect()
        && (has_cause::<hyper::Error>(error, |error| {
            error.is_incomplete_message() || error.is_closed() || error.is_canceled()
        }) || has_cause::<io::Error>(error, |error| CLOSED.contains(&error.kind())))
}

fn has_cause<E: Error + 'static>(error: &legacy::Error, is_it: impl Fn(&E) -> bool) -> bool {
    let mut causes = std::iter::successors(error.source(), |&error| error.source());
    causes.any(|error| error.downcast_ref().is_some_and(&is_it))
}

/// Whether a request may be sent twice (RFC 9110, 9.2.2): the upstream may have seen the first one.
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Below what common servers keep an unused connection for: five seconds by default in Node.js. hyper-util's client has
/// no other one for HTTP/2, whose servers say when they close.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Finds out that the other end of a connection with many requests is gone, within this time and hyper's 20 seconds.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How a system reports a connection that the other end has closed.
const CLOSED: [io::ErrorKind; 4] = [
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::NotConnected,
];

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::Arc};

    use axum::body::Body;
    use bytes::Bytes;
    use http::HeaderMap;
    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::{body::Frame, service::service_fn};
    use hyper_util::server::conn::auto;
    use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
    use tokio::{net::TcpListener, time::sleep};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::proxy::{Proxy, ProxySettings, ReservedHeaders, Shared, Tunnels};

    /// Starts a TLS upstream that sends requests back, and a proxy that trusts it. Each handshake takes a while.
    async fn start(settings: ProxySettings, handshake: Duration) -> (Proxy, SocketAddr) {
        let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                sleep(handshake).await;
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    builder.serve_connection(TokioIo::new(stream), service_fn(echo)).await
                });
            }
        });

        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::with_tls(tls, settings.connect_timeout, settings.header_timeout);
        let reserved = ReservedHeaders::new(&[]);
        let shared = Shared { client, reserved, settings, tunnels: Tunnels::default() };
        (Proxy { shared: Arc::new(shared) }, address)
    }

    async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, http::Error> {
        let mut response = Response::builder().header("target", request.uri().to_string());
        response = response.header("protocol", format!("{:?}", request.version()));
        for name in request.headers().keys() {
            response = response.header("name", name.as_str());
        }
        response.body(request.into_body())
    }

    fn trailers() -> HeaderMap {
        HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())])
    }

    async fn post(proxy: &Proxy, target: &str, expect: Option<&str>) -> Response<Body> {
        let frames = [Frame::data(Bytes::from_static(b"ok")), Frame::trailers(trailers())];
        let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, BoxError>)));
        let mut request = Request::post("/a").header("host", "client.example").header("te", "trailers");
        request = request.header("trailer", "x-sum").header("transfer-encoding", "chunked");
        if let Some(expect) = expect {
            request = request.header("expect", expect);
        }
        let mut request = request.body(Body::new(body)).unwrap();
        proxy.clean(&mut request);
        proxy.forward(request, target.parse().unwrap()).await
    }

    #[tokio::test]
    async fn an_http_2_upstream_gets_headers_and_trailers_of_http_2() {
        let (proxy, address) = start(ProxySettings::default(), Duration::ZERO).await;
        let target = format!("https://{address}/a//b?c=%20");
        for _ in 0..2 {
            let response = post(&proxy, &target, None).await;
            assert_eq!(response.headers()["protocol"], "HTTP/2.0");
            assert_eq!(response.headers()["target"], target);
            let names: Vec<_> = response.headers().get_all("name").iter().collect();
            assert_eq!(names, ["te", "trailer"]);
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers(), Some(&trailers()));
            assert_eq!(body.to_bytes(), "ok");
        }
    }

    #[tokio::test]
    async fn a_request_that_needs_http_1_uses_it() {
        let (proxy, address) = start(ProxySettings::default(), Duration::ZERO).await;
        let target = format!("https://{address}/a");
        assert_eq!(post(&proxy, &target, None).await.headers()["protocol"], "HTTP/2.0");
        let response = post(&proxy, &target, Some("100-continue")).await;
        assert_eq!(response.headers()["protocol"], "HTTP/1.1");
    }

    #[tokio::test]
    async fn connecting_does_not_count_as_waiting_for_an_answer() {
        let header_timeout = Duration::from_millis(500);
        let settings = ProxySettings { header_timeout, ..ProxySettings::default() };
        let (proxy, address) = start(settings, header_timeout * 3 / 2).await;
        assert_eq!(post(&proxy, &format!("https://{address}/a"), None).await.status(), 200);
    }

    #[tokio::test]
    async fn an_upstream_that_nobody_vouches_for_is_not_asked() {
        let (_, address) = start(ProxySettings::default(), Duration::ZERO).await;
        let (stranger, _) = start(ProxySettings::default(), Duration::ZERO).await;
        let response = post(&stranger, &format!("https://{address}/a"), None).await;
        assert_eq!(response.extensions().get(), Some(&UpstreamFailure::Connect));
    }
}
