//! An example as a user starts it: a process with an environment.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// The running example, stopped when dropped.
pub(crate) struct Example {
    child: Child,
    /// The commands that it prints without a configuration.
    pub(crate) lines: Vec<String>,
    pub(crate) url: String,
}

impl Example {
    /// Starts the example `name`. The last command that it prints contains `last`.
    pub(crate) fn start(name: &str, last: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command(name, variables).spawn().expect(BUILT);
        let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
        let mut read = || {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).expect("a line"), 0, "the example ended");
            line
        };
        let url = read().trim().strip_prefix("listening on ").expect("its address").to_owned();
        let mut lines: Vec<String> = Vec::new();
        while variables.is_empty() && !lines.last().is_some_and(|line| line.contains(last)) {
            lines.push(read());
        }
        Self { child, lines, url }
    }

    /// Asks the process to end, and waits until it has.
    #[cfg(unix)]
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(asked.expect("kill runs").success());
        self.child.wait().expect("its end")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that every bad setting ends the example with an error that names it.
#[track_caller]
pub(crate) fn assert_names_bad_settings(name: &str) {
    for (variable, value, setting) in [
        ("PORT", "hunter2", "PORT"),
        ("PORT", "65536", "PORT"),
        ("PORT", "-1", "PORT"),
        ("PORT", "80 80", "PORT"),
        ("CLERK_PUBLISHABLE_KEY", "hunter2", "CLERK_PUBLISHABLE_KEY"),
        ("CLERK_FRONTEND_API_URL", "http://hunter2.example", "CLERK_FRONTEND_API_URL"),
        ("CLERK_JWT_KEY", "hunter2!", "CLERK_JWT_KEY"),
        ("CLERK_JWT_KEY", "AAAA", "CLERK_JWT_KEY"),
        ("CLERK_AUTHORIZED_PARTIES", "", "CLERK_AUTHORIZED_PARTIES"),
        ("CLERK_MACHINE_ID", "", "CLERK_MACHINE_ID"),
        ("CLERK_OAUTH_AUDIENCE", " ", "CLERK_OAUTH_AUDIENCE"),
        ("CLERK_AUTHORIZED_PARTIES", "https://a.example", "CLERK_FRONTEND_API_URL"),
        ("CLERK_JWKS_REFRESH_SECONDS", "0", "CLERK_JWKS_REFRESH_SECONDS"),
        ("CLERK_CLOCK_SKEW_SECONDS", "hunter2", "CLERK_CLOCK_SKEW_SECONDS"),
        ("CLERK_PROXY_URL", "/hunter2", "CLERK_PROXY_URL"),
        ("CLERK_SECRET_KEY", "hunter2", "CLERK_SECRET_KEY"),
        ("CLERK_API_URL", "hunter2://", "CLERK_API_URL"),
    ] {
        assert_rejects(name, &[(variable, value)], setting);
    }
}

/// Asserts that the example ends with one line that names `setting` and contains no secret.
#[track_caller]
pub(crate) fn assert_rejects(name: &str, variables: &[(&str, &str)], setting: &str) {
    let said = error_line(name, &[], variables);
    assert!(said.contains(setting) && !said.contains("hunter2"), "{said}");
}

/// The line with which the example ends: after `error: `, with exit code 2 and nothing else printed.
#[track_caller]
pub(crate) fn error_line(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut child = command(name, variables).args(arguments).spawn().expect(BUILT);
    let mut printed = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut printed).expect("UTF-8");
    if !printed.is_empty() {
        let _ = child.kill();
    }
    let output = child.wait_with_output().expect("its end");
    assert_eq!(printed, "", "it started: {variables:?}");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{variables:?}: {said}");
    assert!(said.ends_with('\n') && said.lines().count() == 1, "{said}");
    said.trim_end_matches('\n').strip_prefix("error: ").expect("an error").to_owned()
}

fn command(name: &str, variables: &[(&str, &str)]) -> Command {
    let mut path: PathBuf = std::env::current_exe().expect("this test's path");
    path.pop();
    path.pop();
    let mut command = Command::new(path.join("examples").join(name));
    command.env_clear().env("PORT", "0").envs(variables.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

const BUILT: &str = "the example; `cargo test` builds it";
