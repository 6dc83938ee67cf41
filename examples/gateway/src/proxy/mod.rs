//! Sends requests to upstreams and their responses back.
//!
//! The connections are those of hyper-util's client; what a proxy adds to a client is here: which headers pass, when a
//! body is asked for, how long it may stand still, and what an aborted message looks like on the other side.
//! The crate `axum-reverse-proxy` (2.4.0), a layer over the same client, was not taken: it removes `Trailer`, without
//! which hyper sends no trailers over HTTP/1.1; it asks the client for its body before the upstream has said
//! `100 Continue`; its one time-out, for the head of the response, begins before the connection and takes a long upload
//! for a slow upstream, while bodies have none; and it gives a target without a query that of the request.
//!
//! Two limits come from hyper's server. Informational responses other than `100 Continue` and `101 Switching
//! Protocols`, such as `103 Early Hints`, cannot be sent and are dropped. Over HTTP/1.1, trailers pass only if
//! `Trailer` names them.
//!
//! A client that stops reading its response keeps the connection to the upstream waiting. Over HTTP/1.1 the server,
//! which has a limit for writing, ends it; over HTTP/2, where nothing is written without a window, only the end of the
//! connection does.
//!
//! A connection that has waited for the next request may be closed just then. A request that was not sent yet is then
//! sent over another one. One that has no body and changes nothing (GET, HEAD, OPTIONS) is sent once more whenever the
//! upstream closes the connection before its response (RFC 9110, 9.2.2).

mod body;
mod client;
mod expect;
mod failure;
mod forwarded;
mod headers;
mod identity;
mod progress;
mod upgrade;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderName, Request, Response, StatusCode, Uri, Version, request::Parts};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use tower_clerk::ClerkAuth;

pub use self::failure::{FailureCause, UpstreamFailure};
pub(crate) use self::headers::never_arrives;
use self::{
    body::{RequestBody, ResponseBody, Upload},
    client::{Client, Protocols},
    expect::{Gate, Refused},
    failure::Failed,
    headers::ReservedHeaders,
    progress::Progress,
    upgrade::{Tunnels, WebSocket},
};

/// How long the proxy waits, and which headers it guards. A duration of zero is no limit.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// For a connection to an upstream: its address, TCP, and the TLS handshake.
    pub connect_timeout: Duration,
    /// For the head of a response, from when there is a connection; with a body, from its end or its last progress.
    pub header_timeout: Duration,
    /// For the next part of a body, in both directions.
    pub idle_timeout: Duration,
    /// Whether the verified identity is sent upstream.
    pub forward_identity: bool,
    /// Names beside `x-clerk-*` that only the gateway may set.
    pub identity_headers: Vec<HeaderName>,
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            forward_identity: false,
            identity_headers: Vec::new(),
        }
    }
}

/// Who sent a request; in its extensions, set by the server.
#[derive(Clone, Debug)]
pub struct ClientInfo {
    /// The address of the client, or of the proxy in front.
    pub address: IpAddr,
    /// The authority that the client asked for.
    pub host: String,
    /// `http`, or `https`.
    pub scheme: &'static str,
}

/// The client side of the gateway. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    reserved: ReservedHeaders,
    settings: ProxySettings,
    tunnels: Tunnels,
}

impl Proxy {
    /// Makes a proxy without connections.
    ///
    /// # Errors
    ///
    /// Why no TLS client can be made.
    pub fn new(settings: ProxySettings) -> Result<Self, String> {
        let client = Client::new(settings.connect_timeout, settings.header_timeout)?;
        let reserved = ReservedHeaders::new(&settings.identity_headers);
        Ok(Self { shared: Arc::new(Shared { client, reserved, settings, tunnels: Tunnels::default() }) })
    }

    /// Removes everything from a request's headers that a client must not send. Called before any policy.
    pub fn clean<B>(&self, request: &mut Request<B>) {
        if upgrade::is_web_socket(request) {
            request.extensions_mut().insert(WebSocket);
        }
        headers::clean_request(request.headers_mut(), &self.shared.reserved);
    }

