//! An issuer on loopback that follows a plan: it rotates its key, and fails in every way that an endpoint can.

use std::{
    collections::BTreeSet,
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::sleep,
};

use crate::{keys::Key, ledger::Ledger, report::Report};

pub(crate) struct Issuer {
    pub(crate) name: String,
    pub(crate) url: String,
    /// Signs what no issuer has published: forgeries, and the set that the redirect leads to.
    pub(crate) attacker: Arc<Key>,
    ledger: Mutex<Ledger>,
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    report: Arc<Report>,
    keys_made: AtomicU32,
    table: Arc<Table>,
}

/// The table of tenants: a file with one issuer in a line, which the resolver of the server reads.
pub(crate) struct Table {
    path: PathBuf,
    rows: Mutex<BTreeSet<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    ClosedPort,
    CloseMidBody,
    EmptySet,
    Garbage,
    Hang,
    Huge,
    Keys,
    Redirect,
    Status(u16),
    TooManyRequests(u64),
}

/// How an issuer behaves.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Plan {
    /// Every fault, each for seconds.
    Full,
    /// Every fault but hanging, and one long outage at first: longer than the stale limit of the server.
    ///
    /// A server whose clock is faster than the real one calls a fetch overdue before its timeout, so a hanging issuer
    /// would cause fetches that no real one does.
    FastWithLongOutage(Duration),
    /// As [`FastWithLongOutage`](Self::FastWithLongOutage), without the long outage.
    Fast,
    /// Rotations, and a tenant that leaves the table and enters it again.
    Tenant,
}

impl Issuer {
    pub(crate) async fn start(name: &str, attacker: Arc<Key>, table: Arc<Table>, report: Arc<Report>) -> Arc<Self> {
        let listener = listen_anywhere().await;
        let address = listener.local_addr().expect("an address");
        let issuer = Arc::new(Self {
            name: name.to_owned(),
            url: format!("http://{address}"),
            attacker,
            ledger: Mutex::new(Ledger::new(generate(format!("{name}_1")).await)),
            address,
            mode: watch::Sender::new(Mode::Keys),
            report,
            keys_made: AtomicU32::new(1),
            table,
        });
        tokio::spawn(Arc::clone(&issuer).serve(listener));
        issuer
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic under this lock")
    }

    /// Lives by the plan until it is dropped.
    pub(crate) async fn live(self: Arc<Self>, plan: Plan, mut random: fastrand::Rng) {
        // The first events are not left to chance, so that a short soak has seen each of them.
        let mut next = 0;
        loop {
            sleep(seconds(&mut random, 5.0..12.0)).await;
            let event = match next {
                0 => Event::Rotate,
                1 => Event::Outage,
                2 => Event::ReuseKid,
                _ => match random.u32(0..100) {
                    0..40 => Event::Rotate,
                    40..60 => Event::ReuseKid,
                    _ => Event::Outage,
                },
            };
            match (event, plan) {
                (Event::Rotate, _) => self.rotate(&mut random).await,
                (Event::ReuseKid, _) => self.reuse_kid().await,
                (Event::Outage, Plan::Tenant) => self.leave(&mut random).await,
                (Event::Outage, Plan::FastWithLongOutage(length)) if next == 1 => {
                    self.outage(plan, length, &mut random).await;
                }
                (Event::Outage, _) => {
                    let length = seconds(&mut random, 1.0..SHORT_OUTAGE.as_secs_f64());
                    self.outage(plan, length, &mut random).await;
                }
            }
            next += 1;
        }
    }

    async fn rotate(&self, random: &mut fastrand::Rng) {
        let number = self.keys_made.fetch_add(1, Ordering::Relaxed) + 1;
        let key = generate(format!("{}_{number}", self.name)).await;
        self.ledger().publish(key, false);
        self.say("publishes a new key");
        if random.bool() {
            sleep(seconds(random, 1.0..8.0)).await;
        }
        self.ledger().withdraw_all_but_newest();
        self.say("withdraws the old key");
    }

    async fn reuse_kid(&self) {
        let kid = {
            let ledger = self.ledger();
            ledger.keys[ledger.newest()].key.kid.clone()
        };
        let key = generate(kid).await;
        let mut ledger = self.ledger();
        ledger.publish(key, true);
        ledger.withdraw_all_but_newest();
        drop(ledger);
        self.say("replaces its key under the same kid");
    }

