//! A server on plain TCP that answers with the bytes it is told to, or does worse.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

use super::tasks::within;

/// What the server does once it has read a request; after the last step it reads the next one.
pub(crate) type Script = Vec<Step>;

#[derive(Clone)]
pub(crate) enum Step {
    /// Ends the connection as a server does that has said all.
    Close,
    /// Writes these bytes one at a time, over and over, with this pause after each.
    Drip(Vec<u8>, Duration),
    /// Waits until the client is gone.
    Hang,
    /// Waits for the test to say [`Server::release`].
    Hold,
    /// Writes these bytes so many times.
    Repeat(Arc<[u8]>, usize),
    /// Cuts the connection off with an RST.
    Reset,
    Write(Vec<u8>),
}

/// What the server has seen so far.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Connections that have ended after a request, by either side.
    pub(crate) closed: usize,
    /// The request heads, in the order in which they came.
    pub(crate) heads: Vec<String>,
    /// The clients of the connections that were opened, requests or not.
    peers: Vec<SocketAddr>,
    /// How many bytes of answers it could hand to the network.
    pub(crate) written: usize,
}

pub(crate) struct Server {
    accepting: Option<JoinHandle<()>>,
    address: SocketAddr,
    desk: Arc<Desk>,
    /// Bound to the same port, so that no one else gets it while the server is down.
    spare: Vec<TcpSocket>,
}

type Answers = dyn Fn(&str) -> Script + Send + Sync;

struct Desk {
    answers: Mutex<Arc<Answers>>,
    gate: Semaphore,
    seen: watch::Sender<Seen>,
}

impl Server {
    /// A server that is up and answers like this.
    pub(crate) async fn start(script: Script) -> Self {
        let mut server = Self::down();
        server.answer(script);
        server.come_up();
        server
    }

    /// A port that nothing listens on, for a server yet to come.
    pub(crate) fn down() -> Self {
        let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut spare = Vec::new();
        for _ in 0..3 {
            let socket = TcpSocket::new_v4().expect("a socket");
            socket.set_reuseaddr(true).expect("an option");
            socket.bind(address).expect("a loopback port");
            address = socket.local_addr().expect("its address");
            spare.push(socket);
        }
        let seen = watch::Sender::new(Seen::default());
        let desk = Desk { answers: Mutex::new(Arc::new(|_| vec![Step::Hang])), gate: Semaphore::new(0), seen };
        Self { accepting: None, address, desk: Arc::new(desk), spare }
    }

    pub(crate) fn come_up(&mut self) {
        let listener = self.spare.pop().expect("a spare socket").listen(64).expect("a listener");
        self.accepting = Some(tokio::spawn(accept(listener, Arc::clone(&self.desk))));
    }

    /// Stops listening and drops all connections.
    pub(crate) async fn go_down(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            let _ = accepting.await;
        }
    }

    /// Listens with room for one connection, and never accepts it.
    pub(crate) fn listen_only(&mut self) -> TcpListener {
        self.spare.pop().expect("a spare socket").listen(1).expect("a listener")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn answer(&self, script: Script) {
        self.answer_with(move |_| script.clone());
    }

    /// Answers according to the head of the request.
    pub(crate) fn answer_with(&self, answers: impl Fn(&str) -> Script + Send + Sync + 'static) {
        *self.desk.answers.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(answers);
    }

    /// Lets one [`Step::Hold`] go on.
    pub(crate) fn release(&self) {
        self.desk.gate.add_permits(1);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.desk.seen.borrow().clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.desk.seen.borrow().heads.len()
    }

    /// Waits until the server has seen what is asked for.
    pub(crate) async fn until(&self, is_so: impl FnMut(&Seen) -> bool) {
        let mut seen = self.desk.seen.subscribe();
        within(seen.wait_for(is_so)).await.expect("the server is there");
    }

    /// How many connections were opened to it, one that is on its way included: a connection of our own, opened
    /// after it, has to be accepted first.
    pub(crate) async fn connections(&self) -> usize {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        let probe = within(TcpStream::connect(self.address)).await.expect("the server listens");
        let address = probe.local_addr().expect("an address");
        self.until(|seen| seen.peers.contains(&address)).await;
        self.desk.seen.send_modify(|seen| seen.peers.retain(|peer| *peer != address));
        self.seen().peers.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, peer)) = listener.accept().await {
        desk.seen.send_modify(|seen| seen.peers.push(peer));
        let desk = Arc::clone(&desk);
        connections.spawn(async move {
            let Ok(Some(head)) = read_head(&mut stream).await else { return };
            // Whatever ends a connection ends it for the client as well.
            let _ = desk.serve(stream, head).await;
            desk.seen.send_modify(|seen| seen.closed += 1);
        });
    }
}

impl Desk {
    async fn serve(&self, mut stream: TcpStream, mut head: String) -> io::Result<()> {
        loop {
            self.seen.send_modify(|seen| seen.heads.push(head.clone()));
            let answers = Arc::clone(&self.answers.lock().unwrap_or_else(PoisonError::into_inner));
            for step in answers(&head) {
                match step {
                    Step::Close => return stream.shutdown().await,
                    Step::Drip(bytes, pause) => loop {
                        for byte in &bytes {
                            self.write(&mut stream, &[*byte]).await?;
                            tokio::time::sleep(pause).await;
                        }
                    },
                    Step::Hang => while stream.read(&mut [0; 64]).await? > 0 {},
                    Step::Hold => self.gate.acquire().await.map_err(io::Error::other)?.forget(),
                    Step::Repeat(bytes, times) => {
                        for _ in 0..times {
                            self.write(&mut stream, &bytes).await?;
                        }
                    }
                    Step::Reset => return reset_on_close(&stream),
                    Step::Write(bytes) => self.write(&mut stream, &bytes).await?,
                }
            }
            match read_head(&mut stream).await? {
                Some(next) => head = next,
                None => return Ok(()),
            }
        }
    }

    async fn write(&self, stream: &mut TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = stream.write(bytes).await?;
            self.seen.send_modify(|seen| seen.written += written);
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// The next request's head, or the first byte of a TLS handshake; `None` if there is none.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head != [TLS_HANDSHAKE] {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    String::from_utf8(head).map(Some).map_err(io::Error::other)
}

/// With a linger time of zero, closing sends an RST in place of a FIN.
#[allow(deprecated, reason = "a linger time of zero does not block, and older tokio has no other way")]
fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    stream.set_linger(Some(Duration::ZERO))
}

const TLS_HANDSHAKE: u8 = 0x16;
