//! The same request through tower-clerk and through other crates that verify JWTs, each set up as its README says.
//!
//! ```text
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! Prints a table, and writes `benches/peers/results.json` and `benches/cost.svg`. For tower-mcp it runs itself again,
//! with the feature `mcp`. With `--test` it only checks that each service sends the expected responses, above all those
//! in `benches/peers/answers.json`, and writes nothing. With `--record` it writes this file.

mod answers;
mod measure;
mod peers;
mod plot;
mod report;

use std::{env, fs, path::Path, process::Command, time::Duration};

use serde_json::json;
use tower_clerk::testing::{TestIssuer, TokenBuilder};

use self::report::{Report, Row};

fn main() {
    // Set up within the runtime, whose tasks then have nothing to do. Measured outside of it, where no task budget
    // makes a future yield.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let has = |flag| env::args().any(|argument| argument == flag);
    if has("--record") {
        fs::write(ANSWERS, runtime.block_on(answers::to_json())).expect("answers.json");
        return;
    }
    let issuer = runtime.block_on(TestIssuer::start()).expect("a loopback socket");
    let tokens: Vec<String> = (0..MANY).map(|number| token(&issuer, number).sign()).collect();
    let subjects = runtime.block_on(peers::all(&issuer, &tokens));
    let _guard = runtime.enter();
    for subject in &subjects {
        let token = subject.target.token();
        assert_eq!(subject.base.response_to(token).0, 200, "{}", subject.name);
        assert_eq!(subject.target.response_to(token), (200, USER.to_owned()), "{}", subject.name);
        assert_ne!(subject.target.response_to(&forged(token)).0, 200, "{}", subject.name);
    }
    if has("--test") {
        println!("{} services admit the user and reject a forgery", subjects.len());
        let answers = runtime.block_on(answers::to_json());
        assert_eq!(answers, fs::read_to_string(ANSWERS).expect("answers.json"), "--record writes the file");
        println!("the answers are those in benches/peers/answers.json");
        return;
    }
    let mut report = Report::new(&tokens[0], peers::raw(&issuer, &tokens[0]), subjects);
    if cfg!(feature = "mcp") {
        println!("{}", report.to_json());
        return;
    }
    report.rows.push(tower_mcp());
    println!("{report}");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::write(here.join("results.json"), report.to_json()).expect("results.json");
    fs::write(here.join("../cost.svg"), plot::svg(&report)).expect("cost.svg");
}

/// The row of tower-mcp, from a build with the feature `mcp`. There too it takes turns with all the others.
fn tower_mcp() -> Row {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--release", "--locked", "--features", "mcp", "--manifest-path", MANIFEST])
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_json::from_slice(&output.stdout).expect("a report");
    report.rows.into_iter().find(|row| row.name == "tower-mcp").expect("its row")
}

/// A session token in the layout of version 2, of about 1 KB.
fn token(issuer: &TestIssuer, number: usize) -> TokenBuilder {
    issuer
        .token(USER)
        .session_id("sess_2mXv5R8yA4eM6bL1gH3kD7nQ9sW")
        .organization("org_2mXv6T3xC8fP5aJ2iE4kB9oU7vY", "admin")
        .organization_slug("acme")
        .permission("invoices", "read")
        .permission("invoices", "write")
        .permission("reports", "read")
        .feature("u:export")
        .plan("o:business")
        .claim("jti", format!("5b1f7c2e9a3d4806{number:04x}"))
        .claim("sts", "active")
        .claim("fva", [12, -1])
        .claim("email", "ada@acme.example")
        .claim("metadata", json!({ "onboarded": true, "locale": "en-GB" }))
        .lifetime(Duration::from_secs(60 * 60))
}

/// The same token with another character in the middle of its signature.
fn forged(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let (head, tail) = signature.split_at(signature.len() / 2);
    let other = if tail.starts_with('A') { 'B' } else { 'A' };
    format!("{message}.{head}{other}{}", &tail[1..])
}

const ANSWERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/answers.json");
const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
const MANY: usize = 1024;
const USER: &str = "user_2mXv4Q1zB7cN9dK3fG6hJ8lP0rT";
