//! What the soak has seen: requests, violations, and the table at the end.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub(crate) struct Report {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By server, kind of request and status.
    requests: BTreeMap<(String, String, u16), u64>,
    /// Of the hits that passed, in microseconds, by server.
    latencies: BTreeMap<String, Vec<u64>>,
    violations: BTreeMap<String, u64>,
    events: u64,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), state: Mutex::default() }
    }

    pub(crate) fn event(&self, issuer: &str, what: &str) {
        self.state().events += 1;
        println!("{:>6.1} s  {issuer} {what}", self.elapsed());
    }

    /// Notes a broken promise. Only the first of each kind are printed: one cause has many of them.
    pub(crate) fn violation(&self, kind: &str, what: &str) {
        let seen = {
            let mut state = self.state();
            let seen = state.violations.entry(kind.to_owned()).or_default();
            *seen += 1;
            *seen
        };
        if seen <= PRINTED {
            println!("{:>6.1} s  VIOLATION {kind}: {what}", self.elapsed());
        }
    }

    pub(crate) fn request(&self, server: &str, kind: &str, status: u16) {
        *self.state().requests.entry((server.to_owned(), kind.to_owned(), status)).or_default() += 1;
    }

    pub(crate) fn latency(&self, server: &str, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.state().latencies.entry(server.to_owned()).or_default().push(micros);
    }

    pub(crate) fn violations(&self) -> BTreeMap<String, u64> {
        self.state().violations.clone()
    }

    pub(crate) fn progress(&self) -> String {
        let state = self.state();
        let total: u64 = state.requests.values().sum();
        let violations: u64 = state.violations.values().sum();
        format!("{:>6.1} s  {total} requests, {} events, {violations} violations", self.elapsed(), state.events)
    }

    /// The table as text and as JSON. `more` are the rows of fetches and of each server's process.
    pub(crate) fn table(&self, more: &BTreeMap<String, Value>) -> (String, Value) {
        let state = self.state();
        let mut text = String::from("\nrequests by server, kind and status\n");
        let mut requests = json!({});
        for ((server, kind, status), count) in &state.requests {
            let _ = writeln!(text, "  {server:<8} {kind:<12} {status:>4} {count:>9}");
            requests[server][kind][status.to_string()] = json!(count);
        }
        text.push_str("\nlatency of hits in ms: p50, p99, max\n");
        let mut latencies = json!({});
        for (server, micros) in &state.latencies {
            let mut micros = micros.clone();
            micros.sort_unstable();
            let at = |percent: usize| micros[(micros.len() - 1) * percent / 100];
            let [p50, p99, max] =
                [at(50), at(99), at(100)].map(|micros| Duration::from_micros(micros).as_secs_f64() * 1e3);
            let _ = writeln!(text, "  {server:<8} {p50:>8.2} {p99:>8.2} {max:>8.2}");
            latencies[server] = json!({ "p50_ms": p50, "p99_ms": p99, "max_ms": max, "hits": micros.len() });
        }
        for (name, rows) in more {
            let _ = writeln!(text, "\n{name}");
            for (row, values) in rows.as_object().into_iter().flatten() {
                let _ = writeln!(text, "  {row:<20} {values}");
            }
        }
        text.push_str("\nviolations\n");
        for (kind, count) in &state.violations {
            let _ = writeln!(text, "  {kind:<20} {count:>9}");
        }
        if state.violations.is_empty() {
            text.push_str("  none\n");
        }
        let value = json!({
            "seconds": self.elapsed(), "requests": requests, "hit_latency": latencies, "figures": more,
            "violations": state.violations,
        });
        (text, value)
    }

    fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }
}

const PRINTED: u64 = 3;
