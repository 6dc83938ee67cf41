use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{
    Code, Request, Response, Status, Streaming,
    service::Routes,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower::util::MapFutureLayer;
use tower_clerk::{
    ClerkAuth, ClerkAuthLayer, Verifier,
    jwks::FetchError,
    testing::{TestIssuer, TokenBuilder},
};

use crate::{
    echo::{Text, echo_client::EchoClient, echo_server},
    expiry::{time_left, token_expired, until_expiry},
};

/// One issuer for all tests. Streams end by the clock of the machine, so tokens are minted by it too.
pub(crate) fn issuer() -> &'static TestIssuer {
    static ISSUER: OnceLock<TestIssuer> = OnceLock::new();
    ISSUER.get_or_init(TestIssuer::new)
}

/// A token that outlives the tests.
pub(crate) fn token() -> TokenBuilder {
    issuer().token("user_ada").lifetime(Duration::from_secs(60 * 60))
}

/// The metadata of a good token.
pub(crate) fn good() -> String {
    bearer(&token())
}

pub(crate) fn bearer(token: &TokenBuilder) -> String {
    format!("Bearer {}", token.sign())
}

/// A token that is bad whatever the keys.
pub(crate) const BAD: &str = "Bearer a.b.c";

/// A layer that holds its key.
pub(crate) fn hot() -> ClerkAuthLayer {
    ClerkAuthLayer::from_config(issuer().config()).expect("a layer")
}

/// A layer whose first token waits for its key until the gate is opened.
pub(crate) fn cold() -> (ClerkAuthLayer, Arc<Gate>) {
    let gate = Arc::new(Gate { arrivals: Semaphore::new(0), passes: Semaphore::new(0) });
    let at_gate = Arc::clone(&gate);
    let source = move || {
        let gate = Arc::clone(&at_gate);
        async move {
            gate.arrivals.add_permits(1);
            gate.passes.acquire().await.expect("an open semaphore").forget();
            Ok(Bytes::from(issuer().jwks()))
        }
    };
    // Longer than any test takes on a busy machine.
    let config = issuer().config().jwks_timeout(Duration::from_secs(60)).expect("a timeout");
    (Verifier::builder(config).key_source(source).build().expect("a verifier").into(), gate)
}

/// Where fetches wait until they are let through.
pub(crate) struct Gate {
    arrivals: Semaphore,
    passes: Semaphore,
}

impl Gate {
    pub(crate) async fn reached(&self) {
        self.arrivals.acquire().await.expect("an open semaphore").forget();
    }

    pub(crate) fn open(&self) {
        self.passes.add_permits(1);
    }
}

/// A layer whose keys cannot be fetched.
pub(crate) fn without_keys() -> ClerkAuthLayer {
    let source = || async { Err(FetchError::new("out of order")) };
    Verifier::builder(issuer().config()).key_source(source).build().expect("a verifier").into()
}

pub(crate) async fn listen() -> (TcpIncoming, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    (TcpIncoming::from(listener), address)
}

/// Serves as tonic does, HTTP/2 alone.
pub(crate) async fn serve(routes: impl Into<Routes>) -> SocketAddr {
    let (incoming, address) = listen().await;
    tokio::spawn(Server::builder().add_routes(routes.into()).serve_with_incoming(incoming));
    address
}

pub(crate) async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("a connection")
}

/// The service of the tests behind this layer, and a client of it.
pub(crate) async fn echo_behind(clerk: ClerkAuthLayer) -> (EchoClient<Channel>, Probe) {
    let (channel, handled, _) = watched_echo_behind(clerk).await;
    (EchoClient::new(channel), handled)
}

/// As [`echo_behind`], with a second probe in front of the layer.
pub(crate) async fn watched_echo_behind(clerk: ClerkAuthLayer) -> (Channel, Probe, Probe) {
    let (address, handled, arrived) = serve_echo(clerk).await;
    (connect(address).await, handled, arrived)
}

/// The service of the tests behind this layer, with probes behind it and in front of it.
pub(crate) async fn serve_echo(clerk: ClerkAuthLayer) -> (SocketAddr, Probe, Probe) {
    let (handled, arrived) = (Probe::default(), Probe::default());
    let (incoming, address) = listen().await;
    let watch = MapFutureLayer::new(watched(arrived.clone()));
    let router = Server::builder().layer(watch).layer(clerk).add_service(echo(&handled));
    tokio::spawn(router.serve_with_incoming(incoming));
    (address, handled, arrived)
}

fn watched<F>(probe: Probe) -> impl Fn(F) -> Pin<Box<dyn Future<Output = F::Output> + Send>> + Clone
where
    F: Future + Send + 'static,
{
    move |answering| {
        let doing = probe.begin();
        Box::pin(async move {
            let _doing = doing;
            answering.await
        })
    }
}