    /// Sends the request to the upstream. Failures are responses too: 400 and 408 for the body of the client, 502 and
    /// 504 for the upstream.
    pub async fn forward(&self, request: Request<Body>, target: Uri) -> Response<Body> {
        match self.try_forward(request, target).await {
            Ok(response) => response,
            Err(failed) => failed.into_response(),
        }
    }

    /// Ends all WebSocket connections, and those that begin later; returns when they have ended.
    pub async fn close_tunnels(&self) {
        self.shared.tunnels.close().await;
    }

    async fn try_forward(&self, request: Request<Body>, target: Uri) -> Result<Response<Body>, Failed> {
        let (mut parts, body) = request.into_parts();
        parts.uri = target;
        parts.version = Version::HTTP_11;
        let extensions = std::mem::take(&mut parts.extensions);

        if let Some(info) = extensions.get::<ClientInfo>() {
            forwarded::set(&mut parts.headers, info);
        }
        if self.shared.settings.forward_identity {
            identity::set(&mut parts.headers, extensions.get::<ClerkAuth>());
        }

        if !body.is_end_stream() {
            return self.send_body(parts, body).await;
        }
        if let Some(client) = upgrade::wanted(extensions) {
            return self.send_upgrade(parts, client).await;
        }
        let response = self.shared.client.send(parts, RequestBody::empty(), None, Protocols::Any).await?;
        self.finish(response, None)
    }

    async fn send_body(&self, parts: Parts, body: Body) -> Result<Response<Body>, Failed> {
        let Shared { client, settings, reserved, .. } = &*self.shared;
        let progress = Arc::new(Progress::new());
        let upload = Upload::new(body, Arc::clone(&progress), reserved.clone(), settings.idle_timeout);
        let mut request = Request::from_parts(parts, ());
        let gate = expect::is_wanted(request.headers()).then(Gate::new);
        if let Some(gate) = &gate {
            gate.open_by_informational(&mut request);
        }
        let (parts, ()) = request.into_parts();
        let protocols = if gate.is_some() { Protocols::Http1 } else { Protocols::Any };
        match client.send(parts, RequestBody::new(upload, gate.clone()), Some(&progress), protocols).await {
            Ok(response) => self.finish(response, gate.and_then(Gate::refuse)),
            Err(failed) => Err(progress.failure().map_or(failed, Failed::from)),
        }
    }

    async fn send_upgrade(&self, mut parts: Parts, client: OnUpgrade) -> Result<Response<Body>, Failed> {
        upgrade::set(&mut parts.headers);
        let mut response = self.shared.client.send(parts, RequestBody::empty(), None, Protocols::Http1).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.finish(response, None);
        }
        if !upgrade::is_accepted(response.headers()) {
            return Err(UpstreamFailure::InvalidResponse.into());
        }
        self.shared.tunnels.join(client, hyper::upgrade::on(&mut response));
        let mut response = response.map(|_| Body::empty());
        headers::clean_response(response.headers_mut());
        upgrade::set(response.headers_mut());
        Ok(response)
    }

    fn finish(&self, response: Response<Incoming>, refused: Option<Refused>) -> Result<Response<Body>, Failed> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for that.
            return Err(UpstreamFailure::InvalidResponse.into());
        }
        let (mut parts, body) = response.into_parts();
        parts.version = Version::HTTP_11;
        headers::clean_response(&mut parts.headers);
        let body = if body.is_end_stream() {
            Body::empty()
        } else {
            let Shared { reserved, settings, .. } = &*self.shared;
            Body::new(ResponseBody::new(body, reserved.clone(), settings.idle_timeout, refused))
        };
        Ok(Response::from_parts(parts, body))
    }
}

/// Several lost packets of a handshake; an upstream that is there answers far sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than people wait for a page, so that only what hangs is cut.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Servers that send events send a comment every 15 to 30 seconds to keep the connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
