use tonic::service::Routes;
use tonic_health::server::health_reporter;
use tonic_reflection::server::{Builder, Error};
use tower_clerk::{ClerkAuthLayer, ClerkAuthService};

use super::{
    service::WhoAmIService,
    whoami::who_am_i_server::{SERVICE_NAME, WhoAmIServer},
};

/// The service for users, health and reflection for everyone.
pub(crate) async fn routes(clerk: &ClerkAuthLayer) -> Result<Routes, Error> {
    let (reporter, health) = health_reporter();
    // Serving, even without keys: restarting this service would not end an outage of Clerk.
    reporter.set_service_status(SERVICE_NAME, tonic_health::ServingStatus::Serving).await;
    let whoami = ClerkAuthService::new(WhoAmIServer::new(WhoAmIService), clerk.clone());
    // Some clients support only the older version of reflection.
    Ok(Routes::new(whoami)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}

fn reflection<'a>() -> Builder<'a> {
    Builder::configure()
        .register_encoded_file_descriptor_set(include_bytes!("whoami.bin"))
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
