//! The clients: they send every kind of request, and judge every response.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync, time::timeout};

use crate::{
    issuer::Issuer,
    ledger::Verdict,
    report::Report,
    windows::{LONGEST_WAIT, PARTY, SKEW, Windows},
};

/// A server under load.
pub(crate) struct Target {
    pub(crate) server: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) windows: Windows,
    pub(crate) issuers: Vec<Arc<Issuer>>,
    pub(crate) has_cookies: bool,
    pub(crate) report: Arc<Report>,
    pool: Mutex<VecDeque<Token>>,
    made: AtomicU64,
}

/// A token whose signature is by a key of the issuer and whose claims are right, unless it has expired.
#[derive(Clone)]
struct Token {
    text: Arc<str>,
    user: Arc<str>,
    issuer: usize,
    key: usize,
    expires: f64,
}

/// A request, and what its response has to be.
struct Shot {
    kind: &'static str,
    method: Method,
    fields: Vec<(&'static str, String)>,
    /// What must not appear in a response.
    secret: String,
    expected: Expected,
}

enum Expected {
    /// What the ledger of the issuer says about the key of the token.
    ByLedger(Token),
    /// As for a good token, but a 403 in place of the 200.
    CrossSite(Token),
    /// A 401, or a 503 if this issuer may be failing.
    Rejected(usize),
    Exactly(u16),
}

/// A connection that stays open.
enum Connection {
    One(Option<http1::SendRequest<Empty<Bytes>>>),
    /// Shared with other clients.
    Two(Arc<sync::Mutex<Option<http2::SendRequest<Empty<Bytes>>>>>),
}

pub(crate) type Shared = Arc<sync::Mutex<Option<http2::SendRequest<Empty<Bytes>>>>>;

impl Target {
    pub(crate) fn new(
        server: &'static str,
        address: SocketAddr,
        windows: Windows,
        issuers: Vec<Arc<Issuer>>,
        report: Arc<Report>,
    ) -> Arc<Self> {
        let has_cookies = server == "tenants";
        let pool = Mutex::default();
        Arc::new(Self { server, address, windows, issuers, has_cookies, report, pool, made: AtomicU64::new(0) })
    }

