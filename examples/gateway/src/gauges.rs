//! The gauges of the authentication policies, each with the name of its policy.

use ::metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tower_clerk::Verifier;

/// The gauges at this moment, as text for Prometheus.
///
/// Without the names the policies would overwrite each other, so that missing keys of one could stay unseen. The
/// recorder is new for each text: a policy that a reload removes takes its gauges with it.
pub(crate) fn render<'a>(policies: impl Iterator<Item = (&'a str, &'a Verifier)>) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    for (policy, verifier) in policies {
        let recorder = PolicyRecorder { policy, recorder: &recorder };
        ::metrics::with_local_recorder(&recorder, || verifier.record_metrics());
    }
    recorder.handle().render()
}

/// Adds the label `policy`. It is for gauges alone: a verifier keeps the counters that it is given.
struct PolicyRecorder<'a> {
    policy: &'a str,
    recorder: &'a PrometheusRecorder,
}

impl Recorder for PolicyRecorder<'_> {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, description: SharedString) {
        self.recorder.describe_gauge(name, unit, description);
    }

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        let key = key.with_extra_labels(vec![Label::new("policy", self.policy.to_owned())]);
        self.recorder.register_gauge(&key, metadata)
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
