//! Metrics: what is counted, and under which labels.

mod decisions;
mod keys;
mod labels;
mod opaque;
mod recorders;
mod requests;
mod token_cache;
mod users;

use std::collections::BTreeMap;

use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The recorder of one thread. Tests run on threads of their own, with runtimes that use no others.
struct Metrics {
    handle: PrometheusHandle,
    _guard: LocalRecorderGuard<'static>,
}

/// One line of the exposition.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    fn start() -> Self {
        let builder = PrometheusBuilder::new().with_recommended_naming(true);
        let builder = builder.set_buckets(&[0.001, 1.0]).expect("buckets");
        // Leaked, because the guard borrows it.
        let recorder = Box::leak(Box::new(builder.build_recorder()));
        Self { handle: recorder.handle(), _guard: metrics::set_default_local_recorder(recorder) }
    }

    fn samples(&self) -> Vec<Sample> {
        parse(&self.handle.render())
    }

    /// The value of one series: `name{label="value"}` with its labels in alphabetical order. `None` if there is none.
    fn value(&self, series: &str) -> Option<f64> {
        self.samples().into_iter().find(|sample| sample.series() == series).map(|sample| sample.value)
    }

    /// The series of a metric with their values, in alphabetical order. Labels are written as `a=b`.
    fn all(&self, name: &str) -> Vec<String> {
        let samples = self.samples().into_iter().filter(|sample| sample.name == name);
        let mut all: Vec<_> = samples.map(|sample| format!("{} {}", sample.short_labels(), sample.value)).collect();
        all.sort();
        all
    }

    /// The requests that were counted: `outcome reason token source value`.
    fn requests(&self) -> Vec<String> {
        let samples = self.samples().into_iter().filter(|sample| sample.name == "clerk_auth_requests_total");
        let row = |sample: Sample| {
            let label = |name: &str| sample.labels[name].clone();
            let labels = ["outcome", "reason", "token", "source"].map(label).join(" ");
            assert_eq!(sample.labels.len(), 4, "{sample:?}");
            format!("{labels} {}", sample.value)
        };
        let mut all: Vec<_> = samples.map(row).collect();
        all.sort();
        all
    }

    /// How many durations were recorded.
    fn durations(&self, is_cached: bool) -> f64 {
        self.value(&format!("clerk_auth_duration_seconds_count{{cached=\"{is_cached}\"}}")).unwrap_or_default()
    }
}

impl Sample {
    fn series(&self) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if labels.is_empty() { self.name.clone() } else { format!("{}{{{}}}", self.name, labels.join(",")) }
    }

    fn short_labels(&self) -> String {
        self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }
}

/// Reads the text format of Prometheus. No value of a label has a comma or a quotation mark here.
fn parse(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let pairs = labels.trim_end_matches('}').split(',').filter(|pair| !pair.is_empty());
            let labels = pairs.map(|pair| {
                let (name, value) = pair.split_once('=').expect("a label");
                (name.to_owned(), value.trim_matches('"').to_owned())
            });
            Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().expect("a number") }
        })
        .collect()
}