/// A call with these `authorization` entries.
pub(crate) fn call<T>(message: T, authorization: &[&str]) -> Request<T> {
    let mut request = Request::new(message);
    for value in authorization {
        request.metadata_mut().append("authorization", value.parse().expect("a value"));
    }
    request
}

pub(crate) fn text(text: &str) -> Text {
    Text { text: text.to_owned() }
}

/// What a client learns: the code and the refusal's own.
pub(crate) fn seen(status: &Status) -> (Code, Option<&str>) {
    (status.code(), status.metadata().get("clerk-error-code").map(|code| code.to_str().expect("ASCII")))
}

/// What becomes of calls, where it stands.
#[derive(Clone)]
pub(crate) struct Probe {
    begun: Arc<Semaphore>,
    calls: Arc<AtomicUsize>,
    dropped: Arc<Semaphore>,
}

impl Default for Probe {
    fn default() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), calls: Arc::default(), dropped: Arc::new(Semaphore::new(0)) }
    }
}

/// Lives as long as what is done for a call.
struct Doing(Probe);

impl Drop for Doing {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

impl Probe {
    /// How many calls came here.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Returns when so many more calls have come here.
    pub(crate) async fn begun(&self, calls: u32) {
        self.begun.acquire_many(calls).await.expect("an open semaphore").forget();
    }

    /// Returns when nothing is done any more for so many more calls.
    pub(crate) async fn dropped(&self, calls: u32) {
        self.dropped.acquire_many(calls).await.expect("an open semaphore").forget();
    }

    fn begin(&self) -> Doing {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.begun.add_permits(1);
        Doing(self.clone())
    }
}

/// Says after the user's id what it was told; at the word `…` it goes on for ever.
pub(crate) fn echo(probe: &Probe) -> echo_server::EchoServer<Echo> {
    echo_server::EchoServer::new(Echo(probe.clone()))
}

#[derive(Clone)]
pub(crate) struct Echo(Probe);

type Texts = Pin<Box<dyn Stream<Item = Result<Text, Status>> + Send>>;

#[tonic::async_trait]
impl echo_server::Echo for Echo {
    type ServerStreamingStream = Texts;
    type BidirectionalStream = Texts;

    async fn unary(&self, request: Request<Text>) -> Result<Response<Text>, Status> {
        let _doing = self.0.begin();
        let user = ClerkAuth::from_tonic(&request)?;
        if request.get_ref().text == "…" {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(text(&format!("{}: {}", user.user_id(), request.get_ref().text))))
    }

    async fn client_streaming(&self, request: Request<Streaming<Text>>) -> Result<Response<Text>, Status> {
        let _doing = self.0.begin();
        let user = ClerkAuth::from_tonic(&request)?.clone();
        let mut told = format!("{}:", user.user_id());
        let mut messages = request.into_inner();
        let reading = async {
            while let Some(message) = messages.message().await? {
                told = format!("{told} {}", message.text);
            }
            Ok(Response::new(text(&told)))
        };
        tokio::time::timeout(time_left(&user), reading).await.unwrap_or_else(|_| Err(token_expired()))
    }

    async fn server_streaming(&self, request: Request<Text>) -> Result<Response<Texts>, Status> {
        let doing = self.0.begin();
        let user = ClerkAuth::from_tonic(&request)?.user_id().to_owned();
        let words: Vec<String> = request.get_ref().text.split(' ').map(str::to_owned).collect();
        let replies = stream::iter(words).then(move |word| {
            let reply = text(&format!("{user}: {word}"));
            async move { if word == "…" { std::future::pending().await } else { Ok(reply) } }
        });
        Ok(Response::new(Box::pin(while_doing(doing, replies))))
    }

    async fn bidirectional(&self, request: Request<Streaming<Text>>) -> Result<Response<Texts>, Status> {
        let doing = self.0.begin();
        let user = ClerkAuth::from_tonic(&request)?.clone();
        let id = user.user_id().to_owned();
        let replies = request.into_inner().then(move |message| {
            let reply = message.map(|message| (message.text == "…", text(&format!("{id}: {}", message.text))));
            async move {
                match reply? {
                    (true, _) => std::future::pending().await,
                    (false, reply) => Ok(reply),
                }
            }
        });
        Ok(Response::new(Box::pin(until_expiry(&user, while_doing(doing, replies)))))
    }
}

fn while_doing<T>(doing: Doing, messages: impl Stream<Item = T>) -> impl Stream<Item = T> {
    messages.map(move |message| {
        let _doing = &doing;
        message
    })
}
