//! The program.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use tower_clerk::{ClerkConfig, testing::TestIssuer};

use super::http::{Message, request};

/// A running server. It is killed with this value.
#[derive(Debug)]
pub(crate) struct ForwardAuth {
    pub(crate) address: SocketAddr,
    pub(crate) process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl ForwardAuth {
    /// Starts it for the users of an issuer, and waits until it has keys.
    pub(crate) async fn start(issuer: &TestIssuer, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let server = Self::start_without_keys(issuer, arguments, variables).await;
        server.becomes_ready().await;
        server
    }

    pub(crate) async fn becomes_ready(&self) {
        eventually("keys", async || self.get("/readyz").await.status() == 200).await;
    }

    pub(crate) async fn start_without_keys(
        issuer: &TestIssuer,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = command(arguments, variables);
        command.env("CLERK_FRONTEND_API_URL", issuer.url());
        Self::spawn(command).await
    }

    /// Starts a command, and reads its address.
    pub(crate) async fn spawn(mut command: Command) -> Self {
        let mut process = command.env("PORT", "0").stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = output.next_line().await.unwrap().expect("a line");
        let address = first.strip_prefix("listening on http://").expect("an address").parse().unwrap();
        Self { address, process, output }
    }

    /// Ends it, and returns what it printed after the address.
    pub(crate) async fn end(mut self) -> String {
        // It serves only after it has printed.
        assert_eq!(self.get("/healthz").await.status(), 200);
        self.process.start_kill().unwrap();
        let mut welcome = String::new();
        while let Some(line) = self.output.next_line().await.unwrap() {
            welcome.push_str(&line);
            welcome.push('\n');
        }
        welcome
    }

    pub(crate) async fn get(&self, path: &str) -> Message {
        request(self.address, "GET", path, &[], b"").await
    }

    pub(crate) async fn verify(&self, headers: &[(&str, &str)]) -> Message {
        request(self.address, "GET", "/verify", headers, b"").await
    }
}

/// Waits for what another process does.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} within 30 seconds");
}

/// The program without what the environment of the tests may hold.
pub(crate) fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forward_auth"));
    for name in ClerkConfig::ENVIRONMENT_VARIABLES.iter().chain(&["PORT", "FORWARD_AUTH_REQUIRE"]) {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied());
    command
}
