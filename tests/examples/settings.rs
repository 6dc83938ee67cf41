//! Mistakes in settings, as a user of an example sees them.

use std::{
    error::Error,
    fmt,
    net::{Ipv4Addr, TcpListener},
};

use tower_clerk::{ClerkConfig, testing::TestIssuer};

use super::process::{Example, error_line};

#[path = "../../examples/support/exit.rs"]
#[allow(dead_code, reason = "the tests of processes run the rest")]
mod exit;

/// The rows of the guide's tables that set variables of this crate alone, and get an error.
fn rows() -> Vec<(Vec<(&'static str, String)>, &'static str)> {
    let key = TestIssuer::new().public_key_pem().lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let error = cells.get(2)?.strip_prefix('`')?.strip_suffix('`')?;
        let settings = cells.get(1)?.split('`').skip(1).step_by(2).map(|setting| {
            let (name, value) = setting.split_once('=').expect("a name and a value");
            (name, value.replace("‹key›", &key).replace("‹line break›", "\n").replace("‹BOM›", "\u{feff}"))
        });
        let settings: Vec<_> = settings.collect();
        // Without a variable of this crate the example embeds an issuer.
        let is_read = |(name, value): &(&str, String)| {
            let is_narrowing = ["CLERK_AUTHORIZED_PARTIES", "CLERK_MACHINE_ID", "CLERK_OAUTH_AUDIENCE"].contains(name);
            ClerkConfig::ENVIRONMENT_VARIABLES.contains(name) && (!value.trim().is_empty() || is_narrowing)
        };
        (!settings.is_empty() && settings.iter().all(is_read)).then_some((settings, error))
    };
    include_str!("../../src/guide/settings.md").lines().filter_map(row).collect()
}

#[test]
fn an_example_prints_the_errors_that_the_guide_shows() {
    let rows = rows();
    assert!(rows.len() >= 50, "{} rows", rows.len());
    for (settings, error) in rows {
        let variables: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(error_line("axum", &[], &variables), error, "{settings:?}");
    }
}

#[test]
fn a_port_in_use_exits_with_an_error() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let port = taken.local_addr().expect("an address").port().to_string();
    for name in ["axum", "tonic"] {
        let said = error_line(name, &[], &[("PORT", &port)]);
        assert!(said.starts_with(&format!("PORT: 127.0.0.1:{port} cannot be listened on: ")), "{said}");
    }
}

#[test]
fn an_empty_port_is_the_default_port() {
    for (name, port) in [("axum", 3000), ("tonic", 50051)] {
        // If the port is taken by another process, the example says the same.
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        for empty in ["", " "] {
            let said = error_line(name, &[], &[("PORT", empty)]);
            assert!(said.starts_with(&format!("PORT: 127.0.0.1:{port} cannot be listened on: ")), "{said}");
        }
    }
}

#[test]
fn spaces_around_a_port_are_ignored() {
    for (name, last) in [("axum", "/optional"), ("tonic", "try.py")] {
        let example = Example::start(name, last, &[("PORT", " 0\n")]);
        assert!(example.url.starts_with("http://127.0.0.1:"), "{}", example.url);
    }
}

#[test]
fn the_quickstart_exits_with_one_line_too() {
    let said = error_line("quickstart", &["http://clerk.example.com"], &[]);
    assert_eq!(said, "frontend_api_url must use https (plain http is for loopback addresses only)");
    assert_eq!(error_line("quickstart", &[], &[]), "usage: quickstart <Frontend API URL>");
}

#[test]
fn a_client_that_cannot_be_made_says_why() {
    let nothing = std::env::temp_dir().join("tower-clerk-has-no-certificates-here");
    let nothing = nothing.to_str().expect("UTF-8");
    let variables = [("SSL_CERT_FILE", nothing), ("SSL_CERT_DIR", nothing)];
    let url = ("CLERK_FRONTEND_API_URL", "https://clerk.test.invalid");
    let said = error_line("axum", &[], &[url, variables[0], variables[1]]);
    assert!(said.contains(": ") && said.to_lowercase().contains("certificate"), "{said}");
}

#[derive(Debug)]
struct Caused(Option<Box<Self>>, &'static str);

impl fmt::Display for Caused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.1)
    }
}

impl Error for Caused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|cause| -> &(dyn Error + 'static) { cause })
    }
}

#[test]
fn an_error_is_one_line_with_its_causes() {
    let root = Caused(None, "no such\nfile");
    let error = Caused(Some(Box::new(Caused(Some(Box::new(root)), "no key"))), "not started");
    assert_eq!(exit::line(&error), "not started: no key: no such file");
}
