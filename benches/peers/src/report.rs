use std::{fmt, fs, process::Command};

use serde::{Deserialize, Serialize};

use crate::measure::{Operation, ROUNDS, Subject, quartiles, rounds};

/// What was measured, where and when. Times are in microseconds: first quartile, median, third quartile.
#[derive(Deserialize, Serialize)]
pub struct Report {
    pub date: String,
    pub machine: String,
    pub rustc: String,
    /// The load average of the minute before the measurement.
    pub load: String,
    pub rounds: usize,
    pub token_bytes: usize,
    /// Only the RSA verification.
    pub raw: [f64; 3],
    pub rows: Vec<Row>,
}

/// What a crate adds to a request, compared with the same router without it.
#[derive(Deserialize, Serialize)]
pub struct Row {
    pub name: String,
    pub version: String,
    pub crypto: String,
    pub is_hit: bool,
    pub micros: [f64; 3],
    pub allocations: f64,
    pub bytes: f64,
}

impl Report {
    pub fn new(token: &str, mut raw: Box<dyn Operation>, mut subjects: Vec<Subject>) -> Self {
        let load = first_words(&fs::read_to_string("/proc/loadavg").unwrap_or_default(), 1);
        let counts: Vec<_> = subjects
            .iter_mut()
            .map(|subject| {
                let [with, without] = [&mut subject.target, &mut subject.base].map(|target| target.allocations());
                [with[0] - without[0], with[1] - without[1]]
            })
            .collect();
        let mut operations: Vec<&mut dyn Operation> = vec![&mut *raw];
        for subject in &mut subjects {
            operations.push(&mut *subject.base);
            operations.push(&mut *subject.target);
        }
        let mut turns = rounds(&mut operations).into_iter();
        let raw = quartiles(turns.next().expect("the raw verification"));
        let rows = subjects.iter().zip(counts).map(|(subject, [allocations, bytes])| {
            let (base, ours) = (turns.next().expect("the base"), turns.next().expect("the crate"));
            let net = ours.iter().zip(&base).map(|(ours, base)| ours - base).collect();
            Row {
                name: subject.name.to_owned(),
                version: subject.version.to_owned(),
                crypto: subject.crypto.to_owned(),
                is_hit: subject.is_hit,
                micros: quartiles(net),
                allocations,
                bytes,
            }
        });
        let rows = rows.collect();
        Self {
            date: output("date", &["+%F"]),
            machine: machine(),
            rustc: first_words(&output("rustc", &["--version"]), 2),
            load,
            rounds: ROUNDS,
            token_bytes: token.len(),
            raw,
            rows,
        }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("JSON") + "\n"
    }

    /// The costs of our cache hit and of our first verification of a token.
    fn ours(&self) -> [f64; 2] {
        [true, false].map(|is_hit| {
            let is_ours = |row: &&Row| row.is_ours() && row.is_hit == is_hit;
            self.rows.iter().find(is_ours).map_or(f64::NAN, |row| row.micros[1])
        })
    }
}

impl Row {
    pub fn is_ours(&self) -> bool {
        self.name.starts_with("tower-clerk")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hit, first_sight] = self.ours();
        writeln!(
            formatter,
            "{}, {}, {}, load {}; a token of {} bytes; {} rounds\n\
             Net of the same router without it: microseconds (quartiles), allocations and bytes of a request.\n\
             The last columns: how many times what a hit, and a first sight, costs with tower-clerk.\n",
            self.date, self.machine, self.rustc, self.load, self.token_bytes, self.rounds,
        )?;
        writeln!(
            formatter,
            "{:<31} {:<8} {:<12} {:>22} {:>7} {:>8} {:>7} {:>12}",
            "", "version", "crypto", "us", "allocs", "bytes", "x hit", "x first sight"
        )?;
        let row = |name: &str, version: &str, crypto: &str, micros: &[f64; 3]| {
            let [low, middle, high] = micros.map(|micros| format!("{micros:.2}"));
            format!("{name:<31} {version:<8} {crypto:<12} {:>22}", format!("{middle} ({low} to {high})"))
        };
        writeln!(formatter, "{}", row("the RSA verification alone", "", "aws-lc", &self.raw))?;
        for Row { name, version, crypto, micros, allocations, bytes, .. } in &self.rows {
            let line = row(name, version, crypto, micros);
            let [to_hit, to_first_sight] = [hit, first_sight].map(|ours| micros[1] / ours);
            writeln!(formatter, "{line} {allocations:>7.1} {bytes:>8.0} {to_hit:>7.1} {to_first_sight:>12.2}")?;
        }
        Ok(())
    }
}

/// The model name of the processor, and its number of cores.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", name.map_or(std::env::consts::ARCH, |(_, name)| name))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

fn first_words(text: &str, count: usize) -> String {
    text.split_whitespace().take(count).collect::<Vec<_>>().join(" ")
}
