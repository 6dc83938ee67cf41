//! A verifier that gets more and more tokens, each of them new.

use std::{
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use tower_clerk::testing::TestIssuer;

use super::support::{at_hand, ready};

pub(crate) fn table(issuer: &TestIssuer, tokens: &[String]) {
    println!("\ntokens seen   first sight ns     kept   heap bytes   of an entry   as counted   resident KB");
    let verifier = ready(at_hand(issuer));
    let before = measure(|| drop(ready(at_hand(issuer)))).bytes_current;
    let (mut seen, mut held) = (0, -before);
    for until in [1, 1000, 10_000, 20_000, 50_000, 100_000, 300_000, 1_000_000] {
        let Some(new) = tokens.get(seen..until.min(tokens.len())).filter(|new| !new.is_empty()) else { break };
        let mut turns = Vec::new();
        for slice in new.chunks(32) {
            let mut time = Duration::ZERO;
            let info = measure(|| {
                let start = Instant::now();
                slice.iter().for_each(|token| drop(black_box(verifier.try_verify(token)).expect("a good token")));
                time = start.elapsed();
            });
            held += info.bytes_current;
            turns.push(time.as_secs_f64() * 1e9 / f64::from(u32::try_from(slice.len()).unwrap_or(1)));
        }
        turns.sort_unstable_by(f64::total_cmp);
        seen += new.len();
        let status = verifier.token_cache_status();
        let entries = i64::try_from(status.entries).unwrap_or(1).max(1);
        println!(
            "{seen:>11} {:>16.0} {entries:>8} {held:>12} {:>13} {:>12} {:>13}",
            turns.get(turns.len() / 2).copied().unwrap_or_default(),
            held / entries,
            i64::try_from(status.bytes).unwrap_or_default() / entries,
            resident_kilobytes(),
        );
    }
}

/// Resident memory as the operating system reports it; zero if it does not.
fn resident_kilobytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
