//! What the benches share: an operation that is timed and whose allocations are counted, and a comparison of two
//! operations in alternating rounds, so that other load on the machine affects both in the same way.

use std::{
    collections::HashSet,
    hint::black_box,
    time::{Duration, Instant},
};

use allocation_counter::{measure, opt_out};
use criterion::Criterion;

mod raw;
mod tokens;

pub(crate) use self::{
    raw::Raw,
    tokens::{Tokens, at_hand, fetched, many, on_all_cores, ready, usual, without_budget},
};

/// Something that is done many times.
pub(crate) trait Operation {
    /// How long `iterations` repetitions take.
    fn time(&mut self, iterations: u64) -> Duration;

    /// Allocations and bytes of one repetition.
    fn allocations(&mut self) -> (f64, f64);
}

/// `run`, each time with a new input that `prepare` makes outside of the measurement. The output is dropped inside it.
pub(crate) fn operation<'a, I: 'a, O: 'a>(
    prepare: impl FnMut() -> I + 'a,
    run: impl FnMut(I) -> O + 'a,
) -> Box<dyn Operation + 'a> {
    Box::new(Prepared { prepare, run })
}

/// The items in turn, endlessly. Each is read before the measurement, as if a server had just received it, so that
/// loading it from main memory is not measured.
pub(crate) fn in_turn<'a, T>(items: &'a [T], bytes: impl Fn(&'a T) -> &'a [u8]) -> impl FnMut() -> &'a T {
    let mut cycle = items.iter().cycle();
    move || {
        let item = cycle.next().expect("an item");
        black_box(bytes(item).iter().fold(0, |sum: u8, byte| sum ^ byte));
        item
    }
}

/// Our operation, and the one it is compared with.
pub(crate) struct Case<'a> {
    pub(crate) base: Box<dyn Operation + 'a>,
    pub(crate) base_name: &'static str,
    pub(crate) mark: Mark,
    pub(crate) name: &'static str,
    pub(crate) ours: Box<dyn Operation + 'a>,
}

/// What a case may cost at most.
#[derive(Clone, Copy)]
pub(crate) enum Mark {
    /// Nanoseconds more than the base.
    Net(f64),
    None,
    /// Nanoseconds.
    Own(f64),
    /// Times the base.
    Ratio(f64),
}

/// Runs the cases in Criterion, then compares each with its base for the table. If Criterion only tests them
/// (`cargo test`, `-- --test`), there is no table.
pub(crate) fn run(title: &str, mut cases: Vec<Case<'_>>) {
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_millis(600))
        .nresamples(10_000)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .without_plots()
        .configure_from_args();
    let mut group = criterion.benchmark_group(title);
    let mut bases = HashSet::new();
    for case in &mut cases {
        if bases.insert(case.base_name) {
            group.bench_function(case.base_name, |bencher| bencher.iter_custom(|times| case.base.time(times)));
        }
        group.bench_function(case.name, |bencher| bencher.iter_custom(|times| case.ours.time(times)));
    }
    group.finish();
    criterion.final_summary();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--bench") && !has("--test") && !has("--list") {
        // What Criterion takes as a filter, so that one row can be measured alone.
        let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
        cases.retain(|case| filters.iter().all(|filter| case.name.contains(filter.as_str())));
        print(title, &mut cases);
    }
}

