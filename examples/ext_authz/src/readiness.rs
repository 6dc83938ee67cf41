//! Whether there are keys, for probes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use envoy_types::ext_authz::v3::pb::AuthorizationServer;
use tonic_health::{ServingStatus, server::HealthReporter};
use tower_clerk::Verifier;

use crate::check::Check;

/// Whether requests can be decided about.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    is_draining: Arc<AtomicBool>,
    verifier: Verifier,
}

impl Readiness {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self { is_draining: Arc::default(), verifier }
    }

    /// With keys, until the program ends.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_draining.load(Ordering::Relaxed) && self.verifier.keys_status().keys > 0
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Keeps the status of the service `envoy.service.auth.v3.Authorization` in gRPC's health checks the same as that
    /// of `/readyz`. The status of the whole server, whose name is empty, is that of `/healthz`.
    pub(crate) async fn report(self, reporter: HealthReporter) {
        let mut reported = None;
        loop {
            let is_ready = self.is_ready();
            if reported != Some(is_ready) {
                let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
                reporter.set_service_status(NAME, status).await;
                reported = Some(is_ready);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

const NAME: &str = <AuthorizationServer<Check> as tonic::server::NamedService>::NAME;

/// Often enough for a probe each second.
const LOOK: Duration = Duration::from_millis(500);
