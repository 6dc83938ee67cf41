//! Folders of documents under `tests/corpus`, each with what the gateway is expected to make of it.
//!
//! `expected.txt` begins with a line `routes` or `faults`. After `faults`, each line is `FILE: PATH: TEXT`, where the
//! reason has to contain TEXT, or `FILE: PATH`: these and no others, in any order. After `routes`, each line is one of
//! these, with `-` for nothing:
//!
//! - `ACCESS | METHOD | PATH | POLICIES | CORS | UPSTREAM`: a route, in the order in which routes are tried
//! - `warning FILE: PATH: TEXT`: as the lines of faults
//! - `policy NAME | ACTION`, for all policies or none; `?=` sets a header that the request does not have
//! - `cors NAME | ORIGINS | METHODS | HEADERS | EXPOSED | AGE | CREDENTIALS`, for all CORS policies or none
//!
//! Variables are in the file `env`, names of policies that a program registers in `registered`.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use gateway::{
    Fault,
    documents::{
        AnyOr, Context, CorsPolicy, Documents, HeaderEdits, OriginPattern, Policy, PolicyAction, Route, RouteCors,
        read_folder,
    },
};
use http::{HeaderName, Method};

#[test]
fn routes_are_read_as_expected() {
    let mut differences = Vec::new();
    for case in cases("routes", 35) {
        match case.read() {
            Ok(documents) => differences.extend(case.differences(&documents)),
            Err(faults) => {
                differences.push(format!("{}: is refused", case.name));
                differences.extend(case.compare(&[], &faults));
            }
        }
    }
    assert!(differences.is_empty(), "{}", lines(&differences));
}

#[test]
fn faults_are_found_as_expected() {
    let mut differences = Vec::new();
    for case in cases("faults", 75) {
        match case.read() {
            Ok(_) => differences.push(format!("{}: is accepted", case.name)),
            Err(faults) => differences.extend(case.compare(&case.expected, &faults)),
        }
    }
    assert!(differences.is_empty(), "{}", lines(&differences));
}

#[test]
fn no_text_shows_the_value_of_a_variable() {
    let mut texts = 0;
    for case in cases("faults", 1).into_iter().chain(cases("routes", 1)) {
        for text in case.shown() {
            texts += 1;
            // Shorter ones are words that a text may have by chance.
            for value in case.variables.values().filter(|value| value.len() >= 8) {
                assert!(!text.contains(value.as_str()), "{}: {text}", case.name);
            }
        }
    }
    assert!(texts > 100, "{texts} texts");
}

#[test]
fn every_text_is_one_short_line() {
    for case in cases("faults", 1).into_iter().chain(cases("routes", 1)) {
        for text in case.shown() {
            assert!(!text.contains(char::is_control), "{}: {text:?}", case.name);
            assert!(text.len() < 600, "{}: {text:?}", case.name);
        }
    }
}

/// A folder.
struct Case {
    name: String,
    folder: PathBuf,
    expected: Vec<String>,
    variables: BTreeMap<String, String>,
    registered: BTreeSet<String>,
}

/// The folders whose `expected.txt` begins with `kind`; at least so many.
fn cases(kind: &str, at_least: usize) -> Vec<Case> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut folders: Vec<_> =
        fs::read_dir(corpus).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    let mut cases = Vec::new();
    for folder in folders {
        let text = fs::read_to_string(folder.join("expected.txt")).expect("expected.txt");
        let mut expected = text.lines().map(str::to_owned);
        let first = expected.next().expect("a first line");
        assert!(first == "faults" || first == "routes", "{}: {first}", folder.display());
        if first == kind {
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            let optional = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
            let variables = optional("env").lines().map(variable).collect();
            let registered = optional("registered").lines().map(str::to_owned).collect();
            cases.push(Case { name, expected: expected.collect(), variables, registered, folder });
        }
    }
    assert!(cases.len() >= at_least, "{} folders of {kind}", cases.len());
    cases
}

fn variable(line: &str) -> (String, String) {
    let (name, value) = line.split_once('=').expect("NAME=value");
    (name.to_owned(), value.to_owned())
}

impl Case {
    fn read(&self) -> Result<Documents, Vec<Fault>> {
        let context = Context {
            variable: &|name| self.variables.get(name).cloned(),
            is_registered: &|name| self.registered.contains(name),
        };
        read_folder(&self.folder, &context)
    }

    /// Everything that a person is shown.
    fn shown(&self) -> Vec<String> {
        match self.read() {
            Ok(documents) => {
                let warnings = documents.warnings.iter().map(Fault::to_string);
                warnings.chain(documents.routes.iter().map(row)).collect()
            }
            Err(faults) => faults.iter().map(Fault::to_string).collect(),
        }
    }

