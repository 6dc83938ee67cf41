//! Caching verified tokens changes no verdict.

mod cached;
mod confirmation;
mod ends;
mod keys;
mod limits;
mod made;
mod spellings;
mod threads;
mod verdicts;

use tower_clerk::{
    ClerkConfig, ConfigError, Verifier,
    testing::{ManualClock, TestIssuer},
    verify::{Instance, VerifierBuilder, VerifyErrorKind},
};

use crate::support::{GatedSource, Reply, issuer};

/// An issuer, and a source that replies with the key set that the test chooses.
struct Fixture {
    clock: ManualClock,
    issuer: &'static TestIssuer,
    source: GatedSource,
}

impl Fixture {
    fn new() -> Self {
        Self::of(issuer())
    }

    /// With a new issuer, whose keys the test may rotate.
    fn with_new_issuer() -> Self {
        Self::of(Box::leak(Box::new(TestIssuer::new().clock(ManualClock::new()))))
    }

    fn of(issuer: &'static TestIssuer) -> Self {
        let fixture = Self { clock: ManualClock::new(), issuer, source: GatedSource::new() };
        fixture.serve(Some(fixture.issuer.jwks()));
        fixture
    }

    /// Replies to every fetch with this document, or with a failure.
    fn serve(&self, document: Option<String>) {
        self.source.always(document.map_or(Reply::Failure, Reply::document));
    }

    fn fetches(&self) -> usize {
        self.source.fetches()
    }

    /// A builder of verifiers that fetch from the source.
    fn builder(&self) -> VerifierBuilder {
        self.builder_with(Ok)
    }

    fn builder_with(&self, change: impl FnOnce(ClerkConfig) -> Result<ClerkConfig, ConfigError>) -> VerifierBuilder {
        let config = change(self.issuer.config()).expect("a configuration");
        Verifier::builder(Instance::new(config).key_source(self.source.clone())).clock(self.clock.clone())
    }

    fn verifier(&self) -> Verifier {
        self.builder().build().expect("a verifier")
    }
}

async fn verify(verifier: &Verifier, token: &str) -> Result<(), VerifyErrorKind> {
    verifier.verify(token).await.map(|_| ()).map_err(|error| error.kind())
}

fn entries(verifier: &Verifier) -> usize {
    verifier.token_cache_status().entries
}
