//! A server on plain TCP that sends the bytes of a script, or misbehaves as the script says.

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

/// What the server does after it has read a request. After the last step it reads the next request.
pub(crate) type Script = Vec<Step>;

#[derive(Clone)]
pub(crate) enum Step {
    /// Closes the connection in the regular way.
    Close,
    /// Writes these bytes one at a time, again and again, with this pause after each.
    Drip(Vec<u8>, Duration),
    /// Waits until the client disconnects.
    Hang,
    /// Waits until the test calls [`Server::release`].
    Hold,
    /// Writes these bytes this many times.
    Repeat(Arc<[u8]>, usize),
    /// Resets the connection with an RST.
    Reset,
    Write(Vec<u8>),
}

/// What the server has seen so far.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// The number of connections that either side has closed after a request.
    pub(crate) closed: usize,
    /// The request bodies, in order of arrival.
    pub(crate) bodies: Vec<String>,
    /// The request heads, in order of arrival.
    pub(crate) heads: Vec<String>,
    /// The client addresses of all connections, with or without a request.
    peers: Vec<SocketAddr>,
    /// How many bytes of responses it could write.
    pub(crate) written: usize,
}

pub(crate) struct Server {
    accepting: Option<JoinHandle<()>>,
    address: SocketAddr,
    state: Arc<State>,
    /// Sockets bound to the same port, so that no other process takes it while the server is down.
    spare: Vec<TcpSocket>,
}

/// By the head of the request, and how many its connection has had before it.
type Scripts = dyn Fn(&str, usize) -> Script + Send + Sync;

struct State {
    scripts: Mutex<Arc<Scripts>>,
    gate: Semaphore,
    seen: watch::Sender<Seen>,
}

impl Server {
    /// A running server with this script.
    pub(crate) async fn start(script: Script) -> Self {
        let mut server = Self::down();
        server.respond(script);
        server.come_up();
        server
    }

    /// A port that nothing listens on yet.
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
        let state = State { scripts: Mutex::new(Arc::new(|_, _| vec![Step::Hang])), gate: Semaphore::new(0), seen };
        Self { accepting: None, address, state: Arc::new(state), spare }
    }

    pub(crate) fn come_up(&mut self) {
        let listener = self.spare.pop().expect("a spare socket").listen(64).expect("a listener");
        self.accepting = Some(tokio::spawn(accept(listener, Arc::clone(&self.state))));
    }

    /// Stops listening and drops all connections.
    pub(crate) async fn go_down(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            let _ = accepting.await;
        }
    }

    /// Listens with a queue for one connection, and never accepts it.
    pub(crate) fn listen_only(&mut self) -> TcpListener {
        self.spare.pop().expect("a spare socket").listen(1).expect("a listener")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn respond(&self, script: Script) {
        self.respond_with(move |_| script.clone());
    }

    /// Chooses the script by the head of the request.
    pub(crate) fn respond_with(&self, script: impl Fn(&str) -> Script + Send + Sync + 'static) {
        self.respond_by_turn(move |head, _| script(head));
    }

    /// Chooses the script by the head of the request, and by how many requests its connection has had before it.
    pub(crate) fn respond_by_turn(&self, script: impl Fn(&str, usize) -> Script + Send + Sync + 'static) {
        *self.state.scripts.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// Lets one [`Step::Hold`] continue.
    pub(crate) fn release(&self) {
        self.state.gate.add_permits(1);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.state.seen.borrow().clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.seen.borrow().heads.len()
    }

    /// Waits until what the server has seen meets this condition.
    pub(crate) async fn until(&self, is_so: impl FnMut(&Seen) -> bool) {
        let mut seen = self.state.seen.subscribe();
        within(seen.wait_for(is_so)).await.expect("the server is there");
    }

    /// How many connections were opened to it. Connections are accepted in order, so when a last one of our own is
    /// accepted, all earlier ones have been counted.
    pub(crate) async fn connections(&self) -> usize {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        let probe = within(TcpStream::connect(self.address)).await.expect("the server listens");
        let address = probe.local_addr().expect("an address");
        self.until(|seen| seen.peers.contains(&address)).await;
        self.state.seen.send_modify(|seen| seen.peers.retain(|peer| *peer != address));
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

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, peer)) = listener.accept().await {
        state.seen.send_modify(|seen| seen.peers.push(peer));
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let Ok(Some(request)) = read_request(&mut stream).await else { return };
            // If an error ends the connection, the client notices it too.
            let _ = state.serve(stream, request).await;
            state.seen.send_modify(|seen| seen.closed += 1);
        });
    }
}

impl State {
    async fn serve(&self, mut stream: TcpStream, (mut head, mut body): (String, String)) -> io::Result<()> {
        for turn in 0.. {
            self.seen.send_modify(|seen| {
                seen.bodies.push(body);
                seen.heads.push(head.clone());
            });
            let scripts = Arc::clone(&self.scripts.lock().unwrap_or_else(PoisonError::into_inner));
            for step in scripts(&head, turn) {
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
            match read_request(&mut stream).await? {
                Some(next) => (head, body) = next,
                None => break,
            }
        }
        Ok(())
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

/// The head and the body of the next request; `None` if the connection ends.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<(String, String)>> {
    let Some(head) = read_head(stream).await? else { return Ok(None) };
    let length = head.to_ascii_lowercase().split("\r\n").find_map(|line| {
        let length = line.strip_prefix("content-length:")?;
        length.trim().parse().ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    String::from_utf8(body).map(|body| Some((head, body))).map_err(io::Error::other)
}

/// The head of the next request, or the first byte of a TLS handshake; `None` if the connection ends.
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
