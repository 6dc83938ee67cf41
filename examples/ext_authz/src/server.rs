//! Puts the parts together.

use std::{error::Error, io::Write, net::IpAddr};

use envoy_types::ext_authz::v3::pb::AuthorizationServer;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::server::health_reporter;
use tower_clerk::ClerkAuthLayer;

use crate::{
    admin::{self, Admin},
    check::Check,
    demonstration,
    deployment::Deployment,
    guard::Guard,
    http_server, keep_keys,
    metrics::Metrics,
    readiness::Readiness,
    settings::Settings,
    shutdown::Signals,
};

/// Serves until a signal asks it to end.
pub(crate) async fn serve(settings: Settings) -> Result<(), Box<dyn Error>> {
    // What is counted without a recorder is lost.
    let metrics = Metrics::install()?;
    Check::describe_metrics();
    let deployment = Deployment::read(settings.is_demonstration).await.map_err(|error| -> Box<dyn Error> { error })?;
    let clerk = ClerkAuthLayer::from_config(deployment.config)?;
    let clerk = if settings.allows_anonymous { clerk.allow_missing_token() } else { clerk };
    let readiness = Readiness::new(clerk.verifier().clone());

    let listener = listen(settings.address, settings.port, "PORT").await?;
    let admin_listener = listen(settings.address, settings.admin_port, "ADMIN_PORT").await?;
    let (address, admin_address) = (listener.local_addr()?, admin_listener.local_addr()?);
    if deployment.issuer.is_some() {
        demonstration::serve_upstream().await?;
    }
    // From now on a signal waits to be obeyed; until then it ends the process.
    let signals = Signals::new();

    let (reporter, health) = health_reporter();
    tokio::spawn(keep_keys::keep(clerk.verifier().clone()));
    tokio::spawn(readiness.clone().report(reporter));
    let admin = admin::routes(Admin { metrics, readiness: readiness.clone() });
    tokio::spawn(http_server::serve(admin_listener, admin, std::future::pending()));

    let check = Check { guard: Guard::new(clerk), identity_headers: settings.identity_headers };
    let server = Server::builder().add_service(AuthorizationServer::new(check)).add_service(health);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));

    // A closed stdout is ignored: the server runs without it.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening on {address} (gRPC), probes and metrics on http://{admin_address}");
    if let Some(issuer) = &deployment.issuer {
        let _ = write!(stdout, "{}", demonstration::what_to_try(issuer, settings.allows_anonymous));
    }
    // Envoy's connection ends when its last call has.
    let serving = signals.serve(|ended| {
        server.serve_with_incoming_shutdown(incoming, async move {
            drop(ended.await);
            readiness.drain();
        })
    });
    Ok(serving.await?)
}

async fn listen(address: IpAddr, port: u16, variable: &str) -> Result<TcpListener, String> {
    TcpListener::bind((address, port)).await.map_err(|error| format!("{variable}: {address}:{port}: {error}"))
}
