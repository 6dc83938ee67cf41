//! The metrics of an example, for Prometheus.

use std::{error::Error, io, thread, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tower_clerk::Verifier;

/// The content type of [`Metrics::render`]: Prometheus' text format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The recorder of the process.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder, once in a process, before layers and verifiers are made.
    pub(crate) fn install() -> Result<Self, Box<dyn Error>> {
        // Adds `_total` to the names of counters.
        let mut builder = PrometheusBuilder::new().with_recommended_naming(true);
        for (name, seconds) in BUCKETS {
            builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), seconds)?;
        }
        let handle = builder.install_recorder()?;
        keep_up(handle.clone())?;
        Ok(Self(handle))
    }

    /// All metrics as text, with the state of these verifiers at this moment.
    pub(crate) fn render<'a>(&self, verifiers: impl IntoIterator<Item = &'a Verifier>) -> String {
        verifiers.into_iter().for_each(Verifier::record_metrics);
        self.0.render()
    }
}

/// The recorder keeps each duration until it is sorted into its bucket, which must happen without scrapes too. A flood
/// of new tokens brings a hundred thousand in this time, which are no work for a thread of the runtime.
fn keep_up(handle: PrometheusHandle) -> io::Result<()> {
    let upkeep = move || {
        loop {
            thread::sleep(UPKEEP);
            handle.run_upkeep();
        }
    };
    thread::Builder::new().name("metrics".to_owned()).spawn(upkeep).map(drop)
}

const UPKEEP: Duration = Duration::from_secs(5);

/// In seconds. A cached decision takes about a microsecond, a first one some 100, and one that waits for Clerk up to
/// the time limits of the configuration.
const BUCKETS: [(&str, &[f64]); 2] = [
    (
        "clerk_auth_duration_seconds",
        &[
            5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05,
            0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
        ],
    ),
    ("clerk_jwks_fetch_duration_seconds", &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
];
