//! What the operator reads when the Backend API fails.

use tower_clerk::{ClerkAuthLayer, backend_api::OpaqueTokenLimits, jwks::FetchErrorKind, verify::UnavailableReason};

use super::{Api, Fixture, GOOD, Reply, key};
use crate::{
    support::{get_path, millis, secs, send_through},
    telemetry::Log,
};

const WRONG: &str = "the Backend API refused the key of a setting: it is wrong";
const NOT_GRANTED: &str = "the Backend API refused the key of a setting: this machine is not granted the token";
const TOO_MANY: &str = "too many opaque tokens that were never seen valid";
const FAILED: &str = "asking the Backend API about a token failed";

/// The events above DEBUG.
fn grave(log: &Log) -> Vec<String> {
    log.lines().into_iter().filter(|line| !line.starts_with("DEBUG")).collect()
}

#[tokio::test]
async fn a_refused_key_is_an_error_that_names_its_setting_once_a_minute() {
    let machine_key = |config: tower_clerk::ClerkConfig| config.machine_secret_key("ak_machine");
    let with_machine_key = Fixture::with(Api::new(), machine_key, OpaqueTokenLimits::new());
    for (fixture, token, setting) in [
        (Fixture::new(Api::new()), "ak_a", "secret_key"),
        (Fixture::new(Api::new()), "mt_a", "secret_key"),
        (with_machine_key, "mt_a", "machine_secret_key"),
    ] {
        let (log, _recording) = Log::start();
        fixture.api.always(Reply::Status(401));
        let _ = fixture.verify(token).await;
        let lines = grave(&log);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("ERROR {WRONG}")) && lines[0].contains("status=401"), "{lines:?}");
        assert!(lines[0].contains(&format!("setting=\"{setting}\"")), "{lines:?}");
        assert!(!lines[0].contains(token) && !lines[0].contains("sk_test"), "{lines:?}");

        // The other status has the same throttle, because the setting is the same.
        fixture.api.always(Reply::Status(403));
        for _ in 0..59 {
            fixture.clock.advance(secs(1));
            let _ = fixture.verify(token).await;
        }
        fixture.clock.advance(millis(999));
        let _ = fixture.verify(token).await;
        assert_eq!(grave(&log), [""; 0]);
        fixture.clock.advance(secs(1));
        let _ = fixture.verify(token).await;
        let lines = grave(&log);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("ERROR {NOT_GRANTED}")) && lines[0].contains("status=403"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_wrong_machine_secret_key_does_not_hide_a_wrong_secret_key() {
    let machine_key = |config: tower_clerk::ClerkConfig| config.machine_secret_key("ak_machine");
    let fixture = Fixture::with(Api::new(), machine_key, OpaqueTokenLimits::new());
    fixture.api.always(Reply::Status(401));
    let (log, _recording) = Log::start();
    for number in 0..3 {
        for token in ["mt_a", "ak_a", "oat_a"] {
            let _ = fixture.verify(&format!("{token}{number}")).await;
        }
    }
    let lines = grave(&log);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("setting=\"machine_secret_key\""), "{lines:?}");
    assert!(lines[1].contains("setting=\"secret_key\""), "{lines:?}");
}

#[tokio::test]
async fn a_budget_that_is_spent_is_a_warning_once_a_minute_with_a_count() {
    let limits = OpaqueTokenLimits::new().unknown_token_burst(1).unknown_tokens_per_second(1);
    let fixture = Fixture::with(Api::new(), Ok, limits);
    let (log, _recording) = Log::start();
    let _ = fixture.verify("ak_a").await;
    assert_eq!(grave(&log), [""; 0]);
    for number in 0..5 {
        let _ = fixture.verify(&key(format_args!("private_{number}"))).await;
    }
    assert_eq!(grave(&log), [format!("WARN {TOO_MANY} count=1")]);
    fixture.clock.advance(millis(59_999));
    let _ = fixture.verify("ak_b").await;
    let _ = fixture.verify("ak_c").await;
    assert_eq!(grave(&log), [""; 0]);
    fixture.clock.advance(millis(1));
    let _ = fixture.verify("ak_c").await;
    assert_eq!(grave(&log), [format!("WARN {TOO_MANY} count=6")]);
}