    async fn outage(&self, plan: Plan, length: Duration, random: &mut fastrand::Rng) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            let mode = match random.u32(0..if plan == Plan::Full { 10 } else { 9 }) {
                0 => Mode::ClosedPort,
                1 => Mode::CloseMidBody,
                2 => Mode::EmptySet,
                3 => Mode::Garbage,
                4 => Mode::Huge,
                5 => Mode::Redirect,
                6 => Mode::Status(500),
                7 => Mode::Status(503),
                8 => Mode::TooManyRequests(random.u64(1..90)),
                _ => Mode::Hang,
            };
            self.set(mode);
            // Not in the long outage: its point is what becomes of tokens of the last known keys.
            if length <= SHORT_OUTAGE && random.u32(0..6) == 0 {
                self.rotate(random).await;
            }
            let left = end.saturating_duration_since(Instant::now());
            sleep(seconds(random, 1.0..6.0).min(left)).await;
        }
        self.set(Mode::Keys);
    }

    async fn leave(&self, random: &mut fastrand::Rng) {
        self.table.change(|rows| rows.remove(&self.url));
        self.ledger().tenancy = (Instant::now(), false);
        self.say("leaves the table of tenants");
        sleep(seconds(random, 1.0..60.0)).await;
        self.table.change(|rows| rows.insert(self.url.clone()));
        let mut ledger = self.ledger();
        ledger.tenancy = (Instant::now(), true);
        ledger.entries += 1;
        drop(ledger);
        self.say("enters the table of tenants");
    }

    fn set(&self, mode: Mode) {
        let mut ledger = self.ledger();
        match mode {
            Mode::Keys => ledger.recover(),
            Mode::TooManyRequests(asked) => ledger.fail(Duration::from_secs(asked)),
            _ => ledger.fail(Duration::ZERO),
        }
        // Under the lock, so that no fetch is noted as answered in one way and is answered in another.
        self.mode.send_replace(mode);
        drop(ledger);
        self.say(&format!("serves {mode}"));
    }

    fn say(&self, what: &str) {
        self.report.event(&self.name, what);
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut mode = self.mode.subscribe();
        let mut listener = Some(listener);
        loop {
            let is_closed = *mode.borrow_and_update() == Mode::ClosedPort;
            if is_closed {
                listener = None;
                let _ = mode.changed().await;
                continue;
            }
            let open = match listener.take() {
                Some(open) => open,
                None => listen(self.address).expect("the port of the issuer, which was open before"),
            };
            tokio::select! {
                accepted = open.accept() => {
                    if let Ok((stream, _)) = accepted {
                        tokio::spawn(Arc::clone(&self).answer(stream));
                    }
                }
                _ = mode.changed() => {}
            }
            listener = Some(open);
        }
    }

    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut head).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        if !head.starts_with(b"GET /.well-known/jwks.json ") {
            let line =
                String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
            self.report.violation("strange fetch", &format!("{} was asked for {line:?}", self.name));
            let _ = stream.write_all(&response("200 OK", "", &self.set_of_the_attacker())).await;
            return;
        }
        let mut changed = self.mode.subscribe();
        let (mode, fetch, document) = {
            let mut ledger = self.ledger();
            let mode = *changed.borrow_and_update();
            let fetch = (mode == Mode::Keys).then(|| ledger.fetch());
            ledger.failed += u32::from(fetch.is_none());
            let keys: Vec<_> = ledger.published().into_iter().map(|index| &ledger.keys[index].key).collect();
            (mode, fetch, json!({ "keys": keys.iter().map(|key| key.jwk(&key.kid)).collect::<Vec<_>>() }).to_string())
        };
        let bytes = match mode {
            Mode::ClosedPort => return,
            Mode::CloseMidBody => {
                let whole = response("200 OK", "", &document);
                whole[..whole.len() - document.len() / 2].to_vec()
            }
            Mode::EmptySet => response("200 OK", "", r#"{"keys":[]}"#),
            Mode::Garbage => response("200 OK", "", "<!doctype html><title>Service</title>\u{0}"),
            Mode::Hang => {
                let _ = changed.changed().await;
                return;
            }
            Mode::Huge => response("200 OK", "", &format!("{}{document}", " ".repeat(600 * 1024))),
            Mode::Keys => response("200 OK", "", &document),
            Mode::Redirect => response("302 Found", &format!("location: {}/attacker\r\n", self.url), ""),
            Mode::Status(status) => response(&format!("{status} Failure"), "", &document),
            Mode::TooManyRequests(asked) => response("429 Too Many Requests", &format!("retry-after: {asked}\r\n"), ""),
        };
        let written = stream.write_all(&bytes).await.and(stream.shutdown().await);
        if let (Ok(()), Some(fetch)) = (written, fetch) {
            self.ledger().finish(fetch);
        }
        // Waits for the client to close, so that the response is not lost with the socket.
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.read_buf(&mut head)).await;
    }

    fn set_of_the_attacker(&self) -> String {
        let ledger = self.ledger();
        json!({ "keys": [self.attacker.jwk(&ledger.keys[ledger.newest()].key.kid)] }).to_string()
    }
}

impl Table {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, rows: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file as a whole, so that no reader finds half of it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        let mut rows = self.rows.lock().expect("no panic under this lock");
        change(&mut rows);
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let next = self.path.with_extension("next");
        fs::write(&next, text).and_then(|()| fs::rename(&next, &self.path)).expect("the table of tenants");
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClosedPort => formatter.write_str("nothing: the port is closed"),
            Self::CloseMidBody => formatter.write_str("half a document"),
            Self::EmptySet => formatter.write_str("an empty set"),
            Self::Garbage => formatter.write_str("a page in place of a document"),
            Self::Hang => formatter.write_str("nothing: it hangs"),
            Self::Huge => formatter.write_str("a huge document"),
            Self::Keys => formatter.write_str("its keys again"),
            Self::Redirect => formatter.write_str("a redirect to keys of an attacker"),
            Self::Status(status) => write!(formatter, "the status {status}"),
            Self::TooManyRequests(asked) => write!(formatter, "the status 429 with Retry-After: {asked}"),
        }
    }
}

enum Event {
    Outage,
    ReuseKid,
    Rotate,
}

pub(crate) async fn generate(kid: String) -> Arc<Key> {
    tokio::task::spawn_blocking(move || Arc::new(Key::generate(kid))).await.expect("an RSA key")
}

/// Listens on a port that no client gets: outside of the range from which the system takes ports for clients.
async fn listen_anywhere() -> TcpListener {
    loop {
        let port = fastrand::u16(12_000..32_000);
        if let Ok(listener) = listen(SocketAddr::from(([127, 0, 0, 1], port))) {
            return listener;
        }
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(64)
}

fn response(status: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{fields}\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

fn seconds(random: &mut fastrand::Rng, range: std::ops::Range<f64>) -> Duration {
    Duration::from_secs_f64(range.start + random.f64() * (range.end - range.start))
}

/// The longest outage but the long one.
const SHORT_OUTAGE: Duration = Duration::from_secs(12);
