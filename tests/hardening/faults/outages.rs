use std::time::Duration;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyErrorKind};

use super::instance::{INTERVAL, Instance, PATIENT, document, keys, successor};
use crate::support::issuer;
use crate::support::server::Server;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_server_that_is_down_at_start_is_retried() {
    let mut instance = Instance::at(Server::down(), PATIENT);
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(FetchErrorKind::Transport));
    instance.server.respond(keys());
    instance.server.come_up();
    let error = instance.verify_at_once().expect_err("backing off");
    assert_eq!(
        (error.kind(), error.fetch_error_kind()),
        (VerifyErrorKind::KeysUnavailable, Some(FetchErrorKind::Transport))
    );
    assert!(error.retry_after().is_some_and(|delay| !delay.is_zero() && delay <= Duration::from_millis(250)));
    assert_eq!(instance.server.connections().await, 0);
    instance.clock.advance(Duration::from_millis(250));
    instance.verify(&instance.token()).await.expect("a good token");
    assert_eq!(instance.server.connections().await, 1);
}

#[tokio::test]
async fn a_server_that_is_down_is_retried_each_second_until_it_returns() {
    let mut instance = Instance::at(Server::down(), PATIENT);
    for _ in 0..20 {
        assert_eq!(instance.failure().await.fetch_error_kind(), Some(FetchErrorKind::Transport));
        instance.clock.advance(Duration::from_secs(1));
    }
    instance.failure().await;
    instance.server.respond(keys());
    instance.server.come_up();
    instance.clock.advance(Duration::from_secs(1));
    instance.verify(&instance.token()).await.expect("a good token");
    assert_eq!(instance.server.connections().await, 1);
}

#[tokio::test]
async fn the_last_set_is_served_without_delay_while_the_server_is_down() {
    let mut instance = Instance::warm(PATIENT, keys()).await;
    instance.server.go_down().await;
    let mut passed = INTERVAL;
    while passed < DAY {
        let error = instance.refresh_failure().await;
        assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Transport));
        instance.clock.advance(Duration::from_secs(3600));
        passed += Duration::from_secs(3600);
    }
    assert_eq!(instance.server.requests(), 1);
}

#[tokio::test]
async fn a_server_that_returns_is_fetched_from_in_the_background() {
    let mut instance = Instance::warm(PATIENT, keys()).await;
    instance.server.go_down().await;
    instance.refresh_failure().await;
    instance.server.respond(document(&successor().jwks()));
    instance.server.come_up();
    instance.clock.advance(Duration::from_secs(30));
    instance.start_refresh();
    instance.verify(&instance.token_of(successor())).await.expect("the new key");
    assert_eq!(instance.server.connections().await, 2);
}

#[tokio::test]
async fn a_set_past_the_stale_limit_is_not_served() {
    let mut instance = Instance::warm(PATIENT, keys()).await;
    instance.server.go_down().await;
    instance.refresh_failure().await;
    instance.clock.advance(DAY - INTERVAL - Duration::from_nanos(1));
    instance.refresh_failure().await;
    assert_eq!(instance.verifier.keys_status().keys, 1);
    instance.clock.advance(Duration::from_nanos(1));
    assert_eq!(instance.failure().await.fetch_error_kind(), Some(FetchErrorKind::Transport));
    assert_eq!(instance.verifier.keys_status().keys, 0);
    instance.server.come_up();
    instance.clock.advance(Duration::from_secs(1));
    instance.verify(&instance.token()).await.expect("a good token");
}

#[tokio::test]
async fn an_unknown_key_is_unavailable_while_the_server_is_down() {
    let mut instance = Instance::warm(PATIENT, keys()).await;
    instance.server.go_down().await;
    let unknown = instance.token_of(successor());
    for _ in 0..3 {
        let error = instance.verify(&unknown).await.expect_err("an unknown key");
        assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::Transport));
        instance.verify_at_once().expect("the old key");
    }
    let jwks = successor().jwks().replace("]}", ",") + issuer().jwks().trim_start_matches("{\"keys\":[");
    instance.server.respond(document(&jwks));
    instance.server.come_up();
    instance.clock.advance(Duration::from_secs(1));
    instance.verify(&unknown).await.expect("the new key");
    instance.verify_at_once().expect("the old key");
    assert_eq!(instance.server.connections().await, 2);
}
