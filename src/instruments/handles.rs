//! Series that are bound to a recorder at their first use.
//!
//! To ask the recorder for a handle costs more than to use one, so a series that requests use keeps its handle. While
//! no recorder is installed the facade hands out handles that do nothing: those are not kept, so that a recorder which
//! is installed late gets every series.
//!
//! The facade does not say whether one is installed, but its stand-in has no fields. A recorder without fields is
//! therefore taken for it, and gets nothing: [`Verifier::record_metrics`](crate::Verifier::record_metrics) says so.

use std::borrow::Cow;
#[cfg(feature = "metrics")]
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{OnceLock, PoisonError, RwLock},
};

#[cfg(feature = "metrics")]
use foldhash::fast::RandomState;
#[cfg(feature = "metrics")]
use metrics::{Key, Level, Metadata, Recorder, with_recorder};

use super::table::Metric;

/// The names and values of the labels of one series.
pub(super) type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// A counter with fixed labels.
#[derive(Default)]
pub(super) struct Counter {
    #[cfg(feature = "metrics")]
    handle: OnceLock<metrics::Counter>,
}

/// A histogram with fixed labels.
#[derive(Default)]
pub(super) struct Histogram {
    #[cfg(feature = "metrics")]
    handle: OnceLock<metrics::Histogram>,
}

/// Counters with many combinations of labels, of which most are never used.
pub(super) struct Counters<K> {
    #[cfg(feature = "metrics")]
    handles: RwLock<HashMap<K, metrics::Counter, RandomState>>,
    #[cfg(not(feature = "metrics"))]
    key: std::marker::PhantomData<fn(K)>,
}

/// Whether anything that is counted now arrives somewhere.
pub(super) fn is_recording() -> bool {
    #[cfg(feature = "metrics")]
    return with_recorder(is_installed);
    #[cfg(not(feature = "metrics"))]
    false
}

/// Describes metrics to the recorder that is installed.
pub(super) fn describe(metrics: &[&Metric]) {
    #[cfg(feature = "metrics")]
    with_recorder(|recorder| metrics.iter().for_each(|metric| metric.describe(recorder)));
    #[cfg(not(feature = "metrics"))]
    let _ = metrics;
}

/// Adds to a counter whose events are so rare that it needs no handle of its own. Zero makes its series begin.
pub(super) fn count(metric: &'static Metric, events: u64, labels: impl FnOnce() -> Labels) {
    Counter::default().add(metric, events, labels);
}

/// Sets a gauge.
#[cfg(feature = "metrics")]
pub(super) fn set(metric: &'static Metric, value: f64, labels: impl FnOnce() -> Labels) {
    if let Some(handle) = bind(metric, labels, |recorder, key| recorder.register_gauge(key, &METADATA)) {
        handle.set(value);
    }
}

/// Records a value whose events are so rare that they need no handle of their own.
pub(super) fn record(metric: &'static Metric, value: f64, labels: impl FnOnce() -> Labels) {
    Histogram::default().record(metric, value, labels);
}

impl Counter {
    pub(super) fn add(&self, metric: &'static Metric, count: u64, labels: impl FnOnce() -> Labels) {
        #[cfg(feature = "metrics")]
        match self.handle.get() {
            Some(handle) => handle.increment(count),
            None => {
                if let Some(handle) = bind(metric, labels, |recorder, key| recorder.register_counter(key, &METADATA)) {
                    self.handle.get_or_init(|| handle).increment(count);
                }
            }
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (metric, count, labels);
    }
}

impl Histogram {
    pub(super) fn record(&self, metric: &'static Metric, value: f64, labels: impl FnOnce() -> Labels) {
        #[cfg(feature = "metrics")]
        match self.handle.get() {
            Some(handle) => handle.record(value),
            None => {
                if let Some(handle) = bind(metric, labels, |recorder, key| recorder.register_histogram(key, &METADATA))
                {
                    self.handle.get_or_init(|| handle).record(value);
                }
            }
        }
        #[cfg(not(feature = "metrics"))]
        let _ = (metric, value, labels);
    }
}

impl<K> Default for Counters<K> {
    fn default() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            handles: RwLock::default(),
            #[cfg(not(feature = "metrics"))]
            key: std::marker::PhantomData,
        }
    }
}

#[cfg(feature = "metrics")]
impl<K: Eq + Hash> Counters<K> {
    /// Adds one to the counter with this key. `labels` must be a function of the key.
    pub(super) fn count(&self, metric: &'static Metric, key: K, labels: impl FnOnce() -> Labels) {
        let known = self.handles.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(handle) = known {
            return handle.increment(1);
        }
        if let Some(handle) = bind(metric, labels, |recorder, key| recorder.register_counter(key, &METADATA)) {
            handle.increment(1);
            self.handles.write().unwrap_or_else(PoisonError::into_inner).insert(key, handle);
        }
    }
}

#[cfg(not(feature = "metrics"))]
impl<K> Counters<K> {
    pub(super) fn count(&self, _: &'static Metric, _: K, _: impl FnOnce() -> Labels) {}
}

/// Asks the recorder for the handle of a series; `None` if no recorder is installed.
#[cfg(feature = "metrics")]
fn bind<H>(
    metric: &'static Metric,
    labels: impl FnOnce() -> Labels,
    register: impl FnOnce(&dyn Recorder, &Key) -> H,
) -> Option<H> {
    with_recorder(|recorder| {
        if !is_installed(recorder) {
            return None;
        }
        metric.describe(recorder);
        let labels: Vec<metrics::Label> =
            labels().into_iter().map(|(name, value)| metrics::Label::new(name, value)).collect();
        Some(register(recorder, &Key::from_parts(metric.name, labels)))
    })
}

/// Whether this is more than the recorder that stands in while none is installed, which has no fields.
#[cfg(feature = "metrics")]
fn is_installed(recorder: &dyn Recorder) -> bool {
    size_of_val(recorder) > 0
}

#[cfg(feature = "metrics")]
impl Metric {
    fn describe(&self, recorder: &dyn Recorder) {
        use super::table::{Kind, Unit};

        let unit = match self.unit {
            Unit::Bytes => metrics::Unit::Bytes,
            Unit::Count => metrics::Unit::Count,
            Unit::Seconds => metrics::Unit::Seconds,
        };
        let (name, unit, text) = (self.name.into(), Some(unit), self.text.into());
        match self.kind {
            Kind::Counter => recorder.describe_counter(name, unit, text),
            Kind::Gauge => recorder.describe_gauge(name, unit, text),
            Kind::Histogram => recorder.describe_histogram(name, unit, text),
        }
    }
}

#[cfg(feature = "metrics")]
static METADATA: Metadata<'static> = Metadata::new("tower_clerk", Level::INFO, None);