    fn differences(&self, documents: &Documents) -> Vec<String> {
        let is_route = |line: &&String| !NOT_ROUTES.iter().any(|word| line.starts_with(word));
        let routes: Vec<_> = self.expected.iter().filter(is_route).cloned().collect();
        let found: Vec<_> = documents.routes.iter().map(row).collect();
        let mut differences = Vec::new();
        if routes != found {
            differences.push(format!("{}: - {}", self.name, lines(&routes)));
            differences.push(format!("{}: + {}", self.name, lines(&found)));
        }
        differences.extend(self.compare(&self.beginning_with("warning "), &documents.warnings));
        differences.extend(self.compare_all("policy ", documents.policies.iter().map(|one| policy(one))));
        differences.extend(self.compare_all("cors ", documents.cors_policies.iter().map(|one| cors_policy(one))));
        differences
    }

    /// The expected lines of one kind, without their first word.
    fn beginning_with(&self, word: &str) -> Vec<String> {
        self.expected.iter().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
    }

    /// What differs between the faults and the expected ones, in any order.
    fn compare(&self, expected: &[String], faults: &[Fault]) -> Vec<String> {
        let mut unexpected: Vec<_> = faults.iter().collect();
        let mut differences = Vec::new();
        for line in expected {
            match unexpected.iter().position(|fault| is_described(fault, line)) {
                Some(index) => drop(unexpected.remove(index)),
                None => differences.push(format!("{}: - {line}", self.name)),
            }
        }
        differences.extend(unexpected.into_iter().map(|fault| format!("{}: + {fault}", self.name)));
        differences
    }

    /// What differs between the lines and the expected ones of this kind, in any order; nothing if none are expected.
    fn compare_all(&self, word: &str, found: impl Iterator<Item = String>) -> Vec<String> {
        let expected: BTreeSet<_> = self.beginning_with(word).into_iter().collect();
        let found: BTreeSet<_> = found.collect();
        if expected.is_empty() {
            return Vec::new();
        }
        let missing = expected.difference(&found).map(|line| format!("{}: - {word}{line}", self.name));
        missing.chain(found.difference(&expected).map(|line| format!("{}: + {word}{line}", self.name))).collect()
    }
}

fn is_described(fault: &Fault, line: &str) -> bool {
    let mut parts = line.splitn(3, ": ");
    parts.next() == Some(&fault.file)
        && parts.next() == Some(&fault.path)
        && parts.next().is_none_or(|text| fault.reason.contains(text))
}

fn row(route: &Route) -> String {
    let cors = match &route.cors {
        RouteCors::AnythingGoes => "anything-goes",
        RouteCors::Named(policy) => &policy.name,
        RouteCors::None => "-",
    };
    let (access, upstream) = (route.access(), route.handler.display());
    let policies = joined(route.policies.iter().map(|policy| &policy.name));
    format!("{access} | {} | {} | {policies} | {cors} | {upstream}", route.method, route.pattern.as_str())
}

fn policy(policy: &Policy) -> String {
    let action = match &policy.action {
        PolicyAction::Authenticate(_) => "authenticate".to_owned(),
        PolicyAction::Custom => "custom".to_owned(),
        PolicyAction::EditHeaders(HeaderEdits::Remove(names)) => format!("remove {}", joined(names)),
        PolicyAction::EditHeaders(HeaderEdits::Set(headers)) => {
            let headers = headers.iter().map(|header| {
                let value = if header.value.is_sensitive() { "secret" } else { header.value.to_str().expect("ASCII") };
                format!("{}{}{value}", header.name, if header.overwrite { "=" } else { "?=" })
            });
            format!("set {}", joined(headers))
        }
    };
    format!("{} | {action}", policy.name)
}

fn cors_policy(policy: &CorsPolicy) -> String {
    let origin = |origin: &OriginPattern| match origin {
        OriginPattern::Exact(origin) => origin.clone(),
        OriginPattern::Subdomain { prefix, suffix } => format!("{prefix}*{suffix}"),
    };
    let columns = [
        policy.name.clone(),
        any_or(&policy.allowed_origins, origin),
        any_or(&policy.allowed_methods, Method::to_string),
        any_or(&policy.allowed_headers, HeaderName::to_string),
        any_or(&policy.expose_headers, HeaderName::to_string),
        policy.max_age.map_or_else(|| "-".to_owned(), |age| age.as_secs().to_string()),
        if policy.allow_credentials { "credentials" } else { "-" }.to_owned(),
    ];
    columns.join(" | ")
}

fn any_or<T>(list: &AnyOr<T>, text: impl Fn(&T) -> String) -> String {
    match list {
        AnyOr::Any => "*".to_owned(),
        AnyOr::List(items) => joined(items.iter().map(text)),
    }
}

fn joined<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "-".to_owned() } else { items.join(",") }
}

fn lines(lines: &[String]) -> String {
    format!("\n{}", lines.join("\n"))
}

/// The first words of lines that are no routes.
const NOT_ROUTES: [&str; 3] = ["warning ", "policy ", "cors "];
