use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::Notify,
    time::timeout,
};
use tower_clerk::testing::TestIssuer;

/// Long enough for a busy machine; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The program, with the lines that it has written so far.
pub(crate) struct Program {
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
}

#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<(Mutex<Vec<String>>, Notify)>);

impl Lines {
    fn of(stream: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                writer.0.0.lock().expect("lines").push(line);
                writer.0.1.notify_waiters();
            }
        });
        lines
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.0.lock().expect("lines").clone()
    }

    /// Waits for a line that has the text in it.
    pub(crate) async fn wait_for(&self, text: &str) -> String {
        let found = async {
            loop {
                let changed = self.0.1.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(line) = self.all().into_iter().find(|line| line.contains(text)) {
                    return line;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no line with {text:?} in {:#?}", self.all()))
    }
}

pub(crate) fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(arguments).env_clear().env("PORT", "0").envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs the program to its end: its exit code, stdout and stderr.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = timeout(PATIENCE, command(arguments, variables).output()).await.expect("an end").expect("a program");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

impl Program {
    pub(crate) async fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command(arguments, variables).spawn().expect("a program");
        let stdout = Lines::of(child.stdout.take().expect("stdout"));
        let stderr = Lines::of(child.stderr.take().expect("stderr"));
        let line = stdout.wait_for("listening on ").await;
        let addresses = line.split("http://").skip(1).map(|part| part.split(['/', ',']).next().expect("an address"));
        let addresses = addresses.map(|address| address.parse().expect("an address")).collect::<Vec<_>>();
        Self { child, stdout, stderr, address: addresses[0], admin: addresses[1] }
    }

    pub(crate) async fn serve(site: &Site) -> Self {
        Self::serve_with(site, &[]).await
    }

    pub(crate) async fn serve_with(site: &Site, more: &[&str]) -> Self {
        Self::serve_from(site, &site.upstream.url(), more).await
    }

    /// Serves the site with another upstream than its own.
    pub(crate) async fn serve_from(site: &Site, upstream: &str, more: &[&str]) -> Self {
        let folder = site.path().to_str().expect("UTF-8");
        let arguments = [&["--config", folder], more].concat();
        Self::start(&arguments, &[("CLERK_FRONTEND_API_URL", site.issuer.url()), ("UPSTREAM_URL", upstream)]).await
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("a running program")
    }

    pub(crate) fn signal(&self, name: &str) {
        let status =
            std::process::Command::new("kill").args(["-s", name, &self.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    pub(crate) async fn end(&mut self) -> Option<i32> {
        timeout(PATIENCE, self.child.wait()).await.expect("an end").expect("a status").code()
    }

    /// Sends a request whose head is `METHOD TARGET` and these headers, and reads the answer to its end.
    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.address, &head(line, headers)).await
    }
}

pub(crate) fn head(line: &str, headers: &[(&str, &str)]) -> String {
    let fields = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
    format!("{line} HTTP/1.1\r\nhost: gateway.test\r\nconnection: close\r\n{fields}\r\n")
}

/// The answer to one request, as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub(crate) async fn send(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    timeout(PATIENCE, stream.write_all(request.as_bytes())).await.expect("a reader").expect("a request");
    read_answer(&mut stream).await
}

pub(crate) async fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the end of the answer");
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// An upstream that records what reaches it and answers `ok`.
#[derive(Clone)]
pub(crate) struct Upstream {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Notify>,
    /// Answers wait for it, if it is set.
    pub(crate) gate: Arc<Mutex<Option<Arc<Notify>>>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let upstream = Self { address, heads: Arc::default(), arrived: Arc::default(), gate: Arc::default() };
        let serving = upstream.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serving.clone().answer(stream));
            }
        });
        upstream
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests that arrived since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().expect("heads"))
    }

    /// Waits until a request has arrived.
    pub(crate) async fn wait_for_head(&self) {
        let arrived = async {
            while self.heads.lock().expect("heads").is_empty() {
                self.arrived.notified().await;
            }
        };
        timeout(PATIENCE, arrived).await.expect("a request");
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while stream.read_buf(&mut bytes).await.is_ok_and(|length| length > 0) {
            while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                bytes.drain(..end + 4);
                self.heads.lock().expect("heads").push(head);
                self.arrived.notify_one();
                let gate = self.gate.lock().expect("a gate").clone();
                if let Some(gate) = gate {
                    gate.notified().await;
                }
                let answer = b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: upstream\r\ncontent-length: 2\r\n\r\nok";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A folder with files, an issuer and an upstream.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) issuer: TestIssuer,
    pub(crate) upstream: Upstream,
}

impl Site {
    /// Routes by their path, each with its method, CORS policy and policies, of which `clerk` and `anyone` are there.
    pub(crate) async fn new(routes: &[(&str, &str, &str, &[&str])]) -> Self {
        let site = Self {
            folder: TempDir::new().expect("a folder"),
            issuer: TestIssuer::start().await.expect("an issuer"),
            upstream: Upstream::start().await,
        };
        site.write_policies(&[
            clerk("clerk", &json!({})),
            clerk("anyone", &json!({"allowUnauthenticatedRequests": true})),
        ]);
        site.write_routes(routes);
        site
    }

    pub(crate) fn write_policies(&self, policies: &[Value]) {
        let cors = json!([{ "name": "app", "allowedOrigins": ["https://app.example.com"], "allowedMethods": ["POST"],
            "allowedHeaders": ["authorization"] }]);
        self.write("policies.json", &json!({ "policies": policies, "corsPolicies": cors }).to_string());
    }

    pub(crate) fn write_routes(&self, routes: &[(&str, &str, &str, &[&str])]) {
        let mut paths = BTreeMap::<&str, BTreeMap<&str, Value>>::new();
        for (path, method, cors, policies) in routes {
            let operation = json!({ "x-zuplo-route": {
                "corsPolicy": cors,
                "handler": { "export": "urlForwardHandler", "module": "$import(@zuplo/runtime)",
                    "options": { "baseUrl": "${env.UPSTREAM_URL}" } },
                "policies": { "inbound": policies },
            } });
            paths.entry(path).or_default().insert(method, operation);
        }
        self.write("routes.oas.json", &json!({ "openapi": "3.1.0", "paths": paths }).to_string());
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("a file");
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until keys are fetched.
    pub(crate) async fn issuer_is_asked(&self) {
        let asked = async {
            while self.issuer.fetches() == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, asked).await.expect("a fetch");
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.issuer.token("user_ada").sign())
    }
}

pub(crate) fn clerk(name: &str, more: &Value) -> Value {
    let mut options = json!({ "frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)" });
    options.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({ "name": name, "policyType": "clerk-jwt-auth-inbound", "handler": {
        "export": "ClerkJwtInboundPolicy", "module": "$import(@zuplo/runtime)", "options": options } })
}
