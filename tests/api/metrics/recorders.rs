//! When the recorder is installed, and what it is told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::Metrics;
use crate::support::{get, good, layer, send_through, token};

/// A recorder that notes descriptions.
#[derive(Default)]
struct Notes(Mutex<BTreeMap<String, Description>>);

type Description = (&'static str, Option<Unit>, String);

impl Notes {
    fn note(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, text: &SharedString) {
        self.0.lock().expect("a table").insert(name.as_str().to_owned(), (kind, unit, text.to_string()));
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("counter", &name, unit, &text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("gauge", &name, unit, &text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("histogram", &name, unit, &text);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn every_metric_of_the_guide_is_described_with_its_unit() {
    let notes = Notes::default();
    metrics::with_local_recorder(&notes, || drop(layer()));
    let described = notes.0.into_inner().expect("a table");
    let listed = super::labels::metrics_of_the_guide();
    assert_eq!(described.keys().collect::<Vec<_>>(), listed.keys().collect::<Vec<_>>());
    for (name, (kind, unit, text)) in described {
        let row = &listed[&name];
        assert_eq!((kind, unit.map(|unit| unit.as_str())), (row.kind.as_str(), Some(row.unit.as_str())), "{name}");
        assert!(!text.is_empty() && !name.ends_with("_total"), "{name} {text}");
    }
}

#[tokio::test]
async fn a_recorder_that_is_installed_late_gets_what_happens_from_then_on() {
    let layer = layer();
    for authorization in [good(), "Bearer not.a.token".to_owned()] {
        send_through(&layer, get(&[("authorization", &authorization)])).await;
    }
    layer.verifier().record_metrics();
    let metrics = Metrics::start();
    assert_eq!(metrics.requests(), [""; 0]);
    for authorization in [good(), "Bearer not.a.token".to_owned()] {
        send_through(&layer, get(&[("authorization", &authorization)])).await;
    }
    layer.verifier().record_metrics();
    assert_eq!(metrics.requests(), ["allowed none session header 1", "refused malformed none header 1"]);
    assert_eq!(metrics.value("clerk_token_cache_hits_total"), Some(1.0));
    assert_eq!(metrics.value("clerk_jwks_keys"), Some(1.0));
    assert!(metrics.handle.render().contains("# HELP clerk_auth_requests_total requests"));
}

#[tokio::test]
async fn two_verifiers_add_to_the_same_series() {
    let metrics = Metrics::start();
    for layer in [layer(), layer()] {
        send_through(&layer, get(&[("authorization", &good())])).await;
    }
    assert_eq!(metrics.requests(), ["allowed none session header 2"]);
}

thread_local! {
    static COUNTED: Arc<Total> = Arc::default();
}

#[derive(Default)]
struct Total(Mutex<u64>);

impl CounterFn for Total {
    fn increment(&self, value: u64) {
        *self.0.lock().expect("a number") += value;
    }

    fn absolute(&self, _: u64) {}
}

/// Keeps all of its state elsewhere. Without a field it looks like the recorder that stands in where none is installed.
struct Elsewhere<F>(F);

impl<F> Recorder for Elsewhere<F> {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        COUNTED.with(|counted| Counter::from_arc(Arc::clone(counted)))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_recorder_without_fields_gets_nothing_and_one_with_a_field_all() {
    let verifier = crate::support::verifier(crate::support::issuer().config());
    let verify = || {
        assert!(verifier.try_verify(&token().sign()).is_ok());
        assert!(verifier.try_verify("not.a.token").is_err());
        COUNTED.with(|counted| *counted.0.lock().expect("a number"))
    };
    assert_eq!(metrics::with_local_recorder(&Elsewhere(()), verify), 0);
    assert_eq!(metrics::with_local_recorder(&Elsewhere(0_u8), verify), 2);
}
