//! What the tests share: the program, its issuer, and ports.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_clerk::{
    ClerkConfig,
    testing::{TestIssuer, TokenBuilder},
};

/// The program, until it is dropped.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) child: Child,
}

impl Program {
    /// Starts it with an issuer.
    pub(crate) fn start(issuer: &TestIssuer, arguments: &[&str]) -> Self {
        let mut command = program(arguments);
        command.env("CLERK_FRONTEND_API_URL", issuer.url());
        Self::of(command)
    }

    /// Starts it on a port that an earlier one had.
    pub(crate) fn start_on(issuer: &TestIssuer, port: &str) -> Self {
        let mut command = program(&[]);
        command.env("CLERK_FRONTEND_API_URL", issuer.url()).env("PORT", port);
        Self::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let addresses: Vec<SocketAddr> = line.split([' ', '/', '\n']).filter_map(|word| word.parse().ok()).collect();
        let [address, admin] = addresses[..] else { panic!("{line}") };
        Self { address, admin, child }
    }

    /// Starts it and waits for the keys.
    pub(crate) async fn start_ready(issuer: &TestIssuer, arguments: &[&str]) -> Self {
        let program = Self::start(issuer, arguments);
        eventually("readiness", async || get(program.admin, "/readyz").await.starts_with("HTTP/1.1 200")).await;
        program
    }

    /// Ends it, and returns what it has logged.
    pub(crate) fn log(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program without the variables of this process that it reads.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ext_authz"));
    for name in ClerkConfig::ENVIRONMENT_VARIABLES {
        command.env_remove(name);
    }
    command.env("PORT", "0").env("ADMIN_PORT", "0").args(arguments);
    command
}

pub(crate) async fn issuer() -> TestIssuer {
    TestIssuer::start().await.unwrap()
}

/// The token of a user who may create invoices.
pub(crate) fn admin(issuer: &TestIssuer) -> TokenBuilder {
    issuer.token("user_ada").session_id("sess_1").organization("org_acme", "admin").permission("invoices", "create")
}

/// The token of a user without an organization.
pub(crate) fn user(issuer: &TestIssuer) -> TokenBuilder {
    issuer.token("user_bob").session_id("sess_2")
}

/// The response to a GET, as text.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address).await else { return String::new() };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    // A server that is just starting may end the connection.
    let _ = stream.read_to_string(&mut response).await;
    response
}

/// Waits for what another process does.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what} within 30 seconds");
}

/// An address where nobody listens.
pub(crate) fn dead() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}
