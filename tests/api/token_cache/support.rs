use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tower_clerk::{
    ClerkConfig, ConfigError, Verifier,
    jwks::FetchError,
    testing::{ManualClock, TestIssuer},
    verify::{VerifierBuilder, VerifyErrorKind},
};

/// An issuer whose set of keys is whatever the test says, and a verifier over it.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) document: Arc<Mutex<Option<String>>>,
    pub(crate) fetches: Arc<Mutex<usize>>,
    pub(crate) issuer: TestIssuer,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let issuer = TestIssuer::new().clock(clock.clone());
        let document = Arc::new(Mutex::new(Some(issuer.jwks())));
        Self { clock, document, fetches: Arc::default(), issuer }
    }

    pub(crate) fn serve(&self, document: Option<String>) {
        *self.document.lock().expect("a document") = document;
    }

    pub(crate) fn fetches(&self) -> usize {
        *self.fetches.lock().expect("a count")
    }

    /// A builder that fetches the set from this world.
    pub(crate) fn builder(&self) -> VerifierBuilder {
        self.builder_with(Ok)
    }

    pub(crate) fn builder_with(
        &self,
        change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>,
    ) -> VerifierBuilder {
        let (document, fetches) = (Arc::clone(&self.document), Arc::clone(&self.fetches));
        let source = move || {
            *fetches.lock().expect("a count") += 1;
            let document = document.lock().expect("a document").clone();
            async move { document.map(Bytes::from).ok_or_else(|| FetchError::new("out of order")) }
        };
        let config = change(self.issuer.config()).expect("a configuration");
        Verifier::builder(config).clock(self.clock.clone()).key_source(source)
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.builder().build().expect("a verifier")
    }
}

pub(crate) async fn verify(verifier: &Verifier, token: &str) -> Result<(), VerifyErrorKind> {
    verifier.verify(token).await.map(|_| ()).map_err(|error| error.kind())
}

pub(crate) fn entries(verifier: &Verifier) -> usize {
    verifier.token_cache_status().entries
}