    /// Fills the token cache of the server, so that its memory has reached its height before it is watched.
    pub(crate) async fn fill(self: Arc<Self>, tokens: usize) {
        let clients: Vec<_> = (0..FILLING)
            .map(|_| {
                let target = Arc::clone(&self);
                tokio::spawn(async move {
                    let mut connection = Connection::One(None);
                    for _ in 0..tokens / FILLING {
                        let issuer = fastrand::usize(..target.issuers.len());
                        target.fire(&mut connection, target.first_sight(issuer, None)).await;
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.expect("a client");
        }
    }

    /// Sends requests at this pace until it is dropped.
    pub(crate) async fn client(self: Arc<Self>, shared: Option<Shared>, pace: Duration, mut random: fastrand::Rng) {
        let mut connection = shared.map_or(Connection::One(None), Connection::Two);
        tokio::time::sleep(pace.mul_f64(random.f64())).await;
        let mut ticks = tokio::time::interval(pace);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match random.u32(0..100) {
                0..4 => self.disconnect(&mut connection, &mut random).await,
                _ => {
                    let shot = self.shot(&mut random);
                    self.fire(&mut connection, shot).await;
                }
            }
        }
    }

    fn shot(&self, random: &mut fastrand::Rng) -> Shot {
        let issuer = random.usize(..self.issuers.len());
        match random.u32(0..100) {
            0..50 => self.hit(random).unwrap_or_else(|| self.first_sight(issuer, Some(random))),
            50..66 => self.first_sight(issuer, Some(random)),
            66..74 => self.forged(issuer, random),
            74..80 => {
                let kid = format!("ins_{}", random.u32(..));
                let token = self.issuers[issuer].attacker.sign(&kid, &self.claims(issuer, "user_eve", 0.0));
                self.rejected("unknown kid", issuer, token, random)
            }
            80..84 => self.malformed(issuer, random),
            84..87 => Shot::new("no token", String::new(), Expected::Exactly(401)),
            87..90 => self.rejected("expired", issuer, self.signed(issuer, "user_ada", -120.0), random),
            90..92 => self.rejected("not yet valid", issuer, self.signed(issuer, "user_ada", 120.0), random),
            92..95 => self.foreign(issuer, random),
            95..97 if self.has_cookies => {
                let Expected::ByLedger(token) = self.first_sight(issuer, None).expected else { unreachable!() };
                let mut shot = Shot::new("cross site", token.text.to_string(), Expected::CrossSite(token.clone()));
                shot.method = Method::POST;
                shot.fields.push(("cookie", format!("theme=dark; __session={}", token.text)));
                shot.fields.push(("origin", "https://evil.example".to_owned()));
                shot
            }
            _ => self.withdrawn(issuer, random),
        }
    }

    /// A token that was sent before.
    fn hit(&self, random: &mut fastrand::Rng) -> Option<Shot> {
        let mut pool = self.pool.lock().expect("no panic under this lock");
        while pool.front().is_some_and(|token| token.expires + SKEW + 3.0 < now()) {
            pool.pop_front();
        }
        let token = pool.get(random.usize(..pool.len().max(1)))?.clone();
        drop(pool);
        Some(self.good("hit", token, Some(random)))
    }

    /// A new token of the newest key, which may have been published a moment ago.
    fn first_sight(&self, issuer: usize, random: Option<&mut fastrand::Rng>) -> Shot {
        let key = self.issuers[issuer].ledger().newest();
        let token = self.token(issuer, key);
        let mut pool = self.pool.lock().expect("no panic under this lock");
        pool.push_back(token.clone());
        if pool.len() > POOL {
            pool.pop_front();
        }
        drop(pool);
        self.good("first sight", token, random)
    }

    /// A new token of a key that was withdrawn: what a stolen key can sign.
    fn withdrawn(&self, issuer: usize, random: &mut fastrand::Rng) -> Shot {
        let newest = self.issuers[issuer].ledger().newest();
        let key = newest.saturating_sub(random.usize(..3));
        self.good("older key", self.token(issuer, key), Some(random))
    }

    fn forged(&self, issuer: usize, random: &mut fastrand::Rng) -> Shot {
        let key = self.newest(issuer);
        let token = match random.u32(0..3) {
            0 => self.issuers[issuer].attacker.sign(&key.kid, &self.claims(issuer, "user_eve", 0.0)),
            1 => {
                let token = self.signed(issuer, "user_ada", 0.0);
                let claims = BASE64_URL_SAFE_NO_PAD.encode(self.claims(issuer, "user_eve", 0.0).to_string());
                let (head, rest) = token.split_once('.').expect("a token");
                let (_, signature) = rest.split_once('.').expect("a token");
                format!("{head}.{claims}.{signature}")
            }
            _ => {
                let token = self.signed(issuer, "user_ada", 0.0);
                let (head, rest) = token.split_once('.').expect("a token");
                let header = BASE64_URL_SAFE_NO_PAD.decode(head).expect("a header");
                let header = String::from_utf8_lossy(&header).replace("RS256", "none");
                format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header))
            }
        };
        self.rejected("forged", issuer, token, random)
    }

    /// Signed by a right key for an issuer that is not trusted, or by the key of another issuer.
    fn foreign(&self, issuer: usize, random: &mut fastrand::Rng) -> Shot {
        let key = self.newest(issuer);
        let mut claims = self.claims(issuer, "user_eve", 0.0);
        let other = random.usize(..self.issuers.len());
        if other == issuer {
            claims["iss"] = json!(format!("https://clerk-{}.evil.example", random.u32(..50)));
            return self.rejected("foreign", issuer, key.sign(&key.kid, &claims), random);
        }
        claims["iss"] = json!(self.issuers[other].url);
        let kid = self.newest(other).kid.clone();
        self.rejected("foreign", other, key.sign(&kid, &claims), random)
    }

    fn malformed(&self, issuer: usize, random: &mut fastrand::Rng) -> Shot {
        let token = self.signed(issuer, "user_ada", 0.0);
        let (status, fields) = match random.u32(0..6) {
            0 => (400, vec![format!("Bearer {token}"), format!("Bearer {token}")]),
            1 => (400, vec![format!("Bearer {token}, Bearer {token}")]),
            2 => (401, vec!["Bearer".to_owned()]),
            3 => (401, vec!["Bearer not.a.token".to_owned()]),
            4 => (401, vec![format!("Bearer {}", token.replacen(".e", ".-~", 1))]),
            _ => (401, vec![format!("Bearer {}", &token[..token.len() / 3])]),
        };
        let mut shot = Shot::new("malformed", token, Expected::Exactly(status));
        shot.fields.extend(fields.into_iter().map(|field| ("authorization", field)));
        shot
    }

    fn good(&self, kind: &'static str, token: Token, random: Option<&mut fastrand::Rng>) -> Shot {
        let mut shot = Shot::new(kind, token.text.to_string(), Expected::ByLedger(token));
        self.attach(&mut shot, random);
        shot
    }

    fn rejected(&self, kind: &'static str, issuer: usize, token: String, random: &mut fastrand::Rng) -> Shot {
        let mut shot = Shot::new(kind, token, Expected::Rejected(issuer));
        self.attach(&mut shot, Some(random));
        shot
    }

    fn attach(&self, shot: &mut Shot, random: Option<&mut fastrand::Rng>) {
        let as_cookie = self.has_cookies && random.is_some_and(|random| random.bool());
        shot.fields.push(match as_cookie {
            true => ("cookie", format!("theme=dark; __session={}", shot.secret)),
            false => ("authorization", format!("Bearer {}", shot.secret)),
        });
    }

    fn token(&self, issuer: usize, key: usize) -> Token {
        let user = format!("user_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let claims = self.claims(issuer, &user, 0.0);
        let expires = claims["exp"].as_f64().expect("a number");
        let signer = Arc::clone(&self.issuers[issuer].ledger().keys[key].key);
        Token { text: signer.sign(&signer.kid, &claims).into(), user: user.into(), issuer, key, expires }
    }

    /// A token of the newest key, whose times are shifted by so many seconds.
    fn signed(&self, issuer: usize, user: &str, shift: f64) -> String {
        let key = self.newest(issuer);
        key.sign(&key.kid, &self.claims(issuer, user, shift))
    }

    fn newest(&self, issuer: usize) -> Arc<crate::keys::Key> {
        let ledger = self.issuers[issuer].ledger();
        Arc::clone(&ledger.keys[ledger.newest()].key)
    }

    fn claims(&self, issuer: usize, user: &str, shift: f64) -> Value {
        let now = now().floor() + shift;
        json!({
            "iss": self.issuers[issuer].url, "sub": user, "sid": "sess_soak", "azp": PARTY, "v": 2,
            "jti": self.made.fetch_add(1, Ordering::Relaxed).to_string(),
            "iat": now, "nbf": now - 10.0, "exp": now + LIFETIME, "metadata": { "locale": "en-GB", "plan": "business" },
        })
    }

    async fn fire(&self, connection: &mut Connection, shot: Shot) {
        let (sent, sent_at) = (Instant::now(), now());
        let response = match timeout(LONGEST_WAIT, self.exchange(connection, &shot)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return self.report.violation("broken connection", &format!("{}: {error}", self.server)),
            Err(_) => {
                let what = format!("{}: {} waits longer than {LONGEST_WAIT:?}", self.server, shot.kind);
                return self.report.violation("no response", &what);
            }
        };
        let (answered, answered_at) = (Instant::now(), now());
        let status = response.status().as_u16();
        self.report.request(self.server, shot.kind, status);
        if shot.kind == "hit" && status == 200 {
            self.report.latency(self.server, answered - sent);
        }
        if let Some((violation, reason)) = self.judge(&shot, &response, (sent, answered), (sent_at, answered_at)) {
            let code = String::from_utf8_lossy(response.body());
            let code = code.split(r#""code":""#).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("ok");
            let what = format!("{}: {} got {status} ({code}): {reason}", self.server, shot.kind);
            self.report.violation(violation, &what);
        }
    }

    /// What is wrong with the response, if anything.
    fn judge(
        &self,
        shot: &Shot,
        response: &Response<Bytes>,
        (sent, answered): (Instant, Instant),
        (sent_at, answered_at): (f64, f64),
    ) -> Option<(&'static str, String)> {
        let status = response.status().as_u16();
        let body = String::from_utf8_lossy(response.body());
        if !DOCUMENTED.contains(&status) {
            return Some(("strange status", "it is none of the documented ones".to_owned()));
        }
        for (with, field) in [(401, "www-authenticate"), (503, "retry-after")] {
            if status == with && !response.headers().contains_key(field) {
                return Some(("missing field", format!("{field} is missing")));
            }
        }
        let mut parts = shot.secret.split('.').skip(1);
        if parts.any(|part| part.len() > 8 && body.contains(part)) {
            return Some(("leaked token", "the body holds a part of the token".to_owned()));
        }
        let trouble = |issuer: usize| {
            let ledger = self.issuers[issuer].ledger();
            ledger.may_be_unavailable(&self.windows, sent, answered)
        };
        let (issuer, rejection) = match &shot.expected {
            Expected::Exactly(exactly) => {
                let wrong = if status == 200 { "wrong yes" } else { "strange status" };
                return (status != *exactly).then(|| (wrong, format!("it must be {exactly}")));
            }
            Expected::Rejected(issuer) => {
                if status == 200 {
                    return Some(("wrong yes", "such a token is never valid".to_owned()));
                }
                (*issuer, 401)
            }
            Expected::CrossSite(token) => {
                if status == 200 {
                    return Some(("wrong yes", "another site caused the request".to_owned()));
                }
                (token.issuer, if status == 403 { 403 } else { 401 })
            }
            Expected::ByLedger(token) => {
                let issuer = &self.issuers[token.issuer];
                let name = || format!("token of key {} of {}", token.key + 1, issuer.name);
                if status == 200 && sent_at > token.expires + SKEW {
                    return Some(("wrong yes", format!("the {} had expired", name())));
                }
                if status == 200 && !body.contains(&*token.user) {
                    return Some(("wrong user", format!("the {} is another user's", name())));
                }
                let verdict = issuer.ledger().verdict(token.key, &self.windows, sent, answered);
                match verdict {
                    Verdict::MustFail(reason) if status == 200 => {
                        return Some(("wrong yes", format!("{}: {reason}", name())));
                    }
                    Verdict::MustPass(reason) if status != 200 && answered_at < token.expires => {
                        return Some(("wrong no", format!("{}: {reason}", name())));
                    }
                    _ if status == 200 => return None,
                    _ => (token.issuer, 401),
                }
            }
        };
        match status {
            503 if trouble(issuer) => None,
            503 => Some(("wrong no", format!("{} can be reached", self.issuers[issuer].name))),
            status if status == rejection => None,
            _ => Some(("strange status", format!("it must be {rejection} or 503"))),
        }
    }

    async fn exchange(&self, connection: &mut Connection, shot: &Shot) -> Result<Response<Bytes>, String> {
        let response = match connection {
            Connection::One(sender) => {
                let mut open = match sender.take().filter(|open| !open.is_closed()) {
                    Some(open) => open,
                    None => self.connect_one().await?,
                };
                open.ready().await.map_err(text)?;
                let response = open.send_request(shot.request(None, self.address)).await.map_err(text)?;
                let response = whole(response).await?;
                *sender = Some(open);
                return Ok(response);
            }
            Connection::Two(shared) => self.sender_of(shared).await?.send_request(shot.request(Some(2), self.address)),
        };
        whole(response.await.map_err(text)?).await
    }

    async fn connect(&self) -> Result<TcpStream, String> {
        let stream = TcpStream::connect(self.address).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        Ok(stream)
    }

    async fn connect_one(&self) -> Result<http1::SendRequest<Empty<Bytes>>, String> {
        let stream = self.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn sender_of(&self, shared: &Shared) -> Result<http2::SendRequest<Empty<Bytes>>, String> {
        let mut shared = shared.lock().await;
        if let Some(open) = shared.as_ref().filter(|open| !open.is_closed()) {
            return Ok(open.clone());
        }
        let io = TokioIo::new(self.connect().await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(text)?;
        tokio::spawn(connection);
        *shared = Some(sender.clone());
        Ok(sender)
    }

    /// Goes away in the middle of a request: of its head, or before the response.
    async fn disconnect(&self, connection: &mut Connection, random: &mut fastrand::Rng) {
        let shot = self.shot(random);
        self.report.request(self.server, "disconnect", 0);
        match connection {
            Connection::One(_) => {
                let Ok(mut stream) = TcpStream::connect(self.address).await else { return };
                let mut head = format!("{} /protected HTTP/1.1\r\nhost: soak\r\n", shot.method);
                for (name, value) in &shot.fields {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                let length = if random.bool() { head.len() } else { random.usize(..head.len()) };
                let _ = stream.write_all(&head.as_bytes()[..length]).await;
            }
            Connection::Two(shared) => {
                let Ok(mut sender) = self.sender_of(shared).await else { return };
                let response = sender.send_request(shot.request(Some(2), self.address));
                let _ = timeout(Duration::from_micros(random.u64(..2000)), response).await;
            }
        }
    }
}

impl Shot {
    fn new(kind: &'static str, secret: String, expected: Expected) -> Self {
        Self { kind, method: Method::GET, fields: Vec::new(), secret, expected }
    }

    fn request(&self, version: Option<u8>, address: SocketAddr) -> Request<Empty<Bytes>> {
        let mut request = match version {
            Some(_) => Request::builder().uri(format!("http://{address}/protected")),
            None => Request::builder().uri("/protected").header("host", address.to_string()),
        };
        for (name, value) in &self.fields {
            request = request.header(*name, value);
        }
        request.method(&self.method).body(Empty::new()).expect("a request")
    }
}

async fn whole(response: Response<hyper::body::Incoming>) -> Result<Response<Bytes>, String> {
    let (head, body) = response.into_parts();
    Ok(Response::from_parts(head, body.collect().await.map_err(text)?.to_bytes()))
}

fn text(error: impl std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_secs_f64()
}

/// The statuses of rejections (`tower_clerk::rejection`), and the 200 of the handler.
const DOCUMENTED: [u16; 5] = [200, 400, 401, 403, 503];
/// A session token of Clerk lives for a minute (guide, threats).
const LIFETIME: f64 = 60.0;
/// How many tokens are in use.
const POOL: usize = 400;
const FILLING: usize = 16;
