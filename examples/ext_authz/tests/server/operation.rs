//! Probes, metrics, and the end.

use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use crate::support::{Program, eventually, get, issuer};

const SERVICE: &str = "envoy.service.auth.v3.Authorization";

async fn health(program: &Program, service: &str) -> ServingStatus {
    let channel = Channel::from_shared(format!("http://{}", program.address)).unwrap().connect().await.unwrap();
    let mut client = HealthClient::new(channel);
    let request = HealthCheckRequest { service: service.to_owned() };
    client.check(request).await.map_or(ServingStatus::ServiceUnknown, |response| response.into_inner().status())
}

#[tokio::test]
async fn readiness_waits_for_keys_and_liveness_does_not() {
    let issuer = issuer().await;
    issuer.serve_status(500);
    let program = Program::start(&issuer, &[]);
    assert!(get(program.admin, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(program.admin, "/readyz").await.starts_with("HTTP/1.1 503"));
    assert_eq!(health(&program, "").await, ServingStatus::Serving);
    eventually("a status", async || health(&program, SERVICE).await == ServingStatus::NotServing).await;
    issuer.serve_keys();
    eventually("readiness", async || get(program.admin, "/readyz").await.starts_with("HTTP/1.1 200")).await;
    eventually("a status", async || health(&program, SERVICE).await == ServingStatus::Serving).await;
}

#[tokio::test]
async fn metrics_are_for_prometheus() {
    let issuer = issuer().await;
    let program = Program::start_ready(&issuer, &[]).await;
    let metrics = get(program.admin, "/metrics").await;
    assert!(
        metrics.starts_with("HTTP/1.1 200") && metrics.contains("content-type: text/plain; version=0.0.4"),
        "{metrics}"
    );
    for name in ["clerk_jwks_fetches_total", "clerk_jwks_keys"] {
        assert!(metrics.contains(&format!("\n{name}")), "{name}: {metrics}");
    }
    assert!(get(program.admin, "/verify").await.starts_with("HTTP/1.1 404"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_the_program() {
    let issuer = issuer().await;
    for signal in ["TERM", "INT"] {
        let mut program = Program::start_ready(&issuer, &[]).await;
        // A connection that is open, as Envoy's are.
        health(&program, "").await;
        let id = program.child.id().to_string();
        std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap();
        eventually("an end", async || program.child.try_wait().unwrap().is_some_and(|status| status.success())).await;
    }
}
