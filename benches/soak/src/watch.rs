//! The memory, file descriptors, threads and tasks of a server, sampled each second.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use crate::{ledger::count, report::Report};

/// The samples of one process.
pub(crate) struct Watch {
    pub(crate) server: &'static str,
    process: u32,
    memory: Vec<f64>,
    descriptors: Vec<f64>,
    threads: Vec<f64>,
    tasks: Vec<f64>,
}

impl Watch {
    pub(crate) fn new(server: &'static str, process: u32) -> Self {
        Self { server, process, memory: vec![], descriptors: vec![], threads: vec![], tasks: vec![] }
    }

    /// Takes one sample; `tasks` if the server reports them.
    pub(crate) fn sample(&mut self, tasks: Option<f64>) {
        let Ok(status) = fs::read_to_string(format!("/proc/{}/status", self.process)) else { return };
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        self.memory.extend(field("VmRSS:"));
        self.threads.extend(field("Threads:"));
        self.descriptors
            .extend(fs::read_dir(format!("/proc/{}/fd", self.process)).ok().map(|open| count(open.count())));
        self.tasks.extend(tasks);
    }

    /// Compares the last half of the samples with its median, and returns the figures.
    pub(crate) fn judge(&self, report: &Report) -> Value {
        let mut figures = json!({});
        for (name, samples, share, least) in [
            ("memory_kib", &self.memory, MEMORY_SHARE, MEMORY_LEAST),
            ("descriptors", &self.descriptors, 0.0, DESCRIPTORS_LEAST),
            ("threads", &self.threads, 0.0, THREADS_LEAST),
            ("tasks", &self.tasks, 0.0, TASKS_LEAST),
        ] {
            let half = &samples[samples.len() / 2..];
            if half.is_empty() {
                continue;
            }
            let mut sorted = half.to_vec();
            sorted.sort_by(f64::total_cmp);
            let (lowest, middle, highest) = (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
            figures[name] = json!({ "first": samples[0], "lowest": lowest, "median": middle, "highest": highest });
            let allowed = (middle * share).max(least);
            if middle - lowest > allowed || highest - middle > allowed {
                let what = format!(
                    "{name} of {} is not flat: from {lowest} to {highest} around {middle} in the last half",
                    self.server
                );
                report.violation("growth", &what);
            }
        }
        figures
    }
}

/// How often a sample is taken.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// The last half lies within this share of its own median.
const MEMORY_SHARE: f64 = 0.05;
/// A few pages that the allocator keeps or returns are no growth, however small the process.
const MEMORY_LEAST: f64 = 1024.0;
/// The clients that disconnect, and the fetches, have sockets that are open for a moment.
const DESCRIPTORS_LEAST: f64 = 20.0;
/// Tokio starts threads for blocking work and ends them when they have been idle.
const THREADS_LEAST: f64 = 3.0;
/// Requests and fetches in flight.
const TASKS_LEAST: f64 = 40.0;
