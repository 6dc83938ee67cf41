use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Semaphore;
use tower_clerk::{
    Verifier,
    config::IssuerUrl,
    testing::ManualClock,
    verify::{Instance, ResolveError, VerifierBuilder},
};

use super::Tenant;
use crate::support::within;

/// The application's records. Lookups wait until the test adds permits.
#[derive(Clone)]
pub(super) struct Records {
    pub(super) asked: Arc<Mutex<Vec<String>>>,
    pub(super) fails: Arc<Mutex<bool>>,
    pub(super) gate: Arc<Semaphore>,
    pub(super) most_at_once: Arc<AtomicUsize>,
    pub(super) now: Arc<AtomicUsize>,
    pub(super) tenants: Arc<Mutex<HashMap<String, Instance>>>,
}

impl Records {
    pub(super) fn new(tenants: &[&Tenant]) -> Self {
        let tenants = tenants.iter().map(|tenant| (tenant.url.clone(), tenant.instance())).collect();
        Self {
            asked: Arc::default(),
            fails: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            most_at_once: Arc::default(),
            now: Arc::default(),
            tenants: Arc::new(Mutex::new(tenants)),
        }
    }

    /// The same, without permits.
    pub(super) fn closed(mut self) -> Self {
        self.gate = Arc::new(Semaphore::new(0));
        self
    }

    pub(super) fn verifier(&self, clock: &ManualClock) -> Verifier {
        self.builder(clock).build().expect("a verifier")
    }

    pub(super) fn builder(&self, clock: &ManualClock) -> VerifierBuilder {
        let records = self.clone();
        let resolver = move |issuer: IssuerUrl| records.clone().resolve(issuer);
        VerifierBuilder::new().resolver(resolver).clock(clock.clone())
    }

    pub(super) async fn resolve(self, issuer: IssuerUrl) -> Result<Option<Instance>, ResolveError> {
        self.asked.lock().expect("a list").push(issuer.as_str().to_owned());
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        self.gate.acquire().await.expect("an open semaphore").forget();
        self.now.fetch_sub(1, Ordering::SeqCst);
        if *self.fails.lock().expect("a flag") {
            return Err(ResolveError::new("the database is down"));
        }
        Ok(self.tenants.lock().expect("a table").get(issuer.as_str()).cloned())
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.lock().expect("a list").len()
    }

    pub(super) fn fail(&self, fails: bool) {
        *self.fails.lock().expect("a flag") = fails;
    }

    pub(super) fn insert(&self, tenant: &Tenant, instance: Instance) {
        self.tenants.lock().expect("a table").insert(tenant.url.clone(), instance);
    }

    pub(super) fn remove(&self, tenant: &Tenant) {
        self.tenants.lock().expect("a table").remove(&tenant.url);
    }
}

/// Waits until so many lookups have started.
pub(super) async fn until_asked(records: &Records, asked: usize) {
    within(async {
        while records.asked() < asked {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until so many lookups have started, and all of them have ended.
pub(super) async fn settle(records: &Records, asked: usize) {
    while records.asked() < asked || records.now.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}
