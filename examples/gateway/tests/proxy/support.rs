use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::body::Body;
use gateway::proxy::{ClientInfo, FailureCause, Proxy, ProxySettings, UpstreamFailure};
use http::{HeaderName, HeaderValue, Request, Response, Uri, header::HOST};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower_clerk::ClerkAuth;

pub(crate) use crate::wire::{DEADLINE, Head, Wire, soon};

/// A gateway with one open route to one upstream.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    pub(crate) proxy: Proxy,
    upstream: TcpListener,
    _server: JoinSet<()>,
}

pub(crate) fn settings() -> ProxySettings {
    ProxySettings {
        connect_timeout: DEADLINE,
        header_timeout: DEADLINE,
        idle_timeout: DEADLINE,
        forward_identity: false,
        identity_headers: vec![HeaderName::from_static("remote-user")],
    }
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: ProxySettings) -> Self {
        Self::with_scheme(settings, "http").await
    }

    pub(crate) async fn with_scheme(settings: ProxySettings, scheme: &str) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("{scheme}://{}", upstream.local_addr().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Proxy::new(settings).unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, proxy.clone(), base));
        Self { address, proxy, upstream, _server: server }
    }

    pub(crate) async fn connect(&self) -> Wire {
        Wire::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// Connects, and writes the request.
    pub(crate) async fn request(&self, request: impl AsRef<[u8]>) -> Wire {
        let mut wire = self.connect().await;
        wire.write(request).await;
        wire
    }

    /// A client that has read the head of a response with these lines, and its first part, which ends with `part`; and
    /// the upstream that stopped there.
    pub(crate) async fn answered_in_part(&self, lines: &str, part: &str) -> (Wire, Wire) {
        let mut client = self.request(GET).await;
        let mut upstream = self.accept().await;
        upstream.head().await;
        upstream.write(format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n{part}")).await;
        assert_eq!(client.head().await.status(), 200);
        client.until("part").await;
        (client, upstream)
    }

    /// The next connection at the upstream.
    pub(crate) async fn accept(&self) -> Wire {
        Wire::new(soon(self.upstream.accept()).await.unwrap().0)
    }

    /// Whether nobody has connected to the upstream since the last `accept`.
    pub(crate) async fn is_left_alone(&self) -> bool {
        let accepting = std::pin::pin!(self.upstream.accept());
        futures_util::future::poll_immediate(accepting).await.is_none()
    }

    /// Nobody listens at the upstream's address any more.
    pub(crate) fn close_upstream(self) -> (SocketAddr, JoinSet<()>) {
        (self.address, self._server)
    }
}

async fn serve(listener: TcpListener, proxy: Proxy, base: String) {
    loop {
        let (stream, peer) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (proxy, base) = (proxy.clone(), base.clone());
        let service = service_fn(move |request| {
            let (proxy, base) = (proxy.clone(), base.clone());
            async move { Ok::<_, Infallible>(respond(&proxy, &base, peer.ip(), request).await) }
        });
        tokio::spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new());
            let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(proxy: &Proxy, base: &str, address: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let mut request = request.map(Body::new);
    let host = request.headers().get(HOST).map(|host| host.to_str().unwrap().to_owned()).unwrap_or_default();
    request.extensions_mut().insert(ClientInfo { address, host, scheme: "http" });
    proxy.clean(&mut request);
    if request.headers().get("authorization").is_some_and(|value| value == "Bearer ada") {
        let user = ClerkAuth::builder().user_id("user_ada").organization("org_acme", "admin").build();
        request.extensions_mut().insert(user);
    }
    let path = request.uri().path_and_query().unwrap().as_str();
    let target: Uri = format!("{base}{path}").parse().unwrap();
    let mut response = proxy.forward(request, target).await;
    if let Some(failure) = response.extensions().get::<UpstreamFailure>() {
        let failure = HeaderValue::from_str(&format!("{failure:?}")).unwrap();
        response.headers_mut().insert("failure", failure);
        if let Some(cause) = response.extensions().get::<FailureCause>() {
            let cause = HeaderValue::from_str(&cause.to_string()).unwrap();
            response.headers_mut().insert("cause", cause);
        }
    }
    response
}

/// What every request has at the upstream, beside what the client wrote.
pub(crate) const WRITTEN: [&str; 5] = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"];

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
