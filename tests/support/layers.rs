//! Verifiers and layers over the issuer of the tests.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tower_clerk::{
    ClerkAuthLayer, ClerkConfig, ConfigError, Verifier,
    jwks::{FetchError, KeySource},
    testing::ManualClock,
    verify::Instance,
};

use super::{
    issuers::issuer,
    source::{GatedSource, Reply},
    tasks::secs,
};

/// A verifier whose clock stands still.
pub(crate) fn verifier(config: ClerkConfig) -> Verifier {
    Verifier::builder(config).clock(ManualClock::new()).build().expect("a verifier")
}

/// A strict layer that has the issuer's key.
pub(crate) fn layer() -> ClerkAuthLayer {
    layer_with(Ok)
}

/// A layer with a changed configuration.
pub(crate) fn layer_with(change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> ClerkAuthLayer {
    layer_of(change(issuer().config()).expect("a configuration"))
}

/// A layer with this configuration.
pub(crate) fn layer_of(config: ClerkConfig) -> ClerkAuthLayer {
    verifier(config).into()
}

/// A layer whose keys cannot be fetched.
pub(crate) fn layer_without_keys() -> ClerkAuthLayer {
    let instance = Instance::new(issuer().config()).key_source(failing_source());
    Verifier::builder(instance).clock(ManualClock::new()).build().expect("a verifier").into()
}

/// A key source that always fails.
pub(crate) fn failing_source() -> impl KeySource {
    || async { Err(FetchError::new("out of order")) }
}

/// A layer that has to fetch its key first. The fetch waits at the gate.
pub(crate) fn cold_layer() -> (ClerkAuthLayer, Gate) {
    gated_layer(issuer().config(), [issuer().jwks()])
}

/// A layer whose fetches wait at the gate. The first fetch gets the first document, and so on; further fetches fail.
pub(crate) fn gated_layer(config: ClerkConfig, documents: impl IntoIterator<Item = String>) -> (ClerkAuthLayer, Gate) {
    let gate = Gate::new(documents);
    let builder = Verifier::builder(Instance::new(patient(config)).key_source(gate.source())).clock(ManualClock::new());
    (builder.build().expect("a verifier").into(), gate)
}

/// With a fetch timeout that is longer than any test takes on a busy machine.
pub(crate) fn patient(config: ClerkConfig) -> ClerkConfig {
    config.jwks_timeout(secs(60)).expect("a timeout")
}

/// The place where fetches wait until the test opens it.
pub(crate) struct Gate {
    documents: Mutex<VecDeque<Bytes>>,
    reached: AtomicUsize,
    source: GatedSource,
}

impl Gate {
    pub(crate) fn new(documents: impl IntoIterator<Item = String>) -> Self {
        let documents = documents.into_iter().map(Bytes::from).collect();
        Self { documents: Mutex::new(documents), reached: AtomicUsize::new(0), source: GatedSource::new() }
    }

    /// The source whose fetches wait here.
    pub(crate) fn source(&self) -> GatedSource {
        self.source.clone()
    }

    /// Waits for the next fetch to arrive.
    pub(crate) async fn reached(&self) {
        self.source.started(self.reached.fetch_add(1, Ordering::SeqCst) + 1).await;
    }

    /// The number of fetches that arrived and were not awaited by [`reached`](Self::reached).
    pub(crate) fn arrivals(&self) -> usize {
        self.source.fetches() - self.reached.load(Ordering::SeqCst)
    }

    /// Lets one fetch pass, now or when it arrives.
    pub(crate) fn open(&self) {
        let document = self.documents.lock().expect("no panic").pop_front();
        self.source.once(document.map_or(Reply::Failure, Reply::Document));
    }
}
