//! The cost of a request should not grow with the number of instances, keys, cached tokens, cores and concurrent
//! requests, but only with the length of the token.
//!
//! ```text
//! cargo bench --bench scale
//! cargo bench --bench scale -- --tokens 1000000    # signed first, which takes minutes
//! cargo bench --bench scale -- --test              # a few of everything
//! ```

#![expect(clippy::print_stdout, reason = "the tables are what the bench is run for")]

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
#[path = "../support/mod.rs"]
mod support;

mod at_once;
mod cores;
mod instances;
mod keys;
mod lengths;
mod tokens_seen;

use std::{env, time::Instant};

use tower_clerk::{ClerkConfig, Verifier, testing::TestIssuer};

use self::support::{Operation, Tokens, in_turn, many, operation, ready};

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        return;
    }
    let is_test = has("--test") || !has("--bench");
    let asked = arguments.iter().skip_while(|argument| *argument != "--tokens").nth(1);
    let tokens = asked.map_or(100_000, |count| count.parse().expect("a number of tokens"));
    let size = if is_test {
        Size { instances: 20, requests: 100, rounds: 3, tokens: 400, tries: 3 }
    } else {
        Size { instances: 2000, requests: 10_000, rounds: 501, tokens, tries: 101 }
    };

    let issuer = TestIssuer::new();
    let kinds = Tokens::new(&issuer);
    instances::table(&issuer, &size);
    keys::table(&issuer, &kinds, &size);
    lengths::table(&issuer, &kinds, &size);
    let start = Instant::now();
    let live = many(&issuer, size.tokens);
    println!("\n{} tokens signed in {:.0} s", live.len(), start.elapsed().as_secs_f64());
    tokens_seen::table(&issuer, &live);
    cores::table(&issuer, &live[..live.len().min(size.requests)], &size);
    at_once::table(&issuer, &kinds, &size);
}

/// The sizes of the measurements.
struct Size {
    /// The most instances of one layer.
    instances: u32,
    /// The most requests at once, and the tokens that all cores verify.
    requests: usize,
    /// Rounds of a comparison of operations that alternate.
    rounds: u32,
    /// Tokens that are seen for the first time, one after the other.
    tokens: u32,
    /// Tries of several threads, the best of which counts.
    tries: u32,
}

fn verifier(config: ClerkConfig, remembers: bool) -> Verifier {
    let builder = Verifier::builder(config);
    ready(if remembers { builder } else { builder.without_token_cache() })
}

fn verifies<'a>(verifier: &'a Verifier, tokens: &'a [String]) -> Box<dyn Operation + 'a> {
    operation(in_turn(tokens, String::as_bytes), |token| verifier.try_verify(token).expect("a good token"))
}
