//! How often ten thousand replicas that start within one second ask the issuer for its keys, over ten minutes.
//!
//! ```text
//! cargo bench --bench replicas                   # the table; status 1 if a bound is broken or the picture is old
//! cargo bench --bench replicas -- --record       # also writes benches/replicas.svg
//! cargo bench --bench replicas -- --seed 7       # other random numbers
//! cargo bench --bench replicas -- --replicas 500
//! cargo bench --bench replicas -- --test         # a few replicas
//! cargo bench --bench replicas -- --one          # memory and start of one replica
//! ```
//!
//! The replicas are real verifiers in one process. Their clock is simulated, and so is the issuer; `fleet.rs` says how.
//! The same seed prints the same table on every machine.

#![expect(clippy::print_stdout, reason = "the table is what the bench is run for")]

#[allow(dead_code, unused_imports, reason = "a bench takes what it needs")]
#[path = "../support/tokens.rs"]
mod support;

mod fleet;
mod one;
mod plot;
mod scenarios;

use std::{
    env, fs,
    path::Path,
    process::ExitCode,
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use self::{
    fleet::Load,
    scenarios::{SCENARIOS, SECONDS, decimal},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        return ExitCode::SUCCESS;
    }
    if has("--one") {
        one::table();
        return ExitCode::SUCCESS;
    }
    let is_test = has("--test") || !has("--bench");
    let replicas = option(&arguments, "--replicas").unwrap_or(if is_test { 100 } else { REPLICAS });
    let seed = option(&arguments, "--seed").unwrap_or(SEED);
    println!("{replicas} replicas, {SECONDS} seconds, seed {seed}; fetches of keys in a second:\n");
    println!("                        first   later                       in all       of requests");
    println!("scenario              seconds    peak     p99    mean   of one replica       503     401");

    let loads = all(replicas, seed);
    let mut faults = Vec::new();
    for ((scenario, bounds), load) in SCENARIOS.iter().zip(&loads) {
        println!("{:20} {}", scenario.name, row(load, replicas));
        faults.extend(bounds.broken(load, replicas).into_iter().map(|fault| format!("{}: {fault}", scenario.name)));
    }
    if (replicas, seed) == (REPLICAS, SEED) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/replicas.svg");
        let picture = plot::svg(&loads, replicas);
        if has("--record") {
            fs::write(&file, &picture).expect("benches/replicas.svg");
        } else if fs::read_to_string(&file).ok() != Some(picture) {
            faults.push("benches/replicas.svg shows something else: --record rewrites it".to_owned());
        }
    }
    for fault in &faults {
        println!("error: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The value after an option.
fn option<T: FromStr>(arguments: &[String], name: &str) -> Option<T> {
    let value = arguments.iter().skip_while(|argument| *argument != name).nth(1)?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The loads of all scenarios. Each core simulates one after the other.
fn all(replicas: u32, seed: u64) -> Vec<Load> {
    let (next, loads) = (AtomicUsize::new(0), [const { OnceLock::new() }; SCENARIOS.len()]);
    let run = || {
        while let Some((index, (scenario, _))) = SCENARIOS.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
        {
            loads[index].get_or_init(|| scenario.run(replicas, SECONDS, seed));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(run);
        }
    });
    loads.into_iter().map(|load| load.into_inner().expect("a load")).collect()
}

fn row(load: &Load, replicas: u32) -> String {
    let per_replica = decimal(load.total()) / f64::from(replicas);
    let mean = decimal(load.total()) / decimal(SECONDS);
    let requests = decimal(load.requests);
    let [unavailable, rejected] = [load.unavailable, load.rejected].map(|count| 100.0 * decimal(count) / requests);
    let first = load.peak(0, 3);
    let (later, p99) = (load.later(), percentile_99(load));
    format!("{first:>8} {later:>7} {p99:>7} {mean:>7.1} {per_replica:>16.2} {unavailable:>8.2}% {rejected:>6.2}%")
}

/// The fetches of a second that 99 % of all seconds do not exceed.
fn percentile_99(load: &Load) -> u32 {
    let mut sorted = load.fetches.clone();
    sorted.sort_unstable();
    sorted.get((sorted.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
}

const REPLICAS: u32 = 10_000;
const SEED: u64 = 1;
