use std::time::Duration;

use tower_clerk::{jwks::FetchErrorKind, verify::VerifyError};

use super::instance::{Instance, PATIENT, response};
use crate::support::server::Script;

const INSTANT: Duration = Duration::from_nanos(1);

fn too_many(headers: &[(&str, &str)]) -> Script {
    response("429 Too Many Requests", headers, "")
}

/// The delay that an error names: `asked`, or up to a half longer, so that replicas do not come back together.
#[track_caller]
fn delay_of(error: &VerifyError, asked: Duration) -> Duration {
    assert_eq!(error.fetch_error_kind(), Some(FetchErrorKind::UnexpectedStatus));
    let delay = error.retry_after().expect("a delay");
    assert!(delay >= asked && delay <= asked * 3 / 2, "{delay:?} of {asked:?}");
    delay
}

/// Asserts that without keys the next fetch starts after this delay, and not before the error says.
async fn is_put_off_without_keys(script: Script, asked: Duration) {
    let instance = Instance::cold(PATIENT, script).await;
    let delay = delay_of(&instance.failure().await, asked);
    instance.clock.advance(delay - INSTANT);
    assert_eq!(instance.verify_at_once().expect_err("no keys").retry_after(), Some(INSTANT));
    assert_eq!(instance.server.connections().await, 1);
    instance.clock.advance(INSTANT);
    instance.failure().await;
    assert_eq!(instance.server.connections().await, 2);
}

/// Asserts the same with keys, which stay in use.
async fn is_put_off_with_keys(script: Script, asked: Duration) {
    let instance = Instance::warm(PATIENT, script).await;
    let delay = delay_of(&instance.refresh_failure().await, asked);
    instance.clock.advance(delay - INSTANT);
    instance.verify_at_once().expect("the old key");
    assert_eq!(instance.server.connections().await, 2);
    instance.clock.advance(INSTANT);
    instance.verify_at_once().expect("the old key");
    assert_eq!(instance.server.connections().await, 3);
}

#[tokio::test]
async fn a_retry_after_is_honoured() {
    is_put_off_without_keys(too_many(&[("Retry-After", "3")]), Duration::from_secs(3)).await;
    is_put_off_with_keys(too_many(&[("retry-after", "45")]), Duration::from_secs(45)).await;
}

#[tokio::test]
async fn a_retry_after_is_honoured_for_every_failing_status() {
    let unavailable = response("503 Service Unavailable", &[("Retry-After", "4")], "");
    is_put_off_without_keys(unavailable, Duration::from_secs(4)).await;
    let moved = response("302 Found", &[("Retry-After", "4"), ("Location", "/elsewhere")], "");
    is_put_off_with_keys(moved, Duration::from_secs(4)).await;
}

#[tokio::test]
async fn a_retry_after_is_capped_at_5_s_without_keys_and_60_s_with_keys() {
    for (value, without, with) in [("5", 5, 5), ("6", 5, 6), ("60", 5, 60), ("61", 5, 60), ("3600", 5, 60)] {
        is_put_off_without_keys(too_many(&[("Retry-After", value)]), Duration::from_secs(without)).await;
        is_put_off_with_keys(too_many(&[("Retry-After", value)]), Duration::from_secs(with)).await;
    }
    let longest = u64::MAX.to_string();
    is_put_off_without_keys(too_many(&[("Retry-After", &longest)]), Duration::from_secs(5)).await;
    is_put_off_with_keys(too_many(&[("Retry-After", &longest)]), Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_retry_after_date_is_relative_to_the_servers_date() {
    let date = |retry_after: &str| too_many(&[("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Retry-After", retry_after)]);
    for (value, without, with) in [
        ("Sun, 06 Nov 1994 08:49:41 GMT", 4, 4),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 5, 30),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 5, 60),
    ] {
        is_put_off_without_keys(date(value), Duration::from_secs(without)).await;
        is_put_off_with_keys(date(value), Duration::from_secs(with)).await;
    }
    backs_off_as_ever(date("Sun, 06 Nov 1994 08:49:36 GMT")).await;
    backs_off_as_ever(too_many(&[("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")])).await;
}

/// Asserts that the first back-off is 0.25 seconds or up to a quarter shorter.
async fn backs_off_as_ever(script: Script) {
    let (shortest, longest) = (Duration::from_micros(187_500), Duration::from_millis(250));
    let instance = Instance::cold(PATIENT, script.clone()).await;
    let delay = instance.failure().await.retry_after().expect("a delay");
    assert!(delay >= shortest && delay <= longest, "{delay:?}");
    instance.clock.advance(shortest - INSTANT);
    instance.verify_at_once().expect_err("no keys");
    assert_eq!(instance.server.connections().await, 1);
    instance.clock.advance(longest - shortest + INSTANT);
    instance.failure().await;
    assert_eq!(instance.server.connections().await, 2);

    let instance = Instance::warm(PATIENT, script).await;
    instance.refresh_failure().await;
    instance.clock.advance(shortest - INSTANT);
    instance.verify_at_once().expect("the old key");
    assert_eq!(instance.server.connections().await, 2);
    instance.clock.advance(longest - shortest + INSTANT);
    instance.verify_at_once().expect("the old key");
    assert_eq!(instance.server.connections().await, 3);
}

#[tokio::test]
async fn without_a_retry_after_the_default_back_off_applies() {
    backs_off_as_ever(too_many(&[])).await;
}

#[tokio::test]
async fn a_malformed_retry_after_is_ignored() {
    for value in ["", "soon", "-3", "1.5", "3 seconds", "0x10", "٣", "Fri, 31 Dec 1999 23:59:59"] {
        backs_off_as_ever(too_many(&[("Retry-After", value)])).await;
    }
}

#[tokio::test]
async fn a_retry_after_of_zero_does_not_shorten_the_back_off() {
    backs_off_as_ever(too_many(&[("Retry-After", "0")])).await;
}

#[tokio::test]
async fn the_back_off_grows_to_a_second_without_keys() {
    let instance = Instance::cold(PATIENT, too_many(&[])).await;
    for failed in 1..10 {
        let delay = instance.failure().await.retry_after().expect("a delay");
        let full = Duration::from_millis(250 << (failed - 1).min(2));
        assert!(delay >= full * 3 / 4 && delay <= full, "{failed} {delay:?}");
        instance.clock.advance(full);
    }
    assert_eq!(instance.server.connections().await, 9);
}

#[tokio::test]
async fn the_back_off_grows_to_30_seconds_with_keys() {
    let instance = Instance::warm(PATIENT, too_many(&[])).await;
    for failed in 1..12 {
        let delay = instance.refresh_failure().await.retry_after().expect("a delay");
        let full = Duration::from_millis(250 << (failed - 1).min(7)).min(Duration::from_secs(30));
        assert!(delay >= full * 3 / 4 && delay <= full, "{failed} {delay:?}");
        assert_eq!(instance.server.connections().await, 1 + failed);
        instance.clock.advance(full);
    }
}
