//! Several threads that verify at the same time.

use std::{
    hint::{black_box, spin_loop},
    slice::from_ref,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use tower_clerk::{Verifier, testing::TestIssuer};

use super::{
    Size,
    support::{at_hand, ready},
};

/// Verifications of all threads together, and as a multiple of what one thread does.
pub(crate) fn table(issuer: &TestIssuer, live: &[String], size: &Size) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let one = from_ref(&live[0]);
    let (hits, first_sights) = (size.requests / 5, size.requests / 100);
    let works = [
        Work { name: "one token".to_owned(), tokens: one, times: hits, verifiers: vec![remembering(issuer, one)] },
        Work {
            name: format!("{} tokens", live.len()),
            tokens: live,
            times: hits,
            verifiers: vec![remembering(issuer, live)],
        },
        Work {
            name: "own caches".to_owned(),
            tokens: live,
            times: hits,
            verifiers: (0..cores).map(|_| remembering(issuer, live)).collect(),
        },
        Work {
            name: "first sights".to_owned(),
            tokens: live,
            times: first_sights,
            verifiers: vec![ready(at_hand(issuer).without_token_cache())],
        },
    ];
    println!("\nper second: hits with one token, with many, and with a cache for each thread; first sights");
    println!("threads{}", works.each_ref().map(|work| format!("{:>15} {:>6}", work.name, "factor")).concat());
    let mut alone = None;
    for threads in (0..).map(|power| 1 << power).take_while(|threads| *threads < cores).chain([cores]) {
        let rates = works.each_ref().map(|work| work.best_rate(threads, size.tries * 5));
        let alone = *alone.get_or_insert(rates);
        let factors = [0, 1, 2, 3].map(|index| rates[index] / alone[index]);
        let cells = rates.iter().zip(factors).map(|(rate, factor)| format!("{rate:>15.0} {factor:>6.2}"));
        println!("{threads:>7}{}", cells.collect::<String>());
        if threads == 2 {
            let outcomes = factors.map(|factor| format!("{:>22}", if factor >= ON_TWO { "met" } else { "missed" }));
            println!(" >= {ON_TWO}{}", outcomes.concat());
        }
    }
}

/// What the threads do.
struct Work<'a> {
    name: String,
    tokens: &'a [String],
    /// How many verifications in one try. Few enough that some tries are not interrupted on a busy machine.
    times: usize,
    /// One for all threads, or one for each: the difference is what the threads cost each other in the cache. If the
    /// latter misses the mark too, the machine is busy, or its memory too slow for all cores.
    verifiers: Vec<Verifier>,
}

impl Work<'_> {
    /// Verifications per second of all threads, from the first start to the last end. The best of many tries, because
    /// other processes on the same cores slow down some of them.
    fn best_rate(&self, threads: usize, tries: u32) -> f64 {
        let mut first = 0;
        let wall_time = |_| {
            // Each thread goes on where it stopped in the try before, and is far from the others.
            first += self.times;
            let started = AtomicUsize::new(0);
            thread::scope(|scope| {
                let verifiers = self.verifiers.iter().cycle().take(threads).enumerate();
                let working: Vec<_> = verifiers
                    .map(|(thread, verifier)| {
                        let (first, started) = (first + thread * self.tokens.len() / threads, &started);
                        scope.spawn(move || self.run(verifier, first, || wait_for(started, threads)))
                    })
                    .collect();
                let times: Vec<_> = working.into_iter().map(|thread| thread.join().expect("times")).collect();
                let (start, end) = (times.iter().map(|(start, _)| start).min(), times.iter().map(|(_, end)| end).max());
                start.zip(end).map(|(start, end)| end.duration_since(*start)).unwrap_or_default()
            })
        };
        let best = (0..tries).map(wall_time).min().unwrap_or_default();
        f64::from(u32::try_from(self.times * threads).unwrap_or_default()) / best.as_secs_f64()
    }

    /// When one thread starts and ends. It verifies from the token with this index on.
    fn run(&self, verifier: &Verifier, first: usize, wait: impl FnOnce()) -> (Instant, Instant) {
        let turn = self.tokens.iter().cycle().skip(first % self.tokens.len()).take(self.times);
        wait();
        let start = Instant::now();
        turn.for_each(|token| drop(black_box(verifier.try_verify(token)).expect("a good token")));
        (start, Instant::now())
    }
}

/// Waits until all threads are here. They start together: waking one from its sleep would take a part of the time that
/// is measured.
fn wait_for(started: &AtomicUsize, threads: usize) {
    started.fetch_add(1, Ordering::Relaxed);
    while started.load(Ordering::Relaxed) < threads {
        spin_loop();
    }
}

/// A verifier that has all these tokens in its cache. The default limits would evict some of many.
fn remembering(issuer: &TestIssuer, tokens: &[String]) -> Verifier {
    let entries = (4 * tokens.len()).max(10_000);
    let verifier = ready(at_hand(issuer).token_cache_entries(entries).token_cache_bytes(1 << 30));
    tokens.iter().for_each(|token| drop(verifier.try_verify(token).expect("a good token")));
    assert_eq!(verifier.token_cache_status().entries, tokens.len());
    verifier
}

/// What two threads on two cores have to do at least, as a multiple of one thread.
const ON_TWO: f64 = 1.9;