#[expect(clippy::print_stdout, reason = "the table is what the bench is run for")]
fn print(title: &str, cases: &mut [Case<'_>]) {
    println!(
        "\n{title}: medians of {ROUNDS} alternating rounds, quartiles of the difference in brackets; allocations and \
         bytes above the base\n"
    );
    println!(
        "{:<40} {:<19} {:>7} {:>7} {:>24} {:>6} {:>6} {:>7}  mark",
        "", "base", "base ns", "ours ns", "net ns", "ratio", "allocs", "bytes"
    );
    for case in cases {
        let rounds = alternate(case);
        let [low, net, high] = quartiles(rounds.iter().map(|(ours, base)| ours - base).collect());
        let [_, ratio, _] = quartiles(rounds.iter().map(|(ours, base)| ours / base).collect());
        let [_, base, _] = quartiles(rounds.iter().map(|(_, base)| *base).collect());
        let [_, ours, _] = quartiles(rounds.iter().map(|(ours, _)| *ours).collect());
        let (allocations, bytes) = case.ours.allocations();
        let (base_allocations, base_bytes) = case.base.allocations();
        println!(
            "{:<40} {:<19} {base:>7.0} {ours:>7.0} {:>24} {ratio:>6.2} {:>6} {:>7}  {}",
            case.name,
            case.base_name,
            format!("{net:.0} ({low:.0} to {high:.0})"),
            exact(allocations - base_allocations),
            exact(bytes - base_bytes),
            match case.mark {
                Mark::Net(most) => verdict("net", net, most),
                Mark::None => String::new(),
                Mark::Own(most) => verdict("ours", ours, most),
                Mark::Ratio(most) => verdict("ratio", ratio, most),
            }
        );
    }
}

fn verdict(what: &str, value: f64, most: f64) -> String {
    let outcome = if value <= most { "met" } else { "missed" };
    format!("{what} <= {most}: {outcome}")
}

/// Nanoseconds of ours and of the base, round by round. A round is much shorter than a time slice of the scheduler, so
/// that on a busy machine most rounds are not interrupted.
fn alternate(case: &mut Case<'_>) -> Vec<(f64, f64)> {
    let (of_ours, of_base) = (times_per_round(&mut *case.ours), times_per_round(&mut *case.base));
    (0..ROUNDS)
        .map(|round| {
            if round.is_multiple_of(2) {
                let base = nanoseconds(&mut *case.base, of_base);
                (nanoseconds(&mut *case.ours, of_ours), base)
            } else {
                let ours = nanoseconds(&mut *case.ours, of_ours);
                (ours, nanoseconds(&mut *case.base, of_base))
            }
        })
        .collect()
}

/// The median nanoseconds of each operation. Every round runs all of them.
pub(crate) fn medians(operations: &mut [Box<dyn Operation + '_>], rounds: u32) -> Vec<f64> {
    let times: Vec<u32> = operations.iter_mut().map(|operation| times_per_round(&mut **operation)).collect();
    let mut turns = vec![Vec::new(); operations.len()];
    for _ in 0..rounds {
        for ((operation, times), turns) in operations.iter_mut().zip(&times).zip(&mut turns) {
            turns.push(nanoseconds(&mut **operation, *times));
        }
    }
    turns.into_iter().map(|turns| quartiles(turns)[1]).collect()
}

fn times_per_round(operation: &mut dyn Operation) -> u32 {
    let once = (0..10).map(|_| operation.time(1)).min().unwrap_or_default();
    let times = ROUND.as_nanos() / once.as_nanos().max(1);
    u32::try_from(times).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH)
}

fn nanoseconds(operation: &mut dyn Operation, times: u32) -> f64 {
    operation.time(times.into()).as_secs_f64() * 1e9 / f64::from(times)
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values.get(values.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}

/// Whole numbers without decimals; one decimal for a mean of costs that vary.
fn exact(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

struct Prepared<P, R> {
    prepare: P,
    run: R,
}

impl<I, O, P: FnMut() -> I, R: FnMut(I) -> O> Operation for Prepared<P, R> {
    fn time(&mut self, iterations: u64) -> Duration {
        let mut time = Duration::ZERO;
        // The counting allocator is global. Here it passes calls on without counting them.
        opt_out(|| {
            let mut left = iterations;
            while left > 0 {
                let batch = left.min(MAX_BATCH.into());
                left -= batch;
                let inputs: Vec<I> = (0..batch).map(|_| (self.prepare)()).collect();
                let start = Instant::now();
                for input in inputs {
                    black_box((self.run)(black_box(input)));
                }
                time += start.elapsed();
            }
        });
        time
    }

    fn allocations(&mut self) -> (f64, f64) {
        // The first repetition initializes statics, so it is not counted.
        let input = (self.prepare)();
        black_box((self.run)(input));
        let (mut count, mut bytes) = (0.0, 0.0);
        for _ in 0..COUNTED {
            let input = (self.prepare)();
            let info = measure(|| drop(black_box((self.run)(black_box(input)))));
            count += whole(info.count_total);
            bytes += whole(info.bytes_total);
        }
        (count / f64::from(COUNTED), bytes / f64::from(COUNTED))
    }
}

fn whole(value: u64) -> f64 {
    u32::try_from(value).map_or(f64::NAN, f64::from)
}

const COUNTED: u32 = 256;
/// How many inputs are prepared at once.
const MAX_BATCH: u32 = 256;
const ROUND: Duration = Duration::from_micros(200);
const ROUNDS: u32 = 1001;
