use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::Semaphore;
use tonic::{
    Request, Response, Status, Streaming,
    service::Routes,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower::util::MapFutureLayer;
use tower_clerk::{ClerkAuth, ClerkAuthLayer, Verifier, testing::TokenBuilder, verify::Instance};

use crate::{
    echo::{Text, echo_client::EchoClient, echo_server},
    expiry::{time_left, token_expired, until_expiry},
    support::{Gate, bearer, failing_source, patient, sockets, within},
};

/// Streams end by the system clock, so tokens are minted by it.
pub(crate) use crate::support::system_clock_issuer as issuer;

/// A token that is valid for longer than any test takes.
pub(crate) fn token() -> TokenBuilder {
    issuer().token("user_ada").lifetime(Duration::from_secs(60 * 60))
}

/// The `authorization` entry with a valid token.
pub(crate) fn good() -> String {
    bearer(&token())
}

/// A layer that has its key.
pub(crate) fn layer() -> ClerkAuthLayer {
    ClerkAuthLayer::from_config(issuer().config()).expect("a layer")
}

/// A layer whose first token waits for its key until the gate is opened.
pub(crate) fn cold_layer() -> (ClerkAuthLayer, Gate) {
    let gate = Gate::new([issuer().jwks()]);
    let verifier = Verifier::builder(Instance::new(patient(issuer().config())).key_source(gate.source())).build();
    (verifier.expect("a verifier").into(), gate)
}

/// A layer whose keys cannot be fetched.
pub(crate) fn layer_without_keys() -> ClerkAuthLayer {
    Verifier::builder(Instance::new(issuer().config()).key_source(failing_source())).build().expect("a verifier").into()
}

pub(crate) async fn listen() -> (TcpIncoming, SocketAddr) {
    let (listener, address) = sockets::listen().await;
    (TcpIncoming::from(listener), address)
}

/// Serves HTTP/2 alone, as tonic does.
pub(crate) async fn serve(routes: impl Into<Routes>) -> SocketAddr {
    let (incoming, address) = listen().await;
    tokio::spawn(Server::builder().add_routes(routes.into()).serve_with_incoming(incoming));
    address
}

pub(crate) async fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("a connection")
}

/// A client of the echo service behind this layer.
pub(crate) async fn echo_behind(clerk: ClerkAuthLayer) -> (EchoClient<Channel>, Probe) {
    let (channel, handled, _) = watched_echo_behind(clerk).await;
    (EchoClient::new(channel), handled)
}

/// A channel to the echo service behind this layer, with a probe behind the layer and one in front of it.
pub(crate) async fn watched_echo_behind(clerk: ClerkAuthLayer) -> (Channel, Probe, Probe) {
    let (address, handled, arrived) = serve_echo(clerk).await;
    (connect(address).await, handled, arrived)
}

/// Serves the echo service behind this layer, with a probe behind the layer and one in front of it.
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

pub(crate) fn text(text: &str) -> Text {
    Text { text: text.to_owned() }
}

/// Counts calls at one place of the stack: how many began, and how many were dropped.
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

/// Lives as long as the work for one call.
struct Doing(Probe);

impl Drop for Doing {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

impl Probe {
    /// The number of calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Waits until this many more calls have begun.
    pub(crate) async fn begun(&self, calls: u32) {
        within(self.begun.acquire_many(calls)).await.expect("an open semaphore").forget();
    }

    /// Waits until the work of this many more calls has been dropped.
    pub(crate) async fn dropped(&self, calls: u32) {
        within(self.dropped.acquire_many(calls)).await.expect("an open semaphore").forget();
    }

    fn begin(&self) -> Doing {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.begun.add_permits(1);
        Doing(self.clone())
    }
}

/// Replies with the user's id and the text of the message. At the text `…` it waits for ever.
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