#[tokio::test]
async fn an_outage_is_a_warning_once_a_minute_and_never_holds_a_token() {
    let fixture = Fixture::new(Api::new());
    fixture.api.always(Reply::Failure);
    let (log, _recording) = Log::start();
    for number in 0..60 {
        let _ = fixture.verify(&key(format_args!("private_{number}"))).await;
        fixture.clock.advance(secs(1));
    }
    let lines = log.lines();
    assert!(lines.iter().all(|line| !line.contains("private")), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("WARN")).count(), 1);
    assert!(lines.iter().any(|line| line.starts_with(&format!("WARN {FAILED}")) && line.contains("out of order")));
    let _ = fixture.verify("ak_last").await;
    assert_eq!(grave(&log).len(), 1);
}

#[tokio::test]
async fn an_answer_about_a_token_is_no_event() {
    let fixture = Fixture::new(Api::new());
    fixture.api.about("ak_a", Reply::Valid);
    let (log, _recording) = Log::start();
    assert_eq!(fixture.verify("ak_a").await, GOOD);
    let _ = fixture.verify("ak_b").await;
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn a_rejection_names_why_the_api_could_not_be_asked() {
    let fixture = Fixture::new(Api::new());
    let layer = ClerkAuthLayer::from(fixture.verifier.clone());
    let (log, _recording) = Log::start();
    for (number, (reply, reason)) in [
        (Reply::Failure, "backend_api_transport"),
        (Reply::Status(500), "backend_api_unexpected_status"),
        (Reply::Status(401), "backend_api_unauthorized"),
    ]
    .into_iter()
    .enumerate()
    {
        fixture.api.always(reply);
        let answer = send_through(&layer, get_path("/", Some(&format!("Bearer ak_{number}")))).await;
        answer.assert_rejected(503, "keys_unavailable");
        let line = format!(r#"DEBUG request rejected reason="keys_unavailable" unavailable="{reason}" passed=false"#);
        assert_eq!(log.lines().last(), Some(&line));
        fixture.clock.advance(secs(60));
    }
}

#[test]
fn an_unavailable_api_and_unavailable_keys_have_names_of_their_own() {
    for kind in [
        FetchErrorKind::InvalidDocument,
        FetchErrorKind::NoUsableKey,
        FetchErrorKind::Panicked,
        FetchErrorKind::Timeout,
        FetchErrorKind::TooLarge,
        FetchErrorKind::TooManyFetches,
        FetchErrorKind::Transport,
        FetchErrorKind::Unauthorized,
        FetchErrorKind::UnexpectedEncoding,
        FetchErrorKind::UnexpectedRedirect,
        FetchErrorKind::UnexpectedStatus,
    ] {
        assert_eq!(UnavailableReason::Fetch(kind).as_str(), kind.as_str());
        assert_eq!(UnavailableReason::BackendApi(kind).as_str(), format!("backend_api_{}", kind.as_str()));
    }
}

#[tokio::test]
async fn a_flood_of_made_up_tokens_is_a_warning_once_a_minute() {
    let fixture = Fixture::new(Api::new());
    let (log, _recording) = Log::start();
    let flood = async |name: &str, tokens: usize| {
        for number in 0..tokens {
            let _ = fixture.verify(&key(format_args!("{name}_{number}"))).await;
        }
    };
    let warning = |count: u64| format!("WARN too many opaque tokens that were never seen valid count={count}");
    flood("a", 100).await;
    assert_eq!(grave(&log), [""; 0]);
    flood("b", 10).await;
    assert_eq!(grave(&log), [warning(1)]);
    fixture.clock.advance(secs(59));
    flood("c", 105).await;
    assert_eq!(grave(&log), [""; 0]);
    fixture.clock.advance(secs(1));
    flood("d", 21).await;
    assert_eq!(grave(&log), [warning(9 + 5 + 1)]);
}
